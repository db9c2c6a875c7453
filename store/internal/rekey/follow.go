package rekey

import (
	"maps"
	"slices"

	"ravno/crdt"
	"ravno/store/internal/capture"
	"ravno/store/internal/catalog"
	"ravno/store/internal/history"
)

// FollowFresh points references at rows that got fresh keys in this delta. It treats the rows that
// arrived in an earlier slice of the same work, before the row that they refer to. It does nothing
// unless the delta is sliced. It reports whether it wrote any reference.
func (x *Rekeying) FollowFresh() (wrote bool, err error) {
	if !x.Sliced {
		return false, nil
	}
	fresh := map[*catalog.Table]map[int64]collision{}
	for _, c := range x.collisions {
		if x.keys.fresh[c.t.Reference(crdt.NewKey(catalog.Integer(c.old)))] {
			continue // Another row of the maker has this as its fresh key, so a reference is ambiguous.
		}
		if fresh[c.t] == nil {
			fresh[c.t] = map[int64]collision{}
		}
		fresh[c.t][c.old] = c
	}
	for _, t := range x.Tx.Cat.Tables {
		of := fresh[t]
		for _, d := range t.Domain {
			if len(of) == 0 || d.T.Columns[d.Column].InKey {
				continue // A reference in a key is as old as its row. fold.SortRows puts the referred row first.
			}
			rows, err := history.RowsWith(x.Tx, d, slices.Sorted(maps.Keys(of)))
			if err != nil {
				return wrote, err
			}
			for _, row := range rows {
				some, err := x.refersTo(d, row.Key, of[row.Value])
				if err != nil {
					return wrote, err
				}
				wrote = wrote || some
			}
		}
	}
	return wrote, nil
}

// refersTo replaces the old key of c with its fresh key in one column of one row. It does so only if
// the maker of the rekeyed row wrote the reference after making that row. Any other writer means the
// row that kept the key. References that arrive in this delta were already translated. It reports
// whether it wrote.
func (x *Rekeying) refersTo(d catalog.DomainColumn, key crdt.Key, c collision) (wrote bool, err error) {
	row, err := x.Tx.ReadShadow(d.T, key)
	if err != nil {
		return false, err
	}
	number := crdt.Column(d.T.Numbers[d.Column])
	if v := row.Version(number); v.Stamp.Site != x.Author || v.Stamp.Time < c.birth.Time || v.Position > x.Began {
		return false, nil
	}
	fresh := catalog.NewValues(1)
	fresh.Set(number, catalog.Integer(c.new))
	if err := x.Tx.Update(d.T, key, []crdt.Column{number}, fresh); err != nil {
		return false, err
	}
	return true, x.Tx.Log(d.T, key, capture.Update, []string{d.T.Columns[d.Column].Name})
}
