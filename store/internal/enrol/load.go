package enrol

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/store/internal/capture"
	"ravno/store/internal/catalog"
	"ravno/store/internal/rows"
	"ravno/store/internal/sqlite"
)

// LoadPosition is the description inside a first load. It lies in the load's own file, so rows and
// position always belong together.
type LoadPosition struct {
	Position    causal.Position    // the hub position of the rows
	Incarnation causal.Incarnation // of the hub
	Rows        int64
}

// LoadParts lists the tables of ravno that a first load keeps, and the tables of the application that
// it empties.
type LoadParts struct{ keep, empty []string }

// PartsOfLoad returns the parts of a first load of these tables. It keeps no rows of journal, local or
// refused tables.
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

// CopyLoad writes a first load of the file from to a new file at path. It returns ErrUnfolded if the
// application wrote after the last fold. The caller may fold and call it again.
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

// trimLoad removes from a copy everything that stays at the hub.
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
			return errors.Join(err, ErrUnfolded) // New rows would lack their births.
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

// emptyTable removes from a copy the rows of a table that stays at the hub. It also removes their kept
// values, their conflicts, and the samples of ANALYZE.
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

// DropOwn drops ravno's triggers, views and tables, except the named tables and views.
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
		c.Forget() // An open statement would lock its table.
		for _, name := range names {
			if err := c.Exec("DROP " + kind + " " + sqlite.Quote(name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// LocalRows is a policy for rows of a node's file that the hub does not have.
type LocalRows int

// The policies for a node's own rows at join.
const (
	RefuseLocal  LocalRows = iota // stop with a LocalRowsError
	KeepLocal                     // send them to all sites as new rows
	DiscardLocal                  // drop them after a backup
)

// LocalRowsError says that a node's file has rows that the hub does not have. The file was not changed.
type LocalRowsError struct {
	Path   string
	Tables []string // "table: n rows the hub does not have, m with other values"
}

// Error names the tables and the two ways out.
func (e *LocalRowsError) Error() string {
	return fmt.Sprintf("%s has rows the hub does not have: %s. Try: --keep-local to offer them to everyone as new rows, "+
		"or --discard-local to drop them after a backup copy", e.Path, strings.Join(e.Tables, "; "))
}

// CheckLeftovers returns a FileError if a missing database left a -wal, -shm or -journal file at path.
// SQLite would mix that file into the new database.
func CheckLeftovers(path string) error {
	for _, suffix := range []string{"-wal", "-shm", "-journal"} {
		if _, err := os.Stat(path + suffix); err == nil {
			return &sqlite.FileError{Path: path + suffix, Problem: "belongs to a database that is not there any more",
				Try: "put that database back, or move this file away"}
		}
	}
	return nil
}

// RemoveAll removes files. It ignores those that do not exist.
func RemoveAll(paths ...string) error {
	for _, path := range paths {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// ErrUnfolded says that the application wrote between a fold and the snapshot after it. A new fold and
// snapshot may succeed.
var ErrUnfolded = errors.New("the application keeps writing between fold and snapshot")

// forgetSequences removes the AUTOINCREMENT sequences of the hub from a first load. Each server
// continues from its own rows.
func forgetSequences(c *sqlite.Conn) error {
	n, err := c.Int("SELECT count(*) FROM main.sqlite_master WHERE name='sqlite_sequence'")
	if err != nil || n == 0 {
		return err
	}
	return c.Exec("DELETE FROM main.sqlite_sequence")
}
