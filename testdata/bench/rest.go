package main

import (
	"fmt"
	"time"
)

const (
	// calmDown is how long a chain is left alone before its rest is measured.
	calmDown = 3 * time.Second
	// idleFor is how long it is, longer than anything that happens now and then.
	idleFor = 15 * time.Second
	// idleShortly is the same with -quick.
	idleShortly = 5 * time.Second
)

// idleLine is what a hub and a node take when nothing happens.
func idleLine(b *bench) {
	c, done := b.newChain(textShape, 1)
	defer done()
	window := idleFor
	if b.quick {
		window = idleShortly
	}
	time.Sleep(calmDown)
	servers := []*server{c.hub, c.node[0]}
	began := time.Now()
	var before []usage
	for _, s := range servers {
		before = append(before, s.usage())
	}
	time.Sleep(window)
	lasted := time.Since(began)
	for i, s := range servers {
		after := s.usage()
		share := 100 * float64(after.cpu-before[i].cpu) / float64(lasted)
		b.add(result{What: "processor time of an idle " + []string{"hub", "node"}[i], Unit: "%", Measured: share, Target: 0.2,
			HasGoal: true,
			Note: fmt.Sprintf("of one core; %.0f wake-ups of its threads a second; %.0f MiB resident",
				float64(after.switches-before[i].switches)/lasted.Seconds(), after.memory)})
	}
}

// daemonsAre are the daemons of a chain through which a backlog goes, in its order.
var daemonsAre = [3]string{"the node that wrote", "the hub", "the node that got"}

// peaks are the most memory that each has taken since it was started, in MiB.
func (c *chain) peaks() (peaks [3]float64) {
	for i, s := range []*server{c.node[0], c.hub, c.node[1]} {
		peaks[i] = s.usage().peak
	}
	return peaks
}

func (b *bench) peaksOf(rows int) [3]float64 {
	c, done := b.newChain(intShape, 2)
	defer done()
	c.backlog(intShape, intShape.sales(0, rows))
	return c.peaks()
}

// remembered adds what the daemons took at most for so many rows.
func (b *bench) remembered(peaks [3]float64, rows int, key string) {
	for i, name := range daemonsAre {
		b.add(result{What: fmt.Sprintf("most memory of %s, %d rows, %s key", name, rows, key), Unit: "MiB",
			Measured: peaks[i], Target: 150, HasGoal: true,
			Note: "resident, with pages of mapped files"})
	}
}
