package main

import (
	"database/sql/driver"
	"fmt"
)

// growthLine is what happens to the figures as tables get longer, wider, and sites more.
// Each has to stay what it is.
func growthLine(b *bench) {
	b.growingRows()
	b.growingColumns()
	b.growingSites()
}

// growingRows does the same small work in larger and larger tables.
func (b *bench) growingRows() {
	const touched = 5000
	var folds, applies []result
	for _, rows := range []int{b.rows / 10, b.rows, 10 * b.rows} {
		f := fixture{textShape, rows}
		var keys []driver.Value
		for i := range min(touched, rows) {
			keys = append(keys, textShape.keyOf(i*rows/min(touched, rows)))
		}
		update := func(p *plain) { b.updateAll(p, keys) }
		folds = append(folds, b.compare(comparison{what: fmt.Sprintf("fold %d updates in a table of %d", len(keys), rows), against: "plain update by key",
			units: len(keys), pairs: few, plain: b.plainly(f, update), ours: b.folding(f, nodeFile, update)}))
		applies = append(applies, b.applied(fmt.Sprintf("apply %d updates in a table of %d", len(keys), rows), f, nodeFile, 0, "plain update by key", update,
			func(keys []driver.Value) func(p *plain) { return func(p *plain) { b.updateAll(p, keys) } }))
		b.dropTemplates()
	}
	b.grows("fold", folds)
	b.grows("apply", applies)
}

func (b *bench) growingColumns() {
	var folds, applies []result
	for _, columns := range []int{4, 16, 64} {
		s := shape{text: true, columns: columns}
		rows := s.sales(0, b.rows/10)
		f := fixture{s, 0}
		insert := func(p *plain) { b.insertAll(p, s, rows) }
		folds = append(folds, b.compare(comparison{what: fmt.Sprintf("fold inserted rows of %d columns", columns), against: "plain insert", units: len(rows),
			pairs: few, plain: b.plainly(f, insert), ours: b.folding(f, nodeFile, insert)}))
		applies = append(applies, b.applied(fmt.Sprintf("apply fresh rows of %d columns", columns), f, nodeFile, 0, "plain insert", insert,
			func(keys []driver.Value) func(p *plain) {
				arriving := ordered(keys, rows)
				return func(p *plain) { b.insertAll(p, s, arriving) }
			}))
		b.dropTemplates()
	}
	b.grows("fold", folds)
	b.grows("apply", applies)
}

// growingSites is how long a change of the hub takes to all, by how many there are.
func (b *bench) growingSites() {
	for n := 2; n <= min(b.nodes, 128); n *= 8 {
		b.changeTo(n)
	}
}

func (b *bench) changeTo(n int) {
	c, done := b.newCrowd(n)
	defer done()
	c.level()
	before := c.hub.usage().cpu
	var took []float64
	for range b.pairs {
		took = append(took, 1000*c.change().Seconds())
	}
	spent := milliseconds(c.hub.usage().cpu-before) / float64(b.pairs)
	b.add(result{What: fmt.Sprintf("one change of the hub to %d nodes", n), Unit: "ms", Measured: median(took),
		Note: fmt.Sprintf("longest %s ms; processor time of the hub: %s ms each", number(quantile(took, 1)), number(spent))})
}

// grows says by how much the ratio of the last is above that of the first.
func (b *bench) grows(what string, of []result) {
	first, last := of[0], of[len(of)-1]
	b.add(result{What: what + ": the ratio of the largest against the smallest", Unit: "x", Measured: last.Ratio, Baseline: first.Ratio,
		Against: "the ratio of the smallest", Ratio: last.Ratio / first.Ratio, Target: flat, HasGoal: true})
}
