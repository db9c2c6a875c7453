package sqlite

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"ravno/crdt"
)

// values draws values of every class, some of them too long for a buffer.
func values() *rapid.Generator[crdt.Value] {
	text := rapid.Custom(func(t *rapid.T) string {
		short := string(rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(t, "bytes"))
		times := rapid.SampledFrom([]int{1, 1, 1, 1, 300, 3000}).Draw(t, "times")
		return strings.Repeat(short, times)
	})
	return rapid.OneOf(
		rapid.Just(crdt.Value{}),
		rapid.Map(rapid.Int64(), crdt.IntegerValue),
		rapid.SampledFrom([]crdt.Value{crdt.IntegerValue(math.MinInt64), crdt.IntegerValue(math.MaxInt64),
			crdt.IntegerValue(1<<53 + 1),
			crdt.RealValue(math.Copysign(0, -1)), crdt.RealValue(math.Inf(-1)), crdt.RealValue(5e-324), crdt.RealValue(1),
			crdt.TextValue(""), crdt.BlobValue(""), crdt.TextValue("a\x00b\x00"), crdt.TextValue("\xff\xfe"),
			crdt.BlobValue("\x00")}),
		rapid.Map(rapid.Float64(), crdt.RealValue),
		rapid.Map(text, crdt.TextValue),
		rapid.Map(text, crdt.BlobValue),
	)
}

// Whatever is written is read by every way of reading.
func TestEveryReadSeesWhatIsWritten(t *testing.T) {
	c := open(t)
	must(t, c.Exec("CREATE TABLE t(id INTEGER PRIMARY KEY, a, b, c); CREATE TABLE u(a)"))
	rapid.Check(t, func(t *rapid.T) {
		must(t, c.Exec("DELETE FROM t"))
		want := rapid.SliceOfN(rapid.SliceOfN(values(), 3, 3), 0, 40).Draw(t, "rows")
		for i, row := range want {
			must(t, c.Exec("INSERT INTO t VALUES(?,?,?,?)", append([]crdt.Value{crdt.IntegerValue(int64(i))}, row...)...))
		}
		for i, row := range want {
			got, err := c.Row("SELECT a, b, c FROM t WHERE id=?", crdt.IntegerValue(int64(i)))
			if err != nil || !slices.Equal(got, row) {
				t.Fatalf("row %d: %v, want %v: %v", i, got, row, err)
			}
			got, err = c.Row("SELECT ?, ?, ?", row...) // which SQLite reads where it was packed
			if err != nil || !slices.Equal(got, row) {
				t.Fatalf("bound %v, got %v: %v", row, got, err)
			}
		}
		if got := readAll(t, c, len(want), rapid.IntRange(0, 2).Draw(t, "depth")); !slices.EqualFunc(
			got, want, slices.Equal) {
			t.Fatalf("read %v, want %v", got, want)
		}
		stop := rapid.IntRange(0, 40).Draw(t, "stop")
		if got := readAll(t, c, stop, 0); !slices.EqualFunc(got, want[:min(stop, len(want))], slices.Equal) {
			t.Fatalf("read %v before stopping at %d of %v", got, stop, want)
		}
	})
}

var errStop = errors.New("enough")

// readAll reads the first rows of the table by one query, which inside every third row runs
// again, and the rows one by one, while the statement writes elsewhere.
func readAll(t *rapid.T, c *Conn, most, depth int) (got [][]crdt.Value) {
	const one = "SELECT a, b, c FROM t WHERE id>=? ORDER BY id"
	err := c.Rows(one, []crdt.Value{crdt.IntegerValue(0)}, func(row []crdt.Value) error {
		if len(got) == most {
			return errStop
		}
		place, kept := crdt.IntegerValue(int64(len(got))), slices.Clone(row)
		if depth > 0 && len(got)%3 == 0 {
			readAll(t, c, most/2, depth-1)
		}
		again, err := c.Row(one, place)
		must(t, err)
		if !slices.Equal(again, row) || !slices.Equal(kept, row) {
			t.Fatalf("inside the iteration %v is %v, and then %v", kept, again, row)
		}
		must(t, c.Exec("INSERT INTO u VALUES(?)", row[0]))
		got = append(got, kept)
		return nil
	})
	if err != nil && err != errStop {
		t.Fatal(err)
	}
	return got
}

func must(t interface{ Fatal(...any) }, err error) {
	if h, ok := t.(interface{ Helper() }); ok {
		h.Helper()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// count is a query for the numbers from 1 to n.
func count(n int, what string) string {
	return fmt.Sprintf("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<%d) SELECT %s FROM n", n,
		what)
}

// An error after some rows comes after those rows.
func TestErrorComesAfterItsRows(t *testing.T) {
	c := open(t)
	for _, bad := range []int{1, 2, 500, 20_000} {
		rows := 0
		err := c.Rows(count(30_000, fmt.Sprintf("abs(CASE i WHEN %d THEN -9223372036854775808 ELSE i END)", bad)), nil,
			func([]crdt.Value) error {
				rows++
				return c.Exec("SELECT 1 WHERE ?", crdt.IntegerValue(1)) // forgets what the connection last failed at
			})
		if rows != bad-1 || err == nil || !strings.Contains(err.Error(), "integer overflow") {
			t.Errorf("%d rows before the bad one at %d, and %v", rows, bad, err)
		}
	}
}

func TestAQueryIsOverWhenItsIterationIs(t *testing.T) {
	c := open(t)
	must(t, c.Exec("CREATE TABLE t(a)"))
	for _, n := range []int{1, 100, 50_000} {
		for _, stop := range []int{1, n/2 + 1, n, n + 1} {
			rows := 0
			err := c.Rows(count(n, "i"), nil, func([]crdt.Value) error {
				if rows++; rows == stop {
					return errStop
				}
				return nil
			})
			if err != nil && err != errStop || rows != min(n, stop) {
				t.Errorf("%d rows of %d, stopping at %d: %v", rows, n, stop, err)
			}
			if err := c.Exec("VACUUM"); err != nil { // refused while a statement runs
				t.Fatal(err)
			}
		}
	}
	func() {
		defer func() { _ = recover() }()
		_ = c.Rows(count(50_000, "i"), nil, func([]crdt.Value) error { panic("in the middle") })
	}()
	must(t, c.Exec("VACUUM"))
}

// A rollback in the middle ends a query with an error.
func TestRollbackEndsQuery(t *testing.T) {
	c := open(t)
	must(t, c.Exec("CREATE TABLE t(a); INSERT INTO t "+count(50_000, "i")))
	must(t, c.Exec("BEGIN; CREATE TABLE w(a)"))
	rows := 0
	err := c.Rows("SELECT a FROM t", nil, func([]crdt.Value) error {
		if rows++; rows == 1 {
			return c.Exec("ROLLBACK")
		}
		return nil
	})
	if err == nil || !strings.Contains(err.Error(), "abort") || rows == 50_000 {
		t.Errorf("after %d rows: %v", rows, err)
	}
	must(t, c.Exec("VACUUM"))
}

// Statements survive forget and go with the connection.
func TestStatementsGoWithConnection(t *testing.T) {
	c := open(t)
	must(t, c.Exec("CREATE TABLE t(a); INSERT INTO t "+count(50_000, "i")))
	s, err := c.Prepare("SELECT a FROM t")
	must(t, err)
	for range 2 {
		rows := 0
		must(t, s.Rows(nil, func([]crdt.Value) error {
			if rows++; rows == 2 {
				c.Forget()
			}
			return nil
		}))
		if rows != 50_000 {
			t.Errorf("%d rows, forgotten in the middle", rows)
		}
	}
	rows := 0
	if err := s.Rows(nil, func([]crdt.Value) error { rows++; return c.Close() }); rows == 0 {
		t.Errorf("closed in the middle: %d rows, %v", rows, err)
	}
	if _, err := s.Row(); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("run after the connection was closed: %v", err)
	}
	if _, err := c.Row("SELECT 1"); err == nil {
		t.Error("prepared after the connection was closed")
	}
}

func TestAStatementFollowsTheSchema(t *testing.T) {
	c := open(t)
	must(t, c.Exec("CREATE TABLE t(a); INSERT INTO t VALUES(1)"))
	s, err := c.Prepare("SELECT * FROM t")
	must(t, err)
	for columns := 1; columns < 4; columns++ {
		row, err := s.Row()
		if err != nil || len(row) != columns {
			t.Errorf("%d columns, want %d: %v", len(row), columns, err)
		}
		must(t, c.Exec(fmt.Sprintf("ALTER TABLE t ADD COLUMN c%d DEFAULT 'x'", columns)))
	}
	must(t, c.Exec("DROP TABLE t"))
	if _, err := s.Row(); err == nil || !strings.Contains(err.Error(), "no such table: t") {
		t.Errorf("of a table that is gone: %v", err)
	}
}

// A text that is not one statement or lacks values is refused.
func TestStatementTextRefused(t *testing.T) {
	c := open(t)
	for _, sql := range []string{"", " -- nothing\n", "SELECT 1; SELECT 2"} {
		if _, err := c.Prepare(sql); err == nil {
			t.Errorf("%q was prepared", sql)
		}
	}
	one := crdt.IntegerValue(1)
	for _, args := range [][]crdt.Value{{}, {one}, {one, one, one}} {
		if _, err := c.Row("SELECT ?, ?", args...); err == nil {
			t.Errorf("%d values were enough for two", len(args))
		}
	}
	if row, err := c.Row("SELECT ?1, ?2, ?1 ; ", one, one); err != nil || len(row) != 3 {
		t.Errorf("%v, %v", row, err)
	}
	if _, err := c.Prepare("SELECT a FROM nowhere"); err == nil ||
		!strings.Contains(err.Error(), "no such table: nowhere") {
		t.Errorf("the cause is missing: %v", err)
	}
}

// Errors are sorted whichever way the statement ran.
func TestErrorsSorted(t *testing.T) {
	c := open(t)
	must(t, c.Exec("CREATE TABLE t(a PRIMARY KEY, b NOT NULL, c CHECK(c>0))"))
	one := crdt.IntegerValue(1)
	insert := "INSERT INTO t VALUES(?,?,?) RETURNING a"
	must(t, c.Exec(insert, one, one, one))
	ways := map[string]func(c *Conn, sql string, args ...crdt.Value) error{
		"exec": func(c *Conn, sql string, args ...crdt.Value) error {
			s, err := c.Prepare(sql)
			return or(err, func() error { return s.Exec(args...) })
		},
		"row": func(c *Conn, sql string, args ...crdt.Value) error { _, err := c.Row(sql, args...); return err },
		"rows": func(c *Conn, sql string, args ...crdt.Value) error {
			return c.Rows(sql, args, func([]crdt.Value) error { return nil })
		},
	}
	for name, run := range ways {
		if err := run(c, insert, one, one, one); !IsUnique(err) || FailureOf(err) != Constraint ||
			!strings.Contains(err.Error(), "t.a") {
			t.Errorf("%s: %v", name, err)
		}
		for _, row := range [][]crdt.Value{{crdt.IntegerValue(2), {}, one},
			{crdt.IntegerValue(2), one, crdt.IntegerValue(-1)}} {
			if err := run(c, insert, row...); IsUnique(err) || FailureOf(err) != Constraint {
				t.Errorf("%s: %v", name, err)
			}
		}
		reader, err := Open(c.Path(), ReadOnly)
		must(t, err)
		if err := run(reader, "DELETE FROM t"); FailureOf(err) != ReadOnlyFile {
			t.Errorf("%s: %v", name, err)
		}
		must(t, reader.Close())
		other, err := Open(c.Path(), ReadWrite)
		must(t, err)
		must(t, other.SetBusyTimeout(1))
		must(t, c.Exec("BEGIN IMMEDIATE"))
		if err := run(other, "DELETE FROM t"); FailureOf(err) != Busy {
			t.Errorf("%s: %v", name, err)
		}
		must(t, c.Exec("ROLLBACK"))
		must(t, c.Exec("PRAGMA max_page_count=8"))
		if err := run(c, "INSERT INTO t VALUES(?,1,1) RETURNING a", crdt.BlobValue(strings.Repeat("x", 100_000))); FailureOf(
			err) != DiskFull {
			t.Errorf("%s: %v", name, err)
		}
		must(t, other.Close())
	}
	wrong := filepath.Join(t.TempDir(), "wrong.db")
	must(t, os.WriteFile(wrong, []byte(strings.Repeat("this is no database ", 100)), 0o600))
	if o, err := Open(wrong, ReadWrite); err == nil {
		if _, err = o.Row("SELECT * FROM sqlite_master"); FailureOf(err) != NotADatabase {
			t.Errorf("%v", err)
		}
		must(t, o.Close())
	} else if FailureOf(err) != NotADatabase {
		t.Errorf("%v", err)
	}
	if _, err := Open(t.TempDir(), ReadWrite); FailureOf(err) != CannotOpenFile {
		t.Errorf("%v", err)
	}
}

func or(err error, then func() error) error {
	if err != nil {
		return err
	}
	return then()
}

func TestTextOfADatabaseInUTF16IsText(t *testing.T) {
	c := open(t)
	must(t, c.Exec("PRAGMA encoding='UTF-16le'; CREATE TABLE t(a)"))
	long := strings.Repeat("žluťoučký \U0001F40E ", 3000)
	for _, text := range []string{"", "ascii", "žluťoučký", long} {
		must(t, c.Exec("INSERT INTO t VALUES(?)", crdt.TextValue(text)))
		row, err := c.Row("SELECT a FROM t WHERE a=?", crdt.TextValue(text))
		if err != nil || row == nil || row[0] != crdt.TextValue(text) {
			t.Errorf("%.20q came back as %.40v: %v", text, row, err)
		}
	}
}
