package schema

import (
	"path/filepath"
	"strings"
	"testing"

	"ravno/crdt"
	"ravno/store/internal/sqlite"
)

// FuzzAffinity compares the affinity of a declared type with what SQLite does to values in such a column.
func FuzzAffinity(f *testing.F) {
	for _, declared := range []string{"INT", "charint", "FLOATING POINT", "BLOBREAL", "DOUBLE", "varchar(20)", "xtextx", "CLOB",
		"STRING", "ANY", "ıNT", "ſtext", "REALBLOB", "a b c", " int "} {
		f.Add(declared)
	}
	c, err := sqlite.Open(filepath.Join(f.TempDir(), "fuzz.db"), sqlite.Create)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { c.Close() })
	f.Fuzz(func(t *testing.T, declared string) {
		if declared == "" || strings.ContainsRune(declared, 0) || len(declared) > 1000 {
			return
		}
		if err := c.Exec("DROP TABLE IF EXISTS t"); err != nil {
			t.Fatal(err)
		}
		if err := c.Exec("CREATE TABLE t(a " + sqlite.Quote(declared) + ")"); err != nil {
			return
		}
		stored, err := c.Text("SELECT type FROM pragma_table_info('t')")
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Exec("INSERT INTO t VALUES(?), (?), (?)", crdt.TextValue("1"), crdt.IntegerValue(1), crdt.TextValue("1.5")); err != nil {
			t.Fatal(err)
		}
		is, err := c.Text("SELECT group_concat(typeof(a)) FROM (SELECT a FROM t ORDER BY rowid)")
		if err != nil {
			t.Fatal(err)
		}
		want := map[Affinity]string{BlobAffinity: "text,integer,text", TextAffinity: "text,text,text",
			NumericAffinity: "integer,integer,real", IntegerAffinity: "integer,integer,real", RealAffinity: "real,real,real"}
		if got := affinityOf(stored, false); want[got] != is {
			t.Fatalf("%q has affinity %v, and SQLite stores %s", stored, got, is)
		}
	})
}

// FuzzTokens takes any text apart. No piece gets lost, and the pieces of a text that SQLite accepts as the
// definition of a table name its columns.
func FuzzTokens(f *testing.F) {
	f.Add(`CREATE TABLE "a ""b"([c d] INTEGER PRIMARY KEY /* e */, 'f' TEXT COLLATE nocase -- g` + "\n)")
	f.Add("CREATE TABLE t(a, CHECK(a <> ')'), \"x\" INT)")
	f.Add("/* unterminated")
	f.Add("'")
	f.Add("[")
	f.Fuzz(func(_ *testing.T, sql string) {
		tableSource(sql)
		indexSource(sql)
		names(sql)
	})
}
