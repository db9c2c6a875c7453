package wire

import (
	"fmt"

	"ravno/crdt"
	"ravno/crdt/hlc"
)

// faultInParts describes the fault in the parts of one change, in a section of so many columns. It is
// empty if there is none. The format demands an order, which ensures that no site has two parts.
func faultInParts(parts []crdt.ChangePart, columns int) string {
	for i, p := range parts {
		switch {
		case int(p.Column) >= columns:
			return fmt.Sprintf("a part of a counter in column %d of %d", p.Column, columns)
		case p.Stamp.Site == 0:
			return "a part of a counter by no site"
		case p.Total.Kind() != crdt.Integer && p.Total.Kind() != crdt.Real:
			return fmt.Sprintf("a part of a counter that is %s, not a number", p.Total.Kind())
		case i == 0:
		case p.Column < parts[i-1].Column, p.Column == parts[i-1].Column && p.Stamp.Site <= parts[i-1].Stamp.Site:
			return fmt.Sprintf("the part of site %d in column %d after that of site %d in column %d",
				p.Stamp.Site, p.Column, parts[i-1].Stamp.Site, parts[i-1].Column)
		}
	}
	return ""
}

// parts writes the parts of counters of all changes, column by column like everything else.
// A section without any, which is most of them, pays one byte.
func (e *encoder) parts(changes []crdt.Change) {
	var parts []crdt.ChangePart
	for i := range changes {
		parts = append(parts, changes[i].Parts...)
	}
	e.uint(uint64(len(parts)))
	if len(parts) == 0 {
		return
	}
	e.runs(len(changes),
		func(i, j int) bool { return len(changes[i].Parts) == len(changes[j].Parts) },
		func(from, _ int) { e.uint(uint64(len(changes[from].Parts))) })
	e.runs(len(parts),
		func(i, j int) bool { return parts[i].Column == parts[j].Column },
		func(from, _ int) { e.uint(uint64(parts[from].Column)) })
	e.stamps(len(parts), func(i int) hlc.Stamp { return parts[i].Stamp })
	e.runs(len(parts),
		func(i, j int) bool { return parts[i].Total.Kind() == parts[j].Total.Kind() },
		func(from, to int) {
			e.uint(uint64(parts[from].Total.Kind()))
			for _, p := range parts[from:to] {
				e.value(p.Total)
			}
		})
}

// parts reads the output of encoder.parts.
func (d *decoder) parts(changes []crdt.Change, columns int) {
	const what = "parts"
	total := int(d.upTo(what, MaxSectionParts))
	if total > d.left() { // each part's total takes at least a byte
		d.fail(what, "%d of them in %d bytes", total, d.left())
	}
	if d.err != nil || total == 0 {
		return
	}
	parts := make([]crdt.ChangePart, total)
	d.shareParts(changes, parts)
	d.runs("columns of parts", total, func(from, to int) {
		column := crdt.Column(d.uint16("columns of parts"))
		for i := from; i < to; i++ {
			parts[i].Column = column
		}
	})
	d.stamps("stamps of parts", total, func(i int, stamp hlc.Stamp) { parts[i].Stamp = stamp })
	d.runs("totals", total, func(from, to int) {
		kind := crdt.Kind(d.upTo("totals", uint64(crdt.Real)))
		for i := from; i < to && d.err == nil; i++ {
			parts[i].Total = d.value("totals", kind)
		}
	})
	for i := range changes {
		if fault := faultInParts(changes[i].Parts, columns); fault != "" && d.err == nil {
			d.fail(what, "change %d: %s", i, fault)
		}
	}
}

// shareParts reads how many parts each change has, and gives all parts to the changes in order.
func (d *decoder) shareParts(changes []crdt.Change, parts []crdt.ChangePart) {
	const what = "parts of each change"
	d.runs(what, len(changes), func(from, to int) {
		number := int(d.upTo(what, uint64(len(parts))))
		if number > len(parts)/(to-from) {
			d.fail(what, "%d for each of %d changes, but there are %d", number, to-from, len(parts))
			return
		}
		if number == 0 {
			return
		}
		for i := from; i < to; i++ {
			changes[i].Parts, parts = parts[:number:number], parts[number:]
		}
	})
	if d.err == nil && len(parts) > 0 {
		d.fail(what, "%d parts belong to no change", len(parts))
	}
}
