package history

import (
	"slices"
	"strings"

	"ravno/crdt"
	"ravno/store/internal/catalog"
	"ravno/store/internal/rows"
	"ravno/store/internal/sqlite"
)

// mostAsked is the most values that one statement asks for, below SQLite's limit of 32,766 parameters. A
// column may have no index, so each statement may go through the whole table.
const mostAsked = 1 << 12

// Referring is a row and the key that a column of it holds.
type Referring struct {
	Key   crdt.Key
	Value int64
}

// RowsWith returns the rows of a table whose column equals one of some values. Like Rekey, it compares by
// the column's affinity: a REAL or a text may equal a key.
func RowsWith(tx *rows.Tx, d catalog.DomainColumn, values []int64) (found []Referring, err error) {
	column := sqlite.Quote(d.T.Columns[d.Column].Name)
	sql := "SELECT CAST(" + column + " AS INTEGER), " + sqlite.QuoteAll("+", d.T.KeyNames()) + " FROM " +
		sqlite.Quote(d.T.Name) + " WHERE " + column + " IN (?"
	order := ") ORDER BY " + sqlite.QuoteAll("", d.T.KeyNames())
	for asked := range slices.Chunk(values, mostAsked) {
		length := 1 // A power of two, because the connection keeps each statement.
		for length < len(asked) {
			length *= 2
		}
		args := make([]crdt.Value, length)
		for i := range args {
			args[i] = catalog.Integer(asked[min(i, len(asked)-1)])
		}
		err := tx.SQL.Rows(sql+strings.Repeat(",?", len(args)-1)+order, args, func(row []crdt.Value) error {
			if key, err := d.T.CanonicalKey(slices.Clone(row[1:])); err == nil {
				found = append(found, Referring{key, row[0].Int()})
			}
			return nil
		})
		if err != nil {
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
