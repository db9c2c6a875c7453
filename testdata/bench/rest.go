package main

import (
	"fmt"
	"time"
)

const (
	// calmDown is how long a chain is left alone before its rest is measured.
	calmDown = 3 * time.Second
	// idleFor is how long it is, longer than anything that happens now and then.
	idleFor = 20 * time.Second
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
		b.add(result{What: "processor time of an idle " + []string{"hub", "node"}[i], Unit: "%", Measured: share, Target: 0.2, HasGoal: true,
			Note: fmt.Sprintf("of one core; %.0f wake-ups of its threads a second; %.0f MiB resident", float64(after.switches-before[i].switches)/lasted.Seconds(), after.memory)})
	}
}

// memoryLine is the most memory the daemons take while a backlog goes through, and through
// one ten times as large.
func memoryLine(b *bench) {
	var peaks [2][3]float64
	for i, rows := range []int{b.rows / 2, 5 * b.rows} {
		peaks[i] = b.peaksOf(rows)
	}
	for j, name := range []string{"the node that wrote", "the hub", "the node that got"} {
		small, large := peaks[0][j], peaks[1][j]
		b.add(result{What: "most memory of " + name + ", " + fmt.Sprint(5*b.rows) + " rows", Unit: "MiB", Measured: large, Target: 150, HasGoal: true, Note: "resident, with pages of mapped files"})
		b.add(result{What: "the same, against a backlog of a tenth", Unit: "MiB", Measured: large, Baseline: small, Against: "a tenth of the rows",
			Ratio: large / small, Target: flat, HasGoal: true})
	}
}

func (b *bench) peaksOf(rows int) (peaks [3]float64) {
	c, done := b.newChain(textShape, 2)
	defer done()
	c.backlog(textShape.sales(0, rows))
	for i, s := range []*server{c.node[0], c.hub, c.node[1]} {
		peaks[i] = s.usage().peak
	}
	return peaks
}
