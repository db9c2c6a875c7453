package store

import (
	"time"

	"ravno/store/internal/extract"
)

const (
	// mostWritten is the most rows in a slice while the application writes, and more in proportion if
	// slices may take longer than sliceTurn. leastSlice is the least anywhere, because the commit of a
	// smaller slice costs more than its rows.
	mostWritten, leastSlice = 4096, 256
)

const (
	// FirstSlice is the number of rows in a slice before the store knows how long one takes.
	FirstSlice = 2048
)

const (
	// largestSlice is the most rows in a slice while the application writes nothing. A larger document
	// may exceed it. Among this many rows even random keys are neighbours, and take less than half the
	// time.
	largestSlice = 4 * extract.LargeSlice
)

// SetSliceRows fixes the number of rows in a slice, to 1 at least. Call it before any other use of the
// store.
func (s *Store) SetSliceRows(rows int) { s.sliceRows = max(rows, 1) }

// pace is the number of rows of a slice and the time that it took.
type pace struct {
	rows int
	took time.Duration
}

// within returns how many rows take about the time d. The result is least times a power of two, so it
// seldom changes. It is less than twice most.
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

// SliceRows returns how many rows a slice of an incoming delta should have. That is about as many as
// fit one turn, judged by the last slice applied.
func (s *Store) SliceRows() int {
	s.writing.Lock()
	defer s.writing.Unlock()
	p := s.turn.apply
	switch {
	case s.sliceRows > 0:
		return s.sliceRows
	case s.turn.busy(s.clock()):
		return p.within(s.turn.slice(), leastSlice, max(mostWritten, int(mostWritten*s.turn.slice()/sliceTurn)))
	case p.rows < extract.LargeSlice/4: // A row of a small slice takes several times as long.
		return extract.LargeSlice
	}
	return p.within(quietLockTurn, extract.LargeSlice/4, largestSlice)
}

// foldTurn returns how to fold a long log: the rows in a slice, the length of a turn, and where to note
// the pace. Busy and quiet times have a pace each. A row of a large slice takes a fraction of the time
// that a row of a small one takes.
func (s *Store) foldTurn() (rows int, turn time.Duration, took *pace) {
	switch busy, quiet := &s.turn.fold, &s.turn.foldQuiet; {
	case s.sliceRows > 0: // One transaction for each slice, even if the clock stands still.
		return s.sliceRows, -1, busy
	case s.turn.busy(s.clock()):
		return busy.within(s.turn.slice(), FirstSlice, extract.LargeSlice), s.turn.slice(), busy
	default:
		return quiet.within(quietLockTurn/4, FirstSlice, extract.LargeSlice), quietLockTurn, quiet
	}
}

// The store and the application take turns. While the store writes, the application waits inside
// SQLite for the gate to open (package sqlite). It tries again after pauses of 39 k² microseconds,
// k = 1, 2, 3 and so on. So at the end of a turn of 20 ms it tries every 5 ms, and after 100 ms every
// 17 ms. The store's pause is a little longer, so the application does not miss it. Processes of the
// application wait for each other's locks after 1, 3, 8, 18, 33, 53, 78 and 103 ms. They find the file
// as free as without ravno.
const (
	// lockTurn is how long the store holds the write lock, in one transaction or several, before the
	// application gets its turn. sliceTurn is the part of it for one slice, with room for a slower
	// slice than the one before.
	lockTurn  = 20 * time.Millisecond
	sliceTurn = 10 * time.Millisecond
	// applicationTurn is how long the store then leaves the file alone.
	applicationTurn = 6 * time.Millisecond
	// quietLockTurn and quietTurn are the same while the application is not at work. Only its first
	// transaction may wait that long.
	quietLockTurn = 100 * time.Millisecond
	quietTurn     = 18 * time.Millisecond
	// peekEvery is how often the store checks in a pause whether anybody reads. A mere reader leaves no
	// other trace.
	peekEvery = 250 * time.Microsecond
	// greedy sets the share of a turn, a third, with the lock held, after which the store owes a pause.
	// Below that share, as between small transactions, most tries find the lock free.
	greedy = 3
	// quietAfter is how long the application must not write, nor be seen to read, to count as quiet.
	quietAfter = 3 * time.Second
)

// turn decides when the store may write next. The mutex Store.writing guards it.
type turn struct {
	since    time.Time     // when the store's turn began, including gaps too short for a pause
	held     time.Duration // how long the store held the lock in this turn
	last     time.Duration // how long the last transaction held it, as a guess of the next
	released time.Time     // when the store last released the lock
	seen     time.Time     // when the application was last seen to write or read
	waited   time.Duration // how long recent transactions waited for readers
	changes  int           // changes applied in the current transaction
	// The pace of the last slice applied, the last one folded while the application wrote, and the last
	// one folded while it did not.
	apply, fold, foldQuiet pace
	warmed                 int // rows that warm has read before the lock
}

// wait returns how long to leave the file alone before taking the lock.
func (t *turn) wait(now time.Time) time.Duration {
	free := now.Sub(t.released)
	limit, pause := quietLockTurn, quietTurn
	if t.busy(now) {
		limit, pause = lockTurn, applicationTurn
	}
	turn := now.Sub(t.since)
	switch {
	case free >= pause || free < 0, // The application had its turn, or the clock was set back.
		turn+t.last > limit && t.held < turn/greedy: // The lock was free most of the time.
		t.since, t.held = now, 0
		return 0
	case turn+t.last <= limit:
		return 0
	}
	return pause - free
}

// takeTurn locks writing after the application has had its turn.
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
	s.turn.since, s.turn.held = s.clock(), 0 // The store has waited long enough.
}

// longMutex is a mutex that is held while a writer waits for the application. Under testing/synctest
// time passes for goroutines that wait for it, unlike for those that wait for a sync.Mutex. It must be
// made with a capacity of one.
type longMutex chan struct{}

// Lock locks the mutex.
func (m longMutex) Lock() { m <- struct{}{} }

// Unlock unlocks the mutex.
func (m longMutex) Unlock() { <-m }

// pause leaves the file alone for a while, and reports whether anybody was seen to read it.
func (s *Store) pause(d time.Duration) (seen bool) {
	for slept := time.Duration(0); slept < d; slept += peekEvery {
		time.Sleep(min(peekEvery, d-slept))
		seen = seen || s.writer.OthersRead()
	}
	return seen
}

// entered notes that the store got the lock, and how long it had waited for readers.
func (t *turn) entered(now time.Time, waited time.Duration) {
	if waited > 0 {
		t.seen = now
	}
	t.changes = 0
	t.waited = max(waited, t.waited*3/4) // Transactions right after it do not wait.
}

// slice returns how long a slice may take while the application is at work. It grows to a tenth of the
// time that the store waited for a long reader. Such a reader hardly notices, and the store may get no
// other chance.
func (t *turn) slice() time.Duration { return min(max(sliceTurn, t.waited/10), quietLockTurn) }

// sawWrite notes when the application wrote, in Unix milliseconds. A time of 0 means unknown.
func (t *turn) sawWrite(millis int64) {
	if at := time.UnixMilli(millis); millis > 0 && at.After(t.seen) {
		t.seen = at
	}
}

// busy reports whether the application is at work.
func (t *turn) busy(now time.Time) bool { return now.Sub(t.seen).Abs() <= quietAfter }

// took notes how long the store held the lock, and the pace of a slice that was applied.
func (t *turn) took(from, to time.Time) {
	held := max(to.Sub(from), 0)
	t.held += held
	t.last, t.released = held, to
	if t.changes >= leastSlice { // A smaller slice measures the commit instead of its rows.
		t.apply = pace{t.changes, held}
	}
}
