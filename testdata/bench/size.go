package main

import (
	"path/filepath"
)

// settleRounds is how often everything is exchanged until nothing is left to be told: the
// data itself, that all have it, and that the others know.
const settleRounds = 4

// sizeLine is what is left in the files once every site has everything.
func sizeLine(b *bench) {
	for _, s := range []shape{textShape, intShape} {
		for _, enrolled := range []bool{true, false} {
			b.sizes(s, enrolled)
		}
	}
}

// sizes compares the files of a chain at rest with a bare one: rows that were there at
// enrolment, or rows that one node wrote and the others got.
func (b *bench) sizes(s shape, enrolled bool) {
	f, how := fixture{s, 0}, "written since"
	if enrolled {
		f, how = fixture{s, b.rows}, "there at enrolment"
	}
	dir, done := b.copied(f, bareFile, hubFile, nodeFile, farFile)
	defer done()
	at := func(name string) string { return filepath.Join(dir, name) }
	if !enrolled {
		rows := s.sales(0, b.rows)
		for _, name := range []string{bareFile, nodeFile} {
			p := b.open(at(name), "NORMAL")
			b.insertAll(p, s, rows)
			p.close()
		}
	}
	hub, node, far := b.openStore(at(hubFile)), b.openStore(at(nodeFile)), b.openStore(at(farFile))
	for range settleRounds {
		b.up(node, hub)
		b.up(far, hub)
		b.down(hub, node)
		b.down(hub, far)
	}
	b.must(hub.Close())
	b.must(node.Close())
	b.must(far.Close())
	bare, _ := b.fileSize(at(bareFile))
	for _, site := range []struct{ name, file string }{{"hub", hubFile}, {"node that wrote", nodeFile}, {"node that got", farFile}} {
		if enrolled && site.file == farFile {
			continue // as the other node
		}
		whole, free := b.fileSize(at(site.file))
		name := site.name
		if enrolled && site.file == nodeFile {
			name = "node"
		}
		b.add(result{What: "size of the " + name + ", rows " + how + ", " + s.key() + " key", Unit: "KiB", Measured: whole, Baseline: bare,
			Against: "bare file", Ratio: whole / bare, Target: 1.10, HasGoal: true, Note: "of it free pages: " + number(free) + " KiB, without them " + number((whole-free)/bare) + "x"})
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
