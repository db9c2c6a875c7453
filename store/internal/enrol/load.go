package enrol

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/store/internal/capture"
	"ravno/store/internal/catalog"
	"ravno/store/internal/conflict"
	"ravno/store/internal/install"
	"ravno/store/internal/rows"
	"ravno/store/internal/sqlite"
)

// LoadPosition is what a first load says about itself, inside its file: the hub position
// its rows are from, so that the two can never be of different moments.
type LoadPosition struct {
	Position    causal.Position
	Incarnation causal.Incarnation // of the hub
	Rows        int64
}

// LoadParts says which of ravno's tables a first load keeps, and which of the application's go empty.
type LoadParts struct{ keep, empty []string }

func PartsOfLoad(cat *catalog.Catalog) LoadParts {
	parts := LoadParts{keep: []string{"ravno_load", "ravno_site", "ravno_setting", "ravno_conflict", "ravno_table",
		"ravno_column", "ravno_image"}}
	for _, t := range cat.Tables {
		switch {
		case t.Class == catalog.Synced:
			parts.keep = append(parts.keep, strings.Trim(t.Shadow, `"`))
		case !t.Own:
			parts.empty = append(parts.empty, t.Name)
		}
	}
	parts.empty = append(parts.empty, cat.Local...)
	for _, r := range cat.Refused {
		parts.empty = append(parts.empty, r.Table)
	}
	return parts
}

// CopyLoad writes a first load once. errUnfolded if the application wrote meanwhile.
func CopyLoad(from, path string, parts LoadParts) (at LoadPosition, err error) {
	if err := RemoveAll(path); err != nil {
		return at, err
	}
	err = sqlite.With(from, func(c *sqlite.Conn) error { return c.Exec("VACUUM INTO " + sqlite.Literal(path)) })
	if err != nil {
		return at, fmt.Errorf("writing the first load to %s: %w", path, err)
	}
	return trimLoad(path, parts.keep, parts.empty)
}

// trimLoad takes out of a copy what stays at the hub.
func trimLoad(path string, keep, empty []string) (at LoadPosition, err error) {
	c, err := sqlite.Open(path, sqlite.ReadWrite)
	if err != nil {
		return at, err
	}
	defer c.Close()
	for _, sql := range []string{"PRAGMA journal_mode=DELETE", "PRAGMA synchronous=OFF", "PRAGMA foreign_keys=OFF",
		"PRAGMA secure_delete=ON"} {
		if err := c.Exec(sql); err != nil {
			return at, err
		}
	}
	if err := c.SetTriggers(false); err != nil {
		return at, err
	}
	err = c.Transaction("IMMEDIATE", func() error {
		st, err := rows.ReadState(c)
		if err != nil {
			return err
		}
		if waiting, err := capture.Unfolded(c, st.Folded); err != nil || waiting > 0 {
			return errors.Join(err, ErrUnfolded) // rows that are new would come without their births
		}
		at.Position, at.Incarnation = st.Position, st.Incarnation
		for _, name := range empty {
			if err := emptyTable(c, name); err != nil {
				return err
			}
		}
		organisation, err := c.Text("SELECT organisation FROM ravno_state")
		if err != nil {
			return err
		}
		if err := c.Exec(
			`CREATE TABLE ravno_load(position INTEGER, incarnation BLOB, clock INTEGER, organisation TEXT)`); err != nil {
			return err
		}
		if err := c.Exec("INSERT INTO ravno_load VALUES(?,?,?,?)", catalog.Integer(st.Position),
			crdt.BlobValue(string(st.Incarnation[:])),
			catalog.Integer(st.Clock.Last()), catalog.Text(organisation)); err != nil {
			return err
		}
		if err := forgetSequences(c); err != nil {
			return err
		}
		return DropOwn(c, keep...)
	})
	if err != nil {
		return at, err
	}
	return at, c.Exec("VACUUM")
}

// emptyTable takes out of a copy the rows of a table that stays at the hub, and what else
// tells of them: values kept aside, conflicts, and the samples of ANALYZE.
func emptyTable(c *sqlite.Conn, name string) error {
	if err := c.Exec("DELETE FROM " + sqlite.Quote(name)); err != nil {
		return err
	}
	if err := c.Exec("DELETE FROM ravno_image WHERE tab IN (SELECT number FROM ravno_table WHERE lower(name)=lower(?))",
		catalog.Text(name)); err != nil {
		return err
	}
	if err := c.Exec("DELETE FROM ravno_conflict WHERE lower(tab)=lower(?) OR lower(document_tab)=lower(?)",
		catalog.Text(name), catalog.Text(name)); err != nil {
		return err
	}
	for _, statistics := range []string{"sqlite_stat1", "sqlite_stat4"} {
		n, err := c.Int("SELECT count(*) FROM sqlite_master WHERE name=?", catalog.Text(statistics))
		if err != nil {
			return err
		}
		if n > 0 {
			if err := c.Exec("DELETE FROM "+statistics+" WHERE lower(tbl)=lower(?)", catalog.Text(name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// DropOwn drops ravno's triggers, views and tables, except some tables.
func DropOwn(c *sqlite.Conn, except ...string) error {
	kept := map[string]bool{}
	for _, name := range except {
		kept[name] = true
	}
	if err := capture.Remove(c); err != nil {
		return err
	}
	for _, kind := range []string{"view", "table"} {
		var names []string
		err := c.Rows(`SELECT name FROM sqlite_master WHERE type=? AND name LIKE 'ravno\_%' ESCAPE '\'`,
			[]crdt.Value{catalog.Text(kind)}, func(row []crdt.Value) error {
				if name := row[0].Bytes(); !kept[name] {
					names = append(names, name)
				}
				return nil
			})
		if err != nil {
			return err
		}
		c.Forget() // a statement still open would lock what it reads
		for _, name := range names {
			if err := c.Exec("DROP " + kind + " " + sqlite.Quote(name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// LocalRows says what to do with rows of a node's file that the hub does not have.
type LocalRows int

// What to do with a node's own rows at join.
const (
	RefuseLocal  LocalRows = iota // stop and say which
	KeepLocal                     // offer them to everyone as new rows
	DiscardLocal                  // drop them, after a backup copy
)

// LocalRowsError says that a node's file has rows the hub does not have.
type LocalRowsError struct {
	Path   string
	Tables []string // "table: n rows the hub does not have, m with other values"
}

func (e *LocalRowsError) Error() string {
	return fmt.Sprintf("%s has rows the hub does not have: %s. Try: --keep-local to offer them to everyone as new rows, "+
		"or --discard-local to drop them after a backup copy", e.Path, strings.Join(e.Tables, "; "))
}

// InstallLoad makes the file at path a node's database from a first load. A file that does
// not exist appears whole or not at all; into one that exists, the rows are loaded in one
// transaction. It returns the backup copy made of a file whose rows were replaced.
func InstallLoad(load, path string, o NodeOptions, local LocalRows, clock func() time.Time) (
	report *Report, backup string, err error) {
	if err := readCarried(load, &o); err != nil {
		return nil, "", err
	}
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		if err := CheckLeftovers(path); err != nil {
			return nil, "", err
		}
		report, err = installFresh(load, path, o, clock)
		return report, "", err
	}
	return installInto(load, path, o, local, clock)
}

// CheckLeftovers refuses a path without a database where one's -wal, -shm or -journal file
// still lies: SQLite would take them for the new file's and mix the two.
func CheckLeftovers(path string) error {
	for _, suffix := range []string{"-wal", "-shm", "-journal"} {
		if _, err := os.Stat(path + suffix); err == nil {
			return &sqlite.FileError{Path: path + suffix, Problem: "belongs to a database that is not there any more",
				Try: "put that database back, or move this file away"}
		}
	}
	return nil
}

func readCarried(load string, o *NodeOptions) error {
	c, err := sqlite.Open(load, sqlite.ReadWrite)
	if err != nil {
		return err
	}
	defer c.Close()
	row, err := c.Row("SELECT position, incarnation, clock, organisation FROM ravno_load")
	if err != nil || row == nil {
		return fmt.Errorf("%s is not a first load: %w", load, errors.Join(err, errors.New("no ravno_load")))
	}
	o.Seen = causal.Seen(row[0].Int())
	copy(o.HubIncarnation[:], row[1].Bytes())
	o.Carried.Clock, o.Organisation = row[2].Int(), row[3].Bytes()
	if o.Carried.Sites, err = ReadSites(rows.Begin(c, nil, nil, nil, 0)); err != nil {
		return err
	}
	settings, err := install.ReadSettings(c)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		s := settings[name]
		o.Carried.Settings = append(o.Carried.Settings, s)
	}
	return c.Rows("SELECT "+conflict.ColumnNames+" FROM ravno_conflict ORDER BY found_at, id", nil,
		func(row []crdt.Value) error {
			o.Carried.Conflicts = append(o.Carried.Conflicts, append([]crdt.Value{}, row...))
			return nil
		})
}

func installFresh(load, path string, o NodeOptions, clock func() time.Time) (*Report, error) {
	fresh := load + ".fresh"
	if err := RemoveAll(fresh, fresh+"-wal", fresh+"-shm"); err != nil {
		return nil, err
	}
	if err := sqlite.With(load, func(c *sqlite.Conn) error {
		return c.Exec("VACUUM INTO " + sqlite.Literal(fresh))
	}); err != nil {
		return nil, err
	}
	err := sqlite.With(fresh, func(c *sqlite.Conn) error {
		return c.Transaction("IMMEDIATE", func() error { return DropOwn(c) })
	})
	if err != nil {
		return nil, err
	}
	report, err := initNode(fresh, o, clock, attachLoad(load), carryShadows)
	if err != nil {
		return nil, err
	}
	if err := sqlite.With(fresh, emptyWAL); err != nil {
		return nil, err
	}
	if err := RemoveAll(fresh+"-wal", fresh+"-shm"); err != nil {
		return nil, err
	}
	if err := syncFile(fresh); err != nil {
		return nil, err
	}
	if err := os.Rename(fresh, path); err != nil {
		return nil, fmt.Errorf("putting %s in place: %w", path, err)
	}
	return report, syncFile(filepath.Dir(path))
}

// emptyWAL moves everything from the -wal file into the database file, which can then be
// renamed alone.
func emptyWAL(c *sqlite.Conn) error {
	if _, err := c.Int("SELECT count(*) FROM sqlite_master"); err != nil { // learn that it is in WAL mode
		return err
	}
	row, err := c.Row("PRAGMA wal_checkpoint(TRUNCATE)")
	if err == nil && (row == nil || row[0].Int() != 0 || row[1].Int() != 0) {
		err = fmt.Errorf("%s: the checkpoint did not finish: %v", c.Path(), row)
	}
	return err
}

func RemoveAll(paths ...string) error {
	for _, path := range paths {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

func installInto(load, path string, o NodeOptions, local LocalRows, clock func() time.Time) (
	report *Report, backup string, err error) {
	into := &intoLoad{path: path, policy: local}
	report, err = initNode(path, o, clock, func(c *sqlite.Conn) error {
		if err := attachLoad(load)(c); err != nil {
			return err
		}
		if local == RefuseLocal {
			return nil
		}
		backup = fmt.Sprintf("%s.before-join-%s", path, clock().UTC().Format("20060102T150405Z"))
		if err := emptyLike(path, backup); err != nil {
			return err
		}
		// The change into WAL mode moves data_version too, so it comes first.
		mode, err := c.Text("PRAGMA main.journal_mode=WAL")
		if err != nil {
			return sqlite.Explain(path, err)
		}
		if !strings.EqualFold(mode, "wal") {
			return install.ErrNoWAL(path, mode)
		}
		if into.version, err = c.Int("PRAGMA data_version"); err != nil {
			return err
		}
		return c.Exec("VACUUM INTO " + sqlite.Literal(backup))
	}, into.load, carryShadows)
	return report, backup, err
}

func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// intoLoad loads the hub's rows into a file that has tables, and perhaps rows, already.
type intoLoad struct {
	path   string
	policy LocalRows
	lacks  []string
	// version is PRAGMA data_version as the backup copy began.
	version int64
}

// emptyLike makes an empty file that nobody may read who may not read the original.
func emptyLike(original, path string) error {
	info, err := os.Stat(original)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, info.Mode().Perm())
	if err != nil {
		return err
	}
	return f.Close()
}

func (l *intoLoad) load(tx *rows.Tx) error {
	if version, err := tx.SQL.Int("PRAGMA data_version"); err != nil || l.policy != RefuseLocal && version != l.version {
		return errors.Join(
			err, fmt.Errorf("%s: the application wrote while the backup copy was made. Try: the same command again", l.path))
	}
	var synced []*catalog.Table
	for _, t := range tx.Cat.Tables {
		switch {
		case t.Own:
		case t.Class == catalog.Journal:
			if err := logAll(tx, t); err != nil { // this site's own: all of it goes to the hub
				return err
			}
		default:
			synced = append(synced, t)
		}
	}
	if err := l.missingTables(tx); err != nil {
		return err
	}
	for _, t := range synced {
		if err := l.compare(tx, t); err != nil {
			return err
		}
	}
	if len(l.lacks) > 0 && l.policy == RefuseLocal {
		return &LocalRowsError{Path: l.path, Tables: l.lacks}
	}
	restore, err := tx.OwnSequences()
	if err != nil {
		return err
	}
	for _, t := range synced {
		if err := l.replace(tx, t); err != nil {
			return err
		}
	}
	return restore()
}

// missingTables refuses a file that lacks a table the hub syncs: its rows would have nowhere to go.
func (l *intoLoad) missingTables(tx *rows.Tx) error {
	return tx.SQL.Rows(`SELECT name FROM ravno_load.sqlite_master m WHERE type='table' AND name NOT LIKE 'ravno\_%' ESCAPE
		'\' AND name NOT LIKE 'sqlite\_%' ESCAPE '\'
		AND NOT EXISTS (SELECT 1 FROM main.sqlite_master o WHERE o.type='table' AND lower(o.name)=lower(m.name))`, nil,
		func(row []crdt.Value) error {
			return &catalog.SchemaError{Table: row[0].Bytes()}
		})
}

func (l *intoLoad) compare(tx *rows.Tx, t *catalog.Table) error {
	present, err := tx.SQL.Int("SELECT count(*) FROM ravno_load.sqlite_master WHERE type='table' AND lower(name)=lower(?)",
		catalog.Text(t.Name))
	if err != nil {
		return err
	}
	if present == 0 {
		return fmt.Errorf("table %s is in %s but not at the hub. Try: --local %s is not possible at a node; upgrade the "+
			"hub's application first", t.Name, l.path, t.Name)
	}
	name := sqlite.Quote(t.Name)
	rows, err := tx.SQL.Int("SELECT count(*) FROM main." + name + " l WHERE NOT EXISTS (SELECT 1 FROM ravno_load." + name +
		" h WHERE " + sameKey(t, "l", "h") + ")")
	if err != nil {
		return err
	}
	// By storage class and bytes: what only a collation or an affinity takes for the same is not.
	var exact []string
	for _, column := range t.ColumnNames() {
		q := sqlite.Quote(column)
		exact = append(exact, "typeof("+q+"), "+q+" COLLATE BINARY")
	}
	bytes := strings.Join(exact, ", ")
	other, err := tx.SQL.Int("SELECT count(*) FROM (SELECT " + bytes + " FROM main." + name + " EXCEPT SELECT " + bytes +
		" FROM ravno_load." + name + ")")
	if err != nil {
		return err
	}
	if rows+other > 0 {
		l.lacks = append(l.lacks, fmt.Sprintf("%s: %d rows, %d more with other values", t.Name, rows, max(other-rows, 0)))
	}
	return nil
}

func sameKey(t *catalog.Table, a, b string) string {
	var parts []string
	for _, name := range t.KeyNames() {
		parts = append(parts, a+"."+sqlite.Quote(name)+"="+b+"."+sqlite.Quote(name))
	}
	return strings.Join(parts, " AND ")
}

// replace makes a table's rows those of the hub, and then adds the node's own, if they are
// to be kept. Rows with the hub's key and other values give way: the backup has them.
func (l *intoLoad) replace(tx *rows.Tx, t *catalog.Table) error {
	name, columns := sqlite.Quote(t.Name), sqlite.QuoteAll("", t.ColumnNames())
	if l.policy == KeepLocal {
		if err := tx.SQL.Exec("CREATE TEMP TABLE ravno_keep AS SELECT " + columns + " FROM main." + name +
			" l WHERE NOT EXISTS (SELECT 1 FROM ravno_load." + name + " h WHERE " + sameKey(t, "l", "h") + ")"); err != nil {
			return err
		}
	}
	if err := tx.Put(t, "DELETE FROM main."+name); err != nil {
		return err
	}
	if err := tx.Put(t, "INSERT INTO main."+name+"("+columns+") SELECT "+columns+" FROM ravno_load."+name); err != nil {
		return err
	}
	if l.policy != KeepLocal {
		return nil
	}
	if err := tx.Put(t, "INSERT INTO main."+name+"("+columns+") SELECT "+columns+" FROM temp.ravno_keep"); err != nil {
		return fmt.Errorf("a row of %s clashes with one of the hub: %w. Try: change it, or --discard-local", t.Name, err)
	}
	if err := logFrom(tx, t, "temp.ravno_keep"); err != nil {
		return err
	}
	return tx.SQL.Exec("DROP TABLE temp.ravno_keep")
}

// logAll appends an entry for every row of a table, as if each had just been inserted.
func logAll(tx *rows.Tx, t *catalog.Table) error { return logFrom(tx, t, "main."+sqlite.Quote(t.Name)) }

func logFrom(tx *rows.Tx, t *catalog.Table, source string) error {
	return tx.SQL.Rows("SELECT "+sqlite.QuoteAll("+", t.KeyNames())+" FROM "+source, nil, func(stored []crdt.Value) error {
		return capture.Append(tx.SQL, t.Number, capture.Insert, capture.ColumnSet{}, tx.Now(), stored)
	})
}

// ErrUnfolded says that the application wrote between a fold and the snapshot that was to follow it.
var ErrUnfolded = errors.New("the application keeps writing between fold and snapshot")

// forgetSequences takes out of a first load where the hub goes on counting: each server
// begins where its own rows end.
func forgetSequences(c *sqlite.Conn) error {
	n, err := c.Int("SELECT count(*) FROM main.sqlite_master WHERE name='sqlite_sequence'")
	if err != nil || n == 0 {
		return err
	}
	return c.Exec("DELETE FROM main.sqlite_sequence")
}
