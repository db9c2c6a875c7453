package store

import (
	"errors"
	"maps"
	"slices"

	"ravno/crdt"
	"ravno/store/internal/capture"
)

// A decision can free a unique value that a held row waits for, and taking it back has to
// put that row out again. Which of two rows is held is never written down: the older claim
// stays, everywhere. So the decision remembers who was held, and its undoing gives those
// rows the newer claims.

// noteWaiting takes in the held rows that wait for a place of rows the decision changes: they
// may come into their tables with it, and then they have to leave again with its undoing.
func (d *decision) noteWaiting() error {
	if d.undo || d.tx.noImages {
		return nil
	}
	tables := map[*table]bool{}
	for _, r := range d.order {
		if r.where == imageTable && (r.deleted() || r.written()) && len(r.t.Unique) > 0 {
			tables[r.t] = true
		}
	}
	for t := range tables {
		waiting := map[crdt.Key]image{}
		err := d.tx.c.Rows("SELECT key, image FROM ravno_image WHERE tab=? AND state='held'", []crdt.Value{integer(t.number)}, func(row []crdt.Value) error {
			m, err := decodeImage(row[1])
			waiting[crdt.Key(row[0].Bytes())] = m
			return err
		})
		if err != nil {
			return err
		}
		for _, key := range slices.Sorted(maps.Keys(waiting)) {
			blockers, err := d.tx.blockers(heldRow{t: t, key: key, image: waiting[key]})
			if err != nil {
				return err
			}
			for _, blocker := range blockers {
				if r := d.rows[t.reference(blocker)]; r == nil || !r.deleted() && !r.written() {
					continue
				}
				if _, err := d.row(t, key); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// makeRoom holds the rows that are in the way of one, where one or the other was held before.
func (d *decision) makeRoom(r *decided) error {
	if whole, err := r.t.complete(r.key, r.after); err != nil || !whole {
		return err
	}
	keys, err := d.tx.blockers(heldRow{t: r.t, key: r.key, image: r.after})
	if err != nil {
		return err
	}
	for _, key := range keys {
		other, err := d.row(r.t, key)
		if err != nil {
			return err
		}
		if other.written() || !other.live() || !r.stepsAside && !other.stepsAside {
			continue // both cannot be there: putting the row says so
		}
		if err := errors.Join(d.tx.remove(other.t, other.key), d.tx.keepImage(other.t, other.key, imageHeld, other.after)); err != nil {
			return err
		}
	}
	return nil
}

// claimAgain gives rows that were held before the resolution a newer claim than those which
// kept them out then, so that they are held again: of two claims the older one stays.
func (d *decision) claimAgain(rows []*decided) error {
	claimed := false
	for _, r := range rows {
		there, err := d.tx.exists(r.t, r.key)
		if err != nil {
			return err
		}
		var names []string
		for _, c := range r.t.Columns {
			if c.Register {
				names = append(names, c.Name)
			}
		}
		if !there || len(names) == 0 {
			continue
		}
		if err := d.tx.log(r.t, r.key, capture.Update, names); err != nil {
			return err
		}
		claimed = true
	}
	if !claimed {
		return nil
	}
	_, err := d.tx.fold()
	return err
}
