package conflict

import (
	"encoding/hex"
	"strings"

	"ravno/crdt"
	"ravno/store/internal/catalog"
	"ravno/store/internal/rows"
)

// DocumentRow is one row of a document as it is in force.
type DocumentRow struct {
	Table string
	Key   []catalog.Named
	Row   []catalog.Named
}

func ReadDocument(tx *rows.Tx, id string) ([]DocumentRow, error) {
	x, err := ReadConflict(tx, id)
	if err != nil {
		return nil, err
	}
	root := tx.Cat.ByName[strings.ToLower(x.DocumentTable)]
	raw, err := hex.DecodeString(x.DocumentHex)
	if err != nil || root == nil {
		return nil, err
	}
	m, err := tx.TableImage(root, crdt.Key(raw))
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
		found, err := tx.Children(child, m)
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
