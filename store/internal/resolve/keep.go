package resolve

import (
	"fmt"
	"slices"
	"strings"

	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/store/internal/catalog"
	"ravno/store/internal/conflict"
)

// keepSide plans one side into force. Its values are written again and its deletions happen again. Rows
// that others deleted come back as this side had them.
func (d *decision) keepSide(site causal.Site, name string) error {
	whole := slices.ContainsFunc(d.sides, func(s sideRow) bool {
		return s.Site == site && s.Deleted && strings.EqualFold(s.Table, d.x.DocumentTable) && s.Key == d.x.DocumentHex
	})
	for _, s := range d.sides {
		own := slices.ContainsFunc(d.sides, func(o sideRow) bool { return o.Site == site && o.row == s.row })
		switch {
		case s.Site == site && s.Deleted, whole && !s.Deleted:
			d.deleteSide(s) // The site deleted the row, or its whole document.
		case whole:
		case s.Site == site, s.Deleted && !own:
			if err := d.refuseForAnother(s.row); err != nil {
				return err
			}
			if err := d.bringBack(s, site); err != nil {
				return err
			}
		}
	}
	chosen := map[int]crdt.Value{}
	for i, c := range d.x.Columns {
		r, err := d.named(c.Table, c.RowKey)
		if err != nil {
			return err
		}
		if r.another || d.documentGone {
			continue // The site has no side about the row that is there.
		}
		if r.t.ClassOf(r.t.NumberOf(c.Name)) == crdt.ClassCounter {
			continue // The counts of both sides stay.
		}
		alone := len(d.x.Sites) == 1 // The site replaced its own row, so the values in force are no side.
		if v := c.Values[name]; v != nil && r.live() && (r.where != catalog.InTable || alone || !overtaken(&c)) {
			chosen[i] = *v
		}
	}
	return d.setColumns(chosen)
}

// keepUnique plans which of the rows with one unique value is in its table. If both are in their
// tables, it deletes neither.
func (d *decision) keepUnique(site causal.Site, name string) error {
	var kept, others, dependents []sideRow
	for _, s := range d.sides {
		switch {
		case !strings.EqualFold(s.Table, d.x.Table):
			dependents = append(dependents, s)
		case s.Site == site:
			kept = append(kept, s)
		default:
			others = append(others, s)
		}
	}
	switch {
	case len(kept) == 0:
		return fmt.Errorf("conflict %s: neither of the rows that claim the value is of %s. Try: --set COLUMN=VALUE to give "+
			"one of them another value", d.x.ID, name)
	case len(others) == 0:
		return fmt.Errorf("conflict %s: both rows are of %s, so --keep does not say which. Try: --set COLUMN=VALUE to give "+
			"the one that is held another value", d.x.ID, name)
	}
	blocked := false
	for _, s := range kept {
		if err := d.bringBack(s, site); err != nil {
			return err
		}
		blocked = blocked || s.row.where != catalog.InTable
	}
	for _, s := range others {
		if s.row.where == catalog.Held || s.row.where == catalog.InTable && blocked {
			d.deleteSide(s)
			if isHeldRow(d.x, s.Table, s.row.key) {
				for _, dependent := range dependents {
					dependent.row.delete()
				}
			}
		}
	}
	return nil
}

// keepReference plans a row that one site deleted while another referred to it. If the deleter is kept,
// the referring rows are deleted with it, or lose the reference if the schema says so. Otherwise the
// row comes back.
func (d *decision) keepReference(site causal.Site) error {
	deleter := false
	for _, s := range d.sides {
		if s.Site == site && s.Deleted {
			deleter = true
			d.deleteSide(s)
		}
	}
	if deleter {
		return nil
	}
	for _, s := range d.sides {
		if s.Deleted || s.Site == site {
			if err := d.bringBack(s, site); err != nil {
				return err
			}
		}
	}
	return nil
}

// bringBack plans a deleted or incomplete row back into its table, with the values that a site had. It
// leaves a held row alone, because that row is live.
func (d *decision) bringBack(row sideRow, site causal.Site) error {
	r := row.row
	if r.live() && r.where != catalog.Incomplete || r.restored {
		return nil
	}
	known := map[string]string{}
	note := func(values map[string]string, replace bool) {
		for name, v := range values {
			if _, have := known[name]; replace || !have {
				known[name] = v
			}
		}
	}
	same := func(s conflict.Side) bool { return s.Table == row.Table && s.Key == row.Key }
	for _, s := range d.x.Detail.Before {
		if same(s) {
			note(s.Values, false)
		}
	}
	for _, s := range d.x.Detail.Sides {
		if same(s) && s.Site == site {
			note(s.Values, true)
		}
	}
	for column, v := range r.before.All() { // the tombstone values, or the values of an incomplete row
		if i, ok := r.t.ByNum[column]; ok {
			name := r.t.Columns[i].Name
			note(map[string]string{name: catalog.EncodeValue(v)}, r.t.ClassOf(column) == crdt.ClassCounter)
		}
	}
	for _, s := range d.x.Detail.Sides {
		if same(s) && s.Whole {
			note(s.Values, false)
		}
	}
	whole, err := r.restore(known)
	if err == nil && !whole {
		err = fmt.Errorf(
			"conflict %s: not every value of the deleted row %s is known here. Try: the same at %s, or enter the row again",
			d.x.ID, r, strings.Join(d.x.Sites, " or "))
	}
	return err
}
