package store

import (
	"slices"
	"strings"

	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/crdt/hlc"
	"ravno/store/internal/shadow"
	"ravno/store/internal/sqlite"
)

// SectionChanges and SectionBytes bound one section of a delta: large enough that its
// columns compress, small enough that neither side holds much of a delta in memory.
const (
	SectionChanges = 4096
	SectionBytes   = 1 << 20
)

// Outgoing emits everything a receiver may not have, above a position of this site, read in
// one snapshot, and returns what it covers. Much of it comes in slices, each the work from where
// the one before ended: emit is told which slice a section belongs to. A slice in which there is
// nothing for the receiver is not emitted; the next one begins where it did. At a node a span
// that ends where it begins says that there is nothing at all. At a node the
// receiver is the hub (node 0) and gets this node's own work; at the hub it is a node, which gets
// everyone else's. It is state, not history: a row changed a thousand times travels once. The
// slices have about as many rows as asked for; 0 if the receiver has not said yet. Of very much, the span is
// only a beginning, and Until says where the rest ends.
func (s *Store) Outgoing(node causal.Site, from causal.Position, rows int, emit func(slice Span, section *crdt.Section) error) (span Span, changes int, err error) {
	err = s.readFolded(func(c *sqlite.Conn, st *state, cat *catalog) error {
		if err := s.durably(nil); err != nil { // what this snapshot has, whoever has committed it
			return err
		}
		if some, err := someNotSent(c, node); err != nil {
			return err
		} else if some {
			if err := s.notSent(node); err != nil {
				return err
			}
		}
		var x *extraction
		if x, err = newExtraction(c, st, cat, s.clock, node, from); err != nil {
			return err
		}
		x.sentEarly = func(rows []reference, slice, until causal.Position) error {
			return s.sentEarly(node, rows, slice, until)
		}
		if rows <= 0 {
			rows = FirstSlice
		}
		if s.sliceRows > 0 {
			rows = s.sliceRows
		}
		span, err = x.run(rows, emit)
		changes = x.changes
		return err
	})
	return span, changes, err
}

// newExtraction prepares a delta for a receiver, above a position.
func newExtraction(c *sqlite.Conn, st *state, cat *catalog, clock Clock, node causal.Site, from causal.Position) (x *extraction, err error) {
	x = &extraction{c: c, cat: cat, clock: clock, st: st, self: st.site, node: node, from: from, has: from, seen: st.seen}
	if node != 0 {
		x.settled = st.settled
	}
	x.early, err = hasEarly(c, node, from)
	return x, err
}

// run emits the delta in slices of about so many rows, and returns what it covers.
func (x *extraction) run(rows int, emit func(slice Span, section *crdt.Section) error) (Span, error) {
	span := Span{From: x.from, To: x.st.position, Seen: causal.Position(x.st.seen)}
	if x.st.isHub() {
		have, err := x.c.Int("SELECT have FROM ravno_peer WHERE site=?", integer(x.node))
		if err != nil {
			return span, err
		}
		span.Seen = causal.Position(have)
	}
	covered, err := x.delta(span, rows, emit)
	if err != nil {
		return span, err
	}
	if covered.Until > 0 {
		return covered, nil
	}
	switch behind := len(x.early) > 0 || x.plan != nil || x.trimmed; {
	case x.st.isHub():
	case behind: // there may be nothing left to send up to here, and yet the hub is to get here
		span.Newest = x.st.clock.Last()
	case x.changes == 0:
		span.To = span.From
	}
	return span, nil
}

// sends reports whether the rows of a table go to the receiver.
func (x *extraction) sends(t *table) bool {
	return t.class == Synced || t.class == Journal && x.node == 0
}

// extraction is one delta on its way out.
type extraction struct {
	c       *sqlite.Conn
	clock   Clock
	cat     *catalog
	st      *state
	self    causal.Site
	node    causal.Site // the receiver; 0: the hub
	from    causal.Position
	has     causal.Position               // what it has of the row in hand: more, if that was sent early
	early   map[reference]causal.Position // such rows
	settled causal.Position               // at the hub: births up to it are forgotten, or may be
	seen    causal.Seen                   // at a node: what of the hub is applied here
	emit    func(*crdt.Section) error
	section *crdt.Section
	bytes   int
	room    map[string]int // by tables, how many changes there were at once: in a large delta as many follow
	changes int
	trimmed bool // rows of a journal are deleted, which does not travel
	limit   int  // of changes; 0: none
	held    int  // bytes of them
	// The slice that is being made, of a large delta.
	plan        *plan
	above, upTo causal.Position
	sentEarly   func(rows []reference, slice, until causal.Position) error
}

// look takes a row in hand.
func (x *extraction) look(t *table, stored crdt.Value) {
	if len(x.early) > 0 {
		x.has = max(x.from, x.early[t.reference(t.keyOf(stored))])
	}
}

func (x *extraction) begin(t *table) {
	x.section = &crdt.Section{Table: t.Name, Journal: t.class == Journal, KeyColumns: t.keyNames(), Columns: t.columnNames()}
	x.bytes = 0
}

func (x *extraction) add(change crdt.Change) error {
	if x.section.Changes == nil && x.room[x.section.Table] > 0 {
		x.section.Changes = make([]crdt.Change, 0, x.room[x.section.Table])
	}
	x.section.Changes = append(x.section.Changes, change)
	x.changes++
	size := sizeOf(change)
	x.bytes += size
	x.held += size
	if x.limit > 0 && (x.changes > x.limit || x.held > SliceBytes) {
		return errSlices
	}
	if len(x.section.Changes) >= LargeSlice || x.bytes >= SliceBytes {
		return x.flush()
	}
	return nil
}

// flush emits what was added of a table. Sorted, it compresses better, and the receiver writes
// rows that lie side by side.
func (x *extraction) flush() error {
	if x.section == nil || len(x.section.Changes) == 0 {
		return nil
	}
	changes := x.section.Changes
	x.section.Changes, x.bytes = nil, 0
	if x.room == nil {
		x.room = map[string]int{}
	}
	x.room[x.section.Table] = len(changes)
	slices.SortFunc(changes, func(a, b crdt.Change) int { return strings.Compare(string(a.Key), string(b.Key)) })
	for len(changes) > 0 {
		n, bytes := 0, 0
		for n < len(changes) && n < SectionChanges && bytes < SectionBytes {
			bytes += sizeOf(changes[n])
			n++
		}
		full := *x.section
		full.Changes = changes[:n]
		full.Columns, full.Changes = usedColumns(full)
		if err := x.emit(&full); err != nil {
			return err
		}
		changes = changes[n:]
	}
	return nil
}

// sizeOf is about how many bytes a change takes.
func sizeOf(change crdt.Change) int {
	size := len(change.Key) + 16 + 16*len(change.Parts)
	for _, reg := range change.Registers {
		size += len(reg.Value.Bytes()) + 9
	}
	return size
}

// usedColumns are the columns a section's registers name, and its changes naming them by
// their place among those: a column nobody changed need not exist at the receiver yet.
func usedColumns(s crdt.Section) ([]string, []crdt.Change) {
	place := make([]int, len(s.Columns))
	for _, c := range s.Changes {
		for _, r := range c.Registers {
			place[r.Column] = 1
		}
		for _, p := range c.Parts {
			place[p.Column] = 1
		}
	}
	var names []string
	for i, used := range place {
		if used > 0 {
			place[i] = len(names)
			names = append(names, s.Columns[i])
		}
	}
	for _, c := range s.Changes {
		for i := range c.Registers {
			c.Registers[i].Column = crdt.Column(place[c.Registers[i].Column])
		}
		for i := range c.Parts {
			c.Parts[i].Column = crdt.Column(place[c.Parts[i].Column])
		}
	}
	return names, s.Changes
}

// table emits the rows of a table that belong to the slice.
func (x *extraction) table(t *table) error {
	x.begin(t)
	err := x.c.Rows(t.sql.changed, []crdt.Value{integer(x.above), integer(x.upTo)}, func(values []crdt.Value) error {
		return x.row(t, values, false)
	})
	if err != nil {
		return err
	}
	for x.plan != nil && len(x.plan.strays[t]) > 0 && x.plan.strays[t][0].first <= x.upTo {
		values, err := x.c.Row(t.sql.changedRow, x.plan.strays[t][0].key)
		if err == nil {
			err = x.row(t, values, true)
		}
		if err != nil {
			return err
		}
		x.plan.strays[t] = x.plan.strays[t][1:]
	}
	return x.flush()
}

// row emits what of a row is news, given its shadow and maybe the row. What the plan has
// elsewhere is emitted there.
func (x *extraction) row(t *table, values []crdt.Value, stray bool) error {
	row, err := shadow.Decode(values[1].Bytes())
	if err != nil {
		return err
	}
	x.look(t, values[0])
	if x.plan != nil && !stray {
		if oldest, any := x.oldest(row); !any || x.plan.firstOf(t, values[0], values[2], oldest) < causal.Position(values[3].Int()) {
			return nil
		}
	}
	change, any, err := x.change(t, t.keyOf(values[0]), row, values[4:])
	if err != nil || !any {
		return err
	}
	if d, ok := decodeReference(values[2]); ok {
		if root := x.cat.byNumber[d.tab]; root != nil {
			change.Document = &crdt.Document{Table: root.Name, Key: d.key}
		}
	}
	return x.add(change)
}

// change is what of a row is news to the receiver; any is false if nothing is. inTable is the
// row in its table, if it was read already.
func (x *extraction) change(t *table, key crdt.Key, row crdt.Row, inTable []crdt.Value) (change crdt.Change, any bool, err error) {
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
	if x.news(row.Death) {
		change.Death = row.Death.Stamp
		note(row.Death)
	}
	if !row.Live() {
		change.Registers = x.bases(t, row)
		change.Parts = x.parts(t, row, false, note)
		x.trimmed = x.trimmed || any && t.class == Journal
		return change, any && t.class != Journal, nil
	}
	change.Whole = row.Revived > x.has || t.class == Journal
	if x.news(row.Birth) {
		change.Whole = true
		note(row.Birth)
	}
	values, err := x.values(t, key, inTable)
	if err != nil || values == nil {
		return change, false, err
	}
	complete := values.table != nil || values.kept.size() == len(t.numbers)
	if t.own && t.Name == "ravno_rename" {
		if maker, _ := values.of(t, t.Column("site")); causal.Site(maker.Int()) != x.node {
			return change, false, nil // only who made the row calls it by its old key
		}
	}
	if change.Whole {
		change.Death = row.Death.Stamp
		if x.node == 0 && change.Death.Site != x.self {
			change.Death = hlc.Stamp{} // the hub has it from its own author
		}
		change.Registers = make([]crdt.Register, 0, len(t.numbers))
	}
	for i, number := range t.numbers {
		column := crdt.Column(number)
		version := row.Version(column)
		v, known := values.of(t, i)
		if !known || !t.Columns[i].Register {
			continue
		}
		if x.news(version) {
			note(version)
		} else if !change.Whole {
			continue
		}
		if c, counts := row.Counter(column); counts {
			v = c.Base
		}
		change.Registers = append(change.Registers, crdt.Register{Column: crdt.Column(i), Stamp: version.Stamp, Value: v})
	}
	change.Parts = x.parts(t, row, change.Whole, note)
	if change.Whole && !complete { // then only what is news is ours to send
		change.Whole = false
		change.Registers = slices.DeleteFunc(change.Registers, func(r crdt.Register) bool {
			return !x.news(row.Version(crdt.Column(t.numbers[r.Column])))
		})
	}
	if !any { // nothing of it is news but that it is whole: what its sender has seen is all that came
		change.Seen = x.seen
	}
	return change, any || row.Revived > x.has, nil
}

// news reports whether a version of the row in hand is one the receiver cannot have: above its position and,
// at the hub, written by another site; at a node, written here.
func (x *extraction) news(v crdt.Version) bool {
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
	kept  *image
}

// of is the value of a column, given its index.
func (v *rowValues) of(t *table, column int) (value crdt.Value, known bool) {
	if v.table != nil {
		return v.table[column], true
	}
	value, known = v.kept.get(crdt.Column(t.numbers[column]))
	return value, known
}

// values reads a live row from its table, or from where it is held; nil if it is in neither.
func (x *extraction) values(t *table, key crdt.Key, inTable []crdt.Value) (*rowValues, error) {
	if len(inTable) > 0 && inTable[t.Key[0]].Kind() != crdt.Null {
		return &rowValues{table: inTable}, nil
	}
	tx := transaction{c: x.c, cat: x.cat}
	if !t.RowidKey { // its key may be one that a join cannot find
		values, err := key.Values()
		if err != nil {
			return nil, err
		}
		row, err := x.c.First(t.sql.image, values...)
		if err != nil {
			return nil, err
		}
		if row != nil {
			return &rowValues{table: row}, nil
		}
	}
	m, _, err := tx.readImage(t, key)
	if err != nil || m == nil {
		return nil, err
	}
	return &rowValues{kept: m}, nil
}

// displaced emits own work that a newer write has replaced here before the hub had it.
func (x *extraction) displaced() error {
	return x.c.Rows("SELECT tab, change FROM ravno_displaced WHERE position>? ORDER BY tab, id", []crdt.Value{integer(max(x.from, x.early[displacedWork]))},
		func(row []crdt.Value) error {
			t := x.cat.byNumber[row[0].Int()]
			if t == nil {
				return nil
			}
			change, document, err := unpackChange(row[1].Bytes())
			if err != nil {
				return err
			}
			if root := x.cat.byNumber[document.tab]; root != nil && document != t.reference(change.Key) {
				change.Document = &crdt.Document{Table: root.Name, Key: document.key}
			}
			known := change.Registers[:0]
			for _, reg := range change.Registers {
				if i, ok := t.byNum[reg.Column]; ok {
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
