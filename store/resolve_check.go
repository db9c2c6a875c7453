package store

import (
	"fmt"
	"slices"
	"strings"

	"ravno/crdt"
	"ravno/store/internal/schema"
	"ravno/store/internal/sqlite"
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
		err := d.tx.cat.eachReference(r.t, func(child *table, fk schema.ForeignKey) error {
			keys, err := d.tx.referring(child, fk, r.before, r.t)
			if err != nil {
				return err
			}
			for _, key := range keys {
				if err := d.spreadTo(r, child, fk, key); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// spreadTo plans what becomes of one row that refers to a deleted one.
func (d *decision) spreadTo(r *decided, child *table, fk schema.ForeignKey, key crdt.Key) error {
	c, err := d.row(child, key)
	if err != nil || !c.live() {
		return err
	}
	if c.changed(fk.Columns) {
		return nil // it is to refer to another row
	}
	document := child.parent != nil && child.parent.table == r.t && slices.Equal(child.parent.names, fk.Columns)
	recorded := d.x.Kind == crdt.ForeignKey && slices.ContainsFunc(d.sides, func(s sideRow) bool { return s.row == c })
	switch {
	case d.cascade && (document || strings.EqualFold(fk.OnDelete, "CASCADE")):
		c.delete()
	case d.cascade && strings.EqualFold(fk.OnDelete, "SET NULL"):
		for _, name := range fk.Columns {
			c.set(child.column(name), crdt.Value{})
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

// stores reports whether all these columns are stored ones of the table.
func (t *table) stores(names []string) bool {
	return !slices.ContainsFunc(names, func(name string) bool {
		_, ok := t.byName[strings.ToLower(name)]
		return !ok
	})
}

// sound reports whether a foreign key can be followed: a generated column at either end, or
// a parent without the columns, cannot.
func sound(child *table, fk schema.ForeignKey, up *table) bool {
	return len(fk.Columns) == len(fk.ParentColumns) && child.stores(fk.Columns) && up.stores(fk.ParentColumns)
}

// eachReference goes through the foreign keys of synced tables that refer to a table.
func (cat *catalog) eachReference(to *table, each func(child *table, fk schema.ForeignKey) error) error {
	for _, child := range cat.tables {
		if child.own || child.class != Synced {
			continue
		}
		for _, fk := range child.ForeignKeys {
			if !strings.EqualFold(fk.Parent, to.Name) || !sound(child, fk, to) {
				continue
			}
			if err := each(child, fk); err != nil {
				return err
			}
		}
	}
	return nil
}

// referring are the keys of the rows of a table, in it or held, that refer to a row.
func (tx *transaction) referring(child *table, fk schema.ForeignKey, parent image, up *table) ([]crdt.Key, error) {
	values := make([]crdt.Value, len(fk.ParentColumns))
	var where []string
	for i, name := range fk.ParentColumns {
		v, known := parent[up.column(name)]
		if !known || v.Kind() == crdt.Null {
			return nil, nil
		}
		values[i] = v
		where = append(where, sqlite.Quote(fk.Columns[i])+"=?")
	}
	var keys []crdt.Key
	err := tx.c.Rows("SELECT "+sqlite.QuoteAll("+", child.keyNames())+" FROM "+sqlite.Quote(child.Name)+" WHERE "+strings.Join(where, " AND "), values,
		func(stored []crdt.Value) error {
			key, err := child.CanonicalKey(stored)
			if err == nil { // a row without a key is not ours to touch
				keys = append(keys, key)
			}
			return nil
		})
	if err != nil || tx.noImages {
		return keys, err
	}
	err = tx.c.Rows("SELECT key, image FROM ravno_image WHERE tab=? AND state IN ('held','partial')", []crdt.Value{integer(child.number)},
		func(row []crdt.Value) error {
			m, err := decodeImage(row[1])
			if err != nil {
				return err
			}
			for i, name := range fk.Columns {
				if m[child.column(name)] != values[i] {
					return nil
				}
			}
			keys = append(keys, crdt.Key(row[0].Bytes()))
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
	for _, fk := range r.t.ForeignKeys {
		up := d.tx.cat.byName[strings.ToLower(fk.Parent)]
		if up == nil || !sound(r.t, fk, up) || !r.wrote(fk.Columns) {
			continue
		}
		var where []string
		var values []crdt.Value
		for i, name := range fk.Columns {
			if v := r.after[r.t.column(name)]; v.Kind() != crdt.Null {
				values = append(values, v)
				where = append(where, sqlite.Quote(fk.ParentColumns[i])+"=?")
			}
		}
		if len(values) < len(fk.Columns) {
			continue // NULL refers to nothing
		}
		found, err := d.tx.c.Row("SELECT 1 FROM "+sqlite.Quote(up.Name)+" WHERE "+strings.Join(where, " AND "), values...)
		if err != nil {
			return err
		}
		if found == nil {
			var named []Named
			for i, name := range fk.ParentColumns {
				named = append(named, Named{Name: name, Value: values[i]})
			}
			return fmt.Errorf("conflict %s: %s would refer to %s, which is not there. Try: bring that row back first, or --set %s.%s=VALUE of a row that is there",
				d.x.ID, r, RowName(up.Name, named), r, fk.Columns[0])
		}
	}
	return nil
}

// wrote reports whether a decision gave one of these columns a value it did not have.
func (r *decided) wrote(names []string) bool {
	return r.restored || r.where != imageTable || r.changed(names)
}

func (r *decided) changed(names []string) bool {
	return slices.ContainsFunc(names, func(name string) bool { return r.after[r.t.column(name)] != r.before[r.t.column(name)] })
}

// checkChildren looks whether rows still refer to a value that a decision changed.
func (d *decision) checkChildren(r *decided) error {
	if r.where != imageTable {
		return nil // nothing in a table refers to a row that was not in its own
	}
	return d.tx.cat.eachReference(r.t, func(child *table, fk schema.ForeignKey) error {
		if !r.changed(fk.ParentColumns) {
			return nil
		}
		keys, err := d.tx.referring(child, fk, r.before, r.t)
		if err != nil || len(keys) == 0 {
			return err
		}
		return fmt.Errorf("conflict %s: %s refers to %s by the value that is to change. Try: another column, or the change in the application", d.x.ID,
			RowName(child.Name, d.tx.cat.nameKey(child.Name, keys[0])), r)
	})
}
