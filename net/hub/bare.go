package hub

import (
	"sync"
	"time"

	"ravno/crdt/causal"
)

const (
	// bareEvery is how often at most a node is sent a position that has no change for it. Each
	// costs both sides a transaction. Such positions come in storms, because everything one node
	// does, linking included, is a new position for all the others. A node that waits for one asks.
	bareEvery = time.Second
	// barePerSecond bounds the cost of such positions at the hub to a few percent of a processor.
	// The more nodes a chain has, the less often each of them gets one.
	barePerSecond = 100
)

// makerAfter is how long the hub waits, after it has woken the other links, before it wakes the
// link that the work came from. There is hardly ever anything to send to that node, and the
// extraction would delay the others.
const makerAfter = 10 * time.Millisecond

// bare decides when a node is sent a position that has no change for it.
type bare struct {
	changed chan struct{} // wakes the link

	mutex    sync.Mutex
	after    time.Time       // not before
	asked    causal.Position // the node waits for this one
	reminded bool            // the link will be woken when it may
}

// bareDue reports whether a node may be sent a later position now that has no change for it.
// If not, its link is woken when it may.
func (h *Hub) bareDue(me *live, have causal.Position) bool {
	h.mutex.Lock()
	every := max(bareEvery, time.Duration(len(h.live))*time.Second/barePerSecond)
	h.mutex.Unlock()
	return me.bare.due(have, h.Clock(), every)
}

func (b *bare) due(have causal.Position, now time.Time, every time.Duration) bool {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	wait := b.after.Sub(now)
	// A wait longer than there is means that the clock was set back.
	if have < b.asked || wait <= 0 || wait > every {
		b.after = now.Add(every)
		return true
	}
	if !b.reminded {
		b.reminded = true
		time.AfterFunc(wait, func() {
			b.mutex.Lock()
			b.reminded = false
			b.mutex.Unlock()
			b.wake()
		})
	}
	return false
}

// ask says that the node waits for a position.
func (b *bare) ask(position causal.Position) {
	b.mutex.Lock()
	b.asked = max(b.asked, position)
	b.mutex.Unlock()
	b.wake()
}

func (b *bare) wake() {
	select {
	case b.changed <- struct{}{}:
	default: // woken already
	}
}
