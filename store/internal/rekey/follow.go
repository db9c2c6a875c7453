package rekey

import (
	"maps"
	"slices"

	"ravno/crdt"
	"ravno/store/internal/capture"
	"ravno/store/internal/catalog"
	"ravno/store/internal/history"
)

// FollowFresh makes rows follow those that have just got fresh keys, if they came from their maker
// before these did. Such a row came in an earlier slice of the same work, with a value newer than that slice.
// It reports whether it wrote any.
func (x *Rekeying) FollowFresh() (wrote bool, err error) {
	if !x.Sliced {
		return false, nil
	}
	fresh := map[*catalog.Table]map[int64]collision{}
	for _, c := range x.collisions {
		if x.keys.fresh[c.t.Reference(crdt.NewKey(catalog.Integer(c.old)))] {
			continue // it is the fresh key of another row of its maker's, which may be meant as well
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
				continue // such a reference is as old as its row, and what it is to came no later (sortRows)
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

// refersTo puts a fresh key into a column, if it was the maker of the row that has got it who wrote
// the former key there, after making that row: anybody else means the row that keeps it. What came
// with that row was translated when it came. It reports whether it wrote.
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
