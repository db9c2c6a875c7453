package hub

import (
	"testing"
	"testing/synctest"
	"time"
)

const every = 3 * time.Second

func newBare() *bare { return &bare{changed: make(chan struct{}, 1)} }

func (b *bare) woken() bool {
	synctest.Wait()
	select {
	case <-b.changed:
		return true
	default:
		return false
	}
}

// After a quiet time a bare position is sent at once, and the next one not before its interval.
func TestBarePositionsKeepTheirInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBare()
		for have := range 3 {
			if !b.due(1, time.Now(), every) {
				t.Fatalf("position %d is held back although none was sent for %s", have, every)
			}
			for range 10 { // a storm
				if b.due(1, time.Now(), every) {
					t.Fatal("a second one is sent at once")
				}
			}
			time.Sleep(every - time.Millisecond)
			if b.woken() {
				t.Fatal("woken before it may be sent")
			}
			time.Sleep(time.Millisecond)
			if !b.woken() {
				t.Fatalf("not woken after %s", every)
			}
		}
	})
}

func TestPositionAskedForIsSentAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBare()
		b.due(1, time.Now(), every)
		b.ask(5)
		if !b.woken() {
			t.Error("the link is not woken")
		}
		if !b.due(4, time.Now(), every) {
			t.Error("held back although the node waits for it")
		}
		if b.due(5, time.Now(), every) {
			t.Error("sent although the node has what it asked for")
		}
	})
}

func TestClockSetBackDelaysNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBare()
		b.due(1, time.Now().Add(time.Hour), every)
		if !b.due(1, time.Now(), every) {
			t.Error("held back for an hour")
		}
	})
}
