package main

import (
	"context"
	"path/filepath"

	"ravno/store"
)

// settleRounds is how often everything is exchanged until nothing is left to be told: the
// data itself, that all have it, and that the others know.
const settleRounds = 4

// sizeLine is what is left in the files once every site has everything.
func sizeLine(b *bench) {
	for _, s := range []shape{textShape, intShape} {
		b.sizes(s, fixture{s, b.rows / 2}, "there at enrolment", 0)
		b.sizes(s, fixture{s, 0}, "written in 20 days", 20)
		b.sizes(s, fixture{s, 0}, "written in one go", 1)
	}
}

// sizes compares the files of a chain at rest with a bare one: rows that were there at
// enrolment, or rows that one node wrote and the others got, so many times. Files do not get
// smaller: what one day's rows have left behind is room for the next day's.
func (b *bench) sizes(s shape, f fixture, how string, times int) {
	dir, done := b.copied(f, bareFile, hubFile, nodeFile, farFile)
	defer done()
	at := func(name string) string { return filepath.Join(dir, name) }
	hub, node, far := b.openStore(at(hubFile)), b.openStore(at(nodeFile)), b.openStore(at(farFile))
	for day := range max(times, 1) {
		if times > 0 {
			rows := s.sales(day*b.rows/2/times, (day+1)*b.rows/2/times) // half of the workload says as much
			for _, name := range []string{bareFile, nodeFile} {
				p := b.open(at(name), "NORMAL")
				b.insertAll(p, s, rows)
				p.close()
			}
		}
		for range settleRounds {
			b.up(node, hub)
			b.up(far, hub)
			b.down(hub, node)
			b.down(hub, far)
		}
		b.settle(hub, node, far)
	}
	b.must(hub.Close())
	b.must(node.Close())
	b.must(far.Close())
	bare, _ := b.fileSize(at(bareFile))
	for _, site := range []struct{ name, file string }{
		{"hub", hubFile}, {"node that wrote", nodeFile}, {"node that got", farFile}} {
		if times == 0 && site.file == farFile {
			continue // as the other node
		}
		whole, free := b.fileSize(at(site.file))
		name := site.name
		if times == 0 && site.file == nodeFile {
			name = "node"
		}
		b.add(result{What: "size of the " + name + ", rows " + how + ", " + s.key() + " key", Unit: "KiB", Measured: whole,
			Baseline: bare,
			Against:  "bare file", Ratio: whole / bare, Target: 1.10, HasGoal: true, Note: "of it free pages: " + number(free) +
				" KiB, without them " + number((whole-free)/bare) + "x"})
	}
}

// settle lets everybody forget what everybody has.
func (b *bench) settle(hub *store.Store, nodes ...*store.Store) {
	b.must(hub.Settle())
	b.must(hub.Forget(context.Background()))
	for _, node := range nodes {
		self, err := node.Self()
		b.must(err)
		peer, _, err := hub.Peer(self.Site)
		b.must(err)
		_, err = node.Settled(peer.Settled)
		b.must(err)
		b.must(node.Forget(context.Background()))
	}
}

// fileSize is the size of a database, and what of it is free pages, in KiB.
func (b *bench) fileSize(path string) (whole, free float64) {
	p := b.open(path, "NORMAL")
	defer p.close()
	p.run("PRAGMA wal_checkpoint(TRUNCATE)")
	page := float64(p.number("PRAGMA page_size")) / 1024
	return float64(p.number("PRAGMA page_count")) * page, float64(p.number("PRAGMA freelist_count")) * page
}
