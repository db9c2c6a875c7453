package rows

import (
	"fmt"

	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/store/internal/catalog"
	"ravno/store/internal/shadow"
)

// Shadow is what is remembered of a row. It is the zero value for a row that is stable or was never here.
type Shadow struct {
	crdt.Row
	Document catalog.Reference // zero: the row is the root of its own
	Position causal.Position   // where the row last changed in a way this site has to pass on
	Found    bool              // something is remembered
}

// ReadShadow reads what is remembered of a row.
func (tx *Tx) ReadShadow(t *catalog.Table, key crdt.Key) (found Shadow, err error) {
	stored, err := tx.lookUpShadow(t, key)
	if err != nil {
		return found, err
	}
	values, err := tx.SQL.First(t.Sql.ReadShadow, stored)
	if err != nil || values == nil {
		return found, err
	}
	return decodeShadow(t, values)
}

// lookUpShadow is a row's key as its shadow has it, which is not on its way into its table then.
func (tx *Tx) lookUpShadow(t *catalog.Table, key crdt.Key) (stored crdt.Value, err error) {
	if stored, err = t.ShadowKey(key); err == nil {
		err = tx.written.landShadow(tx.SQL, t, stored)
	}
	return stored, err
}

func decodeShadow(t *catalog.Table, values []crdt.Value) (found Shadow, err error) {
	if found.Row, err = shadow.Decode(values[0].Bytes()); err != nil {
		return Shadow{}, fmt.Errorf("table %s: %w", t.Name, err)
	}
	found.Document, _ = catalog.DecodeReference(values[1])
	found.Position, found.Found = causal.Position(values[2].Int()), true
	return found, nil
}

// RowHere is a row as it is in its table and in its shadow.
type RowHere struct {
	Shadow
	Exists bool            // it is in its table
	Table  *catalog.Values // its columns, if they were asked for
}

// ReadRow reads both at once. columns: not only whether the row is in its table.
func (tx *Tx) ReadRow(t *catalog.Table, key crdt.Key, columns bool) (here RowHere, err error) {
	remembered, stored, err := tx.readBoth(t, key, columns)
	if err != nil {
		return here, err
	}
	if here.Exists = stored != nil; here.Exists && columns {
		here.Table = catalog.NewValues(len(stored))
		for i, v := range stored {
			here.Table.Set(crdt.Column(t.Numbers[i]), v)
		}
	}
	if remembered != nil {
		here.Shadow, err = decodeShadow(t, remembered)
	}
	return here, err
}

// readBoth reads a row's shadow and its columns, or of these only some if not all are wanted; nil
// where there is none. They are valid until the next row is read.
func (tx *Tx) readBoth(t *catalog.Table, key crdt.Key, whole bool) (remembered, columns []crdt.Value, err error) {
	stored, err := t.ShadowKey(key)
	if err != nil {
		return nil, nil, err
	}
	args, err := key.AppendValues(append(tx.args[:0], stored))
	if err != nil {
		return nil, nil, err
	}
	tx.args = args
	both, row := t.Sql.ReadLogged, t.Sql.Exists
	if whole {
		both, row = t.Sql.ReadRow, t.Sql.Image
	}
	knownShadow, knownRow := false, false
	if near := tx.prefetch(t); near != nil {
		if remembered, knownShadow, err = tx.shadowAhead(near, stored); err != nil {
			return nil, nil, err
		}
		rows := &near.keys
		if whole {
			rows = &near.rows
		}
		if columns, knownRow, err = rows.find(tx.SQL, args[1]); err != nil {
			return nil, nil, err
		}
		if whole && columns != nil {
			columns = columns[1:]
		}
	}
	if !knownShadow {
		if err := tx.written.landShadow(tx.SQL, t, stored); err != nil {
			return nil, nil, err
		}
	}
	switch {
	case knownShadow && !knownRow:
		columns, err = tx.SQL.First(row, args[1:]...)
	case knownRow && !knownShadow:
		remembered, err = tx.SQL.First(t.Sql.ReadShadow, stored)
	case !knownRow:
		var values []crdt.Value
		if values, err = tx.SQL.First(both, args...); err != nil {
			return nil, nil, err
		}
		if remembered = values[:catalog.ShadowColumns]; remembered[0].Kind() == crdt.Null {
			remembered = nil
		}
		columns = values[catalog.ShadowColumns:]
		if at := t.Key[0]; whole && columns[at].Kind() == crdt.Null || !whole && columns[0].Kind() == crdt.Null {
			columns = nil // a key found by = is not NULL
		}
	}
	return remembered, columns, err
}

// WriteShadow remembers a row. at is where it last changed in a way this site has to pass on.
func (tx *Tx) WriteShadow(t *catalog.Table, key crdt.Key, row crdt.Row, document catalog.Reference,
	at causal.Position) error {
	stored, err := t.ShadowKey(key)
	if err != nil {
		return err
	}
	root := crdt.Value{} // NULL: the row is its own root
	if document != (catalog.Reference{}) && document != t.Reference(key) {
		root = document.Encode()
	}
	if err := tx.written.shadowsInto(tx.SQL, t); err != nil {
		return err
	}
	tx.packed = shadow.Append(tx.packed[:0], row)
	return tx.written.write(tx.SQL, &tx.written.shadows, stored, catalog.Integer(at), crdt.BlobValue(string(tx.packed)),
		root)
}
