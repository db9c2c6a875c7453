package main

import (
	"database/sql/driver"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"ravno/crdt/causal"
	"ravno/store"
)

// fewRows is how many changed rows the small delta has.
const fewRows = 100

// fewRepeats is how often the small delta is read for one figure: it takes a millisecond.
const fewRepeats = 50

// extractLine is reading a delta, against reading the same rows.
func extractLine(b *bench) {
	for _, s := range []shape{textShape, intShape} {
		b.extractAll(s)
		small := b.extractFew(fixture{s, b.rows / 5}, 0)
		large := b.extractFew(fixture{s, 2 * b.rows}, 2)
		b.add(result{What: fmt.Sprintf("the same, of %d rows against of %d, %s key", 2*b.rows, b.rows/5, s.key()), Unit: "x",
			Measured: large.Ratio, Baseline: small.Ratio, Against: "the ratio in the smaller table",
			Ratio:  large.Ratio / small.Ratio,
			Target: flat, HasGoal: true})
	}
}

// flat is how much what should not grow may grow before it counts as growing: the spread of
// such figures on a machine that does other things too.
const flat = 1.25

// extractAll is the delta of a whole table that a node has written.
func (b *bench) extractAll(s shape) {
	dir, done := b.copied(fixture{s, 0}, bareFile, nodeFile)
	defer done()
	bare, path := filepath.Join(dir, bareFile), filepath.Join(dir, nodeFile)
	rows := s.sales(0, b.rows)
	plain, app := b.openLikeStore(bare), b.open(path, "NORMAL")
	defer plain.close()
	defer app.close()
	b.insertAll(plain, s, rows)
	b.insertAll(app, s, rows)
	node := b.openStore(path)
	defer node.Close()
	b.foldAll(node)
	scan := func() time.Duration { return timed(func() { plain.query(scanSQL) }) }
	b.compare(comparison{what: "extract a full delta, " + s.key() + " key", against: "plain scan", units: b.rows,
		target: 4, plain: scan,
		ours: func() time.Duration {
			return timed(func() {
				b.outgoing(node, 0, 0, drain)
			})
		}})
	b.compare(comparison{what: "the same, encoded for the wire, " + s.key() + " key", against: "plain scan", units: b.rows,
		pairs: fewest, plain: scan,
		ours: func() time.Duration { return timed(func() { b.extract(node, 0, 0) }) }})
}

// extractFew is the delta of a few rows, spread over a table that is settled otherwise.
func (b *bench) extractFew(f fixture, target float64) result {
	dir, done := b.copied(f, nodeFile)
	defer done()
	path := filepath.Join(dir, nodeFile)
	app := b.open(path, "NORMAL")
	defer app.close()
	var keys []driver.Value
	for i := range fewRows {
		keys = append(keys, f.keyOf(i*f.rows/fewRows))
	}
	app.atomically(func() {
		for i, key := range keys {
			app.do(updateSQL, int64(1000+i), key)
		}
	})
	node := b.openStore(path)
	defer node.Close()
	b.foldAll(node)
	self, err := node.Self()
	b.must(err)
	if n := b.changes(node, self.HubHave); n < fewRows {
		b.must(fmt.Errorf("the delta has %d changes, want %d", n, fewRows))
	}
	return b.compare(comparison{what: fmt.Sprintf("extract %d changed rows of %d, %s key", fewRows, f.rows, f.key()),
		against: "selecting them by key",
		target:  target, units: fewRepeats,
		plain: func() time.Duration {
			return timed(func() {
				for range fewRepeats {
					app.run("BEGIN")
					for _, key := range keys {
						app.query(selectSQL, key)
					}
					app.run("COMMIT")
				}
			})
		},
		ours: func() time.Duration {
			return timed(func() {
				for range fewRepeats {
					b.changes(node, self.HubHave)
				}
			})
		}})
}

func (b *bench) changes(node *store.Store, above causal.Position) int {
	_, changes := b.outgoing(node, 0, above, drain)
	return changes
}

// wireLine is what a changed row takes in a batch, against the row itself.
func wireLine(b *bench) {
	for _, s := range []shape{textShape, intShape} {
		rows := s.sales(0, b.rows/2)
		own := 0
		for _, row := range rows {
			own += ownBytes(row)
		}
		perRow := float64(own) / float64(len(rows))
		keys := s.keys(len(rows))
		b.sent("inserted row, "+s.key()+" key", fixture{s, 0}, 0.6, perRow, func(p *plain) { b.insertAll(p, s, rows) })
		b.sent("one-column update, "+s.key()+" key", fixture{s, b.rows}, 0.3, perRow, func(p *plain) { b.updateAll(p, keys) })
		scattered := slices.Clone(keys)
		b.sent("one-column update of every 100th row, "+s.key()+" key", fixture{s, b.rows}, 0.3, perRow, func(p *plain) {
			for i := 0; i < len(scattered); i += 100 {
				p.do(updateSQL, int64(1000+i), scattered[i])
			}
		})
	}
}

// sent is the bytes of one batch, per row. There is nothing random in it: one measurement.
func (b *bench) sent(what string, f fixture, target, perRow float64, work func(p *plain)) {
	node, done := b.unfolded(f, nodeFile, work)
	defer done()
	b.foldAll(node)
	self, err := node.Self()
	b.must(err)
	x := b.extract(node, 0, self.HubHave)
	measured := float64(x.bytes.Len()) / float64(max(1, len(x.keys)))
	b.add(result{What: "sent for one " + what, Unit: "B", Measured: measured, Baseline: perRow,
		Against: "the row's own bytes", Ratio: measured / perRow,
		Target: target, HasGoal: true, Note: fmt.Sprintf("batch of %d rows", len(x.keys))})
}
