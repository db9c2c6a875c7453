// Package crdt defines a row that several servers write, and merges two versions of it into one.
// A row is a birth, perhaps a death, and one last-writer-wins register for each column (Shapiro
// et al. 2011, "A comprehensive study of convergent and commutative replicated data types",
// section 3.2.1). Each of them has a hybrid logical clock stamp. Merge is pure and total. It
// cannot fail, and the order, grouping and repetition of merges make no difference. The package
// knows no SQL, disks, sockets or clocks. Its callers refuse input that could make merging fail.
package crdt

import (
	"slices"

	"ravno/crdt/causal"
	"ravno/crdt/hlc"
)

// Column is the number of a column within its table at one site. Numbers are local. On the wire
// columns travel by name.
type Column uint16

// Version says which write a register holds. The stamp is the same at every site;
// Position is where this site committed it, and Seen what its author had seen of the hub.
type Version struct {
	Stamp    hlc.Stamp
	Position causal.Position
	Seen     causal.Seen
}

// ColumnVersion is the version of one column's register.
type ColumnVersion struct {
	Column Column
	Version
}

// Row is a shadow, which a site remembers of one row besides its values. The zero Row is a row
// that was there before ravno came and has not changed since. It needs no shadow at all.
type Row struct {
	// Birth is the write that created the row. Two births of one key are two different
	// rows, whose columns are never mixed.
	Birth Version
	// Death is the newest deletion of the row of this birth; zero if there was none.
	Death Version
	// Base is the version of every column that Columns does not list.
	Base Version
	// Columns are the columns whose version differs from Base, ascending by column.
	Columns []ColumnVersion
	// Revived is the position at which the row last outlived a deletion here, because an edit
	// was newer. A site behind that position may need the row whole. Zero if never.
	Revived causal.Position
	// Counters are the counter columns whose base or parts are known, ascending by column.
	// All of it belongs to the row of this birth, like Columns.
	Counters []Counter
}

// Version is the version of one column's register.
func (r Row) Version(c Column) Version {
	if i, found := slices.BinarySearchFunc(r.Columns, c, compareColumn); found {
		return r.Columns[i].Version
	}
	return r.Base
}

func compareColumn(v ColumnVersion, c Column) int { return int(v.Column) - int(c) }

// Newest is the newest stamp among the birth, the registers and the parts of counters.
func (r Row) Newest() hlc.Stamp {
	newest := r.Birth.Stamp
	if r.Base.Stamp.After(newest) {
		newest = r.Base.Stamp
	}
	for _, c := range r.Columns {
		if c.Stamp.After(newest) {
			newest = c.Stamp
		}
	}
	for _, c := range r.Counters {
		for _, p := range c.Parts {
			if p.Stamp.After(newest) {
				newest = p.Stamp
			}
		}
	}
	return newest
}

// Live reports whether the row is there. A deletion is a version like any other, and the newer of
// the deletion and the last edit is in force.
func (r Row) Live() bool { return r.Death.Stamp.IsZero() || !r.Death.Stamp.After(r.Newest()) }

// Set gives a column's register a version, in place of the one it had.
func (r *Row) Set(c Column, v Version) {
	i, found := slices.BinarySearchFunc(r.Columns, c, compareColumn)
	switch {
	case found && v == r.Base:
		r.Columns = slices.Delete(r.Columns, i, i+1)
	case found:
		r.Columns[i].Version = v
	case v != r.Base:
		r.Columns = slices.Insert(r.Columns, i, ColumnVersion{Column: c, Version: v})
	}
}

// Rewrite gives every register that is older than a version that version. Counters stay as they are.
func (r *Row) Rewrite(v Version) {
	if v.Stamp.After(r.Base.Stamp) {
		r.Base = v
	}
	r.Columns = slices.Clone(r.Columns)
	for i := range r.Columns {
		if c := &r.Columns[i]; v.Stamp.After(c.Stamp) {
			c.Version = v
		}
	}
	r.Columns = slices.DeleteFunc(r.Columns, func(c ColumnVersion) bool { return c.Version == r.Base })
}

// Clone is a copy that shares nothing with r.
func (r Row) Clone() Row {
	r.Columns = slices.Clone(r.Columns)
	r.Counters = slices.Clone(r.Counters)
	for i := range r.Counters {
		r.Counters[i].Parts = slices.Clone(r.Counters[i].Parts)
	}
	return r
}

// Register is one column's register with its value, as it travels.
type Register struct {
	Column Column
	// Class is the column's class at this site. Of a counter, Value is the base it was set to. The class never
	// travels. The receiver's store sets it before Merge, from its own settings.
	Class ColumnClass
	Stamp hlc.Stamp
	Value Value
}

// Change is the part of one row that travels. It has the row's birth, its death if any, and the
// registers that the receiver may not have. Sending more than needed, or the same again, does no
// harm.
type Change struct {
	Key   Key
	Birth hlc.Stamp
	Death hlc.Stamp // zero: the row was never deleted
	// Seen is the least its author had seen when it wrote any of the parts that are new to the
	// hub. It only means something on the way from a node to the hub.
	Seen causal.Seen
	// Whole says that Registers lists every column of the row, so that a receiver without
	// the row can place it.
	Whole     bool
	Registers []Register // ascending by column
	// Parts are the parts of counters the receiver may not have, ascending by column, then site.
	Parts []ChangePart
	// Document is the root of the document the row belongs to; nil if the row is its own root.
	Document *Document
}

// Document names a document by its root row.
type Document struct {
	Table string
	Key   Key
}
