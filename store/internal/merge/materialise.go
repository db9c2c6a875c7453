package merge

import (
	"errors"

	"ravno/crdt"
	"ravno/store/internal/catalog"
	"ravno/store/internal/rows"
)

// materialise makes the table show the merged row. A row with missing values is kept as incomplete. A
// row that a constraint excludes is held.
func (in *incoming) materialise(m *merging) error {
	tx := in.tx
	t, key := m.t, m.change.Key
	if !m.out.Row.Live() {
		return in.materialiseDead(m)
	}
	if m.out.Outlived {
		return nil
	}
	m2, written := m.values()
	whole, err := t.Complete(key, m2)
	whole = whole || m.change.Whole // The author's table lacks such columns, so their defaults apply.
	switch {
	case err != nil:
		return err
	case len(written) == 0 && m.state == catalog.InTable:
		return nil
	case !whole:
		if m.state == catalog.InTable {
			if err := tx.Remove(t, key); err != nil {
				return err
			}
		}
		return tx.Keep(t, key, catalog.Incomplete, m2)
	case m.state == catalog.Held: // ReadmitHeld tries the row at the end.
		in.held.Try = true
		return in.held.Keep(t, key, m2)
	case m.state == catalog.InTable:
		in.held.NoteInserted(t, key)
		err = tx.Update(t, key, written, m2)
	default:
		if err = tx.Insert(t, m2); err == nil {
			in.held.NoteInserted(t, key)
			if m.state == catalog.Incomplete { // Send the completed row whole to the sites that lack it.
				m.out.Row.Revived, m.out.Changed = tx.Position(), true
			}
			return tx.Drop(t, key)
		}
	}
	if !rows.IsConstraint(err) {
		return err
	}
	return in.held.Exclude(t, key, m2)
}

// values returns the merged values of the row and the columns that they change.
func (m *merging) values() (*catalog.Values, []crdt.Column) {
	merged := catalog.NewValues(len(m.t.Numbers))
	if !m.out.Reborn && m.was != nil {
		merged.Cells = append(merged.Cells, m.was.Cells...)
	}
	written := make([]crdt.Column, 0, len(m.out.Won))
	for _, i := range m.out.Won {
		reg := &m.change.Registers[i]
		switch reg.Class {
		case crdt.ClassCounter:
			continue // A counter shows its sum, which counted sets.
		case crdt.ClassRegister, crdt.ClassNone:
		}
		merged.Set(reg.Column, reg.Value)
		written = append(written, reg.Column)
	}
	for i := range m.change.Registers {
		reg := &m.change.Registers[i]
		// The version is known here, but its value was lost with a deleted row.
		_, known := merged.Get(reg.Column)
		if !known && reg.Class != crdt.ClassCounter && reg.Stamp == m.out.Row.Version(reg.Column).Stamp {
			merged.Set(reg.Column, reg.Value)
			written = append(written, reg.Column)
		}
	}
	return merged, append(written, m.counted(merged)...)
}

// materialiseDead takes a deleted row out of its table and keeps its values as tombstone values. So a
// site has a value for every version in its shadow.
func (in *incoming) materialiseDead(m *merging) error {
	tx := in.tx
	if m.out.Outlived || !m.out.Changed {
		return nil
	}
	if m.state == catalog.InTable {
		if err := tx.Remove(m.t, m.change.Key); err != nil {
			return err
		}
		in.held.Try = true // Its unique values are free now.
	}
	if m.state == catalog.Held {
		in.held.Changed = true
	}
	merged, _ := m.values()
	if merged.Size() == 0 {
		return tx.Drop(m.t, m.change.Key)
	}
	if m.t.OnlyCounters(merged) { // The shadow has the counters. Keep them only if they are the whole row.
		if whole, err := m.t.Complete(m.change.Key, merged); err != nil || !whole {
			return errors.Join(err, tx.Drop(m.t, m.change.Key))
		}
	}
	return tx.Keep(m.t, m.change.Key, catalog.Tombstone, merged)
}
