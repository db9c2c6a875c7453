package store

import (
	"slices"

	"ravno/crdt"
)

// orphan is a row whose parent is gone.
type orphan struct {
	l   *link
	key crdt.Key
	row crdt.Row
}

// orphansOf are the rows in tables that refer to a row which died, and which the sender of
// the delta did not know.
func (n *effects) orphansOf(m merged, unknown func(crdt.Row) bool) (orphans []orphan, err error) {
	tx := n.tx
	for _, l := range m.t.down {
		if any, err := n.unknownWork(l.child, m.seen); err != nil || !any {
			if err != nil {
				return nil, err
			}
			continue
		}
		reference, ok := l.referred(m.was)
		if !ok {
			continue
		}
		if dangles, err := tx.dangles(l, reference); err != nil {
			return nil, err
		} else if !dangles {
			continue // it is there after all, or another row is
		}
		children, err := tx.childrenOf(l, reference)
		if err != nil {
			return nil, err
		}
		for _, key := range children {
			row, _, _, err := tx.readShadow(l.child, key)
			if err != nil {
				return nil, err
			}
			if unknown(row) {
				orphans = append(orphans, orphan{l: l, key: key, row: row})
			}
		}
	}
	return orphans, nil
}

// missing is a row of the link's parent table that another refers to and that is gone.
type missing struct {
	l   *link
	key crdt.Key
	row crdt.Row
}

// missingParents are the deleted rows that a row in its table refers to.
func (tx *transaction) missingParents(ref reference) (gone []missing, err error) {
	t := tx.cat.byNumber[ref.tab]
	m, err := tx.tableImage(t, ref.key)
	if err != nil || m == nil {
		return nil, err
	}
	err = tx.eachDangling(t, m, func(l *link, reference []crdt.Value) error {
		key, row, found, err := tx.deletedParent(l, reference)
		if found {
			gone = append(gone, missing{l: l, key: key, row: row})
		}
		return err
	})
	return gone, err
}

// deletedParent finds the deleted row a reference is to: by its key, or among the remains.
func (tx *transaction) deletedParent(l *link, reference []crdt.Value) (key crdt.Key, row crdt.Row, found bool, err error) {
	if slices.Equal(l.refers, l.parent.Key) {
		if key, err = l.parent.CanonicalKey(reference); err != nil {
			return "", row, false, nil // a reference no key can equal
		}
		row, _, found, err = tx.readShadow(l.parent, key)
		return key, row, found && !row.Live(), err
	}
	err = tx.c.Rows("SELECT key, image FROM ravno_image WHERE tab=? AND state='remains'", []crdt.Value{integer(l.parent.number)}, func(values []crdt.Value) error {
		m, err := decodeImage(values[1])
		if err != nil || found {
			return err
		}
		if referred, ok := l.referred(m); ok && l.sameReference(reference, referred) {
			key, found = crdt.Key(values[0].Bytes()), true
		}
		return nil
	})
	if err != nil || !found {
		return "", row, false, err
	}
	row, _, found, err = tx.readShadow(l.parent, key)
	return key, row, found && !row.Live(), err
}
