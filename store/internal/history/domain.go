package history

import (
	"slices"

	"ravno/crdt"
	"ravno/store/internal/catalog"
	"ravno/store/internal/rows"
	"ravno/store/internal/sqlite"
)

// manyValues is from how many values on the rows that have one of them are found by going through all
// rows, and not by asking for each: there may be no index.
const manyValues = 16

// Referring is a row and what a column of it says.
type Referring struct {
	Key   crdt.Key
	Value int64
}

// RowsWith are the rows of a table whose column has one of some values, which are in order.
func RowsWith(tx *rows.Tx, d catalog.DomainColumn, values []int64) (found []Referring, err error) {
	column := sqlite.Quote(d.T.Columns[d.Column].Name)
	sql := "SELECT +" + column + ", " + sqlite.QuoteAll("+", d.T.KeyNames()) + " FROM " + sqlite.Quote(d.T.Name)
	take := func(row []crdt.Value) error {
		if _, any := slices.BinarySearch(values, row[0].Int()); !any || row[0].Kind() != crdt.Integer {
			return nil
		}
		if key, err := d.T.CanonicalKey(slices.Clone(row[1:])); err == nil {
			found = append(found, Referring{key, row[0].Int()})
		}
		return nil
	}
	order := " ORDER BY " + sqlite.QuoteAll("", d.T.KeyNames())
	if len(values) >= manyValues {
		return found, tx.SQL.Rows(sql+order, nil, take)
	}
	for _, value := range values {
		if err := tx.SQL.Rows(sql+" WHERE "+column+"=?"+order, []crdt.Value{catalog.Integer(value)}, take); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// Rekey puts a key's fresh value into a column that holds it.
func Rekey(tx *rows.Tx, d catalog.DomainColumn, old, new int64) error {
	name := sqlite.Quote(d.T.Columns[d.Column].Name)
	return tx.Put(d.T, "UPDATE "+sqlite.Quote(d.T.Name)+" SET "+name+"=? WHERE "+name+"=?", catalog.Integer(new),
		catalog.Integer(old))
}
