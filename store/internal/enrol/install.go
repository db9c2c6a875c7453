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

// InstallLoad makes the file at path a node's database from the first load in the file load. A file
// that does not exist appears whole or not at all. Into an existing file it loads the rows in one
// transaction. Unless local is RefuseLocal, it first copies that file, and returns the path of the
// backup.
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

// readCarried fills in the options from the first load: its position, the hub's incarnation, and the
// rows of ravno's own tables.
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

// installFresh makes a new file from a first load. It prepares the file beside the load and renames it
// into place when it is synced to disk.
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

// emptyWAL moves everything from the -wal file into the database file, so the database file can be
// renamed alone.
func emptyWAL(c *sqlite.Conn) error {
	if _, err := c.Int("SELECT count(*) FROM sqlite_master"); err != nil { // Reading makes SQLite notice WAL mode.
		return err
	}
	row, err := c.Row("PRAGMA wal_checkpoint(TRUNCATE)")
	if err == nil && (row == nil || row[0].Int() != 0 || row[1].Int() != 0) {
		err = fmt.Errorf("%s: the checkpoint did not finish: %v", c.Path(), row)
	}
	return err
}

// installInto loads the hub's rows into an existing file. It makes the backup before the transaction.
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
		// Switching to WAL mode changes data_version too, so it comes before reading that.
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

// syncFile syncs a file or directory to disk.
func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// intoLoad loads the hub's rows into a file that has tables already, and maybe rows.
type intoLoad struct {
	path   string
	policy LocalRows
	lacks  []string
	// version is PRAGMA data_version when the backup began.
	version int64
}

// emptyLike creates an empty file with the permissions of the original. So the copy has no more readers
// than the original.
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

// load checks the file against the load and then replaces its rows. It returns a LocalRowsError if the
// file has other rows and the policy is RefuseLocal.
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
			if err := logAll(tx, t); err != nil { // A journal is this site's own, and all of it goes to the hub.
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

// missingTables returns a SchemaError if the file lacks a table that the hub syncs.
func (l *intoLoad) missingTables(tx *rows.Tx) error {
	return tx.SQL.Rows(`SELECT name FROM ravno_load.sqlite_master m WHERE type='table' AND name NOT LIKE 'ravno\_%' ESCAPE
		'\' AND name NOT LIKE 'sqlite\_%' ESCAPE '\'
		AND NOT EXISTS (SELECT 1 FROM main.sqlite_master o WHERE o.type='table' AND lower(o.name)=lower(m.name))`, nil,
		func(row []crdt.Value) error {
			return &catalog.SchemaError{Table: row[0].Bytes()}
		})
}

// compare notes in lacks how many rows of a table the hub does not have, or has with other values. It
// returns an error for a synced table that the hub lacks.
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
	// Values are compared by storage class and bytes, not by collation or affinity.
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

// sameKey returns an SQL condition that the rows of two aliases have the same key.
func sameKey(t *catalog.Table, a, b string) string {
	var parts []string
	for _, name := range t.KeyNames() {
		parts = append(parts, a+"."+sqlite.Quote(name)+"="+b+"."+sqlite.Quote(name))
	}
	return strings.Join(parts, " AND ")
}

// replace replaces a table's rows with the hub's. Under KeepLocal it then adds the node's own rows and
// logs them. A row with the hub's key and other values is overwritten, and stays in the backup.
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

// logAll logs an insert for every row of a table.
func logAll(tx *rows.Tx, t *catalog.Table) error { return logFrom(tx, t, "main."+sqlite.Quote(t.Name)) }

// logFrom logs an insert for every row of a source that has the key columns of a table.
func logFrom(tx *rows.Tx, t *catalog.Table, source string) error {
	return tx.SQL.Rows("SELECT "+sqlite.QuoteAll("+", t.KeyNames())+" FROM "+source, nil, func(stored []crdt.Value) error {
		return capture.Append(tx.SQL, t.Number, capture.Insert, capture.ColumnSet{}, tx.Now(), stored)
	})
}
