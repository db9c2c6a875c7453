package store

import (
	"hash/maphash"

	"ravno/crdt"
	"ravno/crdt/hlc"
	"ravno/store/internal/capture"
)

// loggedRow is what the log says of one row. A fold holds one for every row that was written
// since the last, two million after a long outage, so it holds nothing it can find out later.
type loggedRow struct {
	t        *table
	key      crdt.Key
	sets     []columnSet // columns set, with the time of each update
	bornAt   hlc.Time
	lastAt   hlc.Time
	first    capture.Op // the first thing that happened
	looked   bool       // a statement may have replaced the row, and has not yet been seen to
	replaced bool       // the row was replaced: every column was written
	born     bool       // the row was made anew
}

type columnSet struct {
	columns capture.ColumnSet
	at      hlc.Time
}

// add takes in one entry. An insert after a look is a REPLACE of the row that was there:
// the same row, written whole. An insert without one made a new row.
func (w *loggedRow) add(e capture.Entry, at hlc.Time) {
	switch e.Op {
	case capture.Look:
		w.looked = true
	case capture.Insert:
		if w.looked {
			w.replaced, w.looked = true, false
		} else {
			w.born, w.bornAt = true, at
		}
		w.lastAt = at
	case capture.Update:
		w.set(columnSet{columns: e.Columns, at: at})
		w.lastAt = at
	case capture.Delete:
		w.lastAt = at
	}
	if w.lastAt == 0 {
		w.lastAt = at
	}
}

// set adds an update. Of updates one after another that set the same columns only the last
// tells the columns' time: a row that is written all day long, such as a stock, is one.
func (w *loggedRow) set(s columnSet) {
	if last := len(w.sets) - 1; last >= 0 && w.sets[last].columns.Equal(s.columns) {
		w.sets[last].at = s.at
		return
	}
	w.sets = append(w.sets, s)
}

const (
	// chunkRows is how many rows are allocated at once: they stay where they are, and a size
	// that is not one of the allocator's wastes nothing.
	chunkRows = 256
	// leastSlots is how large an index begins: 4 KiB, enough for most folds.
	leastSlots = 1024
)

// gathered is the rows of a log in the order of their first entries, found by their keys.
// The index is open addressing with linear probing (Knuth, The Art of Computer Programming,
// volume 3, 6.4): about 8 bytes for each row, a sixth of what a map by reference takes.
type gathered struct {
	order []*loggedRow
	chunk []loggedRow // the one being filled
	seed  maphash.Seed
	slots []uint32 // place in order + 1; 0 is free. A power of two, at most three quarters in use
}

func newGathered() *gathered {
	return &gathered{seed: maphash.MakeSeed(), slots: make([]uint32, leastSlots)}
}

// row finds a row, or adds it with what happened to it first.
func (g *gathered) row(t *table, key crdt.Key, first capture.Op) *loggedRow {
	slot := g.slot(t, key)
	if place := g.slots[slot]; place != 0 {
		return g.order[place-1]
	}
	if len(g.chunk) == cap(g.chunk) {
		g.chunk = make([]loggedRow, 0, chunkRows)
	}
	g.chunk = append(g.chunk, loggedRow{t: t, key: key, first: first})
	w := &g.chunk[len(g.chunk)-1]
	g.order = append(g.order, w)
	g.slots[slot] = uint32(len(g.order))
	if len(g.order) > len(g.slots)/4*3 {
		g.grow()
	}
	return w
}

// slot is where a row is in the index, or the free one where it belongs.
func (g *gathered) slot(t *table, key crdt.Key) uint64 {
	mask := uint64(len(g.slots) - 1)
	for at := maphash.Comparable(g.seed, t.reference(key)) & mask; ; at = (at + 1) & mask {
		place := g.slots[at]
		if place == 0 {
			return at
		}
		if w := g.order[place-1]; w.key == key && w.t == t {
			return at
		}
	}
}

func (g *gathered) grow() {
	g.slots = make([]uint32, 2*len(g.slots))
	for i, w := range g.order {
		g.slots[g.slot(w.t, w.key)] = uint32(i + 1)
	}
}
