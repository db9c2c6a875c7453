package main

import (
	"database/sql/driver"
	"fmt"
	"path/filepath"
	"time"
)

// captureLine is what the application pays: the same statements on a file with the triggers
// and on one without.
func captureLine(b *bench) {
	for _, s := range []shape{textShape, intShape} {
		filled := fixture{s, b.rows}
		rows := s.sales(0, b.rows)
		keys := s.keys(b.rows)
		insert := func(p *plain) { b.insertAll(p, s, rows) }
		update := func(p *plain) { b.updateAll(p, keys) }
		remove := func(p *plain) {
			p.atomically(func() {
				for _, key := range keys {
					p.do(deleteSQL, key)
				}
			})
		}
		b.captured("insert, bulk", fixture{s, 0}, nodeFile, "NORMAL", b.rows, pick(s, 2.0, 1.6), insert)
		for _, synchronous := range []string{"NORMAL", "FULL"} {
			b.capturedSingly(s, synchronous)
		}
		b.captured("update one column by key, bulk", filled, nodeFile, "NORMAL", b.rows, 1.4, update)
		b.captured("delete by key, bulk", filled, nodeFile, "NORMAL", b.rows, 1.8, remove)
		b.captured("delete by key, bulk, at the hub", filled, hubFile, "NORMAL", b.rows, 0, remove)
	}
}

// pick is a figure by the kind of key.
func pick(s shape, text, integer float64) float64 {
	if s.text {
		return text
	}
	return integer
}

// captured compares one piece of work without and with capture, on a fresh file each time.
func (b *bench) captured(what string, f fixture, file, synchronous string, units int, target float64,
	work func(p *plain), ahead ...func(p *plain)) {
	on := func(name string, ahead ...func(p *plain)) func() time.Duration {
		return func() time.Duration {
			dir, done := b.copied(f, name)
			defer done()
			p := b.open(filepath.Join(dir, name), synchronous)
			defer p.close()
			for _, prepare := range ahead {
				prepare(p)
			}
			return timed(func() { work(p) })
		}
	}
	pairs := few
	if target == 0 {
		pairs = fewest
	}
	b.compare(comparison{what: fmt.Sprintf("%s, %s key", what, f.key()), against: "without triggers, " + synchronous,
		units: units, target: target, pairs: pairs, plain: on(bareFile, ahead...), ours: on(file, ahead...),
		least: on(bareFile, append([]func(p *plain){leastTriggers}, ahead...)...), leastIs: leastTriggersAre})
}

// capturedSingly does the same for transactions of one row.
func (b *bench) capturedSingly(s shape, synchronous string) {
	count, target := b.rows/20, pick(s, 1.3, 1.9)
	if synchronous == "FULL" {
		count, target = b.rows/100, 1.15
	}
	f := fixture{s, b.rows}
	added := s.sales(b.rows, b.rows+count)
	keys := s.keys(count)
	insert := s.insert()
	// A -wal file that has been full once is written over from then on, which the disk makes
	// durable faster than growth. Without this, the side that fills it first would win.
	ageing := s.keys(b.rows / 10)
	age := func(p *plain) {
		b.updateAll(p, ageing)
		p.query("PRAGMA wal_checkpoint(RESTART)")
	}
	b.captured("insert, one-row transactions, "+synchronous, f, nodeFile, synchronous, count, target, func(p *plain) {
		for _, row := range added {
			p.do(insert, row...)
		}
	}, age)
	b.captured("update, one-row transactions, "+synchronous, f, nodeFile, synchronous, count, target, func(p *plain) {
		for i, key := range keys {
			p.do(updateSQL, int64(i), driver.Value(key))
		}
	}, age)
}
