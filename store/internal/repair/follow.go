package repair

import (
	"encoding/hex"

	"ravno/crdt"
	"ravno/store/internal/capture"
	"ravno/store/internal/catalog"
	"ravno/store/internal/conflict"
	"ravno/store/internal/history"
	"ravno/store/internal/rows"
)

// A row may refer to another by a unique value instead of its key. One server may change that
// value while another refers to the row by the former value. The reference then follows the row.

// followMoved updates the references to a row whose referred values a delta has changed.
func (x *Repairs) followMoved(m Merged) error {
	for _, l := range m.T.Down {
		reference, ok := l.Referred(m.Was)
		if l.ByKey() || !ok {
			continue
		}
		if dangles, err := x.Tx.Dangles(l, reference); err != nil {
			return err
		} else if !dangles {
			continue
		}
		children, err := x.Tx.ChildrenOf(l, reference)
		if err != nil {
			return err
		}
		for _, child := range children {
			if err := x.follow(l, child, m.Key); err != nil {
				return err
			}
		}
	}
	return nil
}

// followUnseen updates the references of a row that a delta brought. It treats references to former
// values that others changed without the author's knowledge.
func (x *Repairs) followUnseen(ref Arrival) error {
	t := x.Tx.Cat.ByNumber[ref.Tab]
	m, err := x.Tx.ReadTable(t, ref.Key)
	if err != nil || m == nil {
		return err
	}
	return eachDangling(x.Tx, t, m, func(l *catalog.ForeignKey, reference []crdt.Value) error {
		if l.ByKey() {
			return nil
		}
		parent, err := history.FindFormer(x.Tx, l, reference, x.Author, ref.Seen)
		if err != nil || parent == "" {
			return err
		}
		row, err := x.Tx.ReadShadow(l.Parent, parent)
		if err != nil {
			return err
		}
		if !row.Live() && (row.Death.Stamp.Site == x.Author || row.Death.Position <= ref.Seen) {
			return nil // Its author knew of the deletion. An application without foreign keys may do this.
		}
		if err := x.follow(l, ref.Key, parent); err != nil || row.Live() {
			return err
		}
		if row, err = x.Tx.ReadShadow(t, ref.Key); err != nil {
			return err
		}
		return x.refer(l, ref.Key, row.Row, l.Parent, parent)
	})
}

// followOrKill repairs a dangling reference of a row that was brought back. The reference follows the
// row that had its value. If that row is unknown, or cannot come back, the child is deleted.
func (x *Repairs) followOrKill(l *catalog.ForeignKey, child crdt.Key, reference []crdt.Value) error {
	if l.ByKey() {
		return x.Kill(l.Child, child)
	}
	parent, err := history.FindFormer(x.Tx, l, reference, 0, 0)
	if err != nil {
		return err
	}
	if parent == "" {
		return x.Kill(l.Child, child)
	}
	if err := x.follow(l, child, parent); err != nil {
		return err
	}
	if ok, err := x.bringBack(l.Parent, parent); err != nil || ok {
		return err
	}
	return x.Kill(l.Child, child)
}

// follow writes the parent's values into a reference to it: its current values, or its last ones if it
// is deleted. If they do not fit the child's columns, the child is deleted. Either way it records the
// conflict.
func (x *Repairs) follow(l *catalog.ForeignKey, child, parent crdt.Key) error {
	tx := x.Tx
	now, _, err := conflict.ValuesOf(tx, l.Parent, parent)
	if err != nil || now == nil {
		return err
	}
	row, err := tx.ReadShadow(l.Child, child)
	if err != nil {
		return err
	}
	before, err := tx.ReadTable(l.Child, child)
	if err != nil || before == nil {
		return err
	}
	det := conflict.Detail{Sides: []conflict.Side{
		conflict.WholeSide(l.Child, conflict.Owner(row.Newest()), child, before)}}
	values, columns, names, fits := catalog.NewValues(0), []crdt.Column(nil), []string(nil), true
	for i, c := range l.Columns {
		v := now.Value(crdt.Column(l.Parent.Numbers[l.Refers[i]]))
		column := l.Child.Columns[c]
		fits = fits && !column.InKey && (v.Kind() != crdt.Null || !column.NotNull)
		number := crdt.Column(l.Child.Numbers[c])
		values.Set(number, v)
		columns, names = append(columns, number), append(names, column.Name)
	}
	x.Wrote = true
	if err := history.NoteFormer(tx, l.Child, child, before, tx.State.Site); err != nil {
		return err
	}
	if fits {
		err = tx.Update(l.Child, child, columns, values)
		if err == nil {
			err = tx.Log(l.Child, child, capture.Update, names)
		}
	}
	if !fits || rows.IsConstraint(err) {
		err = x.Kill(l.Child, child)
	}
	if err != nil {
		return err
	}
	parentRow, err := tx.ReadShadow(l.Parent, parent)
	if err != nil {
		return err
	}
	document := parentRow.Document
	if document == (catalog.Reference{}) {
		document = l.Parent.Reference(parent)
	}
	changer := conflict.Owner(parentRow.Newest())
	changed := conflict.Side{Site: changer, Table: l.Parent.Name, Key: hex.EncodeToString([]byte(parent)),
		Values: map[string]string{}}
	for _, c := range l.Refers {
		changed.Values[l.Parent.Columns[c].Name] = catalog.EncodeValue(now.Value(crdt.Column(l.Parent.Numbers[c])))
	}
	det.Sides = append(det.Sides, changed)
	x.Recorded++
	return x.recordForeignKey(l.Parent, parent, document, det, crdt.Claim{Site: changer, Stamp: parentRow.Newest()},
		crdt.Claim{Site: conflict.Owner(row.Newest()), Stamp: row.Newest()})
}
