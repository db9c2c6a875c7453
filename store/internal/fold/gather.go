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

// LoggedRow gathers the log entries of one row. A fold holds one for every row written since the last
// fold. So it holds nothing that the fold can look up later.
type LoggedRow struct {
	T        *catalog.Table
	Key      crdt.Key
	last     *columnSet // the last update, linked to the one before it
	bornAt   hlc.Time
	lastAt   hlc.Time
	first    capture.Op // the operation of the first entry
	looked   bool       // a look was read, so the next insert is a REPLACE
	replaced bool       // a REPLACE wrote every column
	born     bool       // an insert made a new row
}

// columnSet is one update: the columns that it set, and its time.
type columnSet struct {
	columns capture.ColumnSet
	At      hlc.Time
	before  *columnSet
}

// Add takes in one entry with its stamp time. An insert after a look is a REPLACE, which writes the
// same row whole. An insert without a look makes a new row.
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

// set adds an update. It merges consecutive updates of the same columns, because only the last one
// gives the time of those columns. So a row that is updated all day long costs one columnSet.
func (w *LoggedRow) set(columns capture.ColumnSet, at hlc.Time) {
	if w.last != nil && w.last.columns.Equal(columns) {
		w.last.At = at
		return
	}
	w.last = &columnSet{columns: columns, At: at, before: w.last}
}

// Sets returns the updates, oldest first.
func (w *LoggedRow) Sets() (sets []columnSet) {
	for s := w.last; s != nil; s = s.before {
		sets = append(sets, *s)
	}
	slices.Reverse(sets)
	return sets
}

const (
	// chunkRows is how many rows are allocated at once. Rows do not move afterwards. The size matches
	// an allocation class, so no memory is wasted.
	chunkRows = 256
	// chunkKeys is how many bytes are allocated for keys at once, for the same reason.
	chunkKeys = 16 << 10
	// LeastSlots is the initial number of slots of an index: 4 KiB, enough for most folds.
	LeastSlots = 1024
)

// gathered holds the rows of a log in the order of their first entries, with an index by key. The index
// is open addressing with linear probing (Knuth, The Art of Computer Programming, volume 3, 6.4). It
// takes about 8 bytes for each row, a sixth of a map by reference.
type gathered struct {
	chunks [][]LoggedRow // chunkRows rows each, fewer in the last one
	count  int
	keys   strings.Builder // the keys of the last rows, one after the other
	seed   maphash.Seed
	slots  []uint32 // the index of a row + 1, or 0 if free, in a power of two of slots
}

// NewGathered returns an empty collection of rows. It is not safe for concurrent use.
func NewGathered() *gathered {
	return &gathered{seed: maphash.MakeSeed(), slots: make([]uint32, LeastSlots)}
}

// at returns the row at an index.
func (g *gathered) at(place int) *LoggedRow { return &g.chunks[place/chunkRows][place%chunkRows] }

// Order returns the rows in the order of their first entries.
func (g *gathered) Order() []*LoggedRow {
	rows := make([]*LoggedRow, g.count)
	for place := range rows {
		rows[place] = g.at(place)
	}
	return rows
}

// Row returns the row with a key. If there is none, it adds one whose first operation is first. The
// pointer stays valid.
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

// keep copies a key into shared memory, where it takes its own length and no more.
func (g *gathered) keep(key crdt.Key) crdt.Key {
	if g.keys.Cap()-g.keys.Len() < len(key) {
		g.keys = strings.Builder{}
		g.keys.Grow(max(chunkKeys, len(key)))
	}
	from := g.keys.Len()
	g.keys.WriteString(string(key))
	return crdt.Key(g.keys.String()[from:])
}

// slot returns the slot of a row, or the free slot where the row belongs.
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

// grow doubles the slots and indexes all rows again.
func (g *gathered) grow() {
	g.slots = make([]uint32, 2*len(g.slots))
	for place := range g.count {
		w := g.at(place)
		g.slots[g.slot(w.T, w.Key)] = uint32(place + 1)
	}
}

// logged is the part of the log that ReadLog has read.
type logged struct {
	Order []*LoggedRow
	// Parents holds the foreign key values of rows that are gone from their tables.
	Parents map[catalog.Reference][]crdt.Value
	written int64 // when the application wrote the last entry, in Unix milliseconds, or 0 without one
}

// made returns the rows that an insert made anew.
func (l *logged) made() (rows []catalog.Reference) {
	for _, w := range l.Order {
		if w.born {
			rows = append(rows, w.T.Reference(w.Key))
		}
	}
	return rows
}

// ReadLog reads the entries up to number upTo, stamps them, and gathers them by row. Rows keep the
// order of their first entries. The first stamp is later than every stamp issued or seen here. No later
// stamp precedes it. It calls refuse for each row without a usable key, and stops if refuse returns an
// error.
func ReadLog(tx *rows.Tx, upTo int64, refuse func(t *catalog.Table, cause error) error) (read logged, err error) {
	rows := NewGathered()
	read.Parents = map[catalog.Reference][]crdt.Value{}
	started := false
	err = capture.Read(tx.SQL, tx.Cat.LogWidth, tx.State.Folded, upTo, tx.Cat.Widths, func(e capture.Entry) error {
		t := tx.Cat.ByNumber[e.Table]
		if t == nil {
			return nil // The table was dropped, or is local now.
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

// refuseRow writes to the journal that a row cannot sync. The row stays in its table.
func refuseRow(tx *rows.Tx, t *catalog.Table, cause error) error {
	return tx.Record(journal.RowLeft(tx.SiteName(tx.State.Site), t.Name, cause))
}
