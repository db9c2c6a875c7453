package store

import (
	"time"

	"ravno/store/internal/extract"
)

const (
	// mostWritten is the most rows in a slice where the application writes, and leastSlice the
	// least anywhere: below it, the cost of a commit is more than that of its rows.
	mostWritten, leastSlice = 4096, 256
)

const (
	// FirstSlice is how many rows there are in a slice before anybody knows how long one takes.
	FirstSlice = 2048
)

const (
	// largestSlice is the most rows in a slice, but for a document that is larger, while the
	// application writes nothing: of so many even those with random keys are neighbours, and take
	// less than half the time.
	largestSlice = 4 * extract.LargeSlice
)

// SetSliceRows fixes how many rows are in a slice. It is to be called before the store is used.
func (s *Store) SetSliceRows(rows int) { s.sliceRows = max(rows, 1) }

// pace is how long a slice took.
type pace struct {
	rows int
	took time.Duration
}

// within is how many rows take so long, between two numbers: the least times a power of two, so
// that it is not another number each time.
func (p pace) within(d time.Duration, least, most int) int {
	if p.rows == 0 {
		return least
	}
	fits := int64(p.rows) * int64(d) / max(int64(p.took), 1)
	rows := least
	for rows < most && int64(2*rows) <= fits {
		rows *= 2
	}
	return rows
}

// SliceRows is how many rows there should be in a slice of a delta that is to be applied here: as
// many as are applied in one turn, going by the last.
func (s *Store) SliceRows() int {
	s.writing.Lock()
	defer s.writing.Unlock()
	p := s.turn.apply
	switch {
	case s.sliceRows > 0:
		return s.sliceRows
	case s.turn.busy(s.clock()):
		return p.within(s.turn.slice(), leastSlice, max(mostWritten, int(mostWritten*s.turn.slice()/sliceTurn)))
	case p.rows < extract.LargeSlice/4: // of a small slice a row takes several times as long
		return extract.LargeSlice
	}
	return p.within(quietLockTurn, extract.LargeSlice/4, largestSlice)
}

// foldTurn is how many rows of a long log are folded at a time, for how long there may be other
// such slices before the application gets its turn, and where to note how long one took: of a large
// slice a row takes a fraction of what it takes of a small one, so the one says nothing of the other.
func (s *Store) foldTurn() (rows int, turn time.Duration, took *pace) {
	switch busy, quiet := &s.turn.fold, &s.turn.foldQuiet; {
	case s.sliceRows > 0: // and a transaction for each, though no time may pass in it
		return s.sliceRows, -1, busy
	case s.turn.busy(s.clock()):
		return busy.within(s.turn.slice(), FirstSlice, extract.LargeSlice), s.turn.slice(), busy
	default:
		return quiet.within(quietLockTurn/4, FirstSlice, extract.LargeSlice), quietLockTurn, quiet
	}
}

// We and the application take turns. Whoever comes while we write waits inside SQLite for the gate to
// open (package sqlite). It looks again after pauses of 39 k² microseconds, k = 1, 2, 3 ..., so at the end
// of a turn of 20 ms it does so every 5 ms, and of one of 100 ms every 17. A pause of ours that is a
// little longer nobody misses. Other processes of the application, which wait for each other's locks
// after 1, 3, 8, 18, 33, 53, 78 and 103 ms, find the file as free as they always did.
const (
	// lockTurn is how long we hold the write lock, in one transaction or several, before the
	// application gets its turn, and sliceTurn what one slice should take of it: it may take longer
	// than the one before.
	lockTurn  = 20 * time.Millisecond
	sliceTurn = 10 * time.Millisecond
	// applicationTurn is how long we leave the file alone then.
	applicationTurn = 6 * time.Millisecond
	// quietLockTurn and quietTurn are the same while nobody is seen: only the first who comes may
	// have to wait so long.
	quietLockTurn = 100 * time.Millisecond
	quietTurn     = 18 * time.Millisecond
	// peekEvery is how often we look, in a pause, whether anybody reads: one who only reads leaves no
	// other trace.
	peekEvery = 250 * time.Microsecond
	// greedy is which part of a turn we have to have held the lock for to owe a pause: a third.
	// Where it is less, as between the small transactions of a day, most tries find it free.
	greedy = 3
	// quietAfter is for how long the application has to have written nothing, and not to have been seen to
	// read.
	quietAfter = 3 * time.Second
)

// turn says who may write next.
type turn struct {
	since    time.Time     // our turn began: gaps too short for a pause are part of it
	held     time.Duration // of it, we held the lock
	last     time.Duration // and the last time; the next may take as long
	released time.Time     // we last gave it back
	seen     time.Time     // the application was last seen to have written or to read
	waited   time.Duration // for it to end, before our last transactions
	changes  int           // applied in the transaction in hand
	// How long the last slices took that were applied, and folded while the application wrote and
	// while it did not.
	apply, fold, foldQuiet pace
	warmed                 int // rows that were read before the lock
}

// wait is how long to leave the file alone before taking the lock.
func (t *turn) wait(now time.Time) time.Duration {
	free := now.Sub(t.released)
	limit, pause := quietLockTurn, quietTurn
	if t.busy(now) {
		limit, pause = lockTurn, applicationTurn
	}
	turn := now.Sub(t.since)
	switch {
	case free >= pause || free < 0, // it has had its turn; or the clock was set back
		turn+t.last > limit && t.held < turn/greedy: // or the lock was free most of the time
		t.since, t.held = now, 0
		return 0
	case turn+t.last <= limit:
		return 0
	}
	return pause - free
}

// takeTurn locks writing, once the application has had its turn.
func (s *Store) takeTurn() {
	s.writing.Lock()
	for waited := time.Duration(0); waited < quietTurn; {
		wait := s.turn.wait(s.clock())
		if wait == 0 {
			return
		}
		s.writing.Unlock()
		seen := s.pause(wait)
		waited += wait
		s.writing.Lock()
		if seen {
			s.turn.seen = s.clock()
		}
	}
	s.turn.since, s.turn.held = s.clock(), 0 // whatever it says now
}

// longMutex is a mutex that is held while a writer waits for the application. Whoever waits for it lets time
// pass under testing/synctest, which whoever waits for a sync.Mutex does not. It is made with room for one.
type longMutex chan struct{}

// Lock locks it.
func (m longMutex) Lock() { m <- struct{}{} }

// Unlock unlocks it.
func (m longMutex) Unlock() { <-m }

// pause leaves the file alone for a while, and reports whether anybody was seen to read it.
func (s *Store) pause(d time.Duration) (seen bool) {
	for slept := time.Duration(0); slept < d; slept += peekEvery {
		time.Sleep(min(peekEvery, d-slept))
		seen = seen || s.writer.OthersRead()
	}
	return seen
}

// entered takes in when we got the lock, and how long we had waited for others who read.
func (t *turn) entered(now time.Time, waited time.Duration) {
	if waited > 0 {
		t.seen = now
	}
	t.changes = 0
	t.waited = max(waited, t.waited*3/4) // those that follow at once wait for nobody
}

// slice is how long a slice may take while the application is at work. Who reads for seconds, and lets
// us in between, waits for a tenth of that without noticing; and there may be no other chance.
func (t *turn) slice() time.Duration { return min(max(sliceTurn, t.waited/10), quietLockTurn) }

// sawWrite takes in when the application wrote, in Unix milliseconds; 0: it is not known to have.
func (t *turn) sawWrite(millis int64) {
	if at := time.UnixMilli(millis); millis > 0 && at.After(t.seen) {
		t.seen = at
	}
}

// busy reports whether the application is at work.
func (t *turn) busy(now time.Time) bool { return now.Sub(t.seen).Abs() <= quietAfter }

// took notes that the lock was held.
func (t *turn) took(from, to time.Time) {
	held := max(to.Sub(from), 0)
	t.held += held
	t.last, t.released = held, to
	if t.changes >= leastSlice { // fewer say more of a commit than of a row
		t.apply = pace{t.changes, held}
	}
}
