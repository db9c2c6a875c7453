package resolve

import (
	"errors"
	"fmt"

	"ravno/crdt"
	"ravno/store/internal/capture"
	"ravno/store/internal/catalog"
	"ravno/store/internal/conflict"
	"ravno/store/internal/rows"
)

// attempt runs f and undoes its writes if it returns an error.
func (d *decision) attempt(f func() (*decided, error)) (failed *decided, err error) {
	err = d.tx.Attempt(func() (keep bool, err error) {
		failed, err = f()
		return true, err
	})
	return failed, err
}

// put writes the rows in place. On an error it returns the row that could not be written.
func (d *decision) put() (*decided, error) {
	for _, r := range d.order {
		if !r.written() {
			continue
		}
		if err := d.putRow(r, r.where == catalog.InTable); err != nil {
			return r, err
		}
	}
	return nil, nil
}

// putApart takes all rows out of their tables before it writes the first. On an error it returns the
// row that could not be written.
func (d *decision) putApart() (*decided, error) {
	for _, r := range d.order {
		if r.where == catalog.InTable && r.written() {
			if err := d.tx.Remove(r.t, r.key); err != nil {
				return r, err
			}
		}
	}
	for _, r := range d.order {
		if !r.written() {
			continue
		}
		if d.undo {
			held, err := d.makeRoom(r)
			if err != nil {
				return r, err
			}
			if held {
				continue
			}
		}
		if err := d.putRow(r, false); err != nil {
			return r, err
		}
	}
	return nil, nil
}

// putRow updates a row that is there, or inserts it. It returns errIncomplete for a row with missing
// values, and errKeyChange for values with another key.
func (d *decision) putRow(r *decided, there bool) error {
	if whole, err := r.t.Complete(r.key, r.after); err != nil || !whole {
		return errors.Join(err, errIncomplete)
	}
	if !r.wasLive() { // Counts made meanwhile stay.
		if err := conflict.CountersInto(d.tx, r.t, r.key, r.after); err != nil {
			return err
		}
	}
	key := make([]crdt.Value, len(r.t.Key))
	for i, k := range r.t.Key {
		key[i] = r.after.Value(crdt.Column(r.t.Numbers[k]))
	}
	if canonical, err := r.t.CanonicalKey(key); err != nil || canonical != r.key {
		return errKeyChange
	}
	if there {
		if err := d.noteFormer(r); err != nil {
			return err
		}
		if err := d.tx.Update(r.t, r.key, r.columns, r.after); err != nil {
			return err
		}
	} else if err := errors.Join(d.tx.Insert(r.t, r.after), d.tx.Drop(r.t, r.key)); err != nil {
		return err
	}
	d.held.Changed = d.held.Changed || r.where == catalog.Held
	stored, err := d.tx.ReadTable(r.t, r.key) // the values after column affinity
	if err == nil && stored != nil {
		r.after = stored
	}
	return err
}

// log logs one row for the fold. A row that comes back is the same row, revived by newer values,
// wherever a site remembers it. A row without a register to carry them is made anew.
func (d *decision) log(r *decided) error {
	if r.deleted() {
		return d.tx.Log(r.t, r.key, capture.Delete, nil)
	}
	if !r.written() {
		return nil
	}
	names, err := d.stampedColumns(r)
	if err != nil {
		return err
	}
	if len(names) == 0 {
		return d.tx.Log(r.t, r.key, capture.Insert, nil)
	}
	return d.tx.Log(r.t, r.key, capture.Update, names)
}

// stampedColumns returns the columns of a written row that get newer stamps. It returns nil for a row
// that is made anew.
//
// Counters of a row that comes back get no new stamps. An undo leaves out columns with unchanged unique
// values of a row that comes back, so these keep their former priority.
func (d *decision) stampedColumns(r *decided) ([]string, error) {
	if !r.wasLive() {
		if row, err := d.tx.ReadShadow(r.t, r.key); err != nil || !row.Found {
			return nil, err
		}
	}
	var names, claims []string
	for _, column := range r.columns {
		name := r.t.Columns[r.t.ByNum[column]].Name
		was, known := r.before.Get(column)
		class := r.t.ClassOf(column)
		switch {
		case class == crdt.ClassNone: // part of the key
		case !r.wasLive() && class == crdt.ClassCounter:
		case d.undo && !r.wasLive() && !r.stepsAside && known && was == r.after.Value(column) && inUniqueIndex(r.t, column):
			claims = append(claims, name)
		default:
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return claims, nil
	}
	return names, nil
}

// refuse returns the reason why a row cannot be written, with a way out.
func (d *decision) refuse(r *decided, err error) error {
	switch {
	case r == nil:
		return err
	case errors.Is(err, errIncomplete):
		return fmt.Errorf("conflict %s: not every value of %s is here yet. Try: again when this server is level", d.x.ID, r)
	case errors.Is(err, errKeyChange):
		return fmt.Errorf(
			"conflict %s: the decision would give %s another key, which makes it another row. Try: that in the application",
			d.x.ID, r)
	case rows.IsConstraint(err) && d.undo && r.stepsAside:
		return fmt.Errorf("conflict %s: the values %s had before the resolution do not fit its table, which is why it was "+
			"held: %w. Try: an ordinary write in the application", d.x.ID, r, err)
	case rows.IsConstraint(err):
		return fmt.Errorf(
			"conflict %s: the table does not take these values of %s: %w. Try: --set COLUMN=VALUE with values that fit", d.x.ID,
			r, err)
	}
	return err
}
