package wire

import (
	"fmt"
	"math/bits"

	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/crdt/hlc"
)

// section reads the output of encoder.section. The result shares no memory with the payload.
func (d *decoder) section() *Section {
	s := &Section{Table: d.text("table"), Journal: d.bool("journal")}
	if s.Table == "" {
		d.fail("table", "the name is empty")
	}
	d.where += fmt.Sprintf(" of table %.64q", s.Table)
	s.KeyColumns = d.names("key columns", 1)
	s.Columns = d.names("columns", 0)
	n := int(d.upTo("changes", MaxSectionChanges))
	if n > d.left() { // each change's key takes at least a byte
		d.fail("changes", "%d of them in %d bytes", n, d.left())
	}
	if d.err != nil {
		return nil
	}
	if n > 0 {
		s.Changes = make([]crdt.Change, n)
	}
	changes := s.Changes
	d.keys("keys", n, len(s.KeyColumns), func(i int, k crdt.Key) { changes[i].Key = k })
	d.stamps("births", n, func(i int, stamp hlc.Stamp) { changes[i].Birth = stamp })
	d.stamps("deaths", n, func(i int, stamp hlc.Stamp) { changes[i].Death = stamp })
	d.runs("seen", n, func(from, to int) {
		seen := causal.Seen(d.uint("seen"))
		for i := from; i < to; i++ {
			changes[i].Seen = seen
		}
	})
	d.runs("whole", n, func(from, to int) {
		whole := d.bool("whole")
		for i := from; i < to; i++ {
			changes[i].Whole = whole
		}
	})
	d.documents(changes)
	sets := d.columnSets(changes, len(s.Columns))
	d.registerStamps(changes)
	var registers []*crdt.Register
	for column, carrying := range carriers(sets, len(s.Columns)) {
		if d.err != nil {
			return nil
		}
		registers = gather(changes, sets, carrying, registers)
		for _, r := range registers {
			r.Column = crdt.Column(column)
		}
		d.values(s.Columns[column], registers)
	}
	d.parts(changes, len(s.Columns))
	return s
}

func (d *decoder) stamps(what string, n int, set func(i int, stamp hlc.Stamp)) {
	var previous hlc.Time
	d.runs(what, n, func(from, to int) {
		stamp := d.stamp(what, &previous)
		for i := from; i < to; i++ {
			set(i, stamp)
		}
	})
}

func (d *decoder) documents(changes []crdt.Change) {
	const what = "documents"
	size := int(d.upTo(what, uint64(len(changes))))
	if size > d.left() { // each document's key takes at least a byte
		d.fail(what, "%d of them in %d bytes", size, d.left())
	}
	if d.err != nil {
		return
	}
	dictionary := make([]crdt.Document, size)
	if size > 0 {
		d.runs(what, size, func(from, to int) {
			table := d.text(what)
			if table == "" {
				d.fail(what, "the name of a table is empty")
			}
			for i := from; i < to; i++ {
				dictionary[i].Table = table
			}
		})
		d.keys(what, size, anyColumns, func(i int, k crdt.Key) { dictionary[i].Key = k })
	}
	d.runs(what, len(changes), func(from, to int) {
		number := d.upTo(what, uint64(size))
		if number == 0 {
			return
		}
		for i := from; i < to; i++ {
			changes[i].Document = &dictionary[number-1]
		}
	})
}

// columnSets reads which columns each change carries, and makes room for its registers. All of them
// are in one piece of memory, made once their number is known and within the limit.
func (d *decoder) columnSets(changes []crdt.Change, columns int) []columnSet {
	const what = "column sets"
	var sets []columnSet
	total := 0
	d.runs(what, len(changes), func(from, to int) {
		set := columnSet{from: from, to: to, mask: d.bytes(what)}
		if d.err != nil {
			return
		}
		if len(set.mask) != maskSize(columns) {
			d.fail(what, "a mask of %d bytes for %d columns", len(set.mask), columns)
			return
		}
		if used := columns % 8; used != 0 && set.mask[columns/8]>>used != 0 {
			d.fail(what, "a column beyond the %d there are", columns)
			return
		}
		total += set.width() * (to - from)
		if total > MaxSectionRegisters {
			d.fail(what, "more than %d registers", MaxSectionRegisters)
			return
		}
		sets = append(sets, set)
	})
	if d.err != nil {
		return nil
	}
	registers := make([]crdt.Register, total)
	for i := range sets {
		width := sets[i].width()
		if width == 0 {
			continue
		}
		for row := sets[i].from; row < sets[i].to; row++ {
			changes[row].Registers = registers[:width:width]
			registers = registers[width:]
		}
	}
	return sets
}

// width is how many columns are in the set.
func (s *columnSet) width() int {
	width := 0
	for _, b := range s.mask {
		width += bits.OnesCount8(b)
	}
	return width
}

// registerStamps reads the stamps of all registers. Its runs go across rows. row and k say which
// register is next.
func (d *decoder) registerStamps(changes []crdt.Change) {
	const what = "register stamps"
	total := 0
	for i := range changes {
		total += len(changes[i].Registers)
	}
	var previous hlc.Time
	row, k := 0, 0
	d.runs(what, total, func(from, to int) {
		form := d.upTo(what, stampGiven)
		var given hlc.Stamp
		if form == stampGiven {
			given = d.stamp(what, &previous)
		}
		for range to - from {
			for k == len(changes[row].Registers) {
				row, k = row+1, 0
			}
			c := &changes[row]
			c.Registers[k].Stamp = given
			if form == stampOfBirth {
				c.Registers[k].Stamp = c.Birth
			}
			k++
		}
	})
}

func (d *decoder) values(column string, registers []*crdt.Register) {
	d.runs(column, len(registers), func(from, to int) {
		kind := crdt.Kind(d.upTo(column, uint64(crdt.Blob)))
		for _, r := range registers[from:to] {
			if d.err != nil {
				return
			}
			r.Value = d.value(column, kind)
		}
	})
}

func (d *decoder) value(column string, kind crdt.Kind) crdt.Value {
	switch kind {
	case crdt.Integer:
		return crdt.IntegerValue(d.int(column))
	case crdt.Real:
		return crdt.RealValue(d.real(column))
	case crdt.Text:
		return crdt.TextValue(string(d.bytes(column)))
	case crdt.Blob:
		return crdt.BlobValue(string(d.bytes(column)))
	case crdt.Null:
	}
	return crdt.Value{}
}
