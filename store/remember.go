package store

import (
	"fmt"
	"strings"

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
	stored, err := t.shadowKey(key)
	if err != nil {
		return crdt.Row{}, reference{}, remembered{}, err
	}
	if tx.unwritten.holds(t, stored) {
		if err := tx.flushShadows(); err != nil {
			return crdt.Row{}, reference{}, remembered{}, err
		}
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
	if !tx.unwritten.gathers {
		return tx.c.Exec(t.sql.writeShadow, stored, integer(at), crdt.BlobValue(string(shadow.Encode(row))), root)
	}
	if tx.unwritten.t != t || len(tx.unwritten.values) == shadowRun*shadowColumns {
		if err := tx.flushShadows(); err != nil {
			return err
		}
	}
	tx.unwritten.t = t
	tx.unwritten.values = append(tx.unwritten.values, stored, integer(at), crdt.BlobValue(string(shadow.Encode(row))), root)
	return nil
}

// shadowRun is how many shadow rows one statement writes: rows in the order of their keys go
// into the tree side by side, which within one statement needs no way down from its root.
// More than this gains nothing.
const (
	shadowRun     = 16
	shadowColumns = 4
)

// unwritten are shadow rows of one table on their way into it.
type unwritten struct {
	gathers bool // else each is written at once
	t       *table
	values  []crdt.Value // shadowColumns for each row, its key first
}

func (u *unwritten) holds(t *table, key crdt.Value) bool {
	if u.t != t {
		return false
	}
	for i := 0; i < len(u.values); i += shadowColumns {
		if u.values[i] == key {
			return true
		}
	}
	return false
}

// gatherShadows runs f, and lets it write shadow rows many at a time. Within f, shadows are
// read by readShadowAt and in no other way.
func (tx *transaction) gatherShadows(f func() error) error {
	tx.unwritten.gathers = true
	err := f()
	tx.unwritten.gathers = false
	if err != nil {
		return err
	}
	return tx.flushShadows()
}

func (tx *transaction) flushShadows() error {
	u := &tx.unwritten
	rows := len(u.values) / shadowColumns
	if rows == 0 {
		return nil
	}
	err := tx.c.Exec(u.t.sql.writeShadow+strings.Repeat(",(?,?,?,?)", rows-1), u.values...)
	u.values = u.values[:0]
	return err
}

// shadowKey is the key as the shadow table stores it: the rowid itself where there is one.
func (t *table) shadowKey(key crdt.Key) (crdt.Value, error) {
	if !t.RowidKey {
		return blob(key), nil
	}
	values, err := key.Values()
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
