package conflict

import (
	"encoding/hex"
	"strings"

	"ravno/crdt"
	"ravno/store/internal/catalog"
	"ravno/store/internal/rows"
	"ravno/store/internal/sqlite"
)

// DocumentRow is one row of a document as it is in force.
type DocumentRow struct {
	Table string
	Key   []catalog.Named
	Row   []catalog.Named
}

func ReadDocument(tx *rows.Tx, id string) ([]DocumentRow, error) {
	x, err := Find(tx, id)
	if err != nil {
		return nil, err
	}
	root := tx.Cat.ByName[strings.ToLower(x.DocumentTable)]
	raw, err := hex.DecodeString(x.DocumentHex)
	if err != nil || root == nil {
		return nil, err
	}
	m, err := tx.ReadTable(root, crdt.Key(raw))
	if err != nil || m == nil {
		return nil, err
	}
	return documentBelow(tx, root, crdt.Key(raw), m, catalog.MaxDocumentDepth)
}

// documentBelow are a row of a document and the rows below it.
func documentBelow(tx *rows.Tx, t *catalog.Table, key crdt.Key, m *catalog.Values, depth int) ([]DocumentRow, error) {
	named, err := t.NamedKey(key)
	if err != nil {
		return nil, err
	}
	rows := []DocumentRow{{Table: t.Name, Key: named, Row: t.NamedRow(m)}}
	if depth == 0 {
		return rows, nil // as far as the way up from a row to its root goes
	}
	for _, child := range tx.Cat.Tables {
		if child.Parent == nil || child.Parent.Table != t {
			continue
		}
		found, err := children(tx, child, m)
		if err != nil {
			return nil, err
		}
		for _, below := range found {
			stored := make([]crdt.Value, len(child.Key))
			for i, k := range child.Key {
				stored[i] = below.Value(crdt.Column(child.Numbers[k]))
			}
			childKey, err := child.CanonicalKey(stored)
			if err != nil {
				continue // a row without a key belongs to no document
			}
			more, err := documentBelow(tx, child, childKey, below, depth-1)
			if err != nil {
				return nil, err
			}
			rows = append(rows, more...)
		}
	}
	return rows, nil
}

// children are the rows of a table that belong to a row of the document, by key.
func children(tx *rows.Tx, child *catalog.Table, parent *catalog.Values) (found []*catalog.Values, err error) {
	var where []string
	var values []crdt.Value
	for i, name := range child.Parent.Refers {
		v, known := parent.Get(child.Parent.Table.NumberOf(name))
		if !known || v.Kind() == crdt.Null {
			return nil, nil
		}
		where = append(where, sqlite.Quote(child.Parent.Names[i])+"=?")
		values = append(values, v)
	}
	err = tx.SQL.Rows("SELECT "+sqlite.QuoteAll("+", child.ColumnNames())+" FROM "+sqlite.Quote(child.Name)+" WHERE "+
		strings.Join(where, " AND ")+
		" ORDER BY "+sqlite.QuoteAll("", child.KeyNames()), values, func(row []crdt.Value) error {
		m := catalog.NewValues(len(row))
		for i, v := range row {
			m.Set(crdt.Column(child.Numbers[i]), v)
		}
		found = append(found, m)
		return nil
	})
	return found, err
}

// Referring are the keys of the rows, in their table or held, that refer to a row.
func Referring(tx *rows.Tx, l *catalog.ForeignKey, parent *catalog.Values) ([]crdt.Key, error) {
	reference, ok := l.Referred(parent)
	if !ok {
		return nil, nil
	}
	keys, err := tx.ChildrenOf(l, reference)
	if err != nil {
		return keys, err
	}
	err = tx.EachKept(l.Child, func(row catalog.Reference, m *catalog.Values) error {
		if refers, ok := l.Reference(m); ok && l.SameReference(refers, reference) {
			keys = append(keys, row.Key)
		}
		return nil
	}, catalog.Held, catalog.Incomplete)
	return keys, err
}

// ValuesOf finds the values of a row, in its table or outside it.
func ValuesOf(tx *rows.Tx, t *catalog.Table, key crdt.Key) (*catalog.Values, catalog.Whereabouts, error) {
	m, err := tx.ReadTable(t, key)
	if err != nil || m != nil {
		return m, catalog.InTable, err
	}
	return tx.ReadKept(t, key)
}
