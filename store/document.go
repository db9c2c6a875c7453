package store

import (
	"encoding/binary"

	"ravno/crdt"
	"ravno/store/internal/sqlite"
)

// maxDocumentDepth bounds the way up from a row to its root: deeper nesting than any schema
// has, and an end to rows that are their own ancestors.
const maxDocumentDepth = 16

// reference names a row by its table's number here.
type reference struct {
	tab int64
	key crdt.Key
}

func (t *table) reference(key crdt.Key) reference { return reference{tab: t.number, key: key} }

// encode is the reference as one BLOB: 8 bytes of table number, then the key.
func (r reference) encode() crdt.Value {
	return crdt.BlobValue(string(binary.BigEndian.AppendUint64(nil, uint64(r.tab))) + string(r.key))
}

func decodeReference(v crdt.Value) (reference, bool) {
	b := v.Bytes()
	if len(b) < 8 {
		return reference{}, false
	}
	return reference{tab: int64(binary.BigEndian.Uint64([]byte(b[:8]))), key: crdt.Key(b[8:])}, true
}

// root finds the root of the document a row belongs to. parents gives the foreign key
// values of rows that are gone from their table, as the log recorded them.
func (tx *transaction) root(t *table, key crdt.Key, parents map[reference][]crdt.Value) (reference, error) {
	for depth := 0; t.parent != nil && depth < maxDocumentDepth; depth++ {
		values, err := tx.parentValues(t, key)
		if err != nil {
			return reference{}, err
		}
		if values == nil {
			values = parents[t.reference(key)]
		}
		if values == nil {
			return tx.rememberedRoot(t, key)
		}
		up, ok, err := tx.parentKey(t, values)
		if err != nil || !ok {
			return t.reference(key), err
		}
		t, key = t.parent.table, up
	}
	return t.reference(key), nil
}

// rememberedRoot is the root the shadow remembers of a row that is gone, or the row itself.
func (tx *transaction) rememberedRoot(t *table, key crdt.Key) (reference, error) {
	_, document, _, err := tx.readShadow(t, key)
	if err != nil || document == (reference{}) {
		return t.reference(key), err
	}
	return document, nil
}

// parentValues are the foreign key values of a row, nil if the row is not in its table.
func (tx *transaction) parentValues(t *table, key crdt.Key) ([]crdt.Value, error) {
	values, err := key.Values()
	if err != nil {
		return nil, err
	}
	return tx.c.Row("SELECT "+sqlite.QuoteAll("+", t.parent.names)+" FROM "+sqlite.Quote(t.Name)+" WHERE "+t.sql.keyWhere, values...)
}

// parentKey finds the key of the parent row from foreign key values. ok is false if there
// is no parent: a NULL, or a parent gone that was not referred to by its key.
func (tx *transaction) parentKey(t *table, values []crdt.Value) (key crdt.Key, ok bool, err error) {
	up := t.parent.table
	where, byName := "", map[string]crdt.Value{}
	for i, name := range t.parent.refers {
		if values[i].Kind() == crdt.Null {
			return "", false, nil
		}
		if i > 0 {
			where += " AND "
		}
		where += sqlite.Quote(name) + "=?"
		byName[name] = values[i]
	}
	stored, err := tx.c.Row("SELECT "+sqlite.QuoteAll("+", up.keyNames())+" FROM "+sqlite.Quote(up.Name)+" WHERE "+where, values...)
	if err != nil {
		return "", false, err
	}
	if stored == nil {
		for _, name := range up.keyNames() {
			v, found := byName[name]
			if !found {
				return "", false, nil
			}
			stored = append(stored, v)
		}
	}
	key, err = up.CanonicalKey(stored)
	return key, err == nil, err
}

// moves remembers that a row has left a document for another.
func (tx *transaction) moves(former, document reference) error {
	if former == document {
		return nil
	}
	return tx.c.Exec(`INSERT INTO ravno_moved(position, former, document) SELECT ?1, ?2, ?3
		WHERE NOT EXISTS(SELECT 1 FROM ravno_moved WHERE position=?1 AND former=?2 AND document=?3)`, // of many rows that move at once
		integer(tx.position()), former.encode(), document.encode())
}
