package store

import (
	"ravno/crdt"
)

// hold takes a live row out of its table, because a constraint keeps its merged values out,
// and tries it again when everything else of the transaction is in place: values that two
// rows swap fit then.
func (tx *transaction) hold(t *table, key crdt.Key, m *image) error {
	if err := tx.remove(t, key); err != nil {
		return err
	}
	tx.tryHeld = true
	return tx.keepHeld(t, key, m)
}

// keepHeld keeps a row as held.
func (tx *transaction) keepHeld(t *table, key crdt.Key, m *image) error {
	tx.heldChanged, tx.holding = true, true
	tx.left = append(tx.left, heldRow{t: t, key: key, image: m})
	return tx.keepImage(t, key, imageHeld, m)
}

// arrives notes that a row is in its table and has changed there: what it refers to may be
// held, and then it is held too.
func (tx *transaction) arrives(t *table, key crdt.Key) {
	if tx.holding && len(t.up) > 0 {
		tx.arrived = append(tx.arrived, t.reference(key))
	}
}

// waits reports whether a row refers to one that is itself held: it is part of what is held
// with that row, and comes back with it.
func (tx *transaction) waits(row heldRow, held []heldRow) (bool, error) {
	for _, l := range row.t.up {
		if i, err := tx.heldParent(l, row, held); err != nil || i >= 0 {
			return i >= 0, err
		}
	}
	return false, nil
}

// stays reports whether a held row is not to be placed, even if it fits: because it waits, or
// because what it refers to is gone. A row that is in its table is never taken out for that:
// there are applications without foreign keys.
func (tx *transaction) stays(row heldRow, held []heldRow) (bool, error) {
	if waits, err := tx.waits(row, held); err != nil || waits {
		return waits, err
	}
	for _, l := range row.t.up {
		if orphaned, err := tx.orphaned(l, row); err != nil || orphaned {
			return orphaned, err
		}
	}
	return false, nil
}

// orphaned reports whether what a held row refers to is gone: nobody could see that it was
// referred to. Such a row stays where it is, until that is back or somebody decides.
func (tx *transaction) orphaned(l *link, row heldRow) (bool, error) {
	reference, ok := l.reference(row.image)
	if !ok {
		return false, nil
	}
	if referred, ok := l.referred(row.image); ok && l.parent == row.t && l.sameReference(reference, referred) {
		return false, nil // it refers to itself
	}
	return tx.dangles(l, reference)
}

// heldParent finds the held row that a row's reference needs, by its index; -1 if there is
// none: the reference is to itself, to a row in the table, or to nothing at all.
func (tx *transaction) heldParent(l *link, row heldRow, held []heldRow) (int, error) {
	reference, ok := l.reference(row.image)
	if !ok {
		return -1, nil
	}
	for i, other := range held {
		if other.t != l.parent || other.t == row.t && other.key == row.key {
			continue
		}
		if referred, ok := l.referred(other.image); !ok || !l.sameReference(reference, referred) {
			continue
		}
		dangles, err := tx.dangles(l, reference)
		if err != nil || !dangles {
			return -1, err
		}
		exists, err := tx.readHeld(other.t, other.key)
		if err != nil || exists {
			return i, err
		}
	}
	return -1, nil
}

// readHeld reports whether a row is (still) held.
func (tx *transaction) readHeld(t *table, key crdt.Key) (bool, error) {
	_, state, err := tx.readImage(t, key)
	return state == imageHeld, err
}

func (tx *transaction) dropHeld(row heldRow) error {
	tx.heldChanged = true
	return tx.dropImage(row.t, row.key)
}

// holdFollowers takes out of their tables the rows that refer to rows which are held: those
// that have just been taken out, and those that have just arrived or been written.
func (tx *transaction) holdFollowers(held []heldRow) (followed bool, err error) {
	left, arrived := tx.left, tx.arrived
	tx.left, tx.arrived = nil, nil
	for _, row := range left {
		if still, err := tx.readHeld(row.t, row.key); err != nil {
			return false, err
		} else if !still {
			continue
		}
		for _, l := range row.t.down {
			any, err := tx.holdChildren(l, row)
			if err != nil {
				return false, err
			}
			followed = followed || any
		}
	}
	for _, ref := range arrived {
		t := tx.cat.byNumber[ref.tab]
		m, err := tx.tableImage(t, ref.key)
		if err != nil {
			return false, err
		}
		if m == nil {
			continue
		}
		row := heldRow{t: t, key: ref.key, image: m}
		waits, err := tx.waits(row, held)
		if err != nil {
			return false, err
		}
		if waits {
			if err := tx.hold(t, ref.key, m); err != nil {
				return false, err
			}
			followed = true
		}
	}
	return followed, nil
}

// holdChildren holds the rows that refer to a held row, unless another row in the table is
// what they refer to.
func (tx *transaction) holdChildren(l *link, row heldRow) (any bool, err error) {
	reference, ok := l.referred(row.image)
	if !ok {
		return false, nil
	}
	if dangles, err := tx.dangles(l, reference); err != nil || !dangles {
		return false, err
	}
	children, err := tx.childrenOf(l, reference)
	if err != nil {
		return false, err
	}
	for _, key := range children {
		m, err := tx.tableImage(l.child, key)
		if err != nil {
			return any, err
		}
		if m == nil {
			continue
		}
		if err := tx.hold(l.child, key, m); err != nil {
			return any, err
		}
		any = true
	}
	return any, nil
}
