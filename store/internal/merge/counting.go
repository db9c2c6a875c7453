package merge

import (
	"slices"

	"ravno/crdt"
	"ravno/store/internal/catalog"
)

// readCounters prepares a change of a table with counters. It takes the base of an unknown counter from
// the table, and gives each register the class of its column.
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

// counted writes the sums of the counters into merged. It returns the columns whose sums have changed.
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

// onlyCounts reports whether the change brings nothing but parts of counters.
func (m *merging) onlyCounts() bool {
	return len(m.out.Counted) > 0 && len(m.out.Won)+len(m.out.Lost) == 0 && !m.change.Death.After(m.row.Death.Stamp)
}

// isBase reports whether a register is only the base of a deleted row's counter. Such a register is no
// edit.
func (m *merging) isBase(reg crdt.Register) bool {
	return reg.Class == crdt.ClassCounter && !m.change.Whole && m.change.Death.After(reg.Stamp)
}

// ignoreBases removes bases of a deleted row's counters from the outcome's won and lost registers.
func (m *merging) ignoreBases() {
	base := func(i int) bool { return m.isBase(m.change.Registers[i]) }
	m.out.Won, m.out.Lost = slices.DeleteFunc(m.out.Won, base), slices.DeleteFunc(m.out.Lost, base)
}

// ownParts returns an IdentityError if the change brings a part of a counter by another site than its
// author.
func (m *merging) ownParts() error {
	for _, p := range m.change.Parts {
		if p.Stamp.Site != m.author {
			return &IdentityError{Node: m.author, Claimed: p.Stamp.Site, Table: m.t.Name}
		}
	}
	return nil
}
