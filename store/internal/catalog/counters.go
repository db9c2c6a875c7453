package catalog

import (
	"slices"
	"strings"

	"ravno/crdt"
)

// A counter column says how many there are: two shops that sell the same thing offline have
// both taken one. The log says only that the column was written, so what was counted is the
// difference between what the table says and what the shadow last said; therefore every row
// of a table with counters has a shadow, with the value the column began with.

// findCounters looks up the counters of the table's setting.
func (t *Table) findCounters(names []string) {
	for _, name := range names {
		if i, ok := t.ByName[strings.ToLower(name)]; ok && t.Columns[i].Register {
			t.Counters = append(t.Counters, crdt.Column(t.Numbers[i]))
		}
	}
	slices.Sort(t.Counters)
}

// OnlyCounters reports whether values are of counters alone.
func (t *Table) OnlyCounters(m *Values) bool {
	for column := range m.All() {
		if t.ClassOf(column) != crdt.ClassCounter {
			return false
		}
	}
	return true
}

// CountersOf puts what the counters of a row say into its values.
func (t *Table) CountersOf(row crdt.Row, m *Values) {
	for _, column := range t.Counters {
		if c, ok := row.Counter(column); ok {
			m.Set(column, c.Sum())
		}
	}
}
