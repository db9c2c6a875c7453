package fold

import (
	"hash/maphash"
	"slices"
	"strings"

	"ravno/crdt"
	"ravno/crdt/hlc"
	"ravno/journal"
	"ravno/store/internal/capture"
	"ravno/store/internal/catalog"
	"ravno/store/internal/rows"
)

// LoggedRow is what the log says of one row. A fold inside another transaction holds one for every
// row that was written since the last, so it holds nothing it can find out later.
type LoggedRow struct {
	T        *catalog.Table
	Key      crdt.Key
	last     *columnSet // the last update; the one before it hangs on it
	bornAt   hlc.Time
	lastAt   hlc.Time
	first    capture.Op // the first thing that happened
	looked   bool       // a statement may have replaced the row, and has not yet been seen to
	replaced bool       // the row was replaced: every column was written
	born     bool       // the row was made anew
}

// columnSet is columns that were set, and when.
type columnSet struct {
	columns capture.ColumnSet
	At      hlc.Time
	before  *columnSet
}

// Add takes in one entry. An insert after a look is a REPLACE of the row that was there:
// the same row, written whole. An insert without one made a new row.
func (w *LoggedRow) Add(e capture.Entry, at hlc.Time) {
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
		w.set(e.Columns, at)
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
func (w *LoggedRow) set(columns capture.ColumnSet, at hlc.Time) {
	if w.last != nil && w.last.columns.Equal(columns) {
		w.last.At = at
		return
	}
	w.last = &columnSet{columns: columns, At: at, before: w.last}
}

// Sets are the updates, the first of them first.
func (w *LoggedRow) Sets() (sets []columnSet) {
	for s := w.last; s != nil; s = s.before {
		sets = append(sets, *s)
	}
	slices.Reverse(sets)
	return sets
}

const (
	// chunkRows is how many rows are allocated at once: they stay where they are, and a size
	// that is not one of the allocator's wastes nothing.
	chunkRows = 256
	// chunkKeys is how many bytes of keys are, for the same reason.
	chunkKeys = 16 << 10
	// LeastSlots is how large an index begins: 4 KiB, enough for most folds.
	LeastSlots = 1024
)

// gathered is the rows of a log in the order of their first entries, found by their keys.
// The index is open addressing with linear probing (Knuth, The Art of Computer Programming,
// volume 3, 6.4): about 8 bytes for each row, a sixth of what a map by reference takes.
type gathered struct {
	chunks [][]LoggedRow // of chunkRows each, the last one of as many as there are
	count  int
	keys   strings.Builder // the keys of the last rows, one after the other
	seed   maphash.Seed
	slots  []uint32 // a row's place + 1; 0 is free. A power of two, at most three quarters in use
}

func NewGathered() *gathered {
	return &gathered{seed: maphash.MakeSeed(), slots: make([]uint32, LeastSlots)}
}

// at is the row at a place.
func (g *gathered) at(place int) *LoggedRow { return &g.chunks[place/chunkRows][place%chunkRows] }

// Order is the rows in the order of their first entries.
func (g *gathered) Order() []*LoggedRow {
	rows := make([]*LoggedRow, g.count)
	for place := range rows {
		rows[place] = g.at(place)
	}
	return rows
}

// Row finds a row, or adds it with what happened to it first.
func (g *gathered) Row(t *catalog.Table, key crdt.Key, first capture.Op) *LoggedRow {
	slot := g.slot(t, key)
	if found := g.slots[slot]; found != 0 {
		return g.at(int(found - 1))
	}
	if g.count%chunkRows == 0 {
		g.chunks = append(g.chunks, make([]LoggedRow, 0, chunkRows))
	}
	last := &g.chunks[len(g.chunks)-1]
	*last = append(*last, LoggedRow{T: t, Key: g.keep(key), first: first})
	g.count++
	g.slots[slot] = uint32(g.count)
	if g.count > len(g.slots)/4*3 {
		g.grow()
	}
	return g.at(g.count - 1)
}

// keep copies a key to where it takes its own length and no more.
func (g *gathered) keep(key crdt.Key) crdt.Key {
	if g.keys.Cap()-g.keys.Len() < len(key) {
		g.keys = strings.Builder{}
		g.keys.Grow(max(chunkKeys, len(key)))
	}
	from := g.keys.Len()
	g.keys.WriteString(string(key))
	return crdt.Key(g.keys.String()[from:])
}

// slot is where a row is in the index, or the free one where it belongs.
func (g *gathered) slot(t *catalog.Table, key crdt.Key) uint64 {
	mask := uint64(len(g.slots) - 1)
	for slot := maphash.Comparable(g.seed, t.Reference(key)) & mask; ; slot = (slot + 1) & mask {
		found := g.slots[slot]
		if found == 0 {
			return slot
		}
		if w := g.at(int(found - 1)); w.Key == key && w.T == t {
			return slot
		}
	}
}

func (g *gathered) grow() {
	g.slots = make([]uint32, 2*len(g.slots))
	for place := range g.count {
		w := g.at(place)
		g.slots[g.slot(w.T, w.Key)] = uint32(place + 1)
	}
}

// logged is what was read of the log.
type logged struct {
	Order []*LoggedRow
	// parents are the foreign key values of rows that are gone from their tables.
	Parents map[catalog.Reference][]crdt.Value
	written int64 // when the application wrote the last entry, in Unix milliseconds; 0: there is none of it
}

// made are the rows that were made anew.
func (l *logged) made() (rows []catalog.Reference) {
	for _, w := range l.Order {
		if w.born {
			rows = append(rows, w.T.Reference(w.Key))
		}
	}
	return rows
}

// ReadLog gathers the entries up to one of them by row, in the order of the rows' first
// entries, and stamps them: the first later than everything before, the others not before it.
// refuse is told of rows that have no key to go by.
func ReadLog(tx *rows.Tx, upTo int64, refuse func(t *catalog.Table, cause error) error) (read logged, err error) {
	rows := NewGathered()
	read.Parents = map[catalog.Reference][]crdt.Value{}
	started := false
	err = capture.Read(tx.SQL, tx.Cat.LogWidth, tx.State.Folded, upTo, tx.Cat.Widths, func(e capture.Entry) error {
		t := tx.Cat.ByNumber[e.Table]
		if t == nil {
			return nil // a table that was dropped, or is local by now
		}
		key, err := t.CanonicalKey(e.Key)
		if err != nil {
			return refuse(t, err)
		}
		var at hlc.Time
		if !t.Own {
			read.written = e.Millis
		}
		millis := e.Millis + tx.State.ClockOffset
		if !started {
			at, started = tx.State.Clock.Tick(millis), true
		} else {
			at = tx.State.Clock.Follow(millis)
		}
		rows.Row(t, key, e.Op).Add(e, at)
		if len(e.Parent) > 0 {
			read.Parents[t.Reference(key)] = append([]crdt.Value{}, e.Parent...)
		}
		return nil
	})
	read.Order = rows.Order()
	return read, err
}

// refuseRow notes a row that cannot sync: it stays in its table, and the journal says so.
func refuseRow(tx *rows.Tx, t *catalog.Table, cause error) error {
	return tx.Record(journal.RowLeft(tx.SiteName(tx.State.Site), t.Name, cause))
}
