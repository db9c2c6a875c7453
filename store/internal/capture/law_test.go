package capture

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"testing"

	"ravno/crdt"
	"ravno/store/internal/schema"
	"ravno/store/internal/sqlite"
)

// captured is a file with triggers on every table that can have them.
type captured struct {
	*sqlite.Conn
	specs []Spec
	read  int64 // the last entry that was looked at
}

// fatal is what tests, benchmarks and properties have in common.
type fatal interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

func must(t fatal, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

const quick = "PRAGMA temp_store=MEMORY; PRAGMA journal_mode=MEMORY; PRAGMA synchronous=OFF; PRAGMA foreign_keys=ON; "

func open(t testing.TB, ddl string) *sqlite.Conn {
	t.Helper()
	c, err := sqlite.Open(filepath.Join(t.TempDir(), "app.db"), sqlite.Create)
	must(t, err)
	t.Cleanup(func() { c.Close() })
	must(t, c.Exec(quick+ddl))
	return c
}

// specsOf captures every table; the parent is the first table it refers to by cascade.
func specsOf(t fatal, c *sqlite.Conn) []Spec {
	t.Helper()
	s, err := schema.Read(c)
	must(t, err)
	var specs []Spec
	for i, table := range s.Tables {
		spec := Spec{Table: table, Number: int64(i + 1)}
		for n := range table.Columns {
			spec.ColumnNumbers = append(spec.ColumnNumbers, n)
		}
		for _, f := range table.ForeignKeys {
			if f.OnDelete == "CASCADE" && spec.Parent == nil {
				spec.Parent = f.Columns
			}
		}
		specs = append(specs, spec)
	}
	return specs
}

func install(t fatal, c *sqlite.Conn) *captured {
	t.Helper()
	specs := specsOf(t, c)
	must(t, c.Transaction("IMMEDIATE", func() error { return Install(c, specs) }))
	return &captured{Conn: c, specs: specs}
}

// news are the entries since the last call, with values of their own.
func (c *captured) news(t fatal) []Entry {
	t.Helper()
	widths := map[int64]Width{}
	for _, s := range c.specs {
		widths[s.Number] = s.Width()
	}
	var all []Entry
	wide, err := LogWidth(c.Conn)
	must(t, err)
	must(t, Read(c.Conn, wide, c.read, math.MaxInt64, widths, func(e Entry) error {
		e.Key, e.Parent = slices.Clone(e.Key), slices.Clone(e.Parent)
		all = append(all, e)
		c.read = e.ID
		return nil
	}))
	return all
}

// rows are the rows of all captured tables: by table, then by canonical key.
type rows []map[crdt.Key][]crdt.Value

func (c *captured) rows(t fatal) rows {
	t.Helper()
	all := make(rows, len(c.specs))
	for i, s := range c.specs {
		all[i] = map[crdt.Key][]crdt.Value{}
		names := make([]string, len(s.Table.Columns))
		for j, column := range s.Table.Columns {
			names[j] = column.Name
		}
		must(t, c.Rows("SELECT "+sqlite.QuoteAll("+", names)+" FROM "+sqlite.Quote(s.Table.Name), nil,
			func(row []crdt.Value) error {
				stored := make([]crdt.Value, len(s.Table.Key))
				for j, k := range s.Table.Key {
					stored[j] = row[k]
				}
				if slices.Contains(stored, crdt.Value{}) {
					return nil // no identity: the schema refuses such a table when it is read again
				}
				key, err := s.Table.CanonicalKey(stored)
				all[i][key] = slices.Clone(row)
				return err
			}))
	}
	return all
}

// law checks that the entries lead to everything that differs between before and after.
func (c *captured) law(t fatal, before, after rows, entries []Entry) {
	t.Helper()
	for i, s := range c.specs {
		byKey := map[crdt.Key][]Entry{}
		for _, e := range entries {
			if e.Table == s.Number && !slices.Contains(e.Key, crdt.Value{}) {
				key, err := s.Table.CanonicalKey(e.Key)
				must(t, err)
				byKey[key] = append(byKey[key], e)
			}
		}
		for key, row := range before[i] {
			if err := s.lawOfRow(row, after[i][key], byKey[key]); err != nil {
				t.Fatalf("table %q: %v\nbefore %v\nafter  %v\nlog    %+v", s.Table.Name, err, row, after[i][key], byKey[key])
			}
		}
		for key, row := range after[i] {
			if before[i][key] == nil && !slices.ContainsFunc(byKey[key], func(e Entry) bool { return e.Op == Insert }) {
				t.Fatalf("table %q: no entry for the new row %v: %+v", s.Table.Name, row, byKey[key])
			}
		}
	}
}

// lawOfRow is the law for one row that was there before; after is nil if it is gone.
func (s Spec) lawOfRow(before, after []crdt.Value, entries []Entry) error {
	var columns ColumnSet
	inserted, looked, parentKept := false, false, len(s.Parent) == 0
	for _, e := range entries {
		switch e.Op {
		case Update:
			for n := range e.Columns.All() {
				columns.Add(n)
			}
		case Insert:
			if !looked {
				return fmt.Errorf("inserted over without a look before")
			}
			inserted = true
		case Delete, Look:
			looked = true
		}
		if e.Op != Insert && slices.EqualFunc(e.Parent, s.Parent, func(v crdt.Value, name string) bool {
			return v == before[s.Table.Column(name)]
		}) {
			parentKept = true
		}
	}
	switch {
	case slices.Equal(before, after):
		return nil
	case len(entries) == 0:
		return fmt.Errorf("no entry")
	case !parentKept:
		return fmt.Errorf("no entry has the parent from before")
	case after == nil || inserted:
		return nil
	}
	for i := range after {
		if before[i] != after[i] && s.Table.Columns[i].Register && !columns.Has(s.ColumnNumbers[i]) {
			return fmt.Errorf("column %q changed unseen", s.Table.Columns[i].Name)
		}
	}
	return nil
}

// run runs one statement and checks the law for it. The statement may fail.
func (c *captured) run(t fatal, statement string) ([]Entry, error) {
	t.Helper()
	before := c.rows(t)
	failed := c.Exec(statement)
	after, entries := c.rows(t), c.news(t)
	c.law(t, before, after, entries)
	return entries, failed
}
