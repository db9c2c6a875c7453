// Package capture makes an application's file record which rows its writers touched: plain
// triggers append to one table, ravno_log. Any process in any language writes on as before
// and pays one append for each row.
//
// An entry means "look at this row". It never says what the row holds now, and one too many
// does no harm: that is what makes REPLACE, OR IGNORE, UPSERT and savepoints simple. One
// too few would be a lost write. The triggers use nothing younger than SQLite 3.8.3, name
// no function that could be missing, and write to a table without a single constraint,
// because an outer OR IGNORE, OR REPLACE or OR FAIL overrides whatever a statement inside a
// trigger says about conflicts (https://sqlite.org/lang_createtrigger.html).
//
// What an application can tell, because a table with any trigger at all behaves so:
// total_changes() counts the entries too; a single INSERT that fails over a foreign key
// leaves the failed row's rowid in last_insert_rowid(); an UPDATE of several rows takes
// them in the order of their rowids, not of the index that found them, which decides where
// the rows of one statement clash with each other; and a statement that carries out a SET
// NULL has that foreign key checked in what else it writes, which SQLite without a trigger
// on UPDATE forgets.
//
// The package refuses to know what an entry leads to: stamps, shadows and documents are
// others' work. None of its functions begins or ends a transaction.
package capture

import (
	"fmt"
	"maps"
	"slices"

	"ravno/crdt"
	"ravno/store/internal/schema"
	"ravno/store/internal/sqlite"
)

// MaxColumnNumber bounds a column's number: SQLite's largest table has 32,767 columns, and
// numbers of dropped columns are not used again.
const MaxColumnNumber = 1<<16 - 1

// Spec says how one table is captured.
type Spec struct {
	Table         *schema.Table
	Number        int64 // what the log calls the table
	ColumnNumbers []int // what the log calls its columns; parallel to Table.Columns
	// Parent names the columns that refer to the row of the parent table in the same
	// document. Empty: the table is a root.
	Parent []string
	// Gone is the quoted name of a table that takes the values of deleted rows, in GoneColumns,
	// parallel to Table.Columns. Empty: their values are not kept.
	Gone        string
	GoneColumns []string
	// Referred names the columns besides the key that other rows refer to. Where Gone is kept,
	// a row's values are kept too when one of them changes.
	Referred []string
}

// Width says how many values of a table's entries are its key and its reference to its
// parent.
type Width struct{ Key, Parent int }

// Width is the width of the table's entries.
func (s Spec) Width() Width { return Width{Key: len(s.Table.Key), Parent: len(s.Parent)} }

func (s Spec) check() error {
	refuse := func(format string, args ...any) error {
		return fmt.Errorf("capture: table %q: "+format, append([]any{s.Table.Name}, args...)...)
	}
	if len(s.Table.Key) == 0 {
		return refuse("no key")
	}
	if len(s.ColumnNumbers) != len(s.Table.Columns) {
		return refuse("%d numbers for %d columns", len(s.ColumnNumbers), len(s.Table.Columns))
	}
	seen := map[int]bool{}
	for _, n := range s.ColumnNumbers {
		if n < 0 || n > MaxColumnNumber || seen[n] {
			return refuse("column number %d is out of range or used twice", n)
		}
		seen[n] = true
	}
	for _, p := range s.Parent {
		if s.Table.Column(p) < 0 {
			return refuse("parent column %q does not exist", p)
		}
	}
	return nil
}

// wanted are the triggers of all specs by name, and the width the log needs for them.
func wanted(specs []Spec) (map[string]string, Width, error) {
	all, width := map[string]string{}, Width{Key: 1}
	numbers := map[int64]bool{}
	for _, s := range specs {
		if err := s.check(); err != nil {
			return nil, width, err
		}
		if numbers[s.Number] {
			return nil, width, fmt.Errorf("capture: table %q: number %d is another table's", s.Table.Name, s.Number)
		}
		numbers[s.Number] = true
		width.Key, width.Parent = max(width.Key, s.Width().Key), max(width.Parent, s.Width().Parent)
		maps.Copy(all, s.triggers())
	}
	return all, width, nil
}

// installed are ravno's triggers in the file, by name.
func installed(c *sqlite.Conn) (map[string]string, error) {
	all := map[string]string{}
	err := c.Rows(`SELECT name, sql FROM main.sqlite_master WHERE type = 'trigger' AND name LIKE 'ravno\_%' ESCAPE '\'`,
		nil,
		func(row []crdt.Value) error {
			all[row[0].Bytes()] = row[1].Bytes()
			return nil
		})
	return all, err
}

// Install brings the log and the triggers to what specs ask for, inside the caller's
// transaction. What is there already, word for word, is left alone, so that a second
// Install changes nothing, the schema's version included. Entries in the log are kept. It
// fails, naming the table, if a statement of the application that could be compiled
// without the triggers cannot be with them.
func Install(c *sqlite.Conn, specs []Spec) error {
	want, width, err := wanted(specs)
	if err != nil {
		return err
	}
	if err := ensureLog(c, width); err != nil {
		return err
	}
	have, err := installed(c)
	if err != nil {
		return err
	}
	for name, sql := range have {
		if want[name] != sql {
			if err := c.Exec("DROP TRIGGER main." + sqlite.Quote(name)); err != nil {
				return err
			}
		}
	}
	for _, s := range specs {
		if err := s.install(c, have); err != nil {
			return fmt.Errorf("capture: table %q: %w", s.Table.Name, err)
		}
	}
	return nil
}

// install creates the triggers of one table that are not there word for word.
func (s Spec) install(c *sqlite.Conn, have map[string]string) error {
	triggers := s.triggers()
	maps.DeleteFunc(triggers, func(name, sql string) bool { return have[name] == sql })
	if len(triggers) == 0 {
		return nil
	}
	before := s.compile(c)
	for _, name := range slices.Sorted(maps.Keys(triggers)) {
		if err := c.Exec(triggers[name]); err != nil {
			return err
		}
	}
	if before != nil {
		return nil // a trigger of the application calls what only the application has
	}
	return s.compile(c)
}

// compile compiles every kind of write to the table, triggers included, and runs none.
func (s Spec) compile(c *sqlite.Conn) error {
	table := "main." + sqlite.Quote(s.Table.Name)
	set := ""
	for i, column := range s.Table.Columns {
		if i > 0 {
			set += ", "
		}
		set += sqlite.Quote(column.Name) + " = " + sqlite.Quote(column.Name)
	}
	for _, statement := range []string{"INSERT INTO " + table + " DEFAULT VALUES", "UPDATE " + table + " SET " + set,
		"DELETE FROM " + table} {
		if err := c.Exec("EXPLAIN " + statement); err != nil {
			return err
		}
	}
	return nil
}

// Current reports whether the file has exactly the triggers specs ask for, word for word,
// and a log wide enough for them. A table that was rebuilt has lost its triggers; a renamed
// table or column has changed their text.
func Current(c *sqlite.Conn, specs []Spec) (bool, error) {
	want, width, err := wanted(specs)
	if err != nil {
		return false, err
	}
	have, err := installed(c)
	if err != nil || !maps.Equal(want, have) {
		return false, err
	}
	found, err := LogWidth(c)
	return found.Key >= width.Key && found.Parent >= width.Parent, err
}

// Remove takes every trigger of ravno and the log out of the file, entries included.
func Remove(c *sqlite.Conn) error {
	have, err := installed(c)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(have)) {
		if err := c.Exec("DROP TRIGGER main." + sqlite.Quote(name)); err != nil {
			return err
		}
	}
	return c.Exec("DROP TABLE IF EXISTS main." + logTable)
}
