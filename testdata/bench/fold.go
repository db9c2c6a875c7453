package main

import (
	"database/sql/driver"
	"path/filepath"
	"runtime"
	"time"

	"ravno/store"
)

// foldLine is turning captured rows into registers, against writing as many rows.
func foldLine(b *bench) {
	for _, s := range []shape{textShape, intShape} {
		keys := s.keys(b.rows)
		const leastIs = "writing stamps by key and position, in the order of the keys"
		insert := func() func(p *plain) {
			rows := s.sales(0, b.rows)
			return func(p *plain) { b.insertAll(p, s, rows) }
		}
		b.compare(comparison{what: "fold inserted rows, " + s.key() + " key", against: "plain insert of as many rows",
			units: b.rows, target: 1, pairs: few,
			plain: func() time.Duration { return b.plainly(fixture{s, 0}, insert())() },
			ours:  b.folding(fixture{s, 0}, nodeFile, func(p *plain) { insert()(p) }),
			least: b.leastly(fixture{s, 0}, keys, true, false, nil), leastIs: leastIs})
		b.compare(comparison{what: "fold updates of one column, " + s.key() + " key", against: "plain update by key",
			units: b.rows, pairs: fewest,
			plain: b.plainUpdate(keys, fixture{s, b.rows}),
			ours:  b.folding(fixture{s, b.rows}, nodeFile, func(p *plain) { b.updateAll(p, keys) }),
			least: b.leastly(fixture{s, b.rows}, keys, true, false, nil), leastIs: leastIs})
	}
}

// folding measures the fold of what the application has written before.
func (b *bench) folding(f fixture, file string, work func(p *plain)) func() time.Duration {
	return func() time.Duration {
		s, done := b.unfolded(f, file, work)
		defer done()
		runtime.GC() // what the benchmark itself has made is no work of the fold
		return timed(func() { b.foldAll(s) })
	}
}

// unfolded is the store of a file in which the application has written something that is not
// folded yet, and how to be rid of it.
func (b *bench) unfolded(f fixture, file string, work func(p *plain)) (s *store.Store, done func()) {
	dir, remove := b.copied(f, file)
	path := filepath.Join(dir, file)
	p := b.open(path, "FULL") // durable before: the fold pays for what it writes itself
	work(p)
	s = b.openStore(path)
	return s, func() {
		s.Close()
		p.close()
		remove()
	}
}

func (b *bench) plainUpdate(keys []driver.Value, f fixture) func() time.Duration {
	return b.plainly(f, func(p *plain) { b.updateAll(p, keys) })
}

func (b *bench) plainly(f fixture, work func(p *plain)) func() time.Duration {
	return func() time.Duration {
		dir, done := b.copied(f, bareFile)
		defer done()
		p := b.openLikeStore(filepath.Join(dir, bareFile))
		defer p.close()
		return timed(func() { work(p) })
	}
}
