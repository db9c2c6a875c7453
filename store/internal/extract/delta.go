package extract

import (
	"slices"

	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/crdt/hlc"
	"ravno/store/internal/catalog"
	"ravno/store/internal/history"
	"ravno/store/internal/rows"
	"ravno/store/internal/shadow"
)

// SectionChanges and SectionBytes bound one section of a delta. A section is large enough to compress
// well, and small enough that neither side holds much of a delta in memory.
const (
	SectionChanges = 4096
	SectionBytes   = 1 << 20
)

// NewExtraction prepares a delta above position from for a receiver. A node of 0 is the hub. The
// transaction is a snapshot that must have everything folded.
func NewExtraction(tx *rows.Tx, node causal.Site, from causal.Position) (x *Extraction, err error) {
	x = &Extraction{tx: tx, self: tx.State.Site, node: node, from: from, has: from, seen: tx.State.Seen}
	if node != 0 {
		x.settled = tx.State.Settled
	}
	x.ahead, err = history.AheadOf(tx, node, from)
	return x, err
}

// Run emits the delta and returns its span. A delta of more than the given number of rows comes in
// slices of about that many rows. If the returned Until is above zero, the delta is a beginning, and
// the rest needs another snapshot. At a node a span that ends where it begins has nothing to send.
func (x *Extraction) Run(rows int, emit func(slice history.Span, section *crdt.Section) error) (history.Span, error) {
	span := history.Span{From: x.from, To: x.tx.State.Position, Seen: causal.Position(x.tx.State.Seen)}
	if x.tx.State.IsHub() {
		have, _, err := history.HasOf(x.tx, x.node)
		if err != nil {
			return span, err
		}
		span.Seen = have.Position
	}
	covered, err := x.delta(span, rows, emit)
	if err != nil {
		return span, err
	}
	if covered.Until > 0 {
		return covered, nil
	}
	switch behind := len(x.ahead) > 0 || x.plan != nil || x.trimmed; {
	case x.tx.State.IsHub():
	case behind: // The hub must reach this position, even if nothing is left to send.
		span.Newest = x.tx.State.Clock.Last()
	case x.Changes == 0:
		span.To = span.From
	}
	return span, nil
}

// sends reports whether the rows of a table travel to the receiver. Journals travel to the hub only.
func (x *Extraction) sends(t *catalog.Table) bool {
	return t.Class == catalog.Synced || t.Class == catalog.Journal && x.node == 0
}

// Extraction is one delta on its way out. It is used by one goroutine, for one delta.
type Extraction struct {
	tx      *rows.Tx // only for reading
	self    causal.Site
	node    causal.Site // the receiver, or 0 for the hub
	from    causal.Position
	has     causal.Position                       // up to where the receiver has the current row
	ahead   map[catalog.Reference]causal.Position // rows shipped ahead, and up to where the receiver has them
	settled causal.Position                       // at the hub: births up to here are stable
	seen    causal.Seen                           // at a node: the hub position applied here
	emit    func(*crdt.Section) error
	section *crdt.Section
	bytes   int
	room    map[string]int // by table name, the size of the last flush, as a guess of the next
	Changes int            // the changes added so far
	trimmed bool           // a journal row was deleted, which does not travel
	limit   int            // the most changes held, or 0 for no limit
	held    int            // the bytes of the changes held
	// The plan of a large delta, and the positions of the current slice.
	plan        *plan
	above, upTo causal.Position
	// ShipAhead remembers rows that are shipped ahead with a slice, of a delta that ends at until. Run
	// calls it before it emits the slice.
	ShipAhead func(rows []catalog.Reference, slice, until causal.Position) error
}

// look makes a row the current one: it sets has to the position up to which the receiver has that row.
func (x *Extraction) look(t *catalog.Table, stored crdt.Value) {
	if len(x.ahead) > 0 {
		x.has = max(x.from, x.ahead[t.Reference(t.KeyOf(stored))])
	}
}

// table emits the rows of a table that belong to the current slice.
func (x *Extraction) table(t *catalog.Table) error {
	x.begin(t)
	err := history.ReadChanged(x.tx, t, x.above, x.upTo, func(values []crdt.Value) error {
		return x.row(t, values, false)
	})
	if err != nil {
		return err
	}
	for x.plan != nil && len(x.plan.ahead[t]) > 0 && x.plan.ahead[t][0].first <= x.upTo {
		values, err := history.ReadChangedRow(x.tx, t, x.plan.ahead[t][0].key)
		if err == nil {
			err = x.row(t, values, true)
		}
		if err != nil {
			return err
		}
		x.plan.ahead[t] = x.plan.ahead[t][1:]
	}
	return x.flush()
}

// row emits the news of one row, if there are any. The values are key, shadow, document and position,
// then the columns. If shippedAhead is false, it skips rows that the plan sends in another slice.
func (x *Extraction) row(t *catalog.Table, values []crdt.Value, shippedAhead bool) error {
	row, err := shadow.Decode(values[1].Bytes())
	if err != nil {
		return err
	}
	x.look(t, values[0])
	if x.plan != nil && !shippedAhead {
		if oldest, any := x.oldest(row); !any || x.plan.firstOf(t, values[0], values[2], oldest) < causal.Position(
			values[3].Int()) {
			return nil
		}
	}
	change, any, err := x.change(t, t.KeyOf(values[0]), row, values[4:])
	if err != nil || !any {
		return err
	}
	if d, ok := catalog.DecodeReference(values[2]); ok {
		if root := x.tx.Cat.ByNumber[d.Tab]; root != nil {
			change.Document = &crdt.Document{Table: root.Name, Key: d.Key}
		}
	}
	return x.add(change)
}

// change returns the part of a row that the receiver lacks, and whether there is any. The values
// inTable are the row in its table, if they were read already.
func (x *Extraction) change(t *catalog.Table, key crdt.Key, row crdt.Row, inTable []crdt.Value) (
	change crdt.Change, any bool, err error) {
	change = crdt.Change{Key: key, Birth: row.Birth.Stamp}
	if x.node != 0 && row.Birth.Position <= x.settled {
		change.Birth = hlc.Stamp{} // The receiver may have forgotten a stable birth.
	}
	note := func(v crdt.Version) {
		if !any || v.Seen < change.Seen {
			change.Seen = v.Seen
		}
		any = true
	}
	if x.isNew(row.Death) {
		change.Death = row.Death.Stamp
		note(row.Death)
	}
	if !row.Live() {
		change.Registers = x.bases(t, row)
		change.Parts = x.parts(t, row, false, note)
		x.trimmed = x.trimmed || any && t.Class == catalog.Journal
		return change, any && t.Class != catalog.Journal, nil
	}
	change.Whole = row.Revived > x.has || t.Class == catalog.Journal
	if x.isNew(row.Birth) {
		change.Whole = true
		note(row.Birth)
	}
	values, err := x.values(t, key, inTable)
	if err != nil || values == nil {
		return change, false, err
	}
	complete := values.table != nil || values.kept.Size() == len(t.Numbers)
	if t.Own && t.Name == "ravno_rename" {
		if maker, _ := values.of(t, t.Column("site")); causal.Site(maker.Int()) != x.node {
			return change, false, nil // Only the maker knows the row by its old key.
		}
	}
	if change.Whole {
		change.Death = row.Death.Stamp
		if x.node == 0 && change.Death.Site != x.self {
			change.Death = hlc.Stamp{} // The hub has the death from its own author.
		}
	}
	change.Registers = x.registers(t, row, values, change.Whole, note)
	change.Parts = x.parts(t, row, change.Whole, note)
	if change.Whole && !complete { // An incomplete row sends only what the receiver lacks.
		change.Whole = false
		change.Registers = slices.DeleteFunc(change.Registers, func(r crdt.Register) bool {
			return !x.isNew(row.Version(crdt.Column(t.Numbers[r.Column])))
		})
	}
	if !any { // Only the wholeness of the row is new. Its sender has seen everything applied here.
		change.Seen = x.seen
	}
	return change, any || row.Revived > x.has, nil
}

// registers returns the registers of a live row that the receiver lacks, or all of them if whole is
// true.
func (x *Extraction) registers(t *catalog.Table, row crdt.Row, values *rowValues, whole bool,
	note func(crdt.Version)) (registers []crdt.Register) {
	if whole {
		registers = make([]crdt.Register, 0, len(t.Numbers))
	}
	for i, number := range t.Numbers {
		column := crdt.Column(number)
		version := row.Version(column)
		v, known := values.of(t, i)
		if !known || !t.Columns[i].Register {
			continue
		}
		if x.isNew(version) {
			note(version)
		} else if !whole {
			continue
		}
		if c, counts := row.Counter(column); counts {
			v = c.Base
		}
		registers = append(registers, crdt.Register{Column: crdt.Column(i), Stamp: version.Stamp, Value: v})
	}
	return registers
}

// isNew reports whether the receiver lacks a version of the current row. Its position is above the
// receiver's. At the hub another site than the receiver wrote it. At a node this node wrote it.
func (x *Extraction) isNew(v crdt.Version) bool {
	if v.Position <= x.has || v.Stamp.IsZero() {
		return false
	}
	if x.node == 0 {
		return v.Stamp.Site == x.self
	}
	return v.Stamp.Site != x.node
}

// rowValues holds the values of a live row. They are all columns in table order, or the values kept
// outside the table. They are valid until the next row is read.
type rowValues struct {
	table []crdt.Value
	kept  *catalog.Values
}

// of returns the value of a column, given its index in the table.
func (v *rowValues) of(t *catalog.Table, column int) (value crdt.Value, known bool) {
	if v.table != nil {
		return v.table[column], true
	}
	value, known = v.kept.Get(crdt.Column(t.Numbers[column]))
	return value, known
}

// values reads a live row from its table, or from the values kept outside it. It returns nil if the row
// is in neither.
func (x *Extraction) values(t *catalog.Table, key crdt.Key, inTable []crdt.Value) (*rowValues, error) {
	if len(inTable) > 0 && inTable[t.Key[0]].Kind() != crdt.Null {
		return &rowValues{table: inTable}, nil
	}
	if !t.RowidKey { // A join may have missed this key.
		m, err := x.tx.ReadTable(t, key)
		if err != nil {
			return nil, err
		}
		if m != nil {
			return &rowValues{kept: m}, nil
		}
	}
	m, _, err := x.tx.ReadKept(t, key)
	if err != nil || m == nil {
		return nil, err
	}
	return &rowValues{kept: m}, nil
}

// overwritten emits own work that was overwritten before it was acknowledged.
func (x *Extraction) overwritten() error {
	return history.EachOverwritten(x.tx, max(x.from, x.ahead[history.OverwrittenWork]), func(d history.Overwritten) error {
		t, change := d.T, d.Change
		if root := x.tx.Cat.ByNumber[d.Document.Tab]; root != nil && d.Document != t.Reference(change.Key) {
			change.Document = &crdt.Document{Table: root.Name, Key: d.Document.Key}
		}
		known := change.Registers[:0]
		for _, reg := range change.Registers {
			if i, ok := t.ByNum[reg.Column]; ok {
				reg.Column = crdt.Column(i)
				known = append(known, reg)
			}
		}
		change.Registers = known
		x.begin(t)
		if err := x.add(change); err != nil {
			return err
		}
		return x.flush()
	})
}

// Large work is folded, sent and applied in slices, so that the application can write in between.

const (
	// LargeSlice is the number of rows in a large slice. Rows of one slice are written in key order,
	// side by side. In small slices nearly every row lies on a page of its own, which goes through the
	// -wal file with it.
	LargeSlice = 16384
)

const (
	// SliceBytes is how many bytes of rows an extraction holds while it may still be one slice.
	SliceBytes = 4 << 20
)
