package main

import (
	"database/sql/driver"
	"fmt"
	"path/filepath"
	"time"
)

// growthLine is what happens to the figures as tables get longer, wider, outages too, and sites
// more. Each has to stay what it is.
func growthLine(b *bench) {
	b.growingRows()
	b.growingColumns()
	b.growingDays()
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
		folds = append(
			folds, b.compare(comparison{what: fmt.Sprintf("fold %d updates in a table of %d", len(keys), rows),
				against: "plain update by key",
				units:   len(keys), pairs: fewest, plain: b.plainly(f, update), ours: b.folding(f, nodeFile, update)}))
		applies = append(applies, b.applied(fmt.Sprintf("apply %d updates in a table of %d", len(keys), rows), f, nodeFile, 0,
			"plain update by key", update,
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
		folds = append(
			folds, b.compare(comparison{what: fmt.Sprintf("fold inserted rows of %d columns", columns), against: "plain insert",
				units: len(rows),
				pairs: fewest, plain: b.plainly(f, insert), ours: b.folding(f, nodeFile, insert)}))
		applies = append(applies, b.applied(fmt.Sprintf("apply fresh rows of %d columns", columns), f, nodeFile, 0,
			"plain insert", insert,
			func(keys []driver.Value) func(p *plain) {
				arriving := ordered(keys, rows)
				return func(p *plain) { b.insertAll(p, s, arriving) }
			}))
		b.dropTemplates()
	}
	b.grows("fold", folds)
	b.grows("apply", applies)
}

// growingDays is what an outage costs by how long it lasts: the same rows change every day, and
// some are new.
func (b *bench) growingDays() {
	const daily, made = 1000, 100
	f := fixture{textShape, b.rows}
	var levels []result
	for _, days := range []int{1, 10, 100} {
		dir, done := b.copied(f, nodeFile)
		p, node := b.open(filepath.Join(dir, nodeFile), "NORMAL"), b.openStore(filepath.Join(dir, nodeFile))
		keys := f.keys(daily)
		fresh := f.sales(f.rows, f.rows+days*made)
		for day := range days {
			b.updateAll(p, keys)
			b.insertAll(p, f.shape, fresh[day*made:(day+1)*made])
			b.foldAll(node)
		}
		self, err := node.Self()
		b.must(err)
		units := daily + days*made
		levels = append(
			levels, b.compare(
				comparison{what: fmt.Sprintf("level after %d days: %d rows changed daily, %d made", days, daily, made),
					against: "plain writes of the rows as they are in the end", units: units, pairs: fewest,
					plain: b.plainly(f, func(p *plain) {
						b.updateAll(p, keys)
						b.insertAll(p, f.shape, fresh)
					}),
					ours: func() time.Duration {
						at, remove := b.copied(f, hubFile)
						defer remove()
						hub := b.openStore(filepath.Join(at, hubFile))
						defer hub.Close()
						return timed(func() { b.applyTo(hub, b.extract(node, 0, self.HubHave), self, units) })
					}}))
		b.must(node.Close())
		p.close()
		done()
	}
	b.grows("levelling", levels)
}

// growingSites is how long a change of the hub takes to all, by how many there are: fewer than in the
// line crowd.
func (b *bench) growingSites() {
	for n := 2; n <= min(b.nodes, 64); n *= 8 {
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
	b.add(result{What: what + ": the ratio of the largest against the smallest", Unit: "x", Measured: last.Ratio,
		Baseline: first.Ratio,
		Against:  "the ratio of the smallest", Ratio: last.Ratio / first.Ratio, Target: flat, HasGoal: true})
}
