package rows

import (
	"fmt"

	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/store/internal/catalog"
	"ravno/store/internal/shadow"
)

// remembered says whether a row has a shadow, and at which position it last changed in a
// way this site has to pass on.
type remembered struct {
	Found    bool
	Position causal.Position
}

func (tx *Tx) ReadShadowAt(t *catalog.Table, key crdt.Key) (crdt.Row, catalog.Reference, remembered, error) {
	stored, err := tx.lookUpShadow(t, key)
	if err != nil {
		return crdt.Row{}, catalog.Reference{}, remembered{}, err
	}
	values, err := tx.C.First(t.Sql.ReadShadow, stored)
	if err != nil || values == nil {
		return crdt.Row{}, catalog.Reference{}, remembered{}, err
	}
	return decodeShadow(t, values)
}

// lookUpShadow is a row's key as its shadow has it, which is not on its way into its table then.
func (tx *Tx) lookUpShadow(t *catalog.Table, key crdt.Key) (stored crdt.Value, err error) {
	if stored, err = t.ShadowKey(key); err == nil {
		err = tx.landShadow(t, stored)
	}
	return stored, err
}

// landShadow sees to it that a shadow is not on its way into its table.
func (tx *Tx) landShadow(t *catalog.Table, stored crdt.Value) error {
	if tx.shadowsOf == t && tx.shadows.Holds(stored) {
		return tx.FlushShadows()
	}
	return nil
}

func decodeShadow(t *catalog.Table, values []crdt.Value) (crdt.Row, catalog.Reference, remembered, error) {
	row, err := shadow.Decode(values[0].Bytes())
	if err != nil {
		return crdt.Row{}, catalog.Reference{}, remembered{}, fmt.Errorf("table %s: %w", t.Name, err)
	}
	document, _ := catalog.DecodeReference(values[1])
	return row, document, remembered{Found: true, Position: causal.Position(values[2].Int())}, nil
}

// RowHere is a row as it is in its table and in its shadow.
type RowHere struct {
	Table    *catalog.Values // nil: it is not in its table
	Row      crdt.Row
	Document catalog.Reference
	Sent     remembered
}

// ReadRow reads both at once.
func (tx *Tx) ReadRow(t *catalog.Table, key crdt.Key) (here RowHere, err error) {
	remembered, columns, err := tx.readBoth(t, key, true)
	if err != nil {
		return here, err
	}
	if columns != nil {
		here.Table = catalog.NewImage(len(columns))
		for i, v := range columns {
			here.Table.Set(crdt.Column(t.Numbers[i]), v)
		}
	}
	if remembered != nil {
		here.Row, here.Document, here.Sent, err = decodeShadow(t, remembered)
	}
	return here, err
}

// ReadLoggedRow is readRow where it is enough to know whether the row is in its table.
func (tx *Tx) ReadLoggedRow(t *catalog.Table, key crdt.Key) (exists bool, here RowHere, err error) {
	remembered, columns, err := tx.readBoth(t, key, false)
	if err == nil && remembered != nil {
		here.Row, here.Document, here.Sent, err = decodeShadow(t, remembered)
	}
	return columns != nil, here, err
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
	if near := tx.near(t); near != nil {
		if remembered, knownShadow, err = tx.shadowAhead(near, stored); err != nil {
			return nil, nil, err
		}
		rows := &near.keys
		if whole {
			rows = &near.rows
		}
		if columns, knownRow, err = rows.Find(tx.C, args[1]); err != nil {
			return nil, nil, err
		}
		if whole && columns != nil {
			columns = columns[1:]
		}
	}
	if !knownShadow {
		if err := tx.landShadow(t, stored); err != nil {
			return nil, nil, err
		}
	}
	switch {
	case knownShadow && !knownRow:
		columns, err = tx.C.First(row, args[1:]...)
	case knownRow && !knownShadow:
		remembered, err = tx.C.First(t.Sql.ReadShadow, stored)
	case !knownRow:
		var values []crdt.Value
		if values, err = tx.C.First(both, args...); err != nil {
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

func (tx *Tx) WriteShadow(t *catalog.Table, key crdt.Key, row crdt.Row, document catalog.Reference, at causal.Position) error {
	stored, err := t.ShadowKey(key)
	if err != nil {
		return err
	}
	root := crdt.Value{} // NULL: the row is its own root
	if document != (catalog.Reference{}) && document != t.Reference(key) {
		root = document.Encode()
	}
	if tx.shadowsOf != t { // of one table in one statement
		if err := tx.FlushShadows(); err != nil {
			return err
		}
		tx.shadowsOf = t
		tx.shadows.Into(t.Sql.WriteShadow)
	}
	tx.packed = shadow.Append(tx.packed[:0], row)
	return tx.WriteOwn(&tx.shadows, stored, catalog.Integer(at), crdt.BlobValue(string(tx.packed)), root)
}

// GatherShadows runs f, which goes through so many rows, and lets it write shadow rows, and touches,
// many at a time. Within f, shadows are read by readShadowAt and readRow and in no other way.
func (tx *Tx) GatherShadows(rows int, f func() error) error {
	tx.gathers = true
	err := tx.InOrder(rows, f)
	tx.gathers = false
	if err != nil {
		return err
	}
	if err := tx.FlushTouches(); err != nil {
		return err
	}
	return tx.FlushShadows()
}

func (tx *Tx) FlushShadows() error { return tx.shadows.flush(tx.C) }
