package store

import (
	"fmt"

	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/store/internal/schema"
	"ravno/store/internal/shadow"
)

// remembered says whether a row has a shadow, and at which position it last changed in a
// way this site has to pass on.
type remembered struct {
	found    bool
	position causal.Position
}

func (tx *transaction) readShadowAt(t *table, key crdt.Key) (crdt.Row, reference, remembered, error) {
	stored, err := tx.lookUpShadow(t, key)
	if err != nil {
		return crdt.Row{}, reference{}, remembered{}, err
	}
	values, err := tx.c.First(t.sql.readShadow, stored)
	if err != nil || values == nil {
		return crdt.Row{}, reference{}, remembered{}, err
	}
	return t.decodeShadow(values)
}

// lookUpShadow is a row's key as its shadow has it, which is not on its way into its table then.
func (tx *transaction) lookUpShadow(t *table, key crdt.Key) (stored crdt.Value, err error) {
	if stored, err = t.shadowKey(key); err == nil {
		err = tx.landShadow(t, stored)
	}
	return stored, err
}

// landShadow sees to it that a shadow is not on its way into its table.
func (tx *transaction) landShadow(t *table, stored crdt.Value) error {
	if tx.shadowsOf == t && tx.shadows.holds(stored) {
		return tx.flushShadows()
	}
	return nil
}

func (t *table) decodeShadow(values []crdt.Value) (crdt.Row, reference, remembered, error) {
	row, err := shadow.Decode(values[0].Bytes())
	if err != nil {
		return crdt.Row{}, reference{}, remembered{}, fmt.Errorf("table %s: %w", t.Name, err)
	}
	document, _ := decodeReference(values[1])
	return row, document, remembered{found: true, position: causal.Position(values[2].Int())}, nil
}

// shadowColumns is how many columns of a shadow are read with a row.
const shadowColumns = 3

// rowHere is a row as it is in its table and in its shadow.
type rowHere struct {
	table    *image // nil: it is not in its table
	row      crdt.Row
	document reference
	sent     remembered
}

// readRow reads both at once.
func (tx *transaction) readRow(t *table, key crdt.Key) (here rowHere, err error) {
	remembered, columns, err := tx.readBoth(t, key, true)
	if err != nil {
		return here, err
	}
	if columns != nil {
		here.table = newImage(len(columns))
		for i, v := range columns {
			here.table.set(crdt.Column(t.numbers[i]), v)
		}
	}
	if remembered != nil {
		here.row, here.document, here.sent, err = t.decodeShadow(remembered)
	}
	return here, err
}

// readLoggedRow is readRow where it is enough to know whether the row is in its table.
func (tx *transaction) readLoggedRow(t *table, key crdt.Key) (exists bool, here rowHere, err error) {
	remembered, columns, err := tx.readBoth(t, key, false)
	if err == nil && remembered != nil {
		here.row, here.document, here.sent, err = t.decodeShadow(remembered)
	}
	return columns != nil, here, err
}

// readBoth reads a row's shadow and its columns, or of these only some if not all are wanted; nil
// where there is none. They are valid until the next row is read.
func (tx *transaction) readBoth(t *table, key crdt.Key, whole bool) (remembered, columns []crdt.Value, err error) {
	stored, err := t.shadowKey(key)
	if err != nil {
		return nil, nil, err
	}
	args, err := key.AppendValues(append(tx.args[:0], stored))
	if err != nil {
		return nil, nil, err
	}
	tx.args = args
	both, row := t.sql.readLogged, t.sql.exists
	if whole {
		both, row = t.sql.readRow, t.sql.image
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
		if columns, knownRow, err = rows.find(tx.c, args[1]); err != nil {
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
		columns, err = tx.c.First(row, args[1:]...)
	case knownRow && !knownShadow:
		remembered, err = tx.c.First(t.sql.readShadow, stored)
	case !knownRow:
		var values []crdt.Value
		if values, err = tx.c.First(both, args...); err != nil {
			return nil, nil, err
		}
		if remembered = values[:shadowColumns]; remembered[0].Kind() == crdt.Null {
			remembered = nil
		}
		columns = values[shadowColumns:]
		if at := t.Key[0]; whole && columns[at].Kind() == crdt.Null || !whole && columns[0].Kind() == crdt.Null {
			columns = nil // a key found by = is not NULL
		}
	}
	return remembered, columns, err
}

func (tx *transaction) writeShadow(t *table, key crdt.Key, row crdt.Row, document reference, at causal.Position) error {
	stored, err := t.shadowKey(key)
	if err != nil {
		return err
	}
	root := crdt.Value{} // NULL: the row is its own root
	if document != (reference{}) && document != t.reference(key) {
		root = document.encode()
	}
	if tx.shadowsOf != t { // of one table in one statement
		if err := tx.flushShadows(); err != nil {
			return err
		}
		tx.shadowsOf = t
		tx.shadows.into(t.sql.writeShadow)
	}
	tx.packed = shadow.Append(tx.packed[:0], row)
	return tx.writeOwn(&tx.shadows, stored, integer(at), crdt.BlobValue(string(tx.packed)), root)
}

// gatherShadows runs f, which goes through so many rows, and lets it write shadow rows, and touches,
// many at a time. Within f, shadows are read by readShadowAt and readRow and in no other way.
func (tx *transaction) gatherShadows(rows int, f func() error) error {
	tx.gathers = true
	err := tx.inOrder(rows, f)
	tx.gathers = false
	if err != nil {
		return err
	}
	if err := tx.flushTouches(); err != nil {
		return err
	}
	return tx.flushShadows()
}

func (tx *transaction) flushShadows() error { return tx.shadows.flush(tx.c) }

// shadowKey is the key as the shadow table stores it: the rowid itself where there is one.
func (t *table) shadowKey(key crdt.Key) (crdt.Value, error) {
	if !t.RowidKey {
		return blob(key), nil
	}
	values, err := key.AppendValues(make([]crdt.Value, 0, usualKey))
	if err != nil || len(values) != 1 || values[0].Kind() != crdt.Integer {
		return crdt.Value{}, fmt.Errorf("table %s: %w: want one integer", t.Name, errKey)
	}
	return values[0], nil
}

// keyOf turns a key as the shadow table stores it back into a key.
func (t *table) keyOf(stored crdt.Value) crdt.Key {
	if t.RowidKey {
		return crdt.NewKey(stored)
	}
	return crdt.Key(stored.Bytes())
}

// keyInShadow is what a row's key is in terms of its shadow, s, as SQL: the rowid, or a text, in
// crdt.NewKey's layout, whose length takes one byte. Of any other it is NULL, or empty if it cannot
// be said of the table at all.
func (t *table) keyInShadow(utf8 bool) string {
	switch {
	case t.RowidKey:
		return "s.key"
	case len(t.Key) == 1 && t.Columns[t.Key[0]].Affinity == schema.TextAffinity && utf8:
		return fmt.Sprintf("CASE WHEN substr(s.key, 1, 1)=x'%02x' AND length(s.key)<2+128 THEN CAST(substr(s.key, 3) AS TEXT) END", byte(crdt.Text))
	}
	return ""
}
