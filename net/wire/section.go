package wire

import (
	"fmt"
	"math/bits"

	"ravno/crdt"
	"ravno/crdt/hlc"
)

// Section is a section of a delta as package crdt knows it. Changes read share their
// Documents and must not write to them.
type Section crdt.Section

// Advice on the size of a section. It should be large enough to compress well, and so small that a
// receiver holds it in a few MiB and applies it in a slice or two. The limits are MaxSection,
// MaxSectionChanges, MaxSectionRegisters and MaxSectionParts.
const (
	// SectionTargetChanges is a good number of changes for one section.
	SectionTargetChanges = 2048
	// SectionTargetBytes is a good sum of ApproxSize for one section, in bytes.
	SectionTargetBytes = 1 << 20
)

// The rough size of a change, a number and a part of a counter on the wire, in bytes, for ApproxSize.
// Parts are by different sites at different times, so each has its stamp.
const (
	approxChange = 16
	approxNumber = 9
	approxPart   = 28
)

// ApproxSize is about how many bytes a change takes in a section before compression. It
// errs on the high side by a few bytes, never by the size of a value, so a section whose
// sum is well below MaxSection fits.
func ApproxSize(c crdt.Change) int {
	size := approxChange + len(c.Key)
	if c.Document != nil {
		size += len(c.Document.Table) + len(c.Document.Key)
	}
	for _, r := range c.Registers {
		size += approxNumber + len(r.Value.Bytes())
	}
	return size + approxPart*len(c.Parts)
}

// check refuses a section that the format cannot express, before anything of it is written.
func (s *Section) check() error {
	switch {
	case s.Table == "":
		return fmt.Errorf("%w: a section without a table", ErrInvalid)
	case len(s.KeyColumns) == 0:
		return fmt.Errorf("%w: no key columns", ErrInvalid)
	case len(s.Changes) > MaxSectionChanges:
		return fmt.Errorf("%w: %d changes, at most %d are allowed", ErrTooLarge, len(s.Changes), MaxSectionChanges)
	}
	for _, names := range [][]string{s.KeyColumns, s.Columns} {
		if fault := faultInNames(names); fault != "" {
			return fmt.Errorf("%w: %s", ErrInvalid, fault)
		}
	}
	registers, parts := 0, 0
	for i := range s.Changes {
		c := &s.Changes[i]
		registers += len(c.Registers)
		parts += len(c.Parts)
		last := -1
		for _, r := range c.Registers {
			if int(r.Column) >= len(s.Columns) || int(r.Column) <= last {
				return fmt.Errorf("%w: change %d: column %d after %d of %d", ErrInvalid, i, r.Column, last, len(s.Columns))
			}
			last = int(r.Column)
		}
		if c.Document != nil && c.Document.Table == "" {
			return fmt.Errorf("%w: change %d: a document without a table", ErrInvalid, i)
		}
		if fault := faultInParts(c.Parts, len(s.Columns)); fault != "" {
			return fmt.Errorf("%w: change %d: %s", ErrInvalid, i, fault)
		}
	}
	switch {
	case registers > MaxSectionRegisters:
		return fmt.Errorf("%w: %d registers, at most %d are allowed", ErrTooLarge, registers, MaxSectionRegisters)
	case parts > MaxSectionParts:
		return fmt.Errorf("%w: %d parts of counters, at most %d are allowed", ErrTooLarge, parts, MaxSectionParts)
	}
	return nil
}

// columnSet says which columns the changes [from, to) carry.
type columnSet struct {
	from, to int
	mask     []byte // bit i%8 of byte i/8: column i
	next     int    // the index of the next register to visit in each of the changes
}

func maskSize(columns int) int { return (columns + 7) / 8 }

// carriers lists for each column the sets it is in. Asking every set about every column
// instead would cost a second of work for a hostile section of 140 kB.
func carriers(sets []columnSet, columns int) [][]int32 {
	of := make([][]int32, columns)
	for i := range sets {
		for at, b := range sets[i].mask {
			for ; b != 0; b &= b - 1 {
				column := at*8 + bits.TrailingZeros8(b)
				of[column] = append(of[column], int32(i))
			}
		}
	}
	return of
}

// gather lists the registers of one column over all changes, in their order. carrying are the sets
// that the column is in. Columns must be visited in ascending order, each once, so that a set knows
// which register is next.
func gather(changes []crdt.Change, sets []columnSet, carrying []int32, into []*crdt.Register) []*crdt.Register {
	into = into[:0]
	for _, i := range carrying {
		set := &sets[i]
		for row := set.from; row < set.to; row++ {
			into = append(into, &changes[row].Registers[set.next])
		}
		set.next++
	}
	return into
}

// What the stamps of a run of registers are.
const (
	stampOfBirth = 0 // the stamp of the birth of the register's own row
	stampGiven   = 1 // one stamp for the whole run, which follows
)

// registerStamp is the stamp of a register as runs of them are compared and written.
type registerStamp struct {
	form  uint64
	stamp hlc.Stamp // zero if form is stampOfBirth
}

func stampOf(c *crdt.Change, r *crdt.Register) registerStamp {
	if r.Stamp == c.Birth {
		return registerStamp{form: stampOfBirth}
	}
	return registerStamp{form: stampGiven, stamp: r.Stamp}
}
