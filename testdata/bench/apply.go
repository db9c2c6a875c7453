package main

import (
	"database/sql/driver"
	"fmt"
	"path/filepath"
	"runtime"
	"time"

	"ravno/crdt/causal"
	"ravno/store"
)

// applyLine is merging a delta and writing it into the tables, against writing the same rows
// in the order they arrive. Decoding the batch is included, as it happens meanwhile.
func applyLine(b *bench) {
	for _, s := range []shape{textShape, intShape} {
		for _, at := range []string{nodeFile, hubFile} {
			b.applied("apply fresh rows", fixture{s, 0}, at, 1.3, "plain insert",
				func(p *plain) { b.insertAll(p, s, s.sales(0, b.rows)) },
				func(keys []driver.Value) func(p *plain) {
					arriving := ordered(keys, s.sales(0, b.rows))
					return func(p *plain) { b.insertAll(p, s, arriving) }
				})
			keys := s.keys(b.rows)
			b.applied("apply updates of one column", fixture{s, b.rows}, at, 1.3, "plain update by key",
				func(p *plain) { b.updateAll(p, keys) },
				func(keys []driver.Value) func(p *plain) { return func(p *plain) { b.updateAll(p, keys) } })
		}
	}
}

// ordered are rows in the order of their keys' arrival.
func ordered(keys []driver.Value, rows [][]driver.Value) [][]driver.Value {
	at := map[driver.Value][]driver.Value{}
	for _, row := range rows {
		at[row[0]] = row
	}
	sorted := make([][]driver.Value, len(keys))
	for i, key := range keys {
		sorted[i] = at[key]
	}
	return sorted
}

// applied compares applying one delta at a node or at the hub, again and again on a fresh
// copy, with the same work on a bare file.
func (b *bench) applied(what string, f fixture, at string, target float64, against string, write func(p *plain),
	again func(keys []driver.Value) (work func(p *plain))) result {
	x, self := b.written(f, at, write)
	if len(x.keys) == 0 {
		b.must(fmt.Errorf("%s: the delta is empty", what))
	}
	where := "at a node"
	if at == hubFile {
		where = "at the hub"
	}
	pairs := few
	if target == 0 {
		pairs = fewest
	}
	// The rows are made anew each time: kept, they would be the collector's work in ours.
	return b.compare(comparison{what: fmt.Sprintf("%s, %s, %s key", what, where, f.key()), against: against,
		units: len(x.keys), target: target, pairs: pairs,
		plain: func() time.Duration { return b.plainly(f, again(x.keys))() },
		ours: func() time.Duration {
			dir, done := b.copied(f, at)
			defer done()
			s := b.openStore(filepath.Join(dir, at))
			defer s.Close()
			runtime.GC()
			return timed(func() { b.applyTo(s, x, self, len(x.keys)) })
		},
		least: func() time.Duration {
			return b.leastly(f, x.keys, at == hubFile, f.rows > 0 && at == hubFile, again(x.keys))()
		},
		leastIs: "the same rows and their stamps by key; at the hub by position, too, and of updates who touched what"})
}

// written is the delta of what was written at the other end of the link of a site.
func (b *bench) written(f fixture, at string, write func(p *plain)) (*batch, store.Self) {
	origin := hubFile
	if at == hubFile {
		origin = nodeFile
	}
	dir, done := b.copied(f, hubFile, nodeFile)
	defer done()
	p := b.open(filepath.Join(dir, origin), "NORMAL")
	defer p.close()
	write(p)
	from, node := b.openStore(filepath.Join(dir, origin)), b.openStore(filepath.Join(dir, nodeFile))
	defer from.Close()
	defer node.Close()
	b.foldAll(from)
	self, err := node.Self()
	b.must(err)
	if origin == nodeFile {
		return b.extract(from, 0, self.HubHave), self
	}
	return b.extract(from, self.Site, causal.Position(self.Seen)), self
}

func (b *bench) applyTo(s *store.Store, x *batch, node store.Self, want int) {
	own, err := s.Self()
	b.must(err)
	var applied store.Applied
	if own.Role == store.Hub {
		applied, err = s.ApplyFromNode(node.Site, x.delta(), node.Floor)
	} else {
		applied, err = s.ApplyFromHub(x.delta())
	}
	b.must(err)
	if applied.Changes < want || applied.Conflicts > 0 {
		b.must(fmt.Errorf("applied %d changes and found %d conflicts, want %d and none", applied.Changes, applied.Conflicts,
			want))
	}
}
