package schema

import (
	"slices"
	"strings"
	"testing"

	"ravno/crdt"
	"ravno/store/internal/sqlite"
)

// accepted opens a database in memory and makes a table in it. SQLite refuses nearly all that a fuzzer
// thinks of. ok is false then, and for more than one statement, which could write files.
func accepted(t *testing.T, ddl ...string) (c *sqlite.Conn, ok bool) {
	t.Helper()
	opened, err := sqlite.Open(":memory:", sqlite.Create)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { opened.Close() })
	for _, statement := range ddl {
		if strings.ContainsAny(statement, ";\x00") || opened.Exec(statement) != nil {
			return nil, false
		}
	}
	return opened, true
}

// rowsOf are the rows of a query, as texts.
func rowsOf(t *testing.T, c *sqlite.Conn, query string, args ...crdt.Value) (all [][]string) {
	t.Helper()
	err := c.Rows(query, args, func(row []crdt.Value) error {
		var texts []string
		for _, v := range row {
			texts = append(texts, v.String())
		}
		all = append(all, texts)
		return nil
	})
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return all
}

// FuzzTable lets SQLite accept a table, and asks it for the affinity, collation and default of each column.
func FuzzTable(f *testing.F) {
	for _, body := range []string{
		"a INT, b VARCHAR(10), c FLOATING POINT, d BLOBREAL, e DOUBLE, f, g ANY, h \"\", i [x y], PRIMARY KEY(a))",
		"a ANY PRIMARY KEY, b INT DEFAULT (1 /* ) */ + 2), c TEXT DEFAULT 'it''s') STRICT",
		"a ıNT PRIMARY KEY, b \u212aINT, c REALBLOB)", // dotless i: Go, and not SQLite, makes it a capital I
		"a TEXT COLLATE NOCASE PRIMARY KEY ON CONFLICT IGNORE, b CHECK(b COLLATE RTRIM <> ''))",
		"a PRIMARY KEY, b TEXT \ufeffCOLLATE NOCASE, \ufeffc COLLATE RTRIM)", // a byte order mark is a blank
		"[a b] COLLATE \"nocase\" NOT NULL, `c``d` COLLATE 'rtrim', \"e\"\"\" UNIQUE, PRIMARY KEY(\"a b\")) WITHOUT ROWID",
		"id INTEGER PRIMARY KEY AUTOINCREMENT, \"autoincrement\" COLLATE binary COLLATE nocase)",
		"a PRIMARY KEY, b DEFAULT abc, c DEFAULT \"d e\", d DEFAULT true, e DEFAULT -1e-3, f DEFAULT x'00', g DEFAULT NULL)",
		"a PRIMARY KEY, b DEFAULT [x], c DEFAULT `y`, d DEFAULT .5, e DEFAULT 0x1F, f DEFAULT +'a', g DEFAULT current_date)",
		"a PRIMARY KEY, b AS (a || ',') STORED, c GENERATED ALWAYS AS (a COLLATE NOCASE) VIRTUAL, d COLLATE NOCASE)",
		"a PRIMARY KEY, b REFERENCES t(a) ON DELETE CASCADE, CONSTRAINT \"x,y\" CHECK(a <> ')') UNIQUE(b COLLATE NOCASE))",
		"a/**/TEXT--x\n COLLATE/*,*/NOCASE PRIMARY KEY, b DECIMAL(10, 2) COLLATE RTRIM)",
		"a PRIMARY KEY, b DEFAULT \u017felect, c DEFAULT fal\u017fe)",
		"a PRIMARY KEY, 'b' \"INT\", c [COLLATE x], d 'text')",
		"a PRIMARY KEY, b x COLLATE NOCASE, c CONSTRAINT COLLATE COLLATE RTRIM)",
	} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		ddl := "CREATE TABLE t(" + body
		c, ok := accepted(t, ddl)
		if !ok {
			return
		}
		s, err := Read(c)
		if err != nil {
			t.Fatalf("%s: %v", ddl, err)
		}
		table := s.Table("t")
		if table == nil {
			if len(s.Refused) != 1 || s.Refused[0].Reason == "" {
				t.Fatalf("%s: %+v", ddl, s)
			}
			return
		}
		var names []string
		for _, column := range table.Columns {
			names = append(names, column.Name)
			sameDefault(t, c, column)
			if got, known := collationOf(t, c, column.Name); known && !column.InKey && got != column.Collation {
				t.Errorf("%s: %q has the collation %s, not %s", ddl, column.Name, got, column.Collation)
			}
		}
		// A table made of a query says by its types which affinities SQLite has seen.
		if err := c.Exec("CREATE TABLE made AS SELECT " + sqlite.QuoteAll("", names) + " FROM t"); err != nil {
			t.Fatalf("%s: %v", ddl, err)
		}
		for i, row := range rowsOf(t, c, "SELECT upper(type) FROM pragma_table_info('made') ORDER BY cid") {
			want := map[string]Affinity{"": BlobAffinity, "TEXT": TextAffinity, "NUM": NumericAffinity,
				"INT": IntegerAffinity, "REAL": RealAffinity}
			if column := table.Columns[i]; want[row[0]] != column.Affinity {
				t.Errorf("%s: %q %q has the affinity %q, not %s", ddl, names[i], column.Type, row[0], column.Affinity)
			}
		}
		counted := len(rowsOf(t, c, "SELECT 1 FROM sqlite_master WHERE name='sqlite_sequence'")) > 0
		if counted != table.Autoincrement {
			t.Errorf("%s: AUTOINCREMENT is %t", ddl, table.Autoincrement)
		}
	})
}

// collationOf is what SQLite compares a column by, unless only an application knows it.
func collationOf(t *testing.T, c *sqlite.Conn, column string) (collation string, known bool) {
	t.Helper()
	if err := c.Exec("CREATE INDEX asked ON t(" + sqlite.Quote(column) + ")"); err != nil {
		return "", false
	}
	got := rowsOf(t, c, "SELECT upper(coll) FROM pragma_index_xinfo('asked') WHERE seqno=0")
	if err := c.Exec("DROP INDEX asked"); err != nil {
		t.Fatal(err)
	}
	return got[0][0], true
}

// sameDefault compares what a column is without a value with what its default is elsewhere.
func sameDefault(t *testing.T, c *sqlite.Conn, column Column) {
	t.Helper()
	if !column.HasDefault {
		return
	}
	if err := c.Exec("CREATE TABLE only(a, b DEFAULT (" + column.Default + "\n))"); err != nil {
		// A default in double quotes is a text, and in parentheses a column that is not there.
		if err := c.Exec("CREATE TABLE only(a, b DEFAULT " + column.Default + ")"); err != nil {
			t.Fatalf("default %q: %v", column.Default, err)
		}
	}
	asDefault, failed := func() ([][]string, error) {
		if err := c.Exec("INSERT INTO only(a) VALUES(1)"); err != nil {
			return nil, err
		}
		return rowsOf(t, c, "SELECT quote(b) FROM only"), nil
	}()
	var elsewhere [][]string
	err := c.Rows("SELECT quote("+column.DefaultSQL()+")", nil, func(row []crdt.Value) error {
		elsewhere = append(elsewhere, []string{row[0].String()})
		return nil
	})
	if e := c.Exec("DROP TABLE only"); e != nil {
		t.Fatal(e)
	}
	lower := strings.ToLower(column.Default)
	if strings.Contains(lower, "random") || strings.Contains(lower, "current") || strings.Contains(lower, "(") {
		return // another value each time, or a function that may say no
	}
	if failed != nil || err != nil {
		if (failed == nil) != (err == nil) {
			t.Errorf("default %q: %v, and elsewhere %s: %v", column.Default, failed, column.DefaultSQL(), err)
		}
		return
	}
	if !slices.EqualFunc(asDefault, elsewhere, slices.Equal[[]string]) {
		t.Errorf("default %q is %v, and elsewhere %s is %v", column.Default, asDefault, column.DefaultSQL(), elsewhere)
	}
}

// FuzzIndex lets SQLite accept a unique index, makes it again of what is known of it, and compares both.
func FuzzIndex(f *testing.F) {
	for _, rest := range []string{
		"i ON t(a, b DESC, c COLLATE NOCASE)",
		"i ON t(a || b COLLATE RTRIM DESC, lower(c), \"d e\") WHERE a > ',' AND b IS NOT NULL -- (",
		"\"on\" ON t((a), (b COLLATE NOCASE) COLLATE RTRIM ASC, +c)",
		"i ON t(desc, asc, desc DESC, asc COLLATE NOCASE)",
		"i ON t(a || desc, b + asc ASC)",
		"i ON t(CASE WHEN a THEN b END DESC, NOT desc, a IN (1, 2) ASC, NOT asc DESC)",
		"[a(b] ON t(a, substr(b, 1, 2) /* ) */, -c) WHERE 1. < a AND a IS NOT 'x)' AND b<>1e-5",
		"i ON t(a COLLATE \"nocase\", b COLLATE 'rtrim' desc, a COLLATE [binary] || b)",
		"i ON t(\ufeffa \ufeffDESC, a || b \ufeffCOLLATE NOCASE) \ufeffWHERE a",
		"i ON t(a AND asc, desc IS desc, a LIKE desc)",
		"i ON t(g, a || g) WHERE g > 1",
		"i ON t(a AND asc, \v\va LIKE desc)", // a vertical tab behind a blank is a blank
	} {
		f.Add(rest)
	}
	f.Fuzz(func(t *testing.T, rest string) {
		const columns = "id INTEGER PRIMARY KEY, a, b TEXT COLLATE NOCASE, c INT, \"d e\", \"asc\", desc, g AS (a || b)"
		ddl := "CREATE UNIQUE INDEX " + rest
		c, ok := accepted(t, "CREATE TABLE t("+columns+")", ddl)
		if !ok {
			return
		}
		s, err := Read(c)
		if err != nil {
			t.Fatalf("%s: %v", ddl, err)
		}
		table := s.Table("t")
		if table == nil || len(table.Unique) == 0 {
			return // of an unknown collation, or with the rowid in it
		}
		u := table.Unique[0]
		table.ChangedBy(u)
		var parts []string
		for _, p := range u.Parts {
			part := "(" + p.Expr + ")"
			if p.Column >= 0 {
				part = sqlite.Quote(table.Columns[p.Column].Name)
			}
			parts = append(parts, part+" COLLATE "+p.Collation)
		}
		again := "CREATE UNIQUE INDEX again_ ON t(" + strings.Join(parts, ", ") + ")"
		if u.Where != "" {
			again += " WHERE (" + u.Where + ")"
		}
		if err := c.Exec(again); err != nil {
			t.Fatalf("%s\n%s: %v", ddl, again, err)
		}
		const asked = `SELECT seqno, cid, upper(coll) FROM pragma_index_xinfo(?) WHERE "key" ORDER BY seqno`
		first, second := rowsOf(t, c, asked, crdt.TextValue(u.Name)), rowsOf(t, c, asked, crdt.TextValue("again_"))
		if !slices.EqualFunc(first, second, slices.Equal[[]string]) {
			t.Fatalf("%s is %v\n%s is %v", ddl, first, again, second)
		}
		const partial = "SELECT partial FROM pragma_index_list('t') WHERE name=?"
		if one, two := rowsOf(t, c, partial, crdt.TextValue(u.Name)),
			rowsOf(t, c, partial, crdt.TextValue("again_")); one[0][0] != two[0][0] {
			t.Fatalf("%s is partial: %v\n%s: %v", ddl, one, again, two)
		}
	})
}
