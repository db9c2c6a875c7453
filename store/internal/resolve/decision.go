package resolve

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"ravno/crdt"
	"ravno/store/internal/catalog"
	"ravno/store/internal/conflict"
	"ravno/store/internal/held"
	"ravno/store/internal/rows"
)

// decision plans the writes of a resolution, or of an undo, as a whole, and then carries them out. So
// two rows can swap a unique value, and an impossible decision is refused before it writes. It belongs
// to one transaction.
type decision struct {
	tx    *rows.Tx
	held  *held.Set
	x     *conflict.Conflict
	sides []sideRow // the sides of the record
	rows  map[catalog.Reference]*decided
	order []*decided
	// documentGone: the document's root is gone, and another row has its key. The rows of the
	// record would come back into the other row's document.
	documentGone bool
	// cascade: a row that refers to a deleted row is deleted with it, where the schema, the document
	// or the record says so. Otherwise the row prevents the deletion.
	cascade bool
	// undo: rows that were held before the resolution may be held again. The rows in readmitted are those
	// that the resolution readmitted. reclaim: their unique values need a newer priority, so that
	// they are held again.
	undo, reclaim bool
	readmitted    []*decided
}

// decided is one row of a decision, as it was and as planned.
type decided struct {
	t        *catalog.Table
	key      crdt.Key
	where    catalog.Whereabouts // where the row was before
	before   *catalog.Values
	after    *catalog.Values // nil for a row that is not live
	columns  []crdt.Column   // the columns to write
	restored bool            // the row was not live, or incomplete, and comes back whole
	// another: the row of the record is gone, and this row got its key since. The record is not about
	// this row.
	another bool
	// stepsAside: the row was held before the resolution that is undone. The undo writes it anyway,
	// and the older priority then decides which row is held.
	stepsAside bool
}

// sideRow is a side of the record with its row.
type sideRow struct {
	conflict.Side
	row *decided
}

// deleteSide plans the deletion of a side's row. It does nothing if that row is gone already, and
// another row has its key or the key of its document.
func (d *decision) deleteSide(s sideRow) {
	if !s.row.another && !d.documentGone {
		s.row.delete()
	}
}

// newDecision begins a decision with the rows of the record.
func newDecision(tx *rows.Tx, held *held.Set, x *conflict.Conflict) (*decision, error) {
	d := &decision{tx: tx, held: held, x: x, rows: map[catalog.Reference]*decided{}}
	root := conflict.Side{Table: x.DocumentTable, Key: x.DocumentHex}
	for _, s := range x.Detail.Sides {
		root.Noted = max(root.Noted, s.Noted)
	}
	var err error
	if _, _, d.documentGone, err = d.find(root); err != nil {
		return nil, err
	}
	for _, s := range x.Detail.Sides {
		t, key, another, err := d.find(s)
		if err != nil {
			return nil, err
		}
		if t == nil && tx.State.IsHub() {
			continue // The hub knew the table when it made the record. It was dropped since.
		}
		r, err := d.named(s.Table, key)
		if err != nil {
			return nil, err
		}
		r.another = r.another || another
		d.sides = append(d.sides, sideRow{Side: s, row: r})
	}
	return d, nil
}

// find finds the row of a side. The result another is true if that row is gone and a later row has its
// number.
//
// A row under a meaningful key, such as a code, is the same row when it is made anew. So is a row
// without a register, which can only come back by being made anew. The table is nil if this site has no
// such table.
func (d *decision) find(s conflict.Side) (t *catalog.Table, key crdt.Key, another bool, err error) {
	raw, err := hex.DecodeString(s.Key)
	if err != nil {
		return nil, "", false, fmt.Errorf("conflict %s: a key of table %s: %w", d.x.ID, s.Table, err)
	}
	t, key = d.tx.Cat.ByName[strings.ToLower(s.Table)], crdt.Key(raw)
	if t == nil || !t.Renumbers || t.Registers() == len(t.Counters) || s.Noted == 0 {
		return t, key, false, nil
	}
	now, err := d.tx.ReadShadow(t, key)
	return t, key, now.Live() && now.Birth.Stamp.Time > s.Noted, err
}

// row returns the plan of a row. The first call for a row plans no change.
func (d *decision) row(t *catalog.Table, key crdt.Key) (*decided, error) {
	if r := d.rows[t.Reference(key)]; r != nil {
		return r, nil
	}
	m, where, err := conflict.ValuesOf(d.tx, t, key)
	if err != nil {
		return nil, err
	}
	r := &decided{t: t, key: key, where: where, before: m}
	if r.wasLive() {
		r.after = m.Clone()
	}
	d.rows[t.Reference(key)] = r
	d.order = append(d.order, r)
	return r, nil
}

// named is row for a table by name. It returns an error if this site has no such table.
func (d *decision) named(table string, key crdt.Key) (*decided, error) {
	t := d.tx.Cat.ByName[strings.ToLower(table)]
	if t == nil {
		return nil, fmt.Errorf("conflict %s: table %s is not in this database. Try: the same at the hub", d.x.ID, table)
	}
	return d.row(t, key)
}

// wasLive reports whether the row was live before the decision.
func (r *decided) wasLive() bool {
	return r.where == catalog.InTable || r.where == catalog.Held || r.where == catalog.Incomplete
}

// live reports whether the row is live in the plan.
func (r *decided) live() bool { return r.after != nil }

// deleted reports whether the plan deletes the row.
func (r *decided) deleted() bool { return r.wasLive() && !r.live() }

// written reports whether the plan writes values of the row.
func (r *decided) written() bool { return r.live() && (r.restored || len(r.columns) > 0) }

// String returns the row's unambiguous name: TABLE[KEY].
func (r *decided) String() string {
	named, err := r.t.NamedKey(r.key)
	if err != nil {
		return r.t.Name
	}
	return catalog.RowName(r.t.Name, named)
}

// set plans a value of a live row.
func (r *decided) set(column crdt.Column, v crdt.Value) {
	r.after.Set(column, v)
	if !slices.Contains(r.columns, column) {
		r.columns = append(r.columns, column)
	}
}

// delete plans the row's deletion.
func (r *decided) delete() { r.after, r.columns, r.restored = nil, nil, false }

// restore plans a row that comes back with these values. If they are not all values of the row, it
// reports false and plans nothing.
func (r *decided) restore(values map[string]string) (whole bool, err error) {
	m := catalog.NewValues(0)
	if err := r.decode(values, m); err != nil {
		return false, err
	}
	if whole, err = r.t.Complete(r.key, m); err != nil || !whole {
		return false, err
	}
	r.after, r.restored, r.columns = m, true, nil
	for i, c := range r.t.Columns {
		if c.Register {
			r.columns = append(r.columns, crdt.Column(r.t.Numbers[i]))
		}
	}
	return true, nil
}

// decode reads values by column name. It skips columns that the table does not have any more.
func (r *decided) decode(values map[string]string, into *catalog.Values) error {
	for name, encoded := range values {
		i, ok := r.t.ByName[strings.ToLower(name)]
		if !ok {
			continue
		}
		v, err := catalog.DecodeValue(encoded)
		if err != nil {
			return err
		}
		into.Set(crdt.Column(r.t.Numbers[i]), v)
	}
	return nil
}

// write carries the plan out in the tables and logs it. The next fold stamps it.
func (d *decision) write() error {
	if err := d.cascadeAll(); err != nil {
		return err
	}
	if err := d.noteWaiting(); err != nil {
		return err
	}
	for _, r := range d.order {
		if err := d.take(r); err != nil {
			return err
		}
	}
	failed, err := d.attempt(d.put)
	if err != nil && rows.IsUnique(err) { // Two rows may swap a value.
		failed, err = d.attempt(d.putApart)
	}
	if err != nil {
		return d.refuse(failed, err)
	}
	for _, r := range d.order {
		if err := d.log(r); err != nil {
			return err
		}
	}
	return nil
}

// take deletes a row and keeps its tombstone values, in case another site writes or refers to it. The
// fold deletes a held row. An incomplete row leaves no values, like any row whose values are not known.
func (d *decision) take(r *decided) error {
	if !r.deleted() || r.where == catalog.Held {
		return nil
	}
	if r.where == catalog.Incomplete {
		return d.tx.Drop(r.t, r.key)
	}
	d.held.Try = true // Its unique values are free now.
	return errors.Join(d.tx.Remove(r.t, r.key), d.tx.Keep(r.t, r.key, catalog.Tombstone, r.before))
}

var (
	// errIncomplete and errKeyChange say why a row cannot be written. The method refuse turns them into
	// messages for users.
	errIncomplete = errors.New("not every value of the row is here yet")
	errKeyChange  = errors.New("the column is part of the row's key")
)

// writes lists the writes of the decision, for people and scripts.
func (d *decision) writes() ([]Write, error) {
	var list []Write
	for _, r := range d.order {
		named := d.tx.Cat.NameKey(r.t.Name, r.key)
		switch {
		case r.deleted():
			list = append(list, Write{Table: r.t.Name, Key: named, Delete: true, Row: r.t.NamedRow(r.before)})
			continue
		case r.live() && r.restored:
			list = append(list, Write{Table: r.t.Name, Key: named, Row: r.t.NamedRow(r.after)})
			continue
		}
		for i, number := range r.t.Numbers {
			if r.live() && slices.Contains(r.columns, crdt.Column(number)) {
				w := Write{Table: r.t.Name, Key: named, Column: r.t.Columns[i].Name, Value: r.after.Value(crdt.Column(number))}
				if v, known := r.before.Get(crdt.Column(number)); known {
					w.Before = &v
				}
				list = append(list, w)
			}
		}
		if r.live() && r.where == catalog.Held {
			now, err := d.tx.ReadTable(r.t, r.key)
			if err != nil {
				return nil, err
			}
			if now != nil { // The row was readmitted.
				list = append(list, Write{Table: r.t.Name, Key: named, Row: r.t.NamedRow(now)})
			}
		}
	}
	return list, nil
}
