package rows

import (
	"maps"
	"ravno/crdt"
	"ravno/store/internal/catalog"
	"ravno/store/internal/schema"
	"ravno/store/internal/sqlite"
	"slices"
	"strings"
)

// Blockers are the keys of the rows in a table that have one of the unique values of a row outside it.
// What those values are, expressions and generated columns included, SQLite itself says:
// the row is put in by force, asked, and taken out again with all it did.
func (tx *Tx) Blockers(t *catalog.Table, key crdt.Key, image *catalog.Values) ([]crdt.Key, error) {
	if len(t.Unique) == 0 {
		return nil, nil
	}
	values, err := tx.uniqueValues(t, key, image)
	if err != nil || values == nil {
		return nil, err
	}
	found := map[crdt.Key]bool{}
	for i, index := range t.Unique {
		if values[i] == nil {
			continue // the row is not in this partial index
		}
		var parts []string
		for _, part := range index.Parts {
			parts = append(parts, indexed(t, part)+" COLLATE "+sqlite.Quote(part.Collation)+" = ?")
		}
		if index.Where != "" {
			parts = append(parts, "("+index.Where+")")
		}
		err := tx.SQL.Rows("SELECT "+sqlite.QuoteAll("+", t.KeyNames())+" FROM "+sqlite.Quote(t.Name)+" WHERE "+
			strings.Join(parts, " AND "), values[i],
			func(stored []crdt.Value) error {
				key, err := t.CanonicalKey(stored)
				found[key] = true
				return err
			})
		if err != nil {
			return nil, err
		}
	}
	return slices.Sorted(maps.Keys(found)), nil
}

// indexed is an index part as SQL.
func indexed(t *catalog.Table, p schema.IndexPart) string {
	if p.Column < 0 {
		return "(" + p.Expr + ")"
	}
	return sqlite.Quote(t.Columns[p.Column].Name)
}

// uniqueValues are the values a held row would have in each unique index; nil for a partial
// index it would not be in. All are nil if it cannot even be put in by force.
func (tx *Tx) uniqueValues(t *catalog.Table, key crdt.Key, image *catalog.Values) (values [][]crdt.Value, err error) {
	err = tx.Attempt(func() (bool, error) {
		if err := tx.stopMirrors(t, "a trial"); err != nil { // goes back with the savepoint
			return false, err
		}
		force := strings.Replace(t.Sql.Insert, "INSERT "+t.Sql.Or, "INSERT OR REPLACE ", 1)
		if err := tx.SQL.Exec(force, t.Ordered(nil, image)...); err != nil {
			if IsConstraint(err) {
				return false, nil
			}
			return false, err
		}
		stored, err := key.Values()
		if err != nil {
			return false, err
		}
		for _, index := range t.Unique {
			var parts []string
			for _, part := range index.Parts {
				parts = append(parts, "+"+indexed(t, part))
			}
			where := t.Sql.KeyWhere
			if index.Where != "" {
				where += " AND (" + index.Where + ")"
			}
			found, err := tx.SQL.Row("SELECT "+strings.Join(parts, ", ")+" FROM "+sqlite.Quote(t.Name)+" WHERE "+where,
				stored...)
			if err != nil {
				return false, err
			}
			values = append(values, found)
		}
		return false, nil
	})
	if err != nil {
		return nil, err
	}
	return values, nil
}
