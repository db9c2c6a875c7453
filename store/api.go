package store

import (
	"ravno/store/internal/catalog"
	"ravno/store/internal/conflict"
	"ravno/store/internal/enrol"
	"ravno/store/internal/extract"
	"ravno/store/internal/history"
	"ravno/store/internal/install"
	"ravno/store/internal/merge"
	"ravno/store/internal/resolve"
	"ravno/store/internal/sqlite"
)

// The types of the rooms below that appear in the methods of Store. Each is documented in its room.
type (
	Applied         = merge.Applied
	Carried         = enrol.Carried
	Class           = catalog.Class
	Conflict        = conflict.Conflict
	ConflictColumn  = conflict.ConflictColumn
	ConflictSide    = conflict.ConflictSide
	CrossingError   = history.CrossingError
	Delta           = merge.Delta
	Digest          = catalog.Digest
	DocumentRow     = conflict.DocumentRow
	FileError       = sqlite.FileError
	HubOptions      = enrol.HubOptions
	IdentityError   = merge.IdentityError
	JournalFilter   = install.JournalFilter
	JournalRow      = install.JournalRow
	LoadPosition    = enrol.LoadPosition
	LocalRows       = enrol.LocalRows
	LocalRowsError  = enrol.LocalRowsError
	Named           = catalog.Named
	NodeOptions     = enrol.NodeOptions
	OutOfOrderError = merge.OutOfOrderError
	PastResolution  = conflict.PastResolution
	Peer            = enrol.Peer
	Refusal         = install.Refusal
	Renumbering     = conflict.Renumbering
	Report          = enrol.Report
	Resolution      = resolve.Resolution
	Role            = enrol.Role
	RowDigest       = catalog.RowDigest
	SchemaError     = catalog.SchemaError
	Self            = enrol.Self
	Setting         = catalog.Setting
	SettingError    = catalog.SettingError
	Settlement      = history.Settlement
	Site            = enrol.Site
	Span            = history.Span
	Sum             = catalog.Sum
	TableInfo       = install.TableInfo
	UndoOptions     = resolve.UndoOptions
	Write           = resolve.Write
)

// The values of Class, LocalRows and Role, the format of ravno's tables, and the sizes of slices and
// sections. Sizes are in rows or changes, but for SectionBytes and SliceBytes.
const (
	DigestBuckets  = catalog.DigestBuckets
	DiscardLocal   = enrol.DiscardLocal
	Format         = catalog.Format
	Hub            = enrol.Hub
	Journal        = catalog.Journal
	KeepLocal      = enrol.KeepLocal
	LargeSlice     = extract.LargeSlice
	Local          = catalog.Local
	Node           = enrol.Node
	RefuseLocal    = enrol.RefuseLocal
	SectionBytes   = extract.SectionBytes
	SectionChanges = extract.SectionChanges
	SliceBytes     = extract.SliceBytes
	Synced         = catalog.Synced
)

// The errors of enrolment. Returned errors wrap them.
var (
	ErrEnrolled     = enrol.ErrEnrolled
	ErrNameTaken    = enrol.ErrNameTaken
	ErrNoSite       = enrol.ErrNoSite
	ErrTokenExpired = enrol.ErrTokenExpired
	ErrTokenUnknown = enrol.ErrTokenUnknown
	ErrTokenUsed    = enrol.ErrTokenUsed
)

// InitHub makes the file at path the hub's database, in one transaction. The existing rows are stable
// from the start. It returns ErrEnrolled for a file that is enrolled already.
func InitHub(path string, o HubOptions, clock Clock) (*Report, error) {
	return enrol.InitHub(path, o, clock)
}

// InstallLoad makes the file at path a node's database from the first load in the file load. A new file
// appears whole or not at all. Into an existing file it loads the rows in one transaction. It returns
// the path of the backup that it made, if any.
func InstallLoad(load, path string, o NodeOptions, local LocalRows, clock Clock) (
	report *Report, backup string, err error) {
	return enrol.InstallLoad(load, path, o, local, clock)
}

// CheckLeftovers returns a FileError if a missing database left a -wal, -shm or -journal file at path.
func CheckLeftovers(path string) error { return enrol.CheckLeftovers(path) }

// CheckName returns an error for a server name that is empty, too long, or hard to type or read.
func CheckName(name string) error { return enrol.CheckName(name) }

// RowName returns a row's name as status and messages write it.
func RowName(table string, key []Named) string { return catalog.RowName(table, key) }

// StaleIndexes lists the full-text indexes and other derived tables of a file that ravno cannot keep
// fresh.
func StaleIndexes(path string, settings []Setting) (stale []Refusal, err error) {
	return install.StaleIndexes(path, settings)
}

// RealPath turns a path as given into the one that the state beside the file goes by.
func RealPath(path string) (string, error) { return sqlite.RealPath(path) }
