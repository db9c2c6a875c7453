package wire

import (
	"fmt"
	"math"
	"slices"

	"ravno/crdt"
	"ravno/crdt/hlc"
)

// section writes the payload of a section that check has found good. It goes column by column, because
// neighbours in a column are alike, and so are cheap to code and to compress.
func (e *encoder) section(s *Section) {
	changes := s.Changes
	n := len(changes)
	e.text(s.Table)
	e.bool(s.Journal)
	e.names(s.KeyColumns)
	e.names(s.Columns)
	e.uint(uint64(n))
	e.keys(n, func(i int) crdt.Key { return changes[i].Key }, len(s.KeyColumns))
	e.stamps(n, func(i int) hlc.Stamp { return changes[i].Birth })
	e.stamps(n, func(i int) hlc.Stamp { return changes[i].Death })
	e.runs(n,
		func(i, j int) bool { return changes[i].Seen == changes[j].Seen },
		func(from, _ int) { e.uint(uint64(changes[from].Seen)) })
	e.runs(n,
		func(i, j int) bool { return changes[i].Whole == changes[j].Whole },
		func(from, _ int) { e.bool(changes[from].Whole) })
	e.documents(changes)
	sets := e.columnSets(changes, len(s.Columns))
	e.registerStamps(changes)
	var registers []*crdt.Register
	for _, carrying := range carriers(sets, len(s.Columns)) {
		registers = gather(changes, sets, carrying, registers)
		e.values(registers)
	}
	e.parts(changes)
}

func (e *encoder) stamps(n int, stamp func(i int) hlc.Stamp) {
	var previous hlc.Time
	e.runs(n,
		func(i, j int) bool { return stamp(i) == stamp(j) },
		func(from, _ int) { e.stamp(&previous, stamp(from)) })
}

// documents writes a dictionary of the documents, and for each change 0 for none or the
// number of its document in the dictionary, counted from 1.
func (e *encoder) documents(changes []crdt.Change) {
	var dictionary []crdt.Document
	numbers := make(map[crdt.Document]int)
	number := make([]int, len(changes))
	for i := range changes {
		doc := changes[i].Document
		if doc == nil {
			continue
		}
		if numbers[*doc] == 0 {
			dictionary = append(dictionary, *doc)
			numbers[*doc] = len(dictionary)
		}
		number[i] = numbers[*doc]
	}
	e.uint(uint64(len(dictionary)))
	if len(dictionary) > 0 {
		e.runs(len(dictionary),
			func(i, j int) bool { return dictionary[i].Table == dictionary[j].Table },
			func(from, _ int) { e.text(dictionary[from].Table) })
		e.keys(len(dictionary), func(i int) crdt.Key { return dictionary[i].Key }, anyColumns)
	}
	e.runs(len(changes),
		func(i, j int) bool { return number[i] == number[j] },
		func(from, _ int) { e.uint(uint64(number[from])) })
}

// columnSets writes which columns each change carries.
func (e *encoder) columnSets(changes []crdt.Change, columns int) []columnSet {
	var sets []columnSet
	sameColumns := func(i, j int) bool {
		return slices.EqualFunc(changes[i].Registers, changes[j].Registers,
			func(a, b crdt.Register) bool { return a.Column == b.Column })
	}
	e.runs(len(changes), sameColumns, func(from, to int) {
		mask := make([]byte, maskSize(columns))
		for _, r := range changes[from].Registers {
			mask[r.Column/8] |= 1 << (r.Column % 8)
		}
		e.bytes(mask)
		sets = append(sets, columnSet{from: from, to: to, mask: mask})
	})
	return sets
}

// registerStamps writes the stamps of all registers, row by row. The registers of a row were mostly
// written at once, and those of a new row at its birth.
func (e *encoder) registerStamps(changes []crdt.Change) {
	var previous hlc.Time
	var run registerStamp
	length := uint64(0)
	flush := func() {
		if length == 0 {
			return
		}
		e.uint(length)
		e.uint(run.form)
		if run.form == stampGiven {
			e.stamp(&previous, run.stamp)
		}
	}
	for i := range changes {
		for k := range changes[i].Registers {
			s := stampOf(&changes[i], &changes[i].Registers[k])
			if length > 0 && s == run {
				length++
				continue
			}
			flush()
			run, length = s, 1
		}
	}
	flush()
}

// values writes the values of one column, in runs of one storage class.
func (e *encoder) values(registers []*crdt.Register) {
	kind := func(i int) crdt.Kind { return registers[i].Value.Kind() }
	e.runs(len(registers),
		func(i, j int) bool { return kind(i) == kind(j) },
		func(from, to int) {
			e.uint(uint64(kind(from)))
			for _, r := range registers[from:to] {
				e.value(r.Value)
			}
		})
}

func (e *encoder) value(v crdt.Value) {
	switch v.Kind() {
	case crdt.Integer:
		e.int(v.Int())
	case crdt.Real:
		if math.IsNaN(v.Float()) {
			e.keep(fmt.Errorf("%w: NaN, which SQLite cannot hold", ErrInvalid))
		}
		e.real(v.Float())
	case crdt.Text, crdt.Blob:
		e.data(v.Bytes())
	case crdt.Null:
	}
}
