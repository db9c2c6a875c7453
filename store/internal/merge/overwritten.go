package merge

import (
	"slices"

	"ravno/crdt"
	"ravno/store/internal/catalog"
	"ravno/store/internal/conflict"
	"ravno/store/internal/history"
)

// keepOverwritten keeps, at a node, own work that the hub does not have yet and that the incoming
// change is about to replace in the table. It still goes to the hub, which alone judges
// whether the two were concurrent: so nothing committed is lost between the two.
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

// recordReinserted records, at the hub, that a row was made in the place of one that its maker
// could not see: one that is held, or one with work of the maker's own that was overwritten there,
// unseen, and came along in the same delta.
func (in *incoming) recordReinserted(m *merging, document catalog.Reference) error {
	came := func(v crdt.Version) bool { return v.Stamp.Site == m.author && v.Position > in.began }
	if !m.out.Reborn || m.t.Own || m.state != catalog.Held && !came(m.row.Birth) &&
		!slices.ContainsFunc(m.row.Columns, func(c crdt.ColumnVersion) bool { return came(c.Version) }) {
		return nil
	}
	in.applied.Conflicts++
	return conflict.KeepReinserted(in.tx, m.t, m.change.Key, m.row, m.was, document, m.side(), m.authorSide())
}
