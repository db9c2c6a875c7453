//go:build unix

package sqlite

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// beside is a file in WAL mode with one row, an application at it, and a writer.
func beside(t *testing.T) (path string, w *Conn, app *application) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "shop.db")
	c, err := Open(path, Create)
	must(t, err)
	must(t, c.Exec("PRAGMA journal_mode=WAL; CREATE TABLE t(id INTEGER PRIMARY KEY, n INT); INSERT INTO t VALUES(1,0); "+
		"CREATE TABLE ours(id INTEGER PRIMARY KEY, b)"))
	must(t, c.Close())
	w, err = OpenWriter(path)
	must(t, err)
	t.Cleanup(func() { w.Close() })
	app = newApplication(t, path)
	app.do("SELECT n FROM t")
	return path, w, app
}

func write(w *Conn) error {
	return w.Write(time.Sleep, func() error { return w.Exec("INSERT INTO ours(b) VALUES(1)") })
}

// writeUntilAnswer writes again and again until the application has done what it was told.
func writeUntilAnswer(t *testing.T, w *Conn, app *application) (answer string, writes int) {
	t.Helper()
	for ; answer == ""; writes++ {
		must(t, write(w))
		select {
		case answer = <-app.answers:
		default:
		}
	}
	return answer, writes
}

func TestWriterWaitsForReader(t *testing.T) {
	_, w, app := beside(t)
	app.do("BEGIN")
	app.do("SELECT n FROM t")
	done := make(chan error)
	go func() { done <- write(w) }()
	app.do("UPDATE t SET n=1") // whenever the writer looks: the application was first
	app.do("COMMIT")
	must(t, <-done)
	if e := w.Entries(); e.Forced > 0 || e.Ungated > 0 {
		t.Errorf("%+v", e)
	}
	must(t, write(w))
	if n := app.do("SELECT count(*) FROM ours"); n != "2" {
		t.Errorf("the application sees %s rows", n)
	}
}

// Whoever comes while the gate is shut waits for it, with no busy timeout of its own, and reads what
// was written behind it.
func TestGateKeepsReaderOut(t *testing.T) {
	for _, checkpointed := range []bool{false, true} {
		_, w, app := beside(t)
		if checkpointed { // then a reader needs nothing of the -wal file, and another mark
			app.do("PRAGMA wal_checkpoint(PASSIVE)")
		}
		must(t, w.Write(time.Sleep, func() error {
			for _, statement := range []string{"BEGIN", "SELECT count(*) FROM ours"} {
				app.begin(statement)
			}
			if answer := app.answer(); answer != "done" {
				t.Errorf("BEGIN: %s", answer)
			}
			if err := w.Exec("INSERT INTO ours(b) VALUES(1)"); err != nil {
				return err
			}
			select {
			case answer := <-app.answers:
				t.Errorf("checkpointed %v: the application read %s", checkpointed, answer)
			case <-time.After(20 * time.Millisecond): // nothing is to happen, and that takes a while to see
			}
			return nil
		}))
		if n := app.answer(); n != "1" {
			t.Errorf("checkpointed %v: it read %s rows", checkpointed, n)
		}
		app.do("UPDATE t SET n=2")
		app.do("COMMIT")
	}
}

// A transaction that reads and then writes never fails, whatever the writer does.
func TestReadThenWriteNeverFails(t *testing.T) {
	for _, thinking := range []int{0, 100, 1000} {
		t.Run(fmt.Sprintf("thinking %d µs", thinking), func(t *testing.T) {
			_, w, app := beside(t)
			sales, writes := 0, 0
			for writes < 20 { // on a busy machine a thousand sales may be over after a few writes
				app.begin(fmt.Sprintf("sell 1000 %d", thinking))
				sold, more := writeUntilAnswer(t, w, app)
				sales, writes = sales+1000, writes+more
				if sold != "0 failed" {
					t.Errorf("%s of 1000, beside %d writes of ours", sold, more)
				}
			}
			if e := w.Entries(); e.Forced > 0 || e.AtOnce+e.Waited < uint64(writes) {
				t.Errorf("%d writes: %+v", writes, e)
			}
			if n := app.do("SELECT n FROM t"); n != fmt.Sprint(sales) {
				t.Errorf("%s sales are there, of %d", n, sales)
			}
		})
	}
}

// A report that reads on while others have committed cannot write any more. It is waited for once, because
// it could be one that goes through a result and commits on the way.
func TestEarlierReaderHoldsNobodyUp(t *testing.T) {
	path, w, app := beside(t)
	app.do("BEGIN")
	app.do("SELECT n FROM t")
	other := newApplication(t, path)
	other.do("UPDATE t SET n=5")
	w.writer.patience = 30 * time.Millisecond
	for range 3 {
		must(t, write(w))
	}
	if e := w.Entries(); e.Forced != 1 || e.AtOnce != 2 {
		t.Errorf("it is to be waited for once: %+v", e)
	}
	if n := app.do("SELECT n FROM t"); n != "0" {
		t.Errorf("the report reads %s", n)
	}
}

// Who goes through a result and commits what it changes on the way reads its own commits, though it keeps the
// mark where it began.
func TestGoingThroughResultNeverFails(t *testing.T) {
	_, w, app := beside(t)
	app.do("CREATE TABLE many(id INTEGER PRIMARY KEY, n INT)")
	app.do("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<300) INSERT INTO many SELECT i, 0 FROM n")
	for range 3 {
		app.begin("go through")
		if gone, writes := writeUntilAnswer(t, w, app); gone != "0 failed" {
			t.Errorf("%s of 300, beside %d writes of ours", gone, writes)
		}
	}
	if e := w.Entries(); e.Forced > 0 {
		t.Errorf("%+v", e)
	}
	if n := app.do("SELECT sum(n) FROM many"); n != "900" {
		t.Errorf("%s changes are there", n)
	}
}

// Who reads for too long counts as a report: the write goes through, once, and that is counted.
func TestLongReaderIsPassed(t *testing.T) {
	_, w, app := beside(t)
	app.do("BEGIN")
	app.do("SELECT n FROM t")
	w.writer.patience = 30 * time.Millisecond
	must(t, write(w))
	if e := w.Entries(); e.Forced != 1 {
		t.Errorf("%+v", e)
	}
	app.begin("UPDATE t SET n=1")
	if answer := app.answer(); answer != "error: database is locked" {
		t.Errorf("the report wrote over what it had not seen: %s", answer)
	}
	must(t, write(w))
	if e := w.Entries(); e.Forced != 1 {
		t.Errorf("it reads an earlier commit by now: %+v", e)
	}
}

func TestGateOpensInTime(t *testing.T) {
	_, w, app := beside(t)
	w.writer.shutAtMost = 10 * time.Millisecond
	must(t, w.Write(time.Sleep, func() error {
		if err := w.Exec("INSERT INTO ours(b) VALUES(1)"); err != nil {
			return err
		}
		if n := app.do("SELECT count(*) FROM ours"); n != "0" { // it waits for less than this takes
			t.Errorf("the application reads %s rows of a transaction under way", n)
		}
		return nil
	}))
	if e := w.Entries(); e.Overran != 1 {
		t.Errorf("%+v", e)
	}
	must(t, write(w))
	app.do("UPDATE t SET n=1")
}

// As the gate opens, there is a mark for the commit: who finds none goes to an earlier one, where it
// looks as if it read an earlier commit.
func TestOpenGateLeavesMark(t *testing.T) {
	path, w, _ := beside(t)
	must(t, write(w))
	shm, err := os.ReadFile(path + "-shm") // this gives up the process's locks on it, which nobody needs any more
	must(t, err)
	frame, found := binary.NativeEndian.Uint32(shm[16:]), false
	for mark := 1; mark < 5; mark++ {
		found = found || binary.NativeEndian.Uint32(shm[100+4*mark:]) == frame
	}
	if !found {
		t.Errorf("no mark is at frame %d", frame)
	}
}

// Several writers of one application fail beside each other, as they always did, but none waits for us
// for ever.
func TestWriterComesThroughCrowd(t *testing.T) {
	path, w, _ := beside(t)
	var crowd []*application
	for range 4 {
		a := newApplication(t, path)
		a.begin("sell 300 500")
		crowd = append(crowd, a)
	}
	for range 20 {
		must(t, write(w))
	}
	for _, a := range crowd {
		a.answer()
	}
	if e := w.Entries(); e.Forced > 0 {
		t.Errorf("%+v", e)
	}
}

// A commit behind the gate is not synced inside, and once for all who wait.
func TestDurableSyncsOnceForMany(t *testing.T) {
	_, w, _ := beside(t)
	if n, err := w.Int("PRAGMA synchronous"); err != nil || n != 1 {
		t.Errorf("synchronous is %d behind the gate, not NORMAL: %v", n, err)
	}
	must(t, w.Durable())
	before := w.Entries().Syncs
	for range 10 {
		must(t, write(w))
	}
	var waiting sync.WaitGroup
	for range 8 {
		waiting.Go(func() {
			if err := w.Durable(); err != nil {
				t.Error(err)
			}
		})
	}
	waiting.Wait()
	must(t, w.Durable())
	if n := w.Entries().Syncs - before; n != 1 {
		t.Errorf("%d syncs for ten commits", n)
	}
	must(t, w.Transaction("IMMEDIATE", func() error { return w.Exec("INSERT INTO ours(b) VALUES(1)") }))
	if n := w.Entries().Syncs - before; n != 2 {
		t.Errorf("%d syncs after a durable transaction", n)
	}
}

// What others have committed is put on disk, too, before anybody is told of it.
func TestDurableIsForOthersCommits(t *testing.T) {
	_, w, app := beside(t)
	must(t, w.Durable())
	before := w.Entries().Syncs
	app.do("UPDATE t SET n=7")
	must(t, w.Durable())
	if n := w.Entries().Syncs - before; n != 1 {
		t.Errorf("%d syncs", n)
	}
}

// An application that writes begins the -wal file anew after its checkpoints, as if it were alone.
func TestApplicationBeginsLogAnew(t *testing.T) {
	_, w, app := beside(t)
	most := 0
	for range 2000 {
		app.do("UPDATE t SET n=n+1")
		must(t, write(w))
		all, _ := w.writer.gate.Load().frames()
		most = max(most, all)
	}
	if most > 2*pagesOfOthers {
		t.Errorf("there were %d pages in it, though the application's checkpoints come every %d", most, pagesOfOthers)
	}
}

// A file that nobody writes but ravno, and that is read, does not grow without end.
func TestLogStaysShort(t *testing.T) {
	path, w, app := beside(t)
	for range 100 {
		must(t, w.Write(time.Sleep, func() error {
			return w.Exec("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<400) INSERT INTO ours(b) " +
				"SELECT randomblob(4000) FROM n")
		}))
		app.do("SELECT count(*) FROM ours")
	}
	info, err := os.Stat(path + "-wal")
	must(t, err)
	if limit := int64(2 * pagesBeforeCheckpoint * 4096); info.Size() > limit {
		t.Errorf("the -wal file has %d bytes, more than %d, after %d", info.Size(), limit, 100*400*4100)
	}
	if ok := app.do("PRAGMA integrity_check"); ok != "ok" {
		t.Error(ok)
	}
}
