package repair

import (
	"slices"

	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/store/internal/capture"
	"ravno/store/internal/catalog"
	"ravno/store/internal/conflict"
	"ravno/store/internal/held"
	"ravno/store/internal/history"
	"ravno/store/internal/rows"
)

// Repairs makes the repairs of the hub after one delta. It belongs to one transaction. The caller makes
// Back and runs References before Document.
type Repairs struct {
	Tx       *rows.Tx
	Held     *held.Set
	Author   causal.Site                // the author of the delta, a node
	Effects  *Effects                   // the effects of the delta
	Back     map[catalog.Reference]bool // rows brought back
	Wrote    bool                       // a repair wrote to tables and log, which must be folded
	Recorded int                        // the conflict records written
}

// concurrent reports whether another site wrote the row above a position that the author had seen.
func (x *Repairs) concurrent(row crdt.Row, seen causal.Position) bool {
	other := func(v crdt.Version) bool { return v.Stamp.Site != x.Author && v.Position > seen }
	return other(row.Birth) || other(row.Base) ||
		slices.ContainsFunc(row.Columns, func(c crdt.ColumnVersion) bool { return other(c.Version) })
}

// References brings back deleted rows that other sites still refer to, and lets references follow
// changed unique values. It leaves references inside a document to Document, by adding to Clashed.
func (x *Repairs) References() error {
	n := x.Effects
	for _, m := range n.Died {
		orphans, err := n.orphansOf(m, func(row crdt.Row) bool { return x.concurrent(row, m.Seen) })
		if err != nil {
			return err
		}
		for _, o := range orphans {
			if err := x.refer(o.l, o.key, o.row, m.T, m.Key); err != nil {
				return err
			}
		}
	}
	for _, m := range n.Moved {
		if err := x.followMoved(m); err != nil {
			return err
		}
	}
	for _, ref := range n.Arrived {
		if err := x.followUnseen(ref); err != nil {
			return err
		}
		gone, err := missingParents(x.Tx, ref.Reference)
		if err != nil {
			return err
		}
		for _, g := range gone {
			if g.row.Death.Stamp.Site == x.Author || g.row.Death.Position <= ref.Seen {
				continue // Its author knew of the deletion. An application without foreign keys may do this.
			}
			row, err := x.Tx.ReadShadow(g.l.Child, ref.Key)
			if err != nil {
				return err
			}
			if err := x.refer(g.l, ref.Key, row.Row, g.l.Parent, g.key); err != nil {
				return err
			}
		}
	}
	return nil
}

// refer repairs one reference to a deleted row t and key. The row comes back. If its values are not
// known here, the child is deleted instead.
func (x *Repairs) refer(l *catalog.ForeignKey, child crdt.Key, row crdt.Row, t *catalog.Table, key crdt.Key) error {
	if _, state, err := x.Tx.ReadKept(t, key); err != nil {
		return err
	} else if l.Document && state == catalog.Tombstone {
		if ref := t.Reference(key); !slices.Contains(x.Effects.Clashed, ref) {
			x.Effects.Clashed = append(x.Effects.Clashed, ref)
		}
		return nil
	}
	parent, err := x.Tx.ReadShadow(t, key)
	if err != nil {
		return err
	}
	ok, err := x.bringBack(t, key)
	if err != nil {
		return err
	}
	if !ok { // Its values are not here, so the child cannot stay.
		if err := x.Kill(l.Child, child); err != nil {
			return err
		}
	}
	return x.recordReference(l, child, row, t, key, parent.Row)
}

// bringBack revives a deleted row. It also revives the rows that this row refers to, and the rows of
// its document that were deleted with it. It reports false if the row's values are not known here.
func (x *Repairs) bringBack(t *catalog.Table, key crdt.Key) (ok bool, err error) {
	tx, ref := x.Tx, t.Reference(key)
	if x.Back[ref] {
		return true, nil
	}
	row, err := tx.ReadShadow(t, key)
	if err != nil || !row.Found || row.Live() {
		return row.Found && row.Live(), err
	}
	m, state, err := tx.ReadKept(t, key)
	if err != nil || state != catalog.Tombstone {
		return false, err
	}
	if whole, err := t.Complete(key, m); err != nil || !whole {
		return false, err
	}
	x.Back[ref], x.Wrote = true, true
	if err := x.putBack(t, key, m); err != nil {
		return false, err
	}
	err = eachDangling(tx, t, m, func(l *catalog.ForeignKey, reference []crdt.Value) error {
		parent, _, gone, err := deletedParent(tx, l, reference)
		switch {
		case err != nil:
		case gone:
			_, err = x.bringBack(l.Parent, parent)
		default: // The referred row has another unique value now.
			err = x.followOrKill(l, key, reference)
		}
		return err
	})
	if err != nil {
		return false, err
	}
	document := row.Document
	if document == (catalog.Reference{}) {
		document = ref
	}
	return true, x.bringBackRest(document, row.Death)
}

// bringBackRest revives the rows of a document that one site deleted at one position.
func (x *Repairs) bringBackRest(document catalog.Reference, death crdt.Version) error {
	rows, err := history.DeletedIn(x.Tx, document, death.Stamp.Site)
	if err != nil {
		return err
	}
	for _, ref := range rows {
		t := x.Tx.Cat.ByNumber[ref.Tab]
		if t == nil {
			continue
		}
		row, err := x.Tx.ReadShadow(t, ref.Key)
		if err != nil {
			return err
		}
		if row.Found && !row.Live() && row.Death.Stamp.Site == death.Stamp.Site && row.Death.Position == death.Position {
			if _, err := x.bringBack(t, ref.Key); err != nil {
				return err
			}
		}
	}
	return nil
}

// putBack inserts a deleted row again and logs an edit of one column, which is newer than the deletion.
// A row without such a column is logged as an insert. If a constraint excludes the row, putBack keeps
// it as held.
func (x *Repairs) putBack(t *catalog.Table, key crdt.Key, m *catalog.Values) error {
	tx := x.Tx
	if err := tx.Drop(t, key); err != nil {
		return err
	}
	if err := conflict.CountersInto(tx, t, key, m); err != nil {
		return err
	}
	err := tx.Insert(t, m)
	if rows.IsConstraint(err) {
		err = x.Held.Keep(t, key, m)
	}
	if err != nil {
		return err
	}
	for i, c := range t.Columns {
		if t.ClassOf(crdt.Column(t.Numbers[i])) == crdt.ClassRegister {
			return tx.Log(t, key, capture.Update, []string{c.Name})
		}
	}
	return tx.Log(t, key, capture.Insert, nil)
}

// Kill deletes a row and logs the deletion. It keeps the values of a row in its table as tombstone
// values, and the next fold does so for a held row. It does nothing if the row is gone already.
func (x *Repairs) Kill(t *catalog.Table, key crdt.Key) error {
	m, state, err := conflict.ValuesOf(x.Tx, t, key)
	if err != nil || m == nil || state == catalog.Tombstone {
		return err
	}
	x.Wrote = true
	if err := x.Tx.Remove(t, key); err != nil {
		return err
	}
	if state == catalog.InTable {
		if err := x.Tx.Keep(t, key, catalog.Tombstone, m); err != nil {
			return err
		}
	}
	x.Held.Try = true
	return x.Tx.Log(t, key, capture.Delete, nil)
}
