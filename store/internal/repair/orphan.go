package repair

import (
	"slices"

	"ravno/crdt"
	"ravno/store/internal/catalog"
	"ravno/store/internal/rows"
)

// orphan is a row whose parent is gone: its foreign key, its own key and its shadow.
type orphan struct {
	l   *catalog.ForeignKey
	key crdt.Key
	row crdt.Row
}

// orphansOf returns the rows in tables that refer to a row which the delta deleted or changed. The
// function unknown selects the rows that the sender of the delta did not know.
func (n *Effects) orphansOf(m Merged, unknown func(crdt.Row) bool) (orphans []orphan, err error) {
	tx := n.tx
	for _, l := range m.T.Down {
		if any, err := n.UnseenWork(l.Child, m.Seen); err != nil || !any {
			if err != nil {
				return nil, err
			}
			continue
		}
		reference, ok := l.Referred(m.Was)
		if !ok {
			continue
		}
		if dangles, err := tx.Dangles(l, reference); err != nil {
			return nil, err
		} else if !dangles {
			continue // The row is there after all, or another row has its value.
		}
		children, err := tx.ChildrenOf(l, reference)
		if err != nil {
			return nil, err
		}
		for _, key := range children {
			row, err := tx.ReadShadow(l.Child, key)
			if err != nil {
				return nil, err
			}
			if unknown(row.Row) {
				orphans = append(orphans, orphan{l: l, key: key, row: row.Row})
			}
		}
	}
	return orphans, nil
}

// missing is a deleted row that another row refers to over the foreign key l. The key and the shadow
// belong to the deleted row.
type missing struct {
	l   *catalog.ForeignKey
	key crdt.Key
	row crdt.Row
}

// missingParents returns the deleted rows that a row in its table refers to.
func missingParents(tx *rows.Tx, ref catalog.Reference) (gone []missing, err error) {
	t := tx.Cat.ByNumber[ref.Tab]
	m, err := tx.ReadTable(t, ref.Key)
	if err != nil || m == nil {
		return nil, err
	}
	err = eachDangling(tx, t, m, func(l *catalog.ForeignKey, reference []crdt.Value) error {
		key, row, found, err := deletedParent(tx, l, reference)
		if found {
			gone = append(gone, missing{l: l, key: key, row: row})
		}
		return err
	})
	return gone, err
}

// deletedParent finds the deleted row that a reference points at. It looks by key, or else among the
// tombstone values.
func deletedParent(tx *rows.Tx, l *catalog.ForeignKey, reference []crdt.Value) (
	key crdt.Key, row crdt.Row, found bool, err error) {
	if slices.Equal(l.Refers, l.Parent.Key) {
		if key, err = l.Parent.CanonicalKey(reference); err != nil {
			return "", row, false, nil // No key can equal this reference.
		}
		was, err := tx.ReadShadow(l.Parent, key)
		return key, was.Row, was.Found && !was.Live(), err
	}
	err = tx.EachKept(l.Parent, func(row catalog.Reference, m *catalog.Values) error {
		if referred, ok := l.Referred(m); ok && !found && l.SameReference(reference, referred) {
			key, found = row.Key, true
		}
		return nil
	}, catalog.Tombstone)
	if err != nil || !found {
		return "", row, false, err
	}
	was, err := tx.ReadShadow(l.Parent, key)
	return key, was.Row, was.Found && !was.Live(), err
}

// eachDangling calls each for the foreign keys over which a row with these values refers to no row. It
// checks every foreign key when its turn comes, because an earlier call may have repaired it.
func eachDangling(tx *rows.Tx, t *catalog.Table, m *catalog.Values,
	each func(l *catalog.ForeignKey, reference []crdt.Value) error) error {
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
