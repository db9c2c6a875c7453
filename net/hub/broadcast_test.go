package hub

import (
	"testing"
	"time"

	"ravno/crdt/causal"
	"ravno/net/exchange"
)

// A broadcast goes to a few nodes in each second, and to each of them once.
func TestBroadcastReachesEveryNodeOnce(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	h := New(Config{Clock: func() time.Time { return now }})
	const nodes, atOnce = 10, 4
	for site := range causal.Site(nodes) {
		h.live[site] = &live{site: site, caller: exchange.NewCaller(nil)}
	}
	h.delivering, h.broadcast = true, broadcast{
		message: make([]byte, deliveredBytesPerSecond/atOnce), content: [32]byte{1}, made: now}
	for second, want := range []int{atOnce, 2 * atOnce, nodes} {
		complete, err := h.deliver()
		if err != nil {
			t.Fatal(err)
		}
		heard := 0
		for _, l := range h.live {
			heard += len(l.caller.Outbox())
		}
		if heard != want || complete != (want == nodes) {
			t.Errorf("%d of %d nodes heard after %d s (complete: %v), want %d", heard, nodes, second, complete, want)
		}
		if complete, err := h.deliver(); err != nil || complete {
			t.Errorf("delivered again at once: %v, %v", complete, err)
		}
		now = now.Add(time.Second)
	}
}
