package store

import (
	"encoding/hex"
	"strings"

	"ravno/crdt"
	"ravno/store/internal/sqlite"
)

// DocumentRow is one row of a document as it is in force.
type DocumentRow struct {
	Table string
	Key   []Named
	Row   []Named
}

// DocumentRows are all rows in force of a conflict's document: its root, and whatever
// belongs to it, each row before those below it. None if the document is not there. It
// returns an error if there is no such conflict.
func (s *Store) DocumentRows(id string) (rows []DocumentRow, err error) {
	err = s.read(func(c *sqlite.Conn, _ *state, cat *catalog) error {
		rows, err = readDocument(c, cat, id)
		return err
	})
	return rows, err
}

func readDocument(c *sqlite.Conn, cat *catalog, id string) ([]DocumentRow, error) {
	x, err := readConflict(c, cat, id)
	if err != nil {
		return nil, err
	}
	root := cat.byName[strings.ToLower(x.DocumentTable)]
	raw, err := hex.DecodeString(x.documentKey)
	if err != nil || root == nil {
		return nil, err
	}
	tx := &transaction{c: c, cat: cat}
	m, err := tx.tableImage(root, crdt.Key(raw))
	if err != nil || m == nil {
		return nil, err
	}
	return tx.documentBelow(root, crdt.Key(raw), m, maxDocumentDepth)
}

// documentBelow are a row of a document and the rows below it.
func (tx *transaction) documentBelow(t *table, key crdt.Key, m *image, depth int) ([]DocumentRow, error) {
	named, err := t.namedKey(key)
	if err != nil {
		return nil, err
	}
	rows := []DocumentRow{{Table: t.Name, Key: named, Row: t.namedRow(m)}}
	if depth == 0 {
		return rows, nil // as far as the way up from a row to its root goes
	}
	for _, child := range tx.cat.tables {
		if child.parent == nil || child.parent.table != t {
			continue
		}
		found, err := tx.children(child, m)
		if err != nil {
			return nil, err
		}
		for _, below := range found {
			stored := make([]crdt.Value, len(child.Key))
			for i, k := range child.Key {
				stored[i] = below.value(crdt.Column(child.numbers[k]))
			}
			childKey, err := child.CanonicalKey(stored)
			if err != nil {
				continue // a row without a key belongs to no document
			}
			more, err := tx.documentBelow(child, childKey, below, depth-1)
			if err != nil {
				return nil, err
			}
			rows = append(rows, more...)
		}
	}
	return rows, nil
}

// children are the rows of a table that belong to a row of the document, by key.
func (tx *transaction) children(child *table, parent *image) (found []*image, err error) {
	var where []string
	var values []crdt.Value
	for i, name := range child.parent.refers {
		v, known := parent.get(child.parent.table.column(name))
		if !known || v.Kind() == crdt.Null {
			return nil, nil
		}
		where = append(where, sqlite.Quote(child.parent.names[i])+"=?")
		values = append(values, v)
	}
	err = tx.c.Rows("SELECT "+sqlite.QuoteAll("+", child.columnNames())+" FROM "+sqlite.Quote(child.Name)+" WHERE "+strings.Join(where, " AND ")+
		" ORDER BY "+sqlite.QuoteAll("", child.keyNames()), values, func(row []crdt.Value) error {
		m := newImage(len(row))
		for i, v := range row {
			m.set(crdt.Column(child.numbers[i]), v)
		}
		found = append(found, m)
		return nil
	})
	return found, err
}

// namedRow are the known values of a row, in the order of its columns.
func (t *table) namedRow(m *image) []Named {
	var row []Named
	for i, number := range t.numbers {
		if v, known := m.get(crdt.Column(number)); known {
			row = append(row, Named{Name: t.Columns[i].Name, Value: v})
		}
	}
	return row
}
