package store

import (
	"errors"

	"ravno/crdt"
)

// materialise makes the table show the merged row.
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
	whole, err := t.complete(key, m2)
	whole = whole || m.change.Whole // what a whole row lacks, its author's table lacks: the default is its value
	switch {
	case err != nil:
		return err
	case len(written) == 0 && m.state == imageTable:
		return nil
	case !whole:
		if m.state == imageTable {
			if err := tx.remove(t, key); err != nil {
				return err
			}
		}
		return tx.keepImage(t, key, imagePartial, m2)
	case m.state == imageHeld: // tried again at the end
		in.held.try = true
		return in.held.keep(t, key, m2)
	case m.state == imageTable:
		in.held.noteInserted(t, key)
		err = tx.updateImage(t, key, written, m2)
	default:
		if err = tx.insertImage(t, m2); err == nil {
			in.held.noteInserted(t, key)
			if m.state == imagePartial { // whole again: whoever lacks it gets it whole
				m.out.Row.Revived, m.out.Changed = tx.position(), true
			}
			return tx.dropImage(t, key)
		}
	}
	if !isConstraint(err) {
		return err
	}
	return in.held.exclude(t, key, m2)
}

// values are the merged row's values and which columns they change.
func (m *merging) values() (*image, []crdt.Column) {
	merged := newImage(len(m.t.numbers))
	if !m.out.Reborn && m.was != nil {
		merged.cells = append(merged.cells, m.was.cells...)
	}
	written := make([]crdt.Column, 0, len(m.out.Won))
	for _, i := range m.out.Won {
		reg := &m.change.Registers[i]
		if reg.Counter {
			continue // what it says is the sum, not its base
		}
		merged.set(reg.Column, reg.Value)
		written = append(written, reg.Column)
	}
	for i := range m.change.Registers {
		reg := &m.change.Registers[i]
		// A value whose version we have, but which was lost with a deleted row.
		if _, known := merged.get(reg.Column); !known && !reg.Counter && reg.Stamp == m.out.Row.Version(reg.Column).Stamp {
			merged.set(reg.Column, reg.Value)
			written = append(written, reg.Column)
		}
	}
	return merged, append(written, m.counted(merged)...)
}

// materialiseDead takes a deleted row out of its table and keeps its values: whatever the
// shadow knows a version of, some image has the value of.
func (in *incoming) materialiseDead(m *merging) error {
	tx := in.tx
	if m.out.Outlived || !m.out.Changed {
		return nil
	}
	if m.state == imageTable {
		if err := tx.remove(m.t, m.change.Key); err != nil {
			return err
		}
		in.held.try = true // what it occupied is free
	}
	if m.state == imageHeld {
		in.held.changed = true
	}
	merged, _ := m.values()
	if merged.size() == 0 {
		return tx.dropImage(m.t, m.change.Key)
	}
	if m.t.onlyCounters(merged) { // which the shadow has: they are remains only if they are the row
		if whole, err := m.t.complete(m.change.Key, merged); err != nil || !whole {
			return errors.Join(err, tx.dropImage(m.t, m.change.Key))
		}
	}
	return tx.keepImage(m.t, m.change.Key, imageRemains, merged)
}
