package resolve

import (
	"maps"
	"slices"

	"ravno/crdt"
	"ravno/store/internal/capture"
	"ravno/store/internal/catalog"
	"ravno/store/internal/schema"
)

// A decision can free a unique value that a held row needs, and an undo has to exclude that row
// again. No record says which of two rows is held: the row with the older priority stays in its table
// everywhere. So the decision remembers the held rows, and an undo gives those rows a newer priority.

// noteWaiting adds the held rows that rows of the decision exclude. The decision may readmit them, and
// an undo must then exclude them again.
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

// makeRoom prepares a row that other rows exclude, if one of them was held before the resolution. The
// result h is true if the row itself is held. Otherwise makeRoom holds the rows in its way, until the
// priorities decide.
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
		names, func(name string) bool { return inUniqueIndex(r.t, r.t.NumberOf(name)) })
	if r.stepsAside && !r.wasLive() {
		return true, d.held.Keep(r.t, r.key, r.after)
	}
	for _, key := range keys {
		other, err := d.row(r.t, key)
		if err != nil {
			return false, err
		}
		if other.written() || !other.live() || !r.stepsAside && !other.stepsAside {
			continue // Both rows cannot be in the table. Writing the row returns that error.
		}
		d.reclaim = d.reclaim || newer && !r.stepsAside
		if err := d.held.Exclude(other.t, other.key, other.after); err != nil {
			return false, err
		}
	}
	return false, nil
}

// renewPriorities gives newer priorities to the rows that the resolution readmitted. So they are held again,
// because the older priority stays.
func (d *decision) renewPriorities() error {
	for _, r := range d.readmitted {
		there, err := d.tx.ReadTable(r.t, r.key)
		if err != nil {
			return err
		}
		var names []string
		for i, c := range r.t.Columns {
			if c.Register && inUniqueIndex(r.t, crdt.Column(r.t.Numbers[i])) {
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

// inUniqueIndex reports whether a column is in a unique index other than the key.
func inUniqueIndex(t *catalog.Table, column crdt.Column) bool {
	return slices.ContainsFunc(t.Unique, func(index schema.UniqueIndex) bool {
		return slices.ContainsFunc(index.Parts, func(p schema.IndexPart) bool {
			return p.Column < 0 || crdt.Column(t.Numbers[p.Column]) == column // An expression may contain any column.
		})
	})
}
