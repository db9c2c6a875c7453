package merge

import (
	"slices"

	"ravno/crdt"
	"ravno/store/internal/catalog"
)

// readCounters prepares a change of a table with counters for merging.
func (m *merging) readCounters() {
	for _, column := range m.t.Counters {
		if _, known := m.row.Counter(column); m.present && !known {
			if v, ok := m.was.Get(column); ok {
				m.row = m.row.Clone()
				m.row.SetBase(column, v)
			}
		}
	}
	for i, reg := range m.change.Registers {
		m.change.Registers[i].Class = m.t.ClassOf(reg.Column)
	}
}

// counted are the counters that say something else after merging, with what they say.
func (m *merging) counted(merged *catalog.Values) (columns []crdt.Column) {
	for _, column := range m.t.Counters {
		c, ok := m.out.Row.Counter(column)
		if !ok {
			continue
		}
		if v, known := merged.Get(column); !known || v != c.Sum() || m.out.Reborn {
			merged.Set(column, c.Sum())
			columns = append(columns, column)
		}
	}
	return columns
}

// onlyCounts reports whether all that a change brings is counted.
func (m *merging) onlyCounts() bool {
	return len(m.out.Counted) > 0 && len(m.out.Won)+len(m.out.Lost) == 0 && !m.change.Death.After(m.row.Death.Stamp)
}

// isBase reports whether a register is only the base of a deleted row's counter, and no edit.
func (m *merging) isBase(reg crdt.Register) bool {
	return reg.Class == crdt.ClassCounter && !m.change.Whole && m.change.Death.After(reg.Stamp)
}

// ignoreBases takes bases of a deleted row's counters out of what a change has set.
func (m *merging) ignoreBases() {
	base := func(i int) bool { return m.isBase(m.change.Registers[i]) }
	m.out.Won, m.out.Lost = slices.DeleteFunc(m.out.Won, base), slices.DeleteFunc(m.out.Lost, base)
}

// ownParts holds a node to its own parts of counters.
func (m *merging) ownParts() error {
	for _, p := range m.change.Parts {
		if p.Stamp.Site != m.author {
			return &IdentityError{Node: m.author, Claimed: p.Stamp.Site, Table: m.t.Name}
		}
	}
	return nil
}
