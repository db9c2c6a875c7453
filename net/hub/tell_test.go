package hub

import (
	"testing"
	"time"

	"ravno/crdt/causal"
	"ravno/net/exchange"
)

func TestACrowdIsToldAFewAtATimeAndEveryoneOnce(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	h := New(Config{Clock: func() time.Time { return now }})
	const nodes, atOnce = 10, 4
	for site := range causal.Site(nodes) {
		h.live[site] = &live{site: site, line: exchange.NewLine(nil)}
	}
	h.telling, h.word = true, word{message: make([]byte, toldBytesPerSecond/atOnce), content: [32]byte{1}, made: now}
	for second, want := range []int{atOnce, 2 * atOnce, nodes} {
		complete, err := h.tell()
		if err != nil {
			t.Fatal(err)
		}
		heard := 0
		for _, l := range h.live {
			heard += len(l.line.Outbox())
		}
		if heard != want || complete != (want == nodes) {
			t.Errorf("%d of %d nodes heard after %d s (complete: %v), want %d", heard, nodes, second, complete, want)
		}
		if complete, err := h.tell(); err != nil || complete {
			t.Errorf("told again at once: %v, %v", complete, err)
		}
		now = now.Add(time.Second)
	}
}
