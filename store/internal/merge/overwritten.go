package merge

import (
	"slices"

	"ravno/crdt"
	"ravno/store/internal/catalog"
	"ravno/store/internal/conflict"
	"ravno/store/internal/history"
)

// keepOverwritten keeps, at a node, own work that the change overwrites before the hub acknowledged it.
// The work still goes to the hub, which alone judges whether the two are concurrent.
func (in *incoming) keepOverwritten(m *merging) error {
	tx := in.tx
	if !m.present || !m.out.Changed || tx.State.IsHub() {
		return nil
	}
	if m.out.Reborn || m.out.Died {
		return history.KeepOverwritten(tx, m.t, m.change.Key, m.row, m.was, m.t.Numbers, true)
	}
	var won []int
	for _, i := range m.out.Won {
		won = append(won, int(m.change.Registers[i].Column))
	}
	return history.KeepOverwritten(tx, m.t, m.change.Key, m.row, m.was, won, false)
}

// recordReinserted records, at the hub, a row that was made under the key of another row. Its maker
// could not see that other row. The other row is held, or it has the maker's own work that was
// overwritten there and arrived in this delta.
func (in *incoming) recordReinserted(m *merging, document catalog.Reference) error {
	came := func(v crdt.Version) bool { return v.Stamp.Site == m.author && v.Position > in.began }
	if !m.out.Reborn || m.t.Own || m.state != catalog.Held && !came(m.row.Birth) &&
		!slices.ContainsFunc(m.row.Columns, func(c crdt.ColumnVersion) bool { return came(c.Version) }) {
		return nil
	}
	in.applied.Conflicts++
	return conflict.KeepReinserted(in.tx, m.t, m.change.Key, m.row, m.was, document, m.side(), m.authorSide())
}
