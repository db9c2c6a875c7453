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

// decision is what a resolution, or the undoing of one, does to rows: planned as a whole
// first and then carried out, so that two rows can swap a unique value, and so that what
// cannot be done is known before anything is.
type decision struct {
	tx    *rows.Tx
	held  *held.Set
	x     *conflict.Conflict
	sides []sideRow // of the record
	rows  map[catalog.Reference]*decided
	order []*decided
	// documentGone: the document's root is gone, and its key another's. The rows of the record that
	// were in it would come back into the other's document.
	documentGone bool
	// cascade: rows that refer to a deleted one go with it where the schema, the document or
	// the record say so. Otherwise they keep it from being deleted.
	cascade bool
	// undo: rows that were held before may be held again. moved are those which the resolution
	// let into their tables; reclaim: they need newer claims to leave them again.
	undo, reclaim bool
	moved         []*decided
}

// decided is one row of a decision.
type decided struct {
	t        *catalog.Table
	key      crdt.Key
	where    catalog.Whereabouts // of the row before
	before   *catalog.Values
	after    *catalog.Values // nil: the row is not there
	columns  []crdt.Column
	restored bool // it was not there, or not whole, and is now
	// another: the row of the record is gone, and the key was given to this one since. It is none of
	// the record's business.
	another bool
	// stepsAside: the row was held before the resolution that is taken back. It, or what it is
	// in the way of, is written all the same; then the older claim decides, as ever.
	stepsAside bool
}

// sideRow is a side of the record with the row it is about.
type sideRow struct {
	conflict.Side
	row *decided
}

// deleteSide plans the row of a side out of its table, unless that row is gone already and another
// has its key, or the key of its document.
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
			continue // the hub knew the table when it made the record: it was dropped since
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

// find finds the row that a side of the record is about. another: that row is gone, and another has
// its number now. What has a key that says what it is, a code say, is the same thing made anew; so is
// a row without a column that could have carried a newer version, which only comes back by being made
// anew. t is nil if there is no such table here.
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

// row is a row as planned so far.
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

func (d *decision) named(table string, key crdt.Key) (*decided, error) {
	t := d.tx.Cat.ByName[strings.ToLower(table)]
	if t == nil {
		return nil, fmt.Errorf("conflict %s: table %s is not in this database. Try: the same at the hub", d.x.ID, table)
	}
	return d.row(t, key)
}

func (r *decided) wasLive() bool {
	return r.where == catalog.InTable || r.where == catalog.Held || r.where == catalog.Incomplete
}

func (r *decided) live() bool { return r.after != nil }

func (r *decided) deleted() bool { return r.wasLive() && !r.live() }

func (r *decided) written() bool { return r.live() && (r.restored || len(r.columns) > 0) }

// String is the row's unambiguous name: TABLE[KEY].
func (r *decided) String() string {
	named, err := r.t.NamedKey(r.key)
	if err != nil {
		return r.t.Name
	}
	return catalog.RowName(r.t.Name, named)
}

func (r *decided) set(column crdt.Column, v crdt.Value) {
	r.after.Set(column, v)
	if !slices.Contains(r.columns, column) {
		r.columns = append(r.columns, column)
	}
}

func (r *decided) delete() { r.after, r.columns, r.restored = nil, nil, false }

// restore plans a row that is not there. whole is false, and nothing planned, if the values
// are not all the row has.
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

// decode reads values by name; columns the table has no more are left out.
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

// write carries the plan out in the tables and logs it; the next fold stamps it.
func (d *decision) write() error {
	if err := d.spread(); err != nil {
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
	if err != nil && rows.IsUnique(err) { // two rows may swap a value
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

// take takes a deleted row out of its table and keeps what it was, in case somebody who does
// not know writes or refers to it. One that is held the fold gives up; of one that is not
// whole nothing is kept, as of any row whose values are not known.
func (d *decision) take(r *decided) error {
	if !r.deleted() || r.where == catalog.Held {
		return nil
	}
	if r.where == catalog.Incomplete {
		return d.tx.Drop(r.t, r.key)
	}
	d.held.Try = true // what it occupied is free
	return errors.Join(d.tx.Remove(r.t, r.key), d.tx.Keep(r.t, r.key, catalog.Tombstone, r.before))
}

var (
	errIncomplete = errors.New("not every value of the row is here yet")
	errKeyChange  = errors.New("the column is part of the row's key")
)

// writes is what was done, for people and scripts.
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
			if now != nil { // nothing keeps it out any more
				list = append(list, Write{Table: r.t.Name, Key: named, Row: r.t.NamedRow(now)})
			}
		}
	}
	return list, nil
}
