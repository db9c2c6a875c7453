package store

import (
	"encoding/binary"
	"fmt"

	"ravno/crdt"
	"ravno/crdt/causal"
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

// touch records at the hub that a site changed a row of a document, and the values before,
// where they are known.
func (tx *transaction) touch(document reference, t *table, key crdt.Key, site causal.Site, dead bool, before *image) error {
	return tx.c.Exec(`INSERT OR REPLACE INTO ravno_touch(document, tab, key, site, position, dead, before) VALUES(?,?,?,?,?,?,?)`,
		document.encode(), integer(t.number), blob(key), integer(site), integer(tx.position()), boolean(dead), before.encode())
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

// touchCounted records at the hub that a site counted in a row. It stands beside what the
// site has written of the row otherwise, under the site's number below zero.
func (tx *transaction) touchCounted(document reference, t *table, key crdt.Key, site causal.Site) error {
	return tx.c.Exec(`INSERT OR REPLACE INTO ravno_touch(document, tab, key, site, position, dead, before) VALUES(?,?,?,?,?,0,x'')`,
		document.encode(), integer(t.number), blob(key), integer(-int64(site)), integer(tx.position()))
}

// othersTouches are the recorded changes of a document by others than one site, after a
// position. While that site's changes are applied, they stay the same.
type othersTouches struct {
	author causal.Site
	after  causal.Seen
	found  []crdt.Touch
}

// maxKnownDocuments bounds how many documents' touches one transaction keeps in memory.
const maxKnownDocuments = 4096

// touches are the recorded changes of a document after a position by others than a site. A
// document with many rows is asked about once, not once a row.
func (tx *transaction) touches(document reference, author causal.Site, after causal.Seen) ([]crdt.Touch, error) {
	if known, ok := tx.known[document]; ok && known.author == author && known.after == after {
		return known.found, nil
	}
	found, err := tx.readTouches(document, author, after)
	if err != nil {
		return nil, err
	}
	if tx.known == nil || len(tx.known) >= maxKnownDocuments {
		tx.known = map[reference]othersTouches{}
	}
	tx.known[document] = othersTouches{author: author, after: after, found: found}
	return found, nil
}

func (tx *transaction) readTouches(document reference, author causal.Site, after causal.Seen) (found []crdt.Touch, err error) {
	sql := `SELECT tab, key, site, position, dead FROM ravno_touch AS t WHERE document=?1 AND abs(site)<>?2 AND position>?3`
	if !tx.noneEarly {
		sql += ` AND NOT EXISTS(SELECT 1 FROM ravno_early e WHERE e.site=?2 AND e.tab=t.tab AND e.key=t.key AND e.slice<=?3 AND e.there AND e.until>=t.position)`
	}
	err = tx.c.Rows(sql,
		[]crdt.Value{document.encode(), integer(author), integer(after)}, func(row []crdt.Value) error {
			t := tx.cat.byNumber[row[0].Int()]
			if t == nil {
				return nil // the table is gone
			}
			site := row[2].Int()
			found = append(found, crdt.Touch{Table: t.Name, Key: crdt.Key(row[1].Bytes()), Site: causal.Site(max(site, -site)),
				Position: causal.Position(row[3].Int()), Dead: row[4].Int() != 0, Counted: site < 0})
			return nil
		})
	return found, err
}

// trimTouches forgets changes that every enrolled node has seen, in work it may still send
// too. They can no longer be concurrent with anything.
func (tx *transaction) trimTouches() error {
	seen, err := knownToAll(tx.c, tx.state.position)
	for _, table := range []string{"ravno_touch", "ravno_former", "ravno_moved"} {
		if err == nil {
			err = tx.c.Exec("DELETE FROM "+table+" WHERE position <= ?", integer(seen))
		}
	}
	if err != nil {
		return fmt.Errorf("forgetting what every node has seen: %w", err)
	}
	return nil
}
