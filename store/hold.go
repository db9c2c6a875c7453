package store

import (
	"ravno/crdt"
)

// heldSet is what one transaction does to the rows that a constraint keeps out of their tables.
type heldSet struct {
	tx       *transaction
	any      bool        // some row is held
	try      bool        // a held row may fit by now
	changed  bool        // some row became held, or is held no more
	excluded []heldRow   // rows that became held
	inserted []reference // rows put into tables, or changed there, while others are held
}

// openHeld begins with the rows that are held as the transaction begins.
func openHeld(tx *transaction) (*heldSet, error) {
	h := &heldSet{tx: tx}
	if tx.noImages {
		return h, nil
	}
	any, err := tx.c.Int("SELECT EXISTS(SELECT 1 FROM ravno_image WHERE state='held')")
	h.any = any != 0
	return h, err
}

// exclude takes a live row out of its table, because a constraint keeps its merged values out,
// and tries it again when everything else of the transaction is in place: values that two
// rows swap fit then.
func (h *heldSet) exclude(t *table, key crdt.Key, m *image) error {
	if err := h.tx.remove(t, key); err != nil {
		return err
	}
	h.try = true
	return h.keep(t, key, m)
}

// keep keeps a row as held.
func (h *heldSet) keep(t *table, key crdt.Key, m *image) error {
	h.changed, h.any = true, true
	h.excluded = append(h.excluded, heldRow{t: t, key: key, image: m})
	return h.tx.keepImage(t, key, imageHeld, m)
}

// noteInserted notes that a row is in its table and has changed there: what it refers to may be
// held, and then it is held too.
func (h *heldSet) noteInserted(t *table, key crdt.Key) {
	if h.any && len(t.up) > 0 {
		h.inserted = append(h.inserted, t.reference(key))
	}
}

// dependsOnHeld reports whether a row refers to one that is itself held: it is part of what is held
// with that row, and comes back with it.
func (h *heldSet) dependsOnHeld(row heldRow, held []heldRow) (bool, error) {
	for _, l := range row.t.up {
		if i, err := h.heldParent(l, row, held); err != nil || i >= 0 {
			return i >= 0, err
		}
	}
	return false, nil
}

// mustStayHeld reports whether a held row is not to be placed, even if it fits: because it waits, or
// because what it refers to is gone. A row that is in its table is never taken out for that:
// there are applications without foreign keys.
func (h *heldSet) mustStayHeld(row heldRow, held []heldRow) (bool, error) {
	if waits, err := h.dependsOnHeld(row, held); err != nil || waits {
		return waits, err
	}
	for _, l := range row.t.up {
		if orphaned, err := h.orphaned(l, row); err != nil || orphaned {
			return orphaned, err
		}
	}
	return false, nil
}

// orphaned reports whether what a held row refers to is gone: nobody could see that it was
// referred to. Such a row stays where it is, until that is back or somebody decides.
func (h *heldSet) orphaned(l *link, row heldRow) (bool, error) {
	reference, ok := l.reference(row.image)
	if !ok {
		return false, nil
	}
	if referred, ok := l.referred(row.image); ok && l.parent == row.t && l.sameReference(reference, referred) {
		return false, nil // it refers to itself
	}
	return h.tx.dangles(l, reference)
}

// heldParent finds the held row that a row's reference needs, by its index; -1 if there is
// none: the reference is to itself, to a row in the table, or to nothing at all.
func (h *heldSet) heldParent(l *link, row heldRow, held []heldRow) (int, error) {
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
		dangles, err := h.tx.dangles(l, reference)
		if err != nil || !dangles {
			return -1, err
		}
		exists, err := h.isHeld(other.t, other.key)
		if err != nil || exists {
			return i, err
		}
	}
	return -1, nil
}

// isHeld reports whether a row is (still) held.
func (h *heldSet) isHeld(t *table, key crdt.Key) (bool, error) {
	_, state, err := h.tx.readImage(t, key)
	return state == imageHeld, err
}

func (h *heldSet) drop(row heldRow) error {
	h.changed = true
	return h.tx.dropImage(row.t, row.key)
}

// holdFollowers takes out of their tables the rows that refer to rows which are held: those
// that have just been taken out, and those that have just arrived or been written.
func (h *heldSet) holdFollowers(held []heldRow) (followed bool, err error) {
	left, arrived := h.excluded, h.inserted
	h.excluded, h.inserted = nil, nil
	for _, row := range left {
		if still, err := h.isHeld(row.t, row.key); err != nil {
			return false, err
		} else if !still {
			continue
		}
		for _, l := range row.t.down {
			any, err := h.holdChildren(l, row)
			if err != nil {
				return false, err
			}
			followed = followed || any
		}
	}
	for _, ref := range arrived {
		t := h.tx.cat.byNumber[ref.tab]
		m, err := h.tx.tableImage(t, ref.key)
		if err != nil {
			return false, err
		}
		if m == nil {
			continue
		}
		row := heldRow{t: t, key: ref.key, image: m}
		waits, err := h.dependsOnHeld(row, held)
		if err != nil {
			return false, err
		}
		if waits {
			if err := h.exclude(t, ref.key, m); err != nil {
				return false, err
			}
			followed = true
		}
	}
	return followed, nil
}

// holdChildren holds the rows that refer to a held row, unless another row in the table is
// what they refer to.
func (h *heldSet) holdChildren(l *link, row heldRow) (any bool, err error) {
	reference, ok := l.referred(row.image)
	if !ok {
		return false, nil
	}
	if dangles, err := h.tx.dangles(l, reference); err != nil || !dangles {
		return false, err
	}
	children, err := h.tx.childrenOf(l, reference)
	if err != nil {
		return false, err
	}
	for _, key := range children {
		m, err := h.tx.tableImage(l.child, key)
		if err != nil {
			return any, err
		}
		if m == nil {
			continue
		}
		if err := h.exclude(l.child, key, m); err != nil {
			return any, err
		}
		any = true
	}
	return any, nil
}
