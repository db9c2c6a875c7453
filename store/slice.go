package store

import "time"

// Much work is done in slices: folded, sent and applied some rows at a time, so that the
// application beside us can write in between.
const (
	// smallSlice is how many rows a slice has where the application writes, or a few more, to keep
	// a document whole: what takes some tens of milliseconds to apply.
	smallSlice = 2048
	// largeSlice is how many it has where the application has written nothing for some time. Rows
	// that come together are written in the order of their keys, side by side; in small slices
	// nearly every row is on a page of its own, and goes through the -wal file with it.
	largeSlice = 16384
	// SliceBytes is how many bytes of rows are held until it is known whether a delta is one slice.
	SliceBytes = 4 << 20
)

// SetSliceRows changes how many rows are in a slice. It is to be called before the store is
// used.
func (s *Store) SetSliceRows(rows int) { s.smallSlice, s.largeSlice = max(rows, 1), max(rows, 1) }

const (
	// lockTurn is how long we hold the write lock, in one transaction or several, before the
	// application gets its turn. SQLite waits for a lock by asking again after 1, 2, 5, 10, 15, 20
	// and 25 ms: whoever begins to wait while we hold it for up to 53 ms finds it free in a pause
	// of applicationTurn. This leaves some of it for a slice that takes longer than most.
	lockTurn = 40 * time.Millisecond
	// quietLockTurn is the same while the application has written nothing for some time: whoever
	// then begins to wait finds a pause within half a second.
	quietLockTurn = 100 * time.Millisecond
	// applicationTurn is how long we leave the file alone then.
	applicationTurn = 20 * time.Millisecond
	// quietAfter is for how long the application has to have written nothing.
	quietAfter = 3 * time.Second
)

// turn says who may write next.
type turn struct {
	held     time.Duration // we have held the lock, since the application had its turn
	released time.Time     // we last gave it back
	written  time.Time     // the application was last seen to have written
}

// wait is how long to leave the file alone before taking the lock.
func (t *turn) wait(now time.Time) time.Duration {
	since := now.Sub(t.released)
	limit := quietLockTurn
	if t.busy(now) {
		limit = lockTurn
	}
	switch {
	case since >= applicationTurn || since < 0: // it has had its turn; or the clock was set back
		t.held = 0
		return 0
	case t.held < limit:
		return 0
	}
	return applicationTurn - since
}

// takeTurn locks writing, once the application has had its turn.
func (s *Store) takeTurn() {
	s.writing.Lock()
	for waited := time.Duration(0); waited < applicationTurn; {
		wait := s.turn.wait(s.clock())
		if wait == 0 {
			return
		}
		s.writing.Unlock()
		time.Sleep(wait)
		waited += wait
		s.writing.Lock()
	}
	s.turn.held = 0 // whatever the clock says
}

// busy reports whether the application writes.
func (t *turn) busy(now time.Time) bool { return now.Sub(t.written).Abs() <= quietAfter }

// ApplicationWrites reports whether the application has lately been seen to write.
func (s *Store) ApplicationWrites() bool {
	s.writing.Lock()
	defer s.writing.Unlock()
	return s.turn.busy(s.clock())
}

// took notes that the lock was held.
func (t *turn) took(from, to time.Time) {
	t.held += max(to.Sub(from), 0)
	t.released = to
}
