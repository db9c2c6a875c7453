package sqlite

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// lookFirst is how soon the writer looks again whether it may shut the gate, the first time; each
	// time it takes twice as long, up to lookEvery. A look costs some microseconds, and the
	// pauses of an application between its transactions are milliseconds.
	lookFirst = 100 * time.Microsecond
	lookEvery = time.Millisecond
	// lookCloser is from when on it looks as often as at first: an application that makes one transaction
	// after the other leaves the file alone for some ten microseconds at a time.
	lookCloser = time.Second
	// Patience is for how long the writer waits for somebody who reads while nobody commits. Whoever reads
	// longer counts as a report that will not write: five seconds are the busy timeout that most
	// drivers set, so a transaction of an application is not meant to be longer.
	Patience = 5 * time.Second
	// LongPatience is the same while others commit: somebody may go through a result and commit each row
	// that he changes, and every commit of ours would end that. Whatever takes longer is a job for the
	// night, and half a minute is as far as a shop may be behind in the day.
	LongPatience = 30 * time.Second
	// leastPatience is what is left of both where one transaction after the other was in vain: each halves
	// them, so that there is progress beside a crowd that always reads.
	leastPatience = 200 * time.Millisecond
	mostHasty     = 8
	// leaveAfter is when the gate gives back the locks that keep nobody out: long enough for whoever
	// was about to ask for one as the gate opened.
	leaveAfter = time.Millisecond
	// shutAtMost is how long the gate stays shut. An SQLite older than 3.8 gives up asking after a
	// second, a newer one after ten.
	shutAtMost = 500 * time.Millisecond
)

// Entries counts how write transactions came to their lock.
type Entries struct {
	AtOnce  uint64 // the gate was shut at the first look
	Waited  uint64 // after somebody had stopped reading
	Forced  uint64 // somebody read for longer than there was patience: what he writes in that transaction fails
	Ungated uint64 // there is no gate here
	Overran uint64 // the gate was opened before the end, because that took longer than shutAtMost
	Syncs   uint64 // how often the -wal file was put on disk
}

// writer is what a connection has whose write transactions step aside for those of others.
type writer struct {
	gate    atomic.Pointer[gate] // nil: the file is not in WAL mode yet, or has no gate
	sure    bool                 // that there is none
	mutex   sync.Mutex           // guards the gate, because timers open it, too
	shut    bool
	leaving *time.Timer // gives back what it has locked still
	closed  bool
	// The connection's user guards these.
	waited  time.Duration // before the last transaction
	hasty   uint          // how many transactions in a row could wait no longer
	entries entries
	durable durable
	// The limits are those above, but in tests.
	patience, longPatience, shutAtMost time.Duration
}

type entries struct{ atOnce, waited, forced, ungated, overran atomic.Uint64 }

// OpenWriter opens a connection for writing beside an application. Its transactions of kind
// IMMEDIATE go through a gate: they begin only while nobody reads the last commit, and nobody
// begins to read until they end. So no transaction of another process that reads and then writes
// fails because of them.
func OpenWriter(path string) (*Conn, error) {
	c, err := Open(path, ReadWrite)
	if err != nil {
		return nil, err
	}
	c.writer = &writer{patience: Patience, longPatience: LongPatience, shutAtMost: shutAtMost}
	// Checkpoints of ours come after the commit, when the gate is open.
	err = c.Exec("PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=0")
	if err == nil {
		err = c.findGate()
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// Write runs f in a write transaction, as Transaction does, and returns before that is on disk: until
// Durable, nobody may be told of it. pause is how it lets time pass while others read; meanwhile the
// connection may be used, by other transactions too.
func (c *Conn) Write(pause func(time.Duration), f func() error) error {
	if c.writer == nil {
		return c.transaction("IMMEDIATE", f)
	}
	if err := c.behindGate(pause, f); err != nil {
		return err
	}
	c.checkpoint()
	return nil
}

func (c *Conn) behindGate(pause func(time.Duration), f func() error) error {
	open, err := c.beginWriting(pause)
	if err != nil {
		return err
	}
	defer open()
	return c.begun(f)
}

// Entries tells how the write transactions of this connection came to their lock. It is safe to call
// beside them.
func (c *Conn) Entries() Entries {
	if c.writer == nil {
		return Entries{}
	}
	e := &c.writer.entries
	return Entries{AtOnce: e.atOnce.Load(), Waited: e.waited.Load(), Forced: e.forced.Load(), Ungated: e.ungated.Load(),
		Overran: e.overran.Load(),
		Syncs:   c.writer.durable.syncs.Load()}
}

// beginWriting begins a write transaction behind the gate, and returns how to open that.
func (c *Conn) beginWriting(pause func(time.Duration)) (open func(), err error) {
	w := c.writer
	if err := c.findGate(); err != nil {
		return nil, err
	}
	if w.gate.Load() == nil {
		w.entries.ungated.Add(1)
		return func() {}, c.execKept("BEGIN IMMEDIATE")
	}
	if open, err := c.tryWriting(0, false); open != nil || err != nil {
		return open, err
	}
	patience, next := w.begin(), lookFirst
	defer patience.end()
	for patience.lasts(w.gate.Load()) {
		pause(next)
		patience.waited += next
		if open, err := c.tryWriting(patience.waited, false); open != nil || err != nil {
			return open, err
		}
		if next = min(2*next, lookEvery); patience.waited > lookCloser {
			next = lookFirst
		}
	}
	w.hasty = min(w.hasty+1, mostHasty)
	if open, err := c.tryWriting(patience.waited, true); open != nil || err != nil {
		w.entries.forced.Add(1) // whoever seemed to read an earlier commit may have read the last one
		return open, err
	}
	w.mutex.Lock()
	w.gate.Load().force()
	w.mutex.Unlock()
	w.waited = patience.waited
	if err := c.execKept("BEGIN IMMEDIATE"); err != nil {
		return nil, err
	}
	w.entries.forced.Add(1)
	return func() { w.open(true) }, nil
}

// tryWriting begins a write transaction behind the gate, if that can be shut now; open is nil otherwise.
func (c *Conn) tryWriting(waited time.Duration, insist bool) (open func(), err error) {
	w := c.writer
	if shut, err := w.shutGate(insist); err != nil || !shut {
		return nil, err
	}
	// The gate must not be shut for as long as somebody keeps the write lock.
	if err := c.atOnce(func() error { return c.execKept("BEGIN IMMEDIATE") }); err != nil {
		w.open(true)
		if FailureOf(err) == Busy {
			err = nil
		}
		return nil, err
	}
	w.waited = waited
	switch {
	case insist:
	case waited == 0:
		w.hasty = 0
		w.entries.atOnce.Add(1)
	default:
		w.hasty = 0
		w.entries.waited.Add(1)
	}
	return w.openLater(), nil
}

// patience is how long a write transaction goes on waiting. Timers end it, because pauses take longer than
// was asked for.
type patience struct {
	limit     time.Duration
	idle      *time.Timer // ends the limit, which begins anew whenever others commit
	long      *time.Timer // ends it in any case
	idleEnded atomic.Bool
	longEnded atomic.Bool
	waited    time.Duration // what was asked for
	version   logVersion
}

// begin begins to wait; end is to be called.
func (w *writer) begin() *patience {
	p := &patience{limit: w.patience}
	long := w.longPatience
	for range w.hasty {
		p.limit, long = max(p.limit/2, leastPatience), max(long/2, leastPatience)
	}
	p.idle = time.AfterFunc(p.limit, func() { p.idleEnded.Store(true) })
	p.long = time.AfterFunc(long, func() { p.longEnded.Store(true) })
	return p
}

// lasts reports whether there is any patience left.
func (p *patience) lasts(g *gate) bool {
	if now, whole := g.version(); whole && now != p.version {
		p.version = now
		p.idle.Reset(p.limit)
		p.idleEnded.Store(false)
	}
	return !p.idleEnded.Load() && !p.longEnded.Load()
}

func (p *patience) end() {
	p.idle.Stop()
	p.long.Stop()
}

// Waited is how long the last write transaction waited for others who read.
func (c *Conn) Waited() time.Duration {
	if c.writer == nil {
		return 0
	}
	return c.writer.waited
}

// OthersRead reports whether another process reads the file right now, as far as can be told. It is safe to
// call beside the connection's transactions.
func (c *Conn) OthersRead() bool {
	if c.writer == nil {
		return false
	}
	c.writer.mutex.Lock()
	defer c.writer.mutex.Unlock()
	gate := c.writer.gate.Load()
	return gate != nil && !c.writer.closed && !gate.quiet()
}

// findGate makes the gate, as soon as the file is in WAL mode.
func (c *Conn) findGate() error {
	w := c.writer
	if w.sure || w.gate.Load() != nil {
		return nil
	}
	found, err := openGate(c.path)
	if err != nil {
		return err
	}
	mode, err := c.Text("PRAGMA journal_mode")
	if err != nil {
		return err
	}
	if w.sure = found == nil && mode == "wal"; found == nil {
		return nil
	}
	w.gate.Store(found)
	return c.Exec("PRAGMA synchronous=NORMAL") // Durable does the rest
}

// atOnce runs f without waiting for the lock of anybody else.
func (c *Conn) atOnce(f func() error) error {
	if err := c.SetBusyTimeout(0); err != nil {
		return err
	}
	return errors.Join(f(), c.SetBusyTimeout(BusyTimeout))
}

func (w *writer) shutGate(insist bool) (shut bool, err error) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if w.closed { // while it waited
		return false, errClosed
	}
	w.shut = w.gate.Load().shut(insist) == gateShut
	return w.shut, nil
}

// open opens the gate, and reports whether it was shut.
func (w *writer) open(leave bool) (was bool) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if was = w.shut; was {
		w.gate.Load().open()
		w.shut = false
	}
	if leave && !w.closed {
		w.gate.Load().leave()
	}
	return was
}

// openLater returns how to open the gate, and sees to it that it does not stay shut for too long.
func (w *writer) openLater() (open func()) {
	timer := time.AfterFunc(w.shutAtMost, func() {
		if w.open(false) {
			w.entries.overran.Add(1)
		}
	})
	return func() {
		timer.Stop()
		w.open(false)
		w.leaveSoon()
	}
}

// leaveSoon gives back what the gate has locked still.
func (w *writer) leaveSoon() {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if w.leaving == nil {
		w.leaving = time.AfterFunc(leaveAfter, func() {
			w.mutex.Lock()
			defer w.mutex.Unlock()
			if !w.shut && !w.closed {
				w.gate.Load().leave()
			}
		})
		return
	}
	w.leaving.Reset(leaveAfter)
}

const (
	// pagesBeforeCheckpoint is how many pages there are in the -wal file when a commit of ours is followed by
	// a checkpoint: eight times SQLite's own default. So an application that writes does it first, at a
	// moment of its own, and a file nobody writes but ravno still does not grow without end.
	pagesBeforeCheckpoint = 8000
	// pagesOfOthers is SQLite's default, and fewPages are few enough to follow a checkpoint of the
	// application's with one of ours at once: only if there is nothing left to copy does the
	// application's next commit begin the -wal file anew.
	pagesOfOthers, fewPages = 1000, 64
)

// close closes the gate's connection, after the writer itself.
func (w *writer) close() error {
	if w == nil || w.gate.Load() == nil {
		return nil
	}
	w.durable.mutex.Lock()
	defer w.durable.mutex.Unlock()
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if w.closed {
		return nil
	}
	w.closed, w.durable.broken = true, errClosed
	w.gate.Load().leave()
	return w.gate.Load().close()
}

// errClosed is what Durable says of a connection that is closed.
var errClosed = errors.New("sqlite: the connection is closed")
