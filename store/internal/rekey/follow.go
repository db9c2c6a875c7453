package rekey

import (
	"slices"

	"ravno/crdt"
	"ravno/store/internal/capture"
	"ravno/store/internal/catalog"
	"ravno/store/internal/rows"
	"ravno/store/internal/sqlite"
)

// manyFresh is from how many fresh keys of a table on the rows that may refer to them are found by
// going through all rows, and not by asking for each: there may be no index.
const manyFresh = 16

// FollowFresh makes rows follow those that have just got fresh keys, if they came from their maker
// before these did, and reports whether it wrote any: in an earlier slice of the same work, with a value newer than that slice.
func (x *Rekeying) FollowFresh() (wrote bool, err error) {
	if !x.Sliced {
		return false, nil
	}
	fresh := map[*catalog.Table]map[int64]collision{}
	for _, c := range x.collisions {
		if x.renames.fresh[c.t.Reference(crdt.NewKey(catalog.Integer(c.old)))] {
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
			rows, err := rowsWith(x.Tx, d, of)
			if err != nil {
				return wrote, err
			}
			for _, row := range rows {
				some, err := x.refersTo(d, row.key, of[row.value])
				if err != nil {
					return wrote, err
				}
				wrote = wrote || some
			}
		}
	}
	return wrote, nil
}

// referring is a row and what a column of it says.
type referring struct {
	key   crdt.Key
	value int64
}

// rowsWith are the rows whose column has one of some values.
func rowsWith(tx *rows.Tx, d catalog.DomainColumn, values map[int64]collision) (rows []referring, err error) {
	if len(values) < manyFresh {
		for value := range values {
			keys, err := keysWith(tx, d, value)
			if err != nil {
				return nil, err
			}
			for _, key := range keys {
				rows = append(rows, referring{key, value})
			}
		}
		return rows, nil
	}
	column := "+" + sqlite.Quote(d.T.Columns[d.Column].Name)
	err = tx.C.Rows("SELECT "+column+", "+sqlite.QuoteAll("+", d.T.KeyNames())+" FROM "+sqlite.Quote(d.T.Name), nil, func(row []crdt.Value) error {
		if _, any := values[row[0].Int()]; !any || row[0].Kind() != crdt.Integer {
			return nil
		}
		if key, err := d.T.CanonicalKey(slices.Clone(row[1:])); err == nil {
			rows = append(rows, referring{key, row[0].Int()})
		}
		return nil
	})
	return rows, err
}

// refersTo puts a fresh key into a column, if it was the maker of the row that has got it who wrote
// the former key there, after making that row: anybody else means the row that keeps it. What came
// with that row was translated when it came. It reports whether it wrote.
func (x *Rekeying) refersTo(d catalog.DomainColumn, key crdt.Key, c collision) (wrote bool, err error) {
	row, _, _, err := x.Tx.ReadShadow(d.T, key)
	if err != nil {
		return false, err
	}
	number := crdt.Column(d.T.Numbers[d.Column])
	if v := row.Version(number); v.Stamp.Site != x.Author || v.Stamp.Time < c.birth.Time || v.Position > x.Began {
		return false, nil
	}
	fresh := catalog.NewImage(1)
	fresh.Set(number, catalog.Integer(c.new))
	if err := x.Tx.UpdateImage(d.T, key, []crdt.Column{number}, fresh); err != nil {
		return false, err
	}
	return true, x.Tx.Log(d.T, key, capture.Update, []string{d.T.Columns[d.Column].Name})
}
