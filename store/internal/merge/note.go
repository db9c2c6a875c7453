package merge

import (
	"slices"

	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/store/internal/catalog"
	"ravno/store/internal/history"
	"ravno/store/internal/repair"
)

// note collects the effects of a merged change that may need a repair. At the hub it also records
// former unique values.
func (in *incoming) note(m *merging, document catalog.Reference) error {
	t, n := m.t, in.effects
	lost := m.author != 0 && len(m.out.Lost) > 0 && t.ReferredOtherwise() // A unique value that lost was never in force.
	if t.Own || len(t.Up)+len(t.Down) == 0 || !m.out.Changed && !lost {
		return nil
	}
	if any, err := n.Concern(); err != nil || !any {
		return err
	}
	// A node's change carries the position that its author had seen. The hub's is that of the delta.
	seen := n.Seen
	if m.author != 0 {
		seen = causal.Position(m.change.Seen)
	}
	deleted := m.change.Death.After(m.row.Death.Stamp)
	if m.out.Died || deleted && m.present {
		n.Died = append(n.Died, repair.Merged{T: t, Key: m.change.Key, Document: document, Was: m.was, Seen: seen})
	}
	was, never := m.formerReferences()
	if was != nil && m.author != 0 { // Also for a deleted row, because a reference to it brings it back.
		by := m.author
		if never {
			by = 0
		}
		if err := history.NoteFormer(in.tx, t, m.change.Key, was, by); err != nil {
			return err
		}
	}
	if !m.out.Row.Live() {
		return nil
	}
	if was != nil {
		n.Moved = append(n.Moved, repair.Merged{T: t, Key: m.change.Key, Was: was, Seen: seen})
	}
	for _, l := range t.Up {
		known, err := n.UnseenWork(l.Parent, seen)
		if err != nil {
			return err
		}
		if known {
			n.Arrived = append(n.Arrived, repair.Arrival{Reference: t.Reference(m.change.Key), Seen: seen})
			return nil
		}
	}
	return nil
}

// formerReferences returns the row with the unique values that others may still refer to it by. Merging
// has replaced them. At the hub they may also have lost the merge, and then never is true. It returns
// nil without such values.
func (m *merging) formerReferences() (former *catalog.Values, never bool) {
	if !m.t.ReferredOtherwise() {
		return nil, false
	}
	replaced := func(indexes []int, of func(crdt.Register) (crdt.Value, bool)) *catalog.Values {
		former := m.was.Clone()
		any := false
		for _, i := range indexes {
			reg := m.change.Registers[i]
			referred := slices.ContainsFunc(m.t.Down, func(l *catalog.ForeignKey) bool {
				return !l.ByKey() && slices.Contains(l.Refers, m.t.ByNum[reg.Column])
			})
			if v, ok := of(reg); referred && ok && former != nil {
				former.Set(reg.Column, v)
				any = true
			}
		}
		if !any {
			return nil
		}
		return former
	}
	if m.author != 0 {
		if lost := replaced(m.out.Lost, func(r crdt.Register) (crdt.Value, bool) { return r.Value, true }); lost != nil {
			return lost, true
		}
	}
	return replaced(m.out.Won, func(r crdt.Register) (crdt.Value, bool) {
		v, known := m.was.Get(r.Column)
		return v, known
	}), false
}
