package resolve

import (
	"fmt"
	"slices"

	"ravno/crdt"
	"ravno/store/internal/catalog"
	"ravno/store/internal/conflict"
)

// Enforcement of foreign keys is off for all of ravno's writes. So a decision checks by itself that
// it leaves no orphan. A row that refers to a deleted row is deleted as well, or an error names it as
// in the way. A written row must refer to rows that are there.

// cascadeAll plans the rows that refer to deleted rows, level by level.
func (d *decision) cascadeAll() error {
	for i := 0; i < len(d.order); i++ { // cascadeTo adds rows to the order.
		r := d.order[i]
		if !r.deleted() {
			continue
		}
		for _, l := range r.t.Down {
			keys, err := conflict.Referring(d.tx, l, r.before)
			if err != nil {
				return err
			}
			for _, key := range keys {
				if err := d.cascadeTo(r, l, key); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// cascadeTo plans one row that refers to a deleted row. It deletes the row or clears the reference if
// the decision cascades, and otherwise returns an error.
func (d *decision) cascadeTo(r *decided, l *catalog.ForeignKey, key crdt.Key) error {
	c, err := d.row(l.Child, key)
	if err != nil || !c.live() {
		return err
	}
	if c.changed(l.Columns) {
		return nil // The decision makes it refer to another row.
	}
	recorded := d.x.Kind == crdt.ForeignKey && slices.ContainsFunc(d.sides, func(s sideRow) bool { return s.row == c })
	switch {
	case d.cascade && (l.Document || l.OnDelete == "CASCADE"):
		c.delete()
	case d.cascade && l.OnDelete == "SET NULL":
		for _, i := range l.Columns {
			c.set(crdt.Column(l.Child.Numbers[i]), crdt.Value{})
		}
	case d.cascade && recorded:
		c.delete()
	default:
		return fmt.Errorf("conflict %s: %s is to be deleted, and %s refers to it. Try: change or delete %s in the "+
			"application first, or keep the other side", d.x.ID, r, c, c)
	}
	return nil
}

// check verifies a decision after it was written, folded and readmitted. The written rows must be in
// their tables, and no reference may dangle.
func (d *decision) check() error {
	for _, r := range d.order {
		contested := d.x.Kind == crdt.Unique && r.live() && isHeldRow(d.x, r.t.Name, r.key)
		if !r.written() && !contested {
			continue
		}
		there, err := d.tx.ReadTable(r.t, r.key)
		if err != nil {
			return err
		}
		if there == nil && d.undo {
			continue
		}
		if there == nil {
			return fmt.Errorf("conflict %s: another row still keeps %s out of its table. Try: --set COLUMN=VALUE with a value "+
				"that no other row has, or --keep SITE", d.x.ID, r)
		}
		if err := d.checkParents(r); err != nil {
			return err
		}
		if err := d.checkChildren(r); err != nil {
			return err
		}
	}
	return nil
}

// checkParents returns an error if a row refers to a row that is not there.
func (d *decision) checkParents(r *decided) error {
	for _, l := range r.t.Up {
		reference, ok := l.Reference(r.after)
		if !ok || !r.wrote(l.Columns) {
			continue
		}
		if dangles, err := d.tx.Dangles(l, reference); err != nil {
			return err
		} else if !dangles {
			continue
		}
		var named []catalog.Named
		for i, at := range l.Refers {
			named = append(named, catalog.Named{Name: l.Parent.Columns[at].Name, Value: reference[i]})
		}
		return fmt.Errorf("conflict %s: %s would refer to %s, which is not there. Try: bring that row back first, or --set "+
			"%s.%s=VALUE of a row that is there",
			d.x.ID, r, catalog.RowName(l.Parent.Name, named), r, r.t.Columns[l.Columns[0]].Name)
	}
	return nil
}

// wrote reports whether the decision gave one of these columns a value that it did not have. The
// columns are indexes in the table.
func (r *decided) wrote(columns []int) bool {
	return r.restored || r.where != catalog.InTable || r.changed(columns)
}

// changed reports whether a column with one of these indexes differs before and after the decision.
func (r *decided) changed(columns []int) bool {
	return slices.ContainsFunc(columns, func(i int) bool {
		number := crdt.Column(r.t.Numbers[i])
		return r.after.Value(number) != r.before.Value(number)
	})
}

// checkChildren returns an error if rows still refer to a value that the decision changed.
func (d *decision) checkChildren(r *decided) error {
	if r.where != catalog.InTable {
		return nil // The row was not in its table, so no row in a table refers to it.
	}
	for _, l := range r.t.Down {
		if !r.changed(l.Refers) {
			continue
		}
		if now, ok := l.Referred(r.after); ok {
			if was, ok := l.Referred(r.before); ok && l.SameReference(was, now) {
				continue // The parent's column compares the two values as equal.
			}
		}
		keys, err := conflict.Referring(d.tx, l, r.before)
		if err != nil {
			return err
		}
		if len(keys) > 0 {
			return fmt.Errorf("conflict %s: %s refers to %s by the value that is to change. Try: another column, or the "+
				"change in the application", d.x.ID,
				catalog.RowName(l.Child.Name, d.tx.Cat.NameKey(l.Child.Name, keys[0])), r)
		}
	}
	return nil
}
