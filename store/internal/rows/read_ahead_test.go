package rows

import (
	"fmt"
	"path/filepath"
	"ravno/store/internal/catalog"
	"ravno/store/internal/sqlite"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"ravno/crdt"
)

// Whatever is asked for, in whatever order, reading ahead answers what the table itself would say,
// even though whoever asks changes the row he has asked for.
func TestReadAheadAnswersAsTable(t *testing.T) {
	for name, x := range map[string]struct {
		key string
		of  func(n int) crdt.Value
	}{
		"rowids": {"INTEGER", func(n int) crdt.Value { return catalog.Integer(3*n - 20) }},
		"texts":  {"TEXT", func(n int) crdt.Value { return catalog.Text(fmt.Sprintf("%c%d", 'a'+n%3, n)) }},
		"blobs":  {"BLOB", func(n int) crdt.Value { return catalog.Blob(string(crdt.NewKey(catalog.Text(fmt.Sprint(n))))) }},
	} {
		t.Run(name, func(t *testing.T) {
			conn := newConn(t, "CREATE TABLE plain(k "+x.key+" PRIMARY KEY, v)")
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
							size = aheadBytes
						}
						must(conn.Exec("INSERT INTO plain VALUES(?,?)", x.of(n), catalog.Text(strings.Repeat("x", size))))
					}
					a := &ahead{sql: "SELECT k, v FROM plain WHERE k>=? ORDER BY k LIMIT ?"}
					numbers := some("questions")
					slices.SortFunc(numbers, func(i, j int) int { return catalog.CompareKeys(x.of(i), x.of(j)) })
					for range rapid.IntRange(0, 3).Draw(t, "backwards") {
						at := rapid.IntRange(0, len(numbers)).Draw(t, "at")
						numbers = slices.Insert(numbers, at, rapid.IntRange(0, 59).Draw(t, "question"))
					}
					for _, n := range numbers {
						row, known, err := a.find(conn, x.of(n))
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
func TestReadAheadNotOfDistantKeys(t *testing.T) {
	conn := newConn(t, "CREATE TABLE plain(k INTEGER PRIMARY KEY, v)")
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	must(conn.Transaction("IMMEDIATE", func() error {
		for n := range 4000 {
			must(conn.Exec("INSERT INTO plain VALUES(?,?)", catalog.Integer(n), catalog.Text("x")))
		}
		return nil
	}))
	ask := func(step int) (known int) {
		a := &ahead{sql: "SELECT k, v FROM plain WHERE k>=? ORDER BY k LIMIT ?"}
		for n := range 40 {
			_, ok, err := a.find(conn, catalog.Integer(n*step))
			must(err)
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

// newConn is a connection that writes to a file with a schema.
func newConn(t *testing.T, schema string) *sqlite.Conn {
	c, err := sqlite.Open(filepath.Join(t.TempDir(), "test.db"), sqlite.Create)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.Exec(schema); err != nil {
		t.Fatal(err)
	}
	return c
}
