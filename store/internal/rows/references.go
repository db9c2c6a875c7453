package rows

import (
	"slices"
	"strings"

	"ravno/crdt"
	"ravno/store/internal/catalog"
	"ravno/store/internal/sqlite"
)

// Root finds the root of the document a row belongs to. parents gives the foreign key
// values of rows that are gone from their table, as the log recorded them.
func (tx *Tx) Root(t *catalog.Table, key crdt.Key, parents map[catalog.Reference][]crdt.Value) (catalog.Reference, error) {
	for depth := 0; t.Parent != nil && depth < catalog.MaxDocumentDepth; depth++ {
		values, err := tx.parentValues(t, key)
		if err != nil {
			return catalog.Reference{}, err
		}
		if values == nil {
			values = parents[t.Reference(key)]
		}
		if values == nil {
			return tx.rememberedRoot(t, key)
		}
		up, ok, err := tx.ParentKey(t, values)
		if err != nil || !ok {
			return t.Reference(key), err
		}
		t, key = t.Parent.Table, up
	}
	return t.Reference(key), nil
}

// rememberedRoot is the root the shadow remembers of a row that is gone, or the row itself.
func (tx *Tx) rememberedRoot(t *catalog.Table, key crdt.Key) (catalog.Reference, error) {
	found, err := tx.ReadShadow(t, key)
	if err != nil || found.Document == (catalog.Reference{}) {
		return t.Reference(key), err
	}
	return found.Document, nil
}

// parentValues are the foreign key values of a row, nil if the row is not in its table.
func (tx *Tx) parentValues(t *catalog.Table, key crdt.Key) ([]crdt.Value, error) {
	values, err := key.Values()
	if err != nil {
		return nil, err
	}
	return tx.SQL.Row("SELECT "+sqlite.QuoteAll("+", t.Parent.Names)+" FROM "+sqlite.Quote(t.Name)+" WHERE "+t.Sql.KeyWhere, values...)
}

// ParentKey finds the key of the parent row from foreign key values. ok is false if there
// is no parent: a NULL, or a parent gone that was not referred to by its key.
func (tx *Tx) ParentKey(t *catalog.Table, values []crdt.Value) (key crdt.Key, ok bool, err error) {
	up := t.Parent.Table
	where, byName := "", map[string]crdt.Value{}
	for i, name := range t.Parent.Refers {
		if values[i].Kind() == crdt.Null {
			return "", false, nil
		}
		if i > 0 {
			where += " AND "
		}
		where += sqlite.Quote(name) + "=?"
		byName[name] = values[i]
	}
	stored, err := tx.SQL.Row("SELECT "+sqlite.QuoteAll("+", up.KeyNames())+" FROM "+sqlite.Quote(up.Name)+" WHERE "+where, values...)
	if err != nil {
		return "", false, err
	}
	if stored == nil {
		for _, name := range up.KeyNames() {
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

// Moves remembers that a row has left a document for another.
func (tx *Tx) Moves(former, document catalog.Reference) error {
	if former == document {
		return nil
	}
	return tx.SQL.Exec(`INSERT INTO ravno_moved(position, former, document) SELECT ?1, ?2, ?3
		WHERE NOT EXISTS(SELECT 1 FROM ravno_moved WHERE position=?1 AND former=?2 AND document=?3)`, // of many rows that move at once
		catalog.Integer(tx.Position()), former.Encode(), document.Encode())
}

// Children are the rows of a table that belong to a row of the document, by key.
func (tx *Tx) Children(child *catalog.Table, parent *catalog.Values) (found []*catalog.Values, err error) {
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
	err = tx.SQL.Rows("SELECT "+sqlite.QuoteAll("+", child.ColumnNames())+" FROM "+sqlite.Quote(child.Name)+" WHERE "+strings.Join(where, " AND ")+
		" ORDER BY "+sqlite.QuoteAll("", child.KeyNames()), values, func(row []crdt.Value) error {
		m := catalog.NewImage(len(row))
		for i, v := range row {
			m.Set(crdt.Column(child.Numbers[i]), v)
		}
		found = append(found, m)
		return nil
	})
	return found, err
}

// Dangles reports whether there is no row in the parent's table that a reference is to.
func (tx *Tx) Dangles(l *catalog.ForeignKey, reference []crdt.Value) (bool, error) {
	row, err := tx.SQL.Row(l.HasParent, reference...)
	return row == nil && err == nil, err
}

// EachDangling goes through the links over which a row with these values refers to a row that
// is not in its table. Each is asked about when its turn comes: what was done about the ones
// before may have mended it.
func (tx *Tx) EachDangling(t *catalog.Table, m *catalog.Values, each func(l *catalog.ForeignKey, reference []crdt.Value) error) error {
	for _, l := range t.Up {
		reference, ok := l.Reference(m)
		if !ok {
			continue
		}
		dangles, err := tx.Dangles(l, reference)
		if err == nil && dangles {
			err = each(l, reference)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// ChildrenOf finds the rows in the child's table with a reference.
func (tx *Tx) ChildrenOf(l *catalog.ForeignKey, reference []crdt.Value) (keys []crdt.Key, err error) {
	err = tx.SQL.Rows(l.FindChildren, reference, func(stored []crdt.Value) error {
		key, err := l.Child.CanonicalKey(slices.Clone(stored))
		if err != nil {
			return nil // a row that cannot sync
		}
		keys = append(keys, key)
		return nil
	})
	return keys, err
}

// Referring are the keys of the rows, in their table or held, that refer to a row.
func (tx *Tx) Referring(l *catalog.ForeignKey, parent *catalog.Values) ([]crdt.Key, error) {
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
