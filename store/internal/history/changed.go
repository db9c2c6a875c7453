package history

import (
	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/store/internal/catalog"
	"ravno/store/internal/rows"
	"ravno/store/internal/shadow"
)

// ChangedShadow is what is remembered of a row that changed here. Key and document are as the shadow has
// them; they are good until the next row is read.
type ChangedShadow struct {
	Stored, StoredDocument crdt.Value
	crdt.Row
	Position causal.Position
}

// AnyChanged reports whether a table has rows that changed here above a position.
func AnyChanged(tx *rows.Tx, t *catalog.Table, above causal.Position) (bool, error) {
	if err := tx.Flush(); err != nil {
		return false, err
	}
	n, err := tx.SQL.Int("SELECT EXISTS(SELECT 1 FROM "+t.Shadow+" WHERE "+catalog.HasPosition+" AND position>?)",
		catalog.Integer(above))
	return n != 0, err
}

// EachChanged goes through the rows of a table that changed here above a position. In which order is left
// to SQLite, because sorting would cost more than reading: f must not depend on it.
func EachChanged(tx *rows.Tx, t *catalog.Table, above causal.Position, f func(ChangedShadow)) error {
	where, err := changedWhere(tx, t, above)
	if err != nil {
		return err
	}
	return tx.SQL.Rows("SELECT key, row, document, position FROM "+t.Shadow+" WHERE "+where,
		[]crdt.Value{catalog.Integer(above)}, func(values []crdt.Value) error {
			row, err := shadow.Decode(values[1].Bytes())
			if err == nil {
				f(ChangedShadow{Stored: values[0], Row: row, StoredDocument: values[2], Position: causal.Position(values[3].Int())})
			}
			return err
		})
}

// changedWhere is how to ask for the rows of a table above a position: by the index of positions, or,
// where that would find many of them, by going through all of them as they lie.
func changedWhere(tx *rows.Tx, t *catalog.Table, above causal.Position) (string, error) {
	changed, err := tx.SQL.Int("SELECT count(*) FROM "+t.Shadow+" WHERE "+catalog.HasPosition+" AND position>?",
		catalog.Integer(above))
	if err != nil {
		return "", err
	}
	const few = 3 // others for each of them: then going through all costs as much as finding each
	others, err := tx.SQL.Int("SELECT count(*) FROM (SELECT 1 FROM "+t.Shadow+" WHERE +position<=?1 LIMIT ?2)",
		catalog.Integer(above), catalog.Integer(few*changed))
	if err != nil || others < few*changed {
		return "+position>?", err
	}
	return catalog.HasPosition + " AND position>?", nil
}

// ReadChanged goes through such rows up to another position, with their columns if they are in their table:
// values are key, shadow, document and position, then the columns. A key that a join cannot find comes
// without.
func ReadChanged(tx *rows.Tx, t *catalog.Table, above, upTo causal.Position, f func(values []crdt.Value) error) error {
	return tx.SQL.Rows(t.Sql.Changed, []crdt.Value{catalog.Integer(above), catalog.Integer(upTo)}, f)
}

// ReadChangedRow is one such row, whatever its position.
func ReadChangedRow(tx *rows.Tx, t *catalog.Table, stored crdt.Value) ([]crdt.Value, error) {
	return tx.SQL.Row(t.Sql.ChangedRow, stored)
}
