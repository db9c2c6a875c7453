package rows

import (
	"slices"

	"ravno/crdt"
	"ravno/store/internal/catalog"
	"ravno/store/internal/sqlite"
)

// Root finds the root of the document a row belongs to. parents gives the foreign key
// values of rows that are gone from their table, as the log recorded them.
func (tx *Tx) Root(t *catalog.Table, key crdt.Key, parents map[catalog.Reference][]crdt.Value) (
	catalog.Reference, error) {
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
	return tx.SQL.Row("SELECT "+sqlite.QuoteAll("+", t.Parent.Names)+" FROM "+sqlite.Quote(t.Name)+" WHERE "+
		t.Sql.KeyWhere, values...)
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
	stored, err := tx.SQL.Row("SELECT "+sqlite.QuoteAll("+", up.KeyNames())+" FROM "+sqlite.Quote(up.Name)+" WHERE "+where,
		values...)
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

// Dangles reports whether there is no row in the parent's table that a reference is to.
func (tx *Tx) Dangles(l *catalog.ForeignKey, reference []crdt.Value) (bool, error) {
	row, err := tx.SQL.Row(l.HasParent, reference...)
	return row == nil && err == nil, err
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
