package main

import (
	"bytes"
	"database/sql/driver"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/net/wire"
	"ravno/store"
)

// fixture is a chain at rest as files: a hub and two nodes, each with the same rows, and a
// plain file with them beside (bare).
type fixture struct {
	shape
	rows int
}

// The files of a fixture.
const (
	bareFile = "bare.db"
	hubFile  = "hub.db"
	nodeFile = "node.db"
	farFile  = "far.db"
)

// template makes a fixture's files once, to be copied from.
func (b *bench) template(f fixture) string {
	if dir, made := b.templates[f]; made {
		return dir
	}
	dir, err := os.MkdirTemp(b.scratch, "template-")
	b.must(err)
	bare := filepath.Join(dir, bareFile)
	p := b.open(bare, "OFF")
	p.run(f.schema())
	insert := f.insert()
	p.atomically(func() {
		for i := range f.rows { // one by one: the largest would not fit in memory comfortably
			p.do(insert, f.sale(i)...)
		}
	})
	p.run("PRAGMA wal_checkpoint(TRUNCATE)")
	p.close()
	hub := filepath.Join(dir, hubFile)
	b.copyFile(bare, hub)
	_, err = store.InitHub(hub, store.HubOptions{Name: "hub", Organisation: "bench", Incarnation: causal.Incarnation{1}},
		time.Now)
	b.must(err)
	s := b.openStore(hub)
	nodes := []string{nodeFile, farFile}
	if f.rows > b.rows {
		nodes = nodes[:1] // nobody asks for the other of the largest
	}
	for i, name := range nodes {
		b.join(s, filepath.Join(dir, name), name[:4], byte(i+2))
	}
	b.must(s.Close())
	for _, name := range append(nodes, hubFile) {
		p := b.open(filepath.Join(dir, name), "OFF")
		p.run("PRAGMA wal_checkpoint(TRUNCATE)")
		p.close()
	}
	b.templates[f] = dir
	return dir
}

// join makes a file a node's, without a network.
func (b *bench) join(hub *store.Store, path, name string, number byte) {
	hash, incarnation := [32]byte{number}, causal.Incarnation{number}
	b.must(hub.AddToken(name, hash, time.Now().Add(time.Hour)))
	site, _, err := hub.Enrol(hash, incarnation, func(causal.Site, string) (string, error) { return "serial", nil })
	b.must(err)
	load := path + ".load"
	_, err = hub.WriteLoad(load)
	b.must(err)
	_, _, err = store.InstallLoad(load, path, store.NodeOptions{Site: site, Incarnation: incarnation}, store.RefuseLocal,
		time.Now)
	b.must(err)
}

// dropTemplates removes those that no other line is likely to use.
func (b *bench) dropTemplates() {
	for f, dir := range b.templates {
		if f.rows <= b.rows && (f.shape == textShape || f.shape == intShape) {
			continue
		}
		os.RemoveAll(dir) // the whole scratch directory goes at the end
		delete(b.templates, f)
	}
}

func (b *bench) copyFile(from, to string) {
	for _, suffix := range []string{"", "-wal"} {
		data, err := os.ReadFile(from + suffix)
		if suffix != "" && (errors.Is(err, fs.ErrNotExist) || len(data) == 0) {
			continue
		}
		b.must(err)
		b.must(os.WriteFile(to+suffix, data, 0o600))
	}
}

// copied puts copies of a fixture's files into a fresh directory.
func (b *bench) copied(f fixture, names ...string) (dir string, done func()) {
	from := b.template(f)
	dir, done = b.fresh()
	for _, name := range names {
		b.copyFile(filepath.Join(from, name), filepath.Join(dir, name))
	}
	return dir, done
}

func (b *bench) openStore(path string) *store.Store {
	s, err := store.Open(path, time.Now)
	b.must(err)
	return s
}

// insertAll inserts rows in one transaction.
func (b *bench) insertAll(p *plain, s shape, rows [][]driver.Value) {
	insert := s.insert()
	p.atomically(func() {
		for _, row := range rows {
			p.do(insert, row...)
		}
	})
}

// updateAll changes one column of rows, by key, in one transaction.
func (b *bench) updateAll(p *plain, keys []driver.Value) {
	p.atomically(func() {
		for i, key := range keys {
			p.do(updateSQL, int64(1000+i), key)
		}
	})
}

func (s shape) keys(n int) []driver.Value {
	keys := make([]driver.Value, n)
	for i := range keys {
		keys[i] = s.keyOf(i)
	}
	return keys
}

// foldAll folds until there is nothing left.
func (b *bench) foldAll(s *store.Store) (rows int) {
	for {
		n, err := s.Fold()
		b.must(err)
		if n == 0 {
			return rows
		}
		rows += n
	}
}

// batch is a delta as it travels, and the keys of its rows in the order they arrive.
type batch struct {
	span  store.Span
	bytes bytes.Buffer
	keys  []driver.Value
}

// outgoing emits everything of a store that a receiver does not have, in as many snapshots as that takes.
func (b *bench) outgoing(s *store.Store, to causal.Site, above causal.Position,
	emit func(store.Span, *crdt.Section) error) (span store.Span, changes int) {
	for from := above; ; from = span.To {
		some, n, err := s.Outgoing(to, from, store.LargeSlice, emit)
		b.must(err)
		changes += n
		if span = some; span.Until == 0 {
			span.From = above
			return span, changes
		}
	}
}

// extract encodes everything of a store that a receiver does not have.
func (b *bench) extract(s *store.Store, to causal.Site, above causal.Position) *batch {
	out := &batch{}
	writer := wire.NewBatchWriter(&out.bytes)
	begun := false
	span, _ := b.outgoing(s, to, above, func(span store.Span, section *crdt.Section) error {
		if !begun {
			begun = true
			if err := writer.Header(wire.BatchHeader{From: span.From, To: span.To, Seen: span.Seen}); err != nil {
				return err
			}
		}
		if section.Table == "sale" {
			for _, change := range section.Changes {
				key, err := change.Key.Values()
				if err != nil {
					return err
				}
				out.keys = append(out.keys, keyValue(key[0]))
			}
		}
		return writer.Section((*wire.Section)(section))
	})
	if !begun {
		b.must(writer.Header(wire.BatchHeader{From: span.From, To: span.To, Seen: span.Seen}))
	}
	b.must(writer.End())
	out.span = span
	return out
}

func keyValue(v crdt.Value) driver.Value {
	if v.Kind() == crdt.Integer {
		return v.Int()
	}
	return v.Bytes()
}

// delta is a batch as the store takes it: decoded while it is applied, as in the daemon.
func (x *batch) delta() store.Delta {
	return store.Delta{Span: x.span, Open: func() (func() (*crdt.Section, error), error) {
		reader := wire.NewBatchReader(bytes.NewReader(x.bytes.Bytes()))
		if _, err := reader.Header(); err != nil {
			return nil, err
		}
		return func() (*crdt.Section, error) {
			section, err := reader.Next()
			return (*crdt.Section)(section), err
		}, nil
	}}
}

// up brings a node's work to the hub, down the hub's to a node, each acknowledged.
func (b *bench) up(node, hub *store.Store) {
	b.foldAll(node)
	self, err := node.Self()
	b.must(err)
	x := b.extract(node, 0, self.HubHave)
	if x.span.To == x.span.From {
		return
	}
	_, err = hub.ApplyFromNode(self.Site, x.delta(), self.Floor)
	b.must(err)
	b.must(node.Acknowledged(causal.Reached{Position: x.span.To}))
}

func (b *bench) down(hub, node *store.Store) {
	b.foldAll(hub)
	self, err := node.Self()
	b.must(err)
	x := b.extract(hub, self.Site, causal.Position(self.Seen))
	_, err = node.ApplyFromHub(x.delta())
	b.must(err)
	after, err := node.Self()
	b.must(err)
	b.must(hub.AckedByNode(self.Site, causal.Reached{Position: after.Seen}, after.Floor, true))
}

// drain reads a delta's sections and does nothing with them.
func drain(store.Span, *crdt.Section) error { return nil }
