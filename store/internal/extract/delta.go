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

// SectionChanges and SectionBytes bound one section of a delta: large enough that its
// columns compress, small enough that neither side holds much of a delta in memory.
const (
	SectionChanges = 4096
	SectionBytes   = 1 << 20
)

// NewExtraction prepares a delta for a receiver, above a position, of what a snapshot has.
func NewExtraction(tx *rows.Tx, node causal.Site, from causal.Position) (x *Extraction, err error) {
	x = &Extraction{tx: tx, self: tx.State.Site, node: node, from: from, has: from, seen: tx.State.Seen}
	if node != 0 {
		x.settled = tx.State.Settled
	}
	x.ahead, err = history.AheadOf(tx, node, from)
	return x, err
}

// Run emits the delta in slices of about so many rows, and returns what it covers.
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
	case behind: // there may be nothing left to send up to here, and yet the hub is to get here
		span.Newest = x.tx.State.Clock.Last()
	case x.Changes == 0:
		span.To = span.From
	}
	return span, nil
}

// sends reports whether the rows of a table go to the receiver.
func (x *Extraction) sends(t *catalog.Table) bool {
	return t.Class == catalog.Synced || t.Class == catalog.Journal && x.node == 0
}

// Extraction is one delta on its way out.
type Extraction struct {
	tx      *rows.Tx // only to read
	self    causal.Site
	node    causal.Site // the receiver; 0: the hub
	from    causal.Position
	has     causal.Position                       // what it has of the row in hand: more, if that was sent early
	ahead   map[catalog.Reference]causal.Position // such rows
	settled causal.Position                       // at the hub: births up to it are forgotten, or may be
	seen    causal.Seen                           // at a node: what of the hub is applied here
	emit    func(*crdt.Section) error
	section *crdt.Section
	bytes   int
	room    map[string]int // by tables, how many changes there were at once: in a large delta as many follow
	Changes int
	trimmed bool // rows of a journal are deleted, which does not travel
	limit   int  // of changes; 0: none
	held    int  // bytes of them
	// The slice that is being made, of a large delta.
	plan        *plan
	above, upTo causal.Position
	ShipAhead   func(rows []catalog.Reference, slice, until causal.Position) error
}

// look takes a row in hand.
func (x *Extraction) look(t *catalog.Table, stored crdt.Value) {
	if len(x.ahead) > 0 {
		x.has = max(x.from, x.ahead[t.Reference(t.KeyOf(stored))])
	}
}

// table emits the rows of a table that belong to the slice.
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

// row emits what of a row is news, given its shadow and maybe the row. What the plan has
// elsewhere is emitted there.
func (x *Extraction) row(t *catalog.Table, values []crdt.Value, stray bool) error {
	row, err := shadow.Decode(values[1].Bytes())
	if err != nil {
		return err
	}
	x.look(t, values[0])
	if x.plan != nil && !stray {
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

// change is what of a row is news to the receiver; any is false if nothing is. inTable is the
// row in its table, if it was read already.
func (x *Extraction) change(t *catalog.Table, key crdt.Key, row crdt.Row, inTable []crdt.Value) (
	change crdt.Change, any bool, err error) {
	change = crdt.Change{Key: key, Birth: row.Birth.Stamp}
	if x.node != 0 && row.Birth.Position <= x.settled {
		change.Birth = hlc.Stamp{} // the receiver may have forgotten it
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
			return change, false, nil // only who made the row calls it by its old key
		}
	}
	if change.Whole {
		change.Death = row.Death.Stamp
		if x.node == 0 && change.Death.Site != x.self {
			change.Death = hlc.Stamp{} // the hub has it from its own author
		}
	}
	change.Registers = x.registers(t, row, values, change.Whole, note)
	change.Parts = x.parts(t, row, change.Whole, note)
	if change.Whole && !complete { // then only what is news is ours to send
		change.Whole = false
		change.Registers = slices.DeleteFunc(change.Registers, func(r crdt.Register) bool {
			return !x.isNew(row.Version(crdt.Column(t.Numbers[r.Column])))
		})
	}
	if !any { // nothing of it is news but that it is whole: what its sender has seen is all that came
		change.Seen = x.seen
	}
	return change, any || row.Revived > x.has, nil
}

// registers are the registers of a live row that are news to the receiver. whole: all of them.
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

// isNew reports whether a version of the row in hand is one the receiver cannot have: above its position and,
// at the hub, written by another site; at a node, written here.
func (x *Extraction) isNew(v crdt.Version) bool {
	if v.Position <= x.has || v.Stamp.IsZero() {
		return false
	}
	if x.node == 0 {
		return v.Stamp.Site == x.self
	}
	return v.Stamp.Site != x.node
}

// rowValues are the values of a live row: all columns in the order of its table, or what is
// kept of it elsewhere. They are good until the next row is read.
type rowValues struct {
	table []crdt.Value
	kept  *catalog.Values
}

// of is the value of a column, given its index.
func (v *rowValues) of(t *catalog.Table, column int) (value crdt.Value, known bool) {
	if v.table != nil {
		return v.table[column], true
	}
	value, known = v.kept.Get(crdt.Column(t.Numbers[column]))
	return value, known
}

// values reads a live row from its table, or from where it is held; nil if it is in neither.
func (x *Extraction) values(t *catalog.Table, key crdt.Key, inTable []crdt.Value) (*rowValues, error) {
	if len(inTable) > 0 && inTable[t.Key[0]].Kind() != crdt.Null {
		return &rowValues{table: inTable}, nil
	}
	if !t.RowidKey { // its key may be one that a join cannot find
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

// overwritten emits own work that a newer write has replaced here before the hub had it.
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

// Much work is done in slices: folded, sent and applied some rows at a time, so that the
// application beside us can write in between.

const (
	// LargeSlice is how many rows there are in a large slice. Rows that come together are written in
	// the order of their keys, side by side; in small slices nearly every row is on a page of its
	// own, and goes through the -wal file with it.
	LargeSlice = 16384
)

const (
	// SliceBytes is how many bytes of rows are held until it is known whether a delta is one slice.
	SliceBytes = 4 << 20
)
