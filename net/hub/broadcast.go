package hub

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"ravno/net/wire"
)

const (
	// deliveredBytesPerSecond bounds the cost of broadcasts, which grows with the square of the
	// number of servers. A few servers get the status at once. A thousand, whose status has some
	// 300 KB, get it about once a minute, a few in each second. If all got it at once, the hub
	// would hold as many messages, and all nodes would read at the same moment.
	deliveredBytesPerSecond = 4 << 20
	// longestSilence is the longest time without a broadcast, however large the chain.
	longestSilence = 2 * time.Minute
	// broadcastLasts is how long one broadcast is delivered to one node after the other. Making
	// one of a thousand servers takes as many reads of the database.
	broadcastLasts = 10 * time.Second
)

// broadcast is the status of all servers, as the hub sends it to every node.
type broadcast struct {
	message []byte
	content [sha256.Size]byte // of the message without its time
	made    time.Time
}

// delivered is the last broadcast that a node got.
type delivered struct {
	content [sha256.Size]byte
	turn    uint64 // nodes with a lower turn get the next broadcast earlier
}

func (h *Hub) newBroadcast() (b broadcast, err error) {
	snapshot, err := h.Status()
	if err != nil {
		return b, err
	}
	if b.message, err = json.Marshal(snapshot); err != nil {
		return b, err
	}
	snapshot.At = time.Time{}
	content, err := json.Marshal(snapshot)
	b.content, b.made = sha256.Sum256(content), h.Clock()
	return b, err
}

// deliver sends the status to each node whose last broadcast differs from it. Nodes that have
// waited longest get it first. complete is false if a node has yet to get it.
func (h *Hub) deliver() (complete bool, err error) {
	h.mutex.Lock()
	nobody := len(h.live) == 0
	h.mutex.Unlock()
	// A wait longer than there is means that the clock was set back.
	if wait := h.deliverAfter.Sub(h.Clock()); nobody || wait > 0 && wait < longestSilence {
		return nobody, nil
	}
	if age := h.Clock().Sub(h.broadcast.made); !h.delivering || age < 0 || age > broadcastLasts {
		if h.broadcast, err = h.newBroadcast(); err != nil {
			return false, err
		}
	}
	h.mutex.Lock()
	defer h.mutex.Unlock()
	sent := 0
	h.delivering, complete = false, true
	byTurn := slices.SortedFunc(maps.Values(h.live),
		func(a, b *live) int { return cmp.Compare(a.delivered.turn, b.delivered.turn) })
	for _, l := range byTurn {
		if l.delivered.content == h.broadcast.content {
			continue
		}
		if sent >= deliveredBytesPerSecond {
			h.delivering, complete = true, false // the rest another time
			break
		}
		if !l.caller.Offer(wire.Status{JSON: h.broadcast.message}) { // its outbox is full
			complete = false
			continue
		}
		h.turn++
		l.delivered = delivered{content: h.broadcast.content, turn: h.turn}
		sent += len(h.broadcast.message)
	}
	if !h.delivering {
		h.broadcast = broadcast{}
	}
	h.deliverAfter = h.Clock().Add(time.Duration(sent) * time.Second / deliveredBytesPerSecond)
	return complete, nil
}
