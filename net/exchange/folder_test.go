package exchange

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"ravno/crdt/causal"
	"ravno/store"
)

const oneTable = "CREATE TABLE item(id INTEGER PRIMARY KEY, name TEXT); INSERT INTO item VALUES(1,'one')"

// folding is a running Folder over a hub's database, under false time.
type folding struct {
	t       *testing.T
	folder  Folder
	wake    chan struct{}
	changed <-chan struct{}
}

func startFolding(t *testing.T) *folding {
	t.Helper()
	hub, _ := newStores(t, oneTable)
	f := &folding{t: t, wake: make(chan struct{}, 1)}
	f.folder = Folder{Store: hub, Wake: f.wake, Changed: &Signal{}, Log: zerolog.Nop()}
	var stop func()
	f.changed, stop = f.folder.Changed.Subscribe()
	t.Cleanup(stop)
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan struct{})
	go func() {
		defer close(over)
		f.folder.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-over
	})
	f.after(0) // the first fold is at once
	f.drain()
	return f
}

// after lets false time pass, and everything that is due happen.
func (f *folding) after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (f *folding) write(statements string) {
	f.t.Helper()
	write(f.t, f.folder.Store.Path(), statements)
}

func (f *folding) wakeUp() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// drain reports whether a change was signalled since it was last asked.
func (f *folding) drain() bool {
	select {
	case <-f.changed:
		return true
	default:
		return false
	}
}

func (f *folding) position() causal.Position {
	f.t.Helper()
	self, err := f.folder.Store.Self()
	must(f.t, err)
	return self.Position
}

func TestFirstWriteFoldedAfterDebounceFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := startFolding(t)
		for range 3 {
			f.after(2 * debounceBurst)
			before := f.position()
			f.write("UPDATE item SET name=name||'x'")
			f.wakeUp()
			f.after(debounceFirst - time.Microsecond)
			if f.position() != before {
				t.Error("folded before there was time for a second write")
			}
			f.after(time.Microsecond)
			if f.position() == before || !f.drain() {
				t.Errorf("not folded %s after the wake", debounceFirst)
			}
			f.wakeUp() // by the fold's own commit
		}
	})
}

// loneWrites makes enough lone writes for the next to wait only for debounceLone.
func (f *folding) loneWrites() {
	f.t.Helper()
	for range loneEnough {
		f.after(2 * debounceBurst)
		f.write("UPDATE item SET name=name||'x'")
		f.wakeUp()
		f.after(debounceFirst)
		if !f.drain() {
			f.t.Fatal("a lone write was not folded within debounceFirst")
		}
		f.wakeUp() // by the fold's own commit
	}
	f.after(2 * debounceBurst)
}

func TestLoneWritesFoldedAfterDebounceLone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := startFolding(t)
		f.loneWrites()
		f.write("UPDATE item SET name=name||'x'")
		f.wakeUp()
		f.after(debounceLone)
		if !f.drain() {
			t.Errorf("not folded %s after the wake", debounceLone)
		}
	})
}

// An application that begins to write in bursts is given time for a second write again.
func TestBurstEndsDebounceLone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := startFolding(t)
		f.loneWrites()
		for range 2 { // the fold comes before the second one, and then they are a burst
			f.write("UPDATE item SET name=name||'x'")
			f.wakeUp()
			f.after(debounceFirst)
		}
		f.after(2 * debounceBurst)
		f.drain()
		f.write("UPDATE item SET name=name||'x'")
		f.wakeUp()
		f.after(debounceFirst - time.Microsecond)
		if f.drain() {
			t.Error("folded before there was time for a second write")
		}
		f.after(time.Microsecond)
		if !f.drain() {
			t.Errorf("not folded %s after the wake", debounceFirst)
		}
	})
}

// A burst that is folded in one go does not count as a lone write.
func TestBurstFoldedAtOnceIsNotLone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := startFolding(t)
		for range 2 * loneEnough {
			f.after(2 * debounceBurst)
			f.drain()
			for range 2 {
				f.write("UPDATE item SET name=name||'x'")
				f.wakeUp()
				f.after(debounceFirst / 2)
				if f.drain() {
					t.Fatal("folded in the middle of a burst")
				}
			}
			f.after(debounceFirst)
			f.wakeUp() // by the fold's own commit
		}
	})
}

// A commit that takes longer than debounceLone is folded debounceFirst later.
func TestSlowCommitFoldedAfterDebounceFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := startFolding(t)
		f.loneWrites()
		for range 2 { // the second time it waits longer than debounceLone
			f.wakeUp()
			f.after(2 * debounceLone) // the disk takes its time over the commit
			f.write("UPDATE item SET name=name||'x'")
			f.after(debounceFirst - debounceLone)
			if !f.drain() {
				t.Errorf("not folded %s after the wake", debounceLone+debounceFirst)
			}
			f.after(2 * debounceBurst)
		}
	})
}

func TestBurstIsFoldedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := startFolding(t)
		before := f.position()
		for range 100 {
			f.write("UPDATE item SET name=name||'x'")
			f.wakeUp()
			f.after(debounceFirst / 2)
			if f.position() != before || f.drain() {
				t.Fatal("folded in the middle of a burst")
			}
		}
		f.after(debounceBurst)
		if got := f.position(); got != before+1 || !f.drain() {
			t.Errorf("a burst moved the position from %d to %d, want one step", before, got)
		}
	})
}

// The first write of a slow burst is folded alone, and all others together.
func TestSlowBurstFoldedTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := startFolding(t)
		before := f.position()
		for range 10 {
			f.write("UPDATE item SET name=name||'x'")
			f.wakeUp()
			f.after(debounceBurst - debounceFirst)
			if f.position() > before+1 {
				t.Fatal("folded in the middle of a burst")
			}
		}
		if f.position() != before+1 {
			t.Fatal("its first write was not folded debounceFirst after the wake")
		}
		f.after(debounceBurst)
		if got := f.position(); got != before+2 || !f.drain() {
			t.Errorf("a burst moved the position from %d to %d, want two steps", before, got)
		}
	})
}

func TestWritesWithoutPauseAreFolded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := startFolding(t)
		before, folds := f.position(), 0
		for range 3 * debounceAtMost / (debounceFirst / 2) {
			f.write("UPDATE item SET name=name||'x'")
			f.wakeUp()
			f.after(debounceFirst / 2)
			if now := f.position(); now != before {
				before = now
				folds++
			}
		}
		if folds < 2 || folds > 3 {
			t.Errorf("%d folds in %s of writing, want one every %s", folds, 3*debounceAtMost, debounceAtMost)
		}
	})
}

func TestCommitAfterItsWakeFoldedSoon(t *testing.T) {
	for _, disk := range []time.Duration{2 * debounceFirst, 3 * debounceBurst, debounceAtMost} {
		synctest.Test(t, func(t *testing.T) {
			f := startFolding(t)
			before := f.position()
			f.wakeUp() // by what was written; the disk takes its time over the commit
			f.after(disk)
			f.write("UPDATE item SET name='two'")
			f.after(disk + lookAgain)
			if f.position() == before || !f.drain() {
				t.Errorf("a commit that took %s was not folded as long after it", disk)
			}
		})
	}
}

func TestMissedWakeOnlyCostsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := startFolding(t)
		before := f.position()
		f.write("UPDATE item SET name='two'")
		f.after(pollEvery)
		if f.position() == before || !f.drain() {
			t.Errorf("not folded within %s without a wake", pollEvery)
		}
		f.after(10 * pollEvery)
		if f.drain() {
			t.Error("looking without a change is signalled as a change")
		}
	})
}

func TestFoldTriedUntilItSucceeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := startFolding(t)
		f.write("UPDATE item SET name='two'")
		f.write("ALTER TABLE ravno_state RENAME TO gone")
		f.after(troubleEvery)
		if f.folder.Trouble() == nil {
			t.Fatal("no trouble although the database is broken")
		}
		if f.drain() {
			t.Error("a failed fold is signalled as a change")
		}
		f.write("ALTER TABLE gone RENAME TO ravno_state")
		f.after(troubleEvery)
		if err := f.folder.Trouble(); err != nil || !f.drain() {
			t.Errorf("not folded %s after the trouble was over: %v", troubleEvery, err)
		}
	})
}

func TestFoldOfOthersIsSignalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := startFolding(t)
		f.write("UPDATE item SET name='two'")
		command, err := store.Open(f.folder.Store.Path(), time.Now)
		must(t, err)
		defer command.Close()
		_, err = command.Fold()
		must(t, err)
		f.after(pollEvery)
		if !f.drain() {
			t.Error("what a command folded was not signalled")
		}
	})
}

func TestSignalReachesAllWithoutWaiting(t *testing.T) {
	var s Signal
	s.Notify() // to nobody
	a, stopA := s.Subscribe()
	b, stopB := s.Subscribe()
	defer stopB()
	s.Notify()
	s.Notify() // a had not looked yet: one signal is enough
	for name, c := range map[string]<-chan struct{}{"a": a, "b": b} {
		if len(c) != 1 {
			t.Errorf("%s has %d signals, want 1", name, len(c))
		}
	}
	<-a
	stopA()
	s.Notify()
	if len(a) != 0 {
		t.Error("signalled after it stopped")
	}
}
