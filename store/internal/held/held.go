package held

import (
	"ravno/crdt"
	"ravno/store/internal/catalog"
	"ravno/store/internal/rows"
)

// Set is what one transaction does to the rows that a constraint keeps out of their tables.
type Set struct {
	tx       *rows.Tx
	Any      bool                // some row is held
	Try      bool                // a held row may fit by now
	Changed  bool                // some row became held, or is held no more
	excluded []Row               // rows that became held
	inserted []catalog.Reference // rows put into tables, or changed there, while others are held
}

// Open begins with the rows that are held as the transaction begins.
func Open(tx *rows.Tx) (*Set, error) {
	h := &Set{tx: tx}
	var err error
	h.Any, err = tx.SomeHeld()
	return h, err
}

// Exclude takes a live row out of its table, because a constraint keeps its merged values out,
// and tries it again when everything else of the transaction is in place: values that two
// rows swap fit then.
func (h *Set) Exclude(t *catalog.Table, key crdt.Key, m *catalog.Values) error {
	if err := h.tx.Remove(t, key); err != nil {
		return err
	}
	h.Try = true
	return h.Keep(t, key, m)
}

// Keep keeps a row as held.
func (h *Set) Keep(t *catalog.Table, key crdt.Key, m *catalog.Values) error {
	h.Changed, h.Any = true, true
	h.excluded = append(h.excluded, Row{T: t, Key: key, Image: m})
	return h.tx.Keep(t, key, catalog.Held, m)
}

// NoteInserted notes that a row is in its table and has changed there: what it refers to may be
// held, and then it is held too.
func (h *Set) NoteInserted(t *catalog.Table, key crdt.Key) {
	if h.Any && len(t.Up) > 0 {
		h.inserted = append(h.inserted, t.Reference(key))
	}
}

// dependsOnHeld reports whether a row refers to one that is itself held: it is part of what is held
// with that row, and comes back with it.
func (h *Set) dependsOnHeld(row Row, held []Row) (bool, error) {
	for _, l := range row.T.Up {
		if i, err := h.heldParent(l, row, held); err != nil || i >= 0 {
			return i >= 0, err
		}
	}
	return false, nil
}

// MustStayHeld reports whether a held row is not to be placed, even if it fits: because it waits, or
// because what it refers to is gone. A row that is in its table is never taken out for that:
// there are applications without foreign keys.
func (h *Set) MustStayHeld(row Row, held []Row) (bool, error) {
	if waits, err := h.dependsOnHeld(row, held); err != nil || waits {
		return waits, err
	}
	for _, l := range row.T.Up {
		if orphaned, err := h.orphaned(l, row); err != nil || orphaned {
			return orphaned, err
		}
	}
	return false, nil
}

// orphaned reports whether what a held row refers to is gone: nobody could see that it was
// referred to. Such a row stays where it is, until that is back or somebody decides.
func (h *Set) orphaned(l *catalog.ForeignKey, row Row) (bool, error) {
	reference, ok := l.Reference(row.Image)
	if !ok {
		return false, nil
	}
	if referred, ok := l.Referred(row.Image); ok && l.Parent == row.T && l.SameReference(reference, referred) {
		return false, nil // it refers to itself
	}
	return h.tx.Dangles(l, reference)
}

// heldParent finds the held row that a row's reference needs, by its index; -1 if there is
// none: the reference is to itself, to a row in the table, or to nothing at all.
func (h *Set) heldParent(l *catalog.ForeignKey, row Row, held []Row) (int, error) {
	reference, ok := l.Reference(row.Image)
	if !ok {
		return -1, nil
	}
	for i, other := range held {
		if other.T != l.Parent || other.T == row.T && other.Key == row.Key {
			continue
		}
		if referred, ok := l.Referred(other.Image); !ok || !l.SameReference(reference, referred) {
			continue
		}
		dangles, err := h.tx.Dangles(l, reference)
		if err != nil || !dangles {
			return -1, err
		}
		exists, err := h.IsHeld(other.T, other.Key)
		if err != nil || exists {
			return i, err
		}
	}
	return -1, nil
}

// IsHeld reports whether a row is (still) held.
func (h *Set) IsHeld(t *catalog.Table, key crdt.Key) (bool, error) {
	_, state, err := h.tx.ReadKept(t, key)
	return state == catalog.Held, err
}

func (h *Set) drop(row Row) error {
	h.Changed = true
	return h.tx.Drop(row.T, row.Key)
}

// excludeFollowers takes out of their tables the rows that refer to rows which are held: those
// that have just been taken out, and those that have just arrived or been written.
func (h *Set) excludeFollowers(held []Row) (followed bool, err error) {
	left, arrived := h.excluded, h.inserted
	h.excluded, h.inserted = nil, nil
	for _, row := range left {
		if still, err := h.IsHeld(row.T, row.Key); err != nil {
			return false, err
		} else if !still {
			continue
		}
		for _, l := range row.T.Down {
			any, err := h.excludeChildren(l, row)
			if err != nil {
				return false, err
			}
			followed = followed || any
		}
	}
	for _, ref := range arrived {
		t := h.tx.Cat.ByNumber[ref.Tab]
		m, err := h.tx.ReadTable(t, ref.Key)
		if err != nil {
			return false, err
		}
		if m == nil {
			continue
		}
		row := Row{T: t, Key: ref.Key, Image: m}
		waits, err := h.dependsOnHeld(row, held)
		if err != nil {
			return false, err
		}
		if waits {
			if err := h.Exclude(t, ref.Key, m); err != nil {
				return false, err
			}
			followed = true
		}
	}
	return followed, nil
}

// excludeChildren holds the rows that refer to a held row, unless another row in the table is
// what they refer to.
func (h *Set) excludeChildren(l *catalog.ForeignKey, row Row) (any bool, err error) {
	reference, ok := l.Referred(row.Image)
	if !ok {
		return false, nil
	}
	if dangles, err := h.tx.Dangles(l, reference); err != nil || !dangles {
		return false, err
	}
	children, err := h.tx.ChildrenOf(l, reference)
	if err != nil {
		return false, err
	}
	for _, key := range children {
		m, err := h.tx.ReadTable(l.Child, key)
		if err != nil {
			return any, err
		}
		if m == nil {
			continue
		}
		if err := h.Exclude(l.Child, key, m); err != nil {
			return any, err
		}
		any = true
	}
	return any, nil
}
