package extract

import (
	"ravno/crdt"
	"ravno/store/internal/catalog"
)

// parts returns the parts of counters that the receiver lacks. If the row travels whole, it returns all
// parts that this sender may send. It calls note with the version of each part that the receiver lacks.
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

// bases returns the counter bases of a deleted row that the receiver lacks. Parts mean nothing without
// their base, should the row live on.
func (x *Extraction) bases(t *catalog.Table, row crdt.Row) (bases []crdt.Register) {
	for i, number := range t.Numbers {
		column := crdt.Column(number)
		if c, known := row.Counter(column); known && t.ClassOf(column) == crdt.ClassCounter && x.isNew(row.Version(column)) {
			bases = append(bases, crdt.Register{Column: crdt.Column(i), Stamp: row.Version(column).Stamp, Value: c.Base})
		}
	}
	return bases
}
