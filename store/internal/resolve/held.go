package resolve

import (
	"maps"
	"slices"

	"ravno/crdt"
	"ravno/store/internal/capture"
	"ravno/store/internal/catalog"
	"ravno/store/internal/schema"
)

// A decision can free a unique value that a held row waits for, and taking it back has to
// put that row out again. Which of two rows is held is never written down: the older claim
// stays, everywhere. So the decision remembers who was held, and its undoing gives those
// rows the newer claims.

// noteWaiting takes in the held rows that wait for a place of rows the decision changes: they
// may come into their tables with it, and then they have to leave again with its undoing.
func (d *decision) noteWaiting() error {
	if d.undo {
		return nil
	}
	var tables []*catalog.Table
	for _, r := range d.order {
		if r.where == catalog.InTable && (r.deleted() || r.written()) && len(r.t.Unique) > 0 {
			if !slices.Contains(tables, r.t) {
				tables = append(tables, r.t)
			}
		}
	}
	for _, t := range tables {
		waiting := map[crdt.Key]*catalog.Values{}
		err := d.tx.EachKept(t, func(row catalog.Reference, m *catalog.Values) error {
			waiting[row.Key] = m
			return nil
		}, catalog.Held)
		if err != nil {
			return err
		}
		for _, key := range slices.Sorted(maps.Keys(waiting)) {
			blockers, err := d.tx.Blockers(t, key, waiting[key])
			if err != nil {
				return err
			}
			for _, blocker := range blockers {
				if r := d.rows[t.Reference(blocker)]; r == nil || !r.deleted() && !r.written() {
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

// makeRoom sees to two rows that cannot both be there, where one or the other was held
// before. held: the row itself is what is held, because it was; otherwise what is in its way
// is held until the claims decide.
func (d *decision) makeRoom(r *decided) (h bool, err error) {
	if whole, err := r.t.Complete(r.key, r.after); err != nil || !whole {
		return false, err
	}
	keys, err := d.tx.Blockers(r.t, r.key, r.after)
	if err != nil || len(keys) == 0 {
		return false, err
	}
	names, err := d.stampedColumns(r)
	if err != nil {
		return false, err
	}
	newer := names == nil || slices.ContainsFunc(
		names, func(name string) bool { return uniqueClaims(r.t, r.t.NumberOf(name)) })
	if r.stepsAside && !r.wasLive() {
		return true, d.held.Keep(r.t, r.key, r.after)
	}
	for _, key := range keys {
		other, err := d.row(r.t, key)
		if err != nil {
			return false, err
		}
		if other.written() || !other.live() || !r.stepsAside && !other.stepsAside {
			continue // both cannot be there: putting the row says so
		}
		d.reclaim = d.reclaim || newer && !r.stepsAside
		if err := d.held.Exclude(other.t, other.key, other.after); err != nil {
			return false, err
		}
	}
	return false, nil
}

// claimAgain gives rows that were held before the resolution a newer claim than those which
// kept them out then, so that they are held again: of two claims the older one stays.
func (d *decision) claimAgain() error {
	for _, r := range d.moved {
		there, err := d.tx.ReadTable(r.t, r.key)
		if err != nil {
			return err
		}
		var names []string
		for i, c := range r.t.Columns {
			if c.Register && uniqueClaims(r.t, crdt.Column(r.t.Numbers[i])) {
				names = append(names, c.Name)
			}
		}
		if there != nil && len(names) > 0 {
			if err := d.tx.Log(r.t, r.key, capture.Update, names); err != nil {
				return err
			}
		}
	}
	return nil
}

// uniqueClaims reports whether a column is in a unique index besides the key.
func uniqueClaims(t *catalog.Table, column crdt.Column) bool {
	return slices.ContainsFunc(t.Unique, func(index schema.UniqueIndex) bool {
		return slices.ContainsFunc(index.Parts, func(p schema.IndexPart) bool {
			return p.Column < 0 || crdt.Column(t.Numbers[p.Column]) == column // an expression: any column may be in it
		})
	})
}
