package extract

import (
	"slices"
	"strings"

	"ravno/crdt"
	"ravno/store/internal/catalog"
)

// begin starts a section for a table.
func (x *Extraction) begin(t *catalog.Table) {
	x.section = &crdt.Section{Table: t.Name, Journal: t.Class == catalog.Journal, KeyColumns: t.KeyNames(),
		Columns: t.ColumnNames()}
	x.bytes = 0
}

// add puts a change into the current section, and flushes a full one. It returns errSlices if the delta
// turns out larger than one slice.
func (x *Extraction) add(change crdt.Change) error {
	if x.section.Changes == nil && x.room[x.section.Table] > 0 {
		x.section.Changes = make([]crdt.Change, 0, x.room[x.section.Table])
	}
	x.section.Changes = append(x.section.Changes, change)
	x.Changes++
	size := sizeOf(change)
	x.bytes += size
	x.held += size
	if x.limit > 0 && (x.Changes > x.limit || x.held > SliceBytes) {
		return errSlices
	}
	if len(x.section.Changes) >= LargeSlice || x.bytes >= SliceBytes {
		return x.flush()
	}
	return nil
}

// flush emits the changes of the current table in sections, sorted by key. Sorted changes compress
// better, and the receiver writes rows that lie side by side.
func (x *Extraction) flush() error {
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

// sizeOf estimates the bytes of a change.
func sizeOf(change crdt.Change) int {
	size := len(change.Key) + 16 + 16*len(change.Parts)
	for _, reg := range change.Registers {
		size += len(reg.Value.Bytes()) + 9
	}
	return size
}

// usedColumns returns the columns that a section's changes use, and rewrites the changes as indexes
// into those. So a column that nobody changed need not exist at the receiver yet.
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
