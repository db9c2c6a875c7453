package history

import (
	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/store/internal/catalog"
	"ravno/store/internal/rows"
)

// Overwritten is own work that a newer write has replaced here before the hub had it.
type Overwritten struct {
	T        *catalog.Table
	Change   crdt.Change
	Document catalog.Reference
	id       crdt.Value
}

// EachOverwritten goes through such work above a position, by table and in the order in which it was kept.
func EachOverwritten(tx *rows.Tx, above causal.Position, f func(Overwritten) error) error {
	return tx.SQL.Rows("SELECT id, tab, change FROM ravno_overwritten WHERE position>? ORDER BY tab, id",
		[]crdt.Value{catalog.Integer(above)},
		func(row []crdt.Value) error {
			d := Overwritten{T: tx.Cat.ByNumber[row[1].Int()], id: row[0]}
			if d.T == nil {
				return nil
			}
			var err error
			if d.Change, d.Document, err = unpackChange(row[2].Bytes()); err != nil {
				return err
			}
			return f(d)
		})
}

// UpdateOverwritten writes such work anew, whose keys have changed.
func UpdateOverwritten(tx *rows.Tx, d Overwritten) error {
	encoded, err := packOverwritten(d.Change, d.Document)
	if err != nil {
		return err
	}
	return tx.SQL.Exec("UPDATE ravno_overwritten SET change=? WHERE id=?", encoded, d.id)
}

// NewestOverwritten is the newest position of such work.
func NewestOverwritten(tx *rows.Tx) (causal.Position, error) {
	newest, err := tx.SQL.Int("SELECT max(position) FROM ravno_overwritten")
	return causal.Position(newest), err
}

// EachMoved goes through the documents that a row has left for another, above a position.
func EachMoved(tx *rows.Tx, above causal.Position, f func(former, document crdt.Value)) error {
	return tx.SQL.Rows("SELECT former, document FROM ravno_moved WHERE position>? ORDER BY position, former, document",
		[]crdt.Value{catalog.Integer(above)}, func(row []crdt.Value) error {
			f(row[0], row[1])
			return nil
		})
}

// DeletedIn are the rows of a document that a change record says were deleted, by table and key. by: by
// that site; 0: by any.
func DeletedIn(tx *rows.Tx, document catalog.Reference, by causal.Site) (found []catalog.Reference, err error) {
	sql, args := "SELECT DISTINCT tab, key FROM ravno_change WHERE document=? AND dead=1", []crdt.Value{document.Encode()}
	if by != 0 {
		sql, args = sql+" AND site=?", append(args, catalog.Integer(by))
	}
	err = tx.SQL.Rows(sql+" ORDER BY tab, key", args, func(row []crdt.Value) error {
		found = append(found, catalog.Reference{Tab: row[0].Int(), Key: crdt.Key(row[1].Bytes())})
		return nil
	})
	return found, err
}

// Moves remembers that a row has left a document for another.
func Moves(tx *rows.Tx, former, document catalog.Reference) error {
	if former == document {
		return nil
	}
	// Of many rows that move at once the documents are noted once.
	return tx.SQL.Exec(`INSERT INTO ravno_moved(position, former, document) SELECT ?1, ?2, ?3
		WHERE NOT EXISTS(SELECT 1 FROM ravno_moved WHERE position=?1 AND former=?2 AND document=?3)`,
		catalog.Integer(tx.Position()), former.Encode(), document.Encode())
}
