package store

import (
	"fmt"
	"slices"
	"strings"

	"ravno/crdt"
)

// The writes of a decision are made with enforcement of foreign keys off, like all of
// ravno's. So a decision looks itself that it leaves no orphan: what referred to a row it
// deletes is deleted as well or said to be in the way, and what it writes refers to rows
// that are there.

// spread plans what becomes of the rows that refer to deleted ones.
func (d *decision) spread() error {
	for i := 0; i < len(d.order); i++ { // grows as rows are added
		r := d.order[i]
		if !r.deleted() {
			continue
		}
		for _, l := range r.t.down {
			keys, err := d.tx.referring(l, r.before)
			if err != nil {
				return err
			}
			for _, key := range keys {
				if err := d.spreadTo(r, l, key); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// spreadTo plans what becomes of one row that refers to a deleted one.
func (d *decision) spreadTo(r *decided, l *link, key crdt.Key) error {
	c, err := d.row(l.child, key)
	if err != nil || !c.live() {
		return err
	}
	if c.changed(l.columns) {
		return nil // it is to refer to another row
	}
	recorded := d.x.Kind == crdt.ForeignKey && slices.ContainsFunc(d.sides, func(s sideRow) bool { return s.row == c })
	switch {
	case d.cascade && (l.document || l.onDelete == "CASCADE"):
		c.delete()
	case d.cascade && l.onDelete == "SET NULL":
		for _, i := range l.columns {
			c.set(crdt.Column(l.child.numbers[i]), crdt.Value{})
		}
	case d.cascade && recorded:
		c.delete()
	default:
		return fmt.Errorf("conflict %s: %s is to be deleted, and %s refers to it. Try: change or delete %s in the application first, or keep the other side", d.x.ID, r, c, c)
	}
	return nil
}

// column is the number of a stored column.
func (t *table) column(name string) crdt.Column {
	return crdt.Column(t.numbers[t.byName[strings.ToLower(name)]])
}

// referring are the keys of the rows, in their table or held, that refer to a row.
func (tx *transaction) referring(l *link, parent *image) ([]crdt.Key, error) {
	reference, ok := l.referred(parent)
	if !ok {
		return nil, nil
	}
	keys, err := tx.childrenOf(l, reference)
	if err != nil || tx.noImages {
		return keys, err
	}
	err = tx.c.Rows("SELECT key, image FROM ravno_image WHERE tab=? AND state IN ('held','partial')", []crdt.Value{integer(l.child.number)},
		func(row []crdt.Value) error {
			m, err := decodeImage(row[1])
			if err != nil {
				return err
			}
			if refers, ok := l.reference(m); ok && l.sameReference(refers, reference) {
				keys = append(keys, crdt.Key(row[0].Bytes()))
			}
			return nil
		})
	return keys, err
}

// check looks, when everything is written, folded and placed, whether the decision did what
// it says and left nothing that refers to nothing.
func (d *decision) check() error {
	for _, r := range d.order {
		contested := d.x.Kind == crdt.Unique && r.live() && d.x.isHeldRow(r.t.Name, r.key)
		if !r.written() && !contested {
			continue
		}
		there, err := d.tx.exists(r.t, r.key)
		if err != nil {
			return err
		}
		if !there && d.undo {
			continue
		}
		if !there {
			return fmt.Errorf("conflict %s: another row still keeps %s out of its table. Try: --set COLUMN=VALUE with a value that no other row has, or --keep SITE", d.x.ID, r)
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

// checkParents looks whether a row refers to rows that are there.
func (d *decision) checkParents(r *decided) error {
	for _, l := range r.t.up {
		reference, ok := l.reference(r.after)
		if !ok || !r.wrote(l.columns) {
			continue
		}
		if dangles, err := d.tx.dangles(l, reference); err != nil {
			return err
		} else if !dangles {
			continue
		}
		var named []Named
		for i, at := range l.refers {
			named = append(named, Named{Name: l.parent.Columns[at].Name, Value: reference[i]})
		}
		return fmt.Errorf("conflict %s: %s would refer to %s, which is not there. Try: bring that row back first, or --set %s.%s=VALUE of a row that is there",
			d.x.ID, r, RowName(l.parent.Name, named), r, r.t.Columns[l.columns[0]].Name)
	}
	return nil
}

// wrote reports whether a decision gave one of these columns a value it did not have.
func (r *decided) wrote(columns []int) bool {
	return r.restored || r.where != imageTable || r.changed(columns)
}

func (r *decided) changed(columns []int) bool {
	return slices.ContainsFunc(columns, func(i int) bool {
		number := crdt.Column(r.t.numbers[i])
		return r.after.value(number) != r.before.value(number)
	})
}

// checkChildren looks whether rows still refer to a value that a decision changed.
func (d *decision) checkChildren(r *decided) error {
	if r.where != imageTable {
		return nil // nothing in a table refers to a row that was not in its own
	}
	for _, l := range r.t.down {
		if !r.changed(l.refers) {
			continue
		}
		if now, ok := l.referred(r.after); ok {
			if was, ok := l.referred(r.before); ok && l.sameReference(was, now) {
				continue // the parent's column takes both for one value
			}
		}
		keys, err := d.tx.referring(l, r.before)
		if err != nil {
			return err
		}
		if len(keys) > 0 {
			return fmt.Errorf("conflict %s: %s refers to %s by the value that is to change. Try: another column, or the change in the application", d.x.ID,
				RowName(l.child.Name, d.tx.cat.nameKey(l.child.Name, keys[0])), r)
		}
	}
	return nil
}
