package store

import "time"

// Much work is done in slices: folded, sent and applied some rows at a time, so that the
// application beside us can write in between.
const (
	// LargeSlice is how many rows there are in a large slice. Rows that come together are written in
	// the order of their keys, side by side; in small slices nearly every row is on a page of its
	// own, and goes through the -wal file with it.
	LargeSlice = 16384
	// mostWritten is the most rows in a slice where the application writes, and leastSlice the
	// least anywhere: below it, the cost of a commit is more than that of its rows.
	mostWritten, leastSlice = 4096, 256
	// FirstSlice is how many rows there are in a slice before anybody knows how long one takes.
	FirstSlice = 2048
	// largestSlice is the most rows in a slice, but for a document that is larger, while the
	// application writes nothing: of so many even those with random keys are neighbours, and take
	// less than half the time.
	largestSlice = 4 * LargeSlice
	// spread is how many rows get one position: no slice that is sent on can be smaller. They are
	// neighbours by their keys, and so are cheap to write where the slice goes.
	spread = 1024
	// SliceBytes is how many bytes of rows are held until it is known whether a delta is one slice.
	SliceBytes = 4 << 20
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
		return p.within(sliceTurn, leastSlice, mostWritten)
	case p.rows < LargeSlice/4: // of a small slice a row takes several times as long
		return LargeSlice
	}
	return p.within(quietLockTurn, LargeSlice/4, largestSlice)
}

// foldTurn is how many rows of a long log are folded at a time, for how long there may be other
// such slices before the application gets its turn, and where to note how long one took: of a large
// slice a row takes a fraction of what it takes of a small one, so the one says nothing of the other.
func (s *Store) foldTurn() (rows int, turn time.Duration, took *pace) {
	switch busy, quiet := &s.turn.fold, &s.turn.foldQuiet; {
	case s.sliceRows > 0: // and a transaction for each, though no time may pass in it
		return s.sliceRows, -1, busy
	case s.turn.busy(s.clock()):
		return busy.within(sliceTurn, FirstSlice, LargeSlice), sliceTurn, busy
	default:
		return quiet.within(quietLockTurn/4, FirstSlice, LargeSlice), quietLockTurn, quiet
	}
}

// We and the application take turns. SQLite waits for a lock by asking for it again after 1, 3, 8,
// 18, 33, 53, 78, 103, 128, 178 and 228 ms, and then every 100 ms. So whoever begins to wait while
// we hold it for up to 33 ms finds it free in a pause of 17 ms; and one of 100 ms nobody misses.
const (
	// lockTurn is how long we hold the write lock, in one transaction or several, before the
	// application gets its turn, and sliceTurn what one slice should take of it: it may take longer
	// than the one before.
	lockTurn  = 33 * time.Millisecond
	sliceTurn = 18 * time.Millisecond
	// applicationTurn is how long we leave the file alone then.
	applicationTurn = 17 * time.Millisecond
	// quietLockTurn and quietTurn are the same while the application writes nothing: only the first
	// that it writes may have to wait so long.
	quietLockTurn = 400 * time.Millisecond
	quietTurn     = 100 * time.Millisecond
	// greedy is which part of a turn we have to have held the lock for to owe a pause: a third.
	// Where it is less, as between the small transactions of a day, most tries find it free.
	greedy = 3
	// quietAfter is for how long the application has to have written nothing.
	quietAfter = 3 * time.Second
)

// turn says who may write next.
type turn struct {
	since    time.Time     // our turn began: gaps too short for a pause are part of it
	held     time.Duration // of it, we held the lock
	last     time.Duration // and the last time; the next may take as long
	released time.Time     // we last gave it back
	written  time.Time     // the application was last seen to have written
	// How long the last slices took that were applied, and folded while the application wrote and
	// while it did not.
	apply, fold, foldQuiet pace
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
		time.Sleep(wait)
		waited += wait
		s.writing.Lock()
	}
	s.turn.since, s.turn.held = s.clock(), 0 // whatever it says now
}

// busy reports whether the application writes.
func (t *turn) busy(now time.Time) bool { return now.Sub(t.written).Abs() <= quietAfter }

// took notes that the lock was held, and how many changes were applied meanwhile.
func (t *turn) took(from, to time.Time, changes int) {
	held := max(to.Sub(from), 0)
	t.held += held
	t.last, t.released = held, to
	if changes >= leastSlice { // fewer say more of a commit than of a row
		t.apply = pace{changes, held}
	}
}
