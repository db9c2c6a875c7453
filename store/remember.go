package store

import (
	"fmt"

	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/store/internal/shadow"
)

// remembered says whether a row has a shadow, and at which position it last changed in a
// way this site has to pass on.
type remembered struct {
	found    bool
	position causal.Position
}

func (tx *transaction) readShadowAt(t *table, key crdt.Key) (crdt.Row, reference, remembered, error) {
	stored, err := t.shadowKey(key)
	if err != nil {
		return crdt.Row{}, reference{}, remembered{}, err
	}
	values, err := tx.c.First(t.sql.readShadow, stored)
	if err != nil || values == nil {
		return crdt.Row{}, reference{}, remembered{}, err
	}
	row, err := shadow.Decode(values[0].Bytes())
	if err != nil {
		return crdt.Row{}, reference{}, remembered{}, fmt.Errorf("table %s: %w", t.Name, err)
	}
	document, _ := decodeReference(values[1])
	return row, document, remembered{found: true, position: causal.Position(values[2].Int())}, nil
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
	return tx.c.Exec(t.sql.writeShadow, stored, integer(at), crdt.BlobValue(string(shadow.Encode(row))), root)
}
