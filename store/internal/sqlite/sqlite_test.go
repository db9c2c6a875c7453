package sqlite

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ravno/crdt"
)

func open(t *testing.T) *Conn {
	t.Helper()
	c, err := Open(filepath.Join(t.TempDir(), "a b?c#d%e.db"), Create)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// Values come back by storage class and bytes.
func TestValuesByClassAndBytes(t *testing.T) {
	c := open(t)
	if err := c.Exec("CREATE TABLE t(a, b BOOLEAN, d DATETIME)"); err != nil {
		t.Fatal(err)
	}
	for _, v := range []crdt.Value{
		{}, crdt.IntegerValue(0), crdt.IntegerValue(math.MinInt64), crdt.IntegerValue(1<<53 + 1), crdt.RealValue(1),
		crdt.RealValue(math.Copysign(0, -1)), crdt.RealValue(math.Inf(1)), crdt.RealValue(5e-324), crdt.TextValue(""),
		crdt.TextValue("a\x00b"), crdt.TextValue("\xff\xfe"), crdt.TextValue("1"), crdt.BlobValue(""),
		crdt.BlobValue("\x00\x01"),
	} {
		if err := c.Exec("INSERT INTO t(a) VALUES(?)", v); err != nil {
			t.Fatal(err)
		}
		row, err := c.Row("SELECT +a, typeof(a) FROM t ORDER BY rowid DESC LIMIT 1")
		if err != nil || row[0] != v || row[1].Bytes() != v.Kind().String() {
			t.Errorf("%v (%s) came back as %v (%s): %v", v, v.Kind(), row[0], row[1].Bytes(), err)
		}
	}
	must(t, c.Exec("DELETE FROM t; INSERT INTO t VALUES(NULL, 1, '2024-01-01 10:00:00')"))
	row, err := c.Row("SELECT +b, +d FROM t")
	if err != nil || row[0] != crdt.IntegerValue(1) || row[1] != crdt.TextValue("2024-01-01 10:00:00") {
		t.Errorf("declared types were applied: %v %v", row, err)
	}
}

// Triggers are switched for one connection only.
func TestTriggersOffForOneConnection(t *testing.T) {
	c := open(t)
	other, err := Open(c.Path(), ReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := c.Exec(
		"CREATE TABLE t(a); CREATE TABLE l(a); " +
			"CREATE TRIGGER g AFTER INSERT ON t BEGIN INSERT INTO l VALUES(NEW.a); END"); err != nil {
		t.Fatal(err)
	}
	if err := c.SetTriggers(false); err != nil {
		t.Fatal(err)
	}
	must(t, c.Exec("INSERT INTO t VALUES(1)"))
	must(t, other.Exec("INSERT INTO t VALUES(2)"))
	if n, _ := c.Int("SELECT sum(a) FROM l"); n != 2 {
		t.Errorf("log holds %d, want only the other connection's 2", n)
	}
}

func TestClosingLeavesTheWalToTheApplication(t *testing.T) {
	c := open(t)
	if err := c.Exec("PRAGMA journal_mode=WAL; CREATE TABLE t(a); INSERT INTO t VALUES(1)"); err != nil {
		t.Fatal(err)
	}
	one, err := Open(c.Path(), ReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	must(t, one.Exec("INSERT INTO t VALUES(2)"))
	one.Close()
	c.Close()
	info, err := os.Stat(c.Path() + "-wal")
	if err != nil || info.Size() == 0 {
		t.Errorf("the last close checkpointed: %v %v", info, err)
	}
	again, err := Open(c.Path(), ReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if n, _ := again.Int("SELECT count(*) FROM t"); n != 2 {
		t.Errorf("%d rows, want 2", n)
	}

}

func TestAFailedTransactionLeavesNothing(t *testing.T) {
	c := open(t)
	must(t, c.Exec("CREATE TABLE t(a UNIQUE)"))
	err := c.Transaction("IMMEDIATE", func() error {
		if err := c.Exec("INSERT INTO t VALUES(1)"); err != nil {
			return err
		}
		return c.Exec("INSERT INTO t VALUES(?)", crdt.IntegerValue(1))
	})
	if !IsUnique(err) || FailureOf(err) != Constraint {
		t.Errorf("error %v not recognised", err)
	}
	if n, _ := c.Int("SELECT count(*) FROM t"); n != 0 {
		t.Errorf("%d rows after rollback", n)
	}
}

func TestFTS5IsInTheBuildThatSaysSo(t *testing.T) {
	c := open(t)
	err := c.Exec("CREATE VIRTUAL TABLE f USING fts5(x, tokenize='trigram'); INSERT INTO f VALUES('walnuts')")
	if !HasFTS5() {
		if err == nil || !strings.Contains(err.Error(), "no such module: fts5") {
			t.Errorf("this build says that it has no FTS5, but: %v", err)
		}
		t.Skip("this build has no FTS5 (go test -tags sqlite_fts5)")
	}
	if err != nil {
		t.Fatal(err)
	}
	found, err := c.Text("SELECT x FROM f WHERE f MATCH 'nut'")
	if err != nil || found != "walnuts" {
		t.Errorf("found %q, %v", found, err)
	}
}
