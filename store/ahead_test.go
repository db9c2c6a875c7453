package store

import (
	"fmt"
	"ravno/store/internal/catalog"
	"ravno/store/internal/rows"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"ravno/crdt"
)

// Whatever is asked for, in whatever order, reading ahead answers what the table itself would say,
// even though whoever asks changes the row he has asked for.
func TestReadingAheadAnswersWhatTheTableSays(t *testing.T) {
	for name, x := range map[string]struct {
		key string
		of  func(n int) crdt.Value
	}{
		"rowids": {"INTEGER", func(n int) crdt.Value { return catalog.Integer(3*n - 20) }},
		"texts":  {"TEXT", func(n int) crdt.Value { return catalog.Text(fmt.Sprintf("%c%d", 'a'+n%3, n)) }},
		"blobs":  {"BLOB", func(n int) crdt.Value { return catalog.Blob(string(crdt.NewKey(catalog.Text(fmt.Sprint(n))))) }},
	} {
		t.Run(name, func(t *testing.T) {
			c := newChain(t, "CREATE TABLE plain(k "+x.key+" PRIMARY KEY, v) ", nil)
			conn := c.hub.writer
			rapid.Check(t, func(t *rapid.T) {
				must := func(err error) {
					if err != nil {
						t.Fatal(err)
					}
				}
				some := func(label string) (numbers []int) { // about half of them
					for n, in := range rapid.SliceOfN(rapid.Bool(), 60, 60).Draw(t, label) {
						if in {
							numbers = append(numbers, n)
						}
					}
					return numbers
				}
				must(conn.Transaction("IMMEDIATE", func() error {
					must(conn.Exec("DELETE FROM plain WHERE ?=1", catalog.Integer(1)))
					large := rapid.IntRange(0, 200).Draw(t, "large")
					for _, n := range some("rows") {
						size := 1
						if n == large {
							size = rows.AheadBytes
						}
						must(conn.Exec("INSERT INTO plain VALUES(?,?)", x.of(n), catalog.Text(strings.Repeat("x", size))))
					}
					a := &rows.Ahead{Sql: "SELECT k, v FROM plain WHERE k>=? ORDER BY k LIMIT ?"}
					numbers := some("questions")
					slices.SortFunc(numbers, func(i, j int) int { return rows.CompareKeys(x.of(i), x.of(j)) })
					for range rapid.IntRange(0, 3).Draw(t, "backwards") {
						at := rapid.IntRange(0, len(numbers)).Draw(t, "at")
						numbers = slices.Insert(numbers, at, rapid.IntRange(0, 59).Draw(t, "question"))
					}
					for _, n := range numbers {
						row, known, err := a.Find(conn, x.of(n))
						must(err)
						is, err := conn.Row("SELECT k, v FROM plain WHERE k=?", x.of(n))
						must(err)
						if known && !slices.Equal(row, is) {
							t.Fatalf("key %v: %.40v was read ahead, and it is %.40v", x.of(n), row, is)
						}
						switch rapid.IntRange(0, 3).Draw(t, "then") {
						case 0:
							must(conn.Exec("DELETE FROM plain WHERE k=?", x.of(n)))
						case 1:
							must(conn.Exec("INSERT OR REPLACE INTO plain VALUES(?,?)", x.of(n), catalog.Text("new")))
						}
					}
					return nil
				}))
			})
		})
	}
}

// What is asked for side by side is read ahead, in larger and larger pieces; what lies apart is
// asked for one by one.
func TestWhatLiesApartIsNotReadAhead(t *testing.T) {
	c := newChain(t, "CREATE TABLE plain(k INTEGER PRIMARY KEY, v)", nil)
	conn := c.hub.writer
	c.must(conn.Transaction("IMMEDIATE", func() error {
		for n := range 4000 {
			c.must(conn.Exec("INSERT INTO plain VALUES(?,?)", catalog.Integer(n), catalog.Text("x")))
		}
		return nil
	}))
	ask := func(step int) (known int) {
		a := &rows.Ahead{Sql: "SELECT k, v FROM plain WHERE k>=? ORDER BY k LIMIT ?"}
		for n := range 40 {
			_, ok, err := a.Find(conn, catalog.Integer(n*step))
			c.must(err)
			if ok {
				known++
			}
		}
		return known
	}
	if known := ask(1); known != 40 {
		t.Errorf("of neighbours %d of 40 were read ahead", known)
	}
	if known := ask(100); known != 1 {
		t.Errorf("of what lies apart %d of 40 were read ahead", known)
	}
}

// The keys that can be read ahead are those that SQLite sorts as they are compared here.
func TestOnlyKeysThatAreComparedByTheirBytesAreReadAhead(t *testing.T) {
	for declared, ahead := range map[string]bool{
		"id INTEGER PRIMARY KEY": true, "id TEXT PRIMARY KEY NOT NULL": true, "id VARCHAR(20) PRIMARY KEY NOT NULL": true,
		"id TEXT PRIMARY KEY COLLATE NOCASE NOT NULL": false, "id BLOB PRIMARY KEY NOT NULL": false, "id REAL PRIMARY KEY NOT NULL": false,
		"a TEXT NOT NULL, b TEXT NOT NULL, PRIMARY KEY(a, b)": false,
	} {
		c := newChain(t, "CREATE TABLE p("+declared+")", nil)
		c.must(c.hub.write(func(tx *rows.Tx) error {
			if sql := tx.Cat.ByName["p"].Sql; (sql.AheadRows != "") != ahead || (sql.AheadKeys != "") != ahead {
				t.Errorf("%s: read ahead by %q", declared, sql.AheadRows)
			}
			return nil
		}))
	}
	c := newChain(t, "PRAGMA encoding='UTF-16le'; CREATE TABLE p(id TEXT PRIMARY KEY NOT NULL)", nil)
	c.must(c.hub.write(func(tx *rows.Tx) error {
		if sql := tx.Cat.ByName["p"].Sql; sql.AheadRows != "" {
			t.Errorf("in UTF-16, which is not sorted as its UTF-8: read ahead by %q", sql.AheadRows)
		}
		return nil
	}))
}
