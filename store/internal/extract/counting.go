package extract

import (
	"ravno/crdt"
	"ravno/store/internal/catalog"
)

// parts are the parts of counters that are news to the receiver; all of them, if the row
// goes whole.
func (x *Extraction) parts(t *catalog.Table, row crdt.Row, whole bool, note func(crdt.Version)) (
	parts []crdt.ChangePart) {
	for _, c := range row.Counters {
		i, ok := t.ByNum[c.Column]
		if !ok {
			continue
		}
		for _, p := range c.Parts {
			switch {
			case x.isNew(p.Version):
				note(p.Version)
			case !whole || x.node == 0 && p.Stamp.Site != x.self:
				continue
			}
			parts = append(parts, crdt.ChangePart{Column: crdt.Column(i), Stamp: p.Stamp, Total: p.Total})
		}
	}
	return parts
}

// bases are the bases of a deleted row's counters that are news to the receiver: what was
// counted in a row which it never had alive says nothing without them, should the row live on.
func (x *Extraction) bases(t *catalog.Table, row crdt.Row) (bases []crdt.Register) {
	for i, number := range t.Numbers {
		column := crdt.Column(number)
		if c, known := row.Counter(column); known && t.ClassOf(column) == crdt.ClassCounter && x.isNew(row.Version(column)) {
			bases = append(bases, crdt.Register{Column: crdt.Column(i), Stamp: row.Version(column).Stamp, Value: c.Base})
		}
	}
	return bases
}
