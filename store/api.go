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

type (
	Applied         = merge.Applied
	Carried         = enrol.Carried
	Class           = catalog.Class
	Conflict        = conflict.Conflict
	ConflictColumn  = conflict.ConflictColumn
	ConflictSide    = conflict.ConflictSide
	CrossingError   = history.CrossingError
	Delta           = merge.Delta
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

const (
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

var (
	ErrEnrolled     = enrol.ErrEnrolled
	ErrNameTaken    = enrol.ErrNameTaken
	ErrNoSite       = enrol.ErrNoSite
	ErrTokenExpired = enrol.ErrTokenExpired
	ErrTokenUnknown = enrol.ErrTokenUnknown
	ErrTokenUsed    = enrol.ErrTokenUsed
)

// InitHub enrols a file as the hub's.
func InitHub(path string, o HubOptions, clock Clock) (*Report, error) {
	return enrol.InitHub(path, o, clock)
}

// InstallLoad makes a file a node's with a first load of the hub.
func InstallLoad(load, path string, o NodeOptions, local LocalRows, clock Clock) (
	report *Report, backup string, err error) {
	return enrol.InstallLoad(load, path, o, local, clock)
}

// CheckLeftovers refuses a file beside which there is what a server left behind.
func CheckLeftovers(path string) error { return enrol.CheckLeftovers(path) }

// CheckName refuses a server's name that cannot be one.
func CheckName(name string) error { return enrol.CheckName(name) }

// RowName names a row as status and messages do.
func RowName(table string, key []Named) string { return catalog.RowName(table, key) }

// StaleIndexes lists full-text and other derived tables of a file that cannot be kept fresh.
func StaleIndexes(path string, settings []Setting) (stale []Refusal, err error) {
	return install.StaleIndexes(path, settings)
}
