package store

import (
	"fmt"
	"slices"
	"strings"

	"ravno/crdt"
	"ravno/store/internal/schema"
)

// A counter column says how many there are: two shops that sell the same thing offline have
// both taken one. The log says only that the column was written, so what was counted is the
// difference between what the table says and what the shadow last said; therefore every row
// of a table with counters has a shadow, with the value the column began with.

// findCounters looks up the counters of the table's setting.
func (t *table) findCounters(names []string) {
	for _, name := range names {
		if i, ok := t.byName[strings.ToLower(name)]; ok && t.Columns[i].Register {
			t.counters = append(t.counters, crdt.Column(t.numbers[i]))
		}
	}
	slices.Sort(t.counters)
}

// isCounter reports whether a column merges by summing differences.
func (t *table) isCounter(column crdt.Column) bool { return slices.Contains(t.counters, column) }

// beginCounting gives every row of a table the base of counters that are new.
func (tx *transaction) beginCounting(t *table) error {
	var fresh []crdt.Column
	for _, column := range t.counters {
		known, err := tx.c.Int("SELECT count(*) FROM ravno_counting WHERE tab=? AND col=?", integer(t.number), integer(int64(column)))
		if err != nil {
			return err
		}
		if known == 0 {
			fresh = append(fresh, column)
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	for _, column := range fresh {
		if err := tx.c.Exec("INSERT INTO ravno_counting(tab, col) VALUES(?,?)", integer(t.number), integer(int64(column))); err != nil {
			return err
		}
	}
	var keys []crdt.Key
	var values [][]crdt.Value
	err := tx.c.Rows(t.readAll(), nil, func(row []crdt.Value) error {
		key, err := t.CanonicalKey(row[:len(t.Key)])
		if err != nil {
			return nil // a row without a key does not sync
		}
		keys = append(keys, key)
		values = append(values, slices.Clone(row[len(t.Key):]))
		return nil
	})
	if err != nil {
		return err
	}
	for i, key := range keys {
		row, document, sent, err := tx.readShadowAt(t, key)
		if err != nil {
			return err
		}
		for _, column := range fresh {
			row.SetBase(column, values[i][t.byNum[column]])
		}
		if err := tx.writeShadow(t, key, row, document, sent.position); err != nil {
			return err
		}
	}
	return nil
}

// foldCounters counts what the application has made the counters of a row show. It returns
// which columns of the table have to show something else than they do.
func (tx *transaction) foldCounters(f *folding, row *crdt.Row, before crdt.Row) (*image, error) {
	m, err := tx.tableImage(f.t, f.key)
	if err != nil || m == nil {
		return nil, err
	}
	differ := newImage(0)
	for _, column := range f.t.counters {
		at := f.lastAt
		written := f.replaced
		for _, set := range f.sets {
			if set.columns.Has(int(column)) {
				written, at = true, set.at
			}
		}
		_, known := before.Counter(column)
		switch {
		case f.born || !known:
			row.SetBase(column, m.value(column))
			continue
		case !written:
			continue
		}
		// The register is the base's: what is counted leaves it as it was.
		row.Set(column, before.Version(column))
		if sum := row.Count(column, m.value(column), tx.version(f, at)); sum != m.value(column) {
			differ.set(column, sum)
		}
	}
	return differ, nil
}

// onlyCounts reports whether all that was written of a row is its counters.
func (f *folding) onlyCounts() bool {
	if f.born || f.replaced || len(f.sets) == 0 {
		return false
	}
	for _, set := range f.sets {
		for number := range set.columns.All() {
			if !f.t.isCounter(crdt.Column(number)) {
				return false
			}
		}
	}
	return true
}

// onlyCounters reports whether values are of counters alone.
func (t *table) onlyCounters(m *image) bool {
	for column := range m.all() {
		if !t.isCounter(column) {
			return false
		}
	}
	return true
}

// countersOf puts what the counters of a row say into its values.
func (t *table) countersOf(row crdt.Row, m *image) {
	for _, column := range t.counters {
		if c, ok := row.Counter(column); ok {
			m.set(column, c.Sum())
		}
	}
}

// restoreCounters puts what the counters say into values of a row that is put back.
func (tx *transaction) restoreCounters(t *table, key crdt.Key, m *image) error {
	if len(t.counters) == 0 {
		return nil
	}
	row, _, found, err := tx.readShadow(t, key)
	if err == nil && found {
		t.countersOf(row, m)
	}
	return err
}

// readCounters prepares a change of a table with counters for merging.
func (m *merging) readCounters() {
	for _, column := range m.t.counters {
		if _, known := m.row.Counter(column); m.present && !known {
			if v, ok := m.was.get(column); ok {
				m.row = m.row.Clone()
				m.row.SetBase(column, v)
			}
		}
	}
	for i, reg := range m.change.Registers {
		m.change.Registers[i].Counter = m.t.isCounter(reg.Column)
	}
}

// counted are the counters that say something else after merging, with what they say.
func (m *merging) counted(merged *image) (columns []crdt.Column) {
	for _, column := range m.t.counters {
		c, ok := m.out.Row.Counter(column)
		if !ok {
			continue
		}
		if v, known := merged.get(column); !known || v != c.Sum() || m.out.Reborn {
			merged.set(column, c.Sum())
			columns = append(columns, column)
		}
	}
	return columns
}

// onlyCounts reports whether all that a change brings is counted.
func (m *merging) onlyCounts() bool {
	return len(m.out.Counted) > 0 && len(m.out.Won)+len(m.out.Lost) == 0 && !m.change.Death.After(m.row.Death.Stamp)
}

// parts are the parts of counters that are news to the receiver; all of them, if the row
// goes whole.
func (x *extraction) parts(t *table, row crdt.Row, whole bool, note func(crdt.Version)) (parts []crdt.ChangePart) {
	for _, c := range row.Counters {
		i, ok := t.byNum[c.Column]
		if !ok {
			continue
		}
		for _, p := range c.Parts {
			switch {
			case x.news(p.Version):
				note(p.Version)
			case !whole || x.node == 0 && p.Stamp.Site != x.self:
				continue
			}
			parts = append(parts, crdt.ChangePart{Column: crdt.Column(i), Stamp: p.Stamp, Total: p.Total})
		}
	}
	return parts
}

// bases are the bases of a deleted row's counters that are news to the receiver: what was
// counted in a row which it never had alive says nothing without them, should the row live on.
func (x *extraction) bases(t *table, row crdt.Row) (bases []crdt.Register) {
	for i, number := range t.numbers {
		column := crdt.Column(number)
		if c, known := row.Counter(column); known && t.isCounter(column) && x.news(row.Version(column)) {
			bases = append(bases, crdt.Register{Column: crdt.Column(i), Stamp: row.Version(column).Stamp, Value: c.Base})
		}
	}
	return bases
}

// isBase reports whether a register is only the base of a deleted row's counter, and no edit.
func (m *merging) isBase(reg crdt.Register) bool {
	return reg.Counter && !m.change.Whole && m.change.Death.After(reg.Stamp)
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

// checkCounter refuses a counter that could not be one.
func checkCounter(t *schema.Table, name string) error {
	i := t.Column(name)
	refuse := func(why, try string) error {
		return &SettingError{What: fmt.Sprintf("%s.%s cannot be a counter: %s", t.Name, name, why), Try: try}
	}
	switch {
	case i < 0 || t.Columns[i].InKey:
		return refuse("it is part of the key, or generated", "a column that holds a quantity")
	case slices.ContainsFunc(t.ForeignKeys, func(fk schema.ForeignKey) bool {
		return slices.ContainsFunc(fk.Columns, func(c string) bool { return strings.EqualFold(c, name) })
	}):
		return refuse("it refers to another row", "a column that holds a quantity")
	}
	for _, index := range t.Unique {
		for _, part := range index.Parts {
			if part.Column == i || part.Column < 0 {
				return refuse("it is part of a unique index", "a column that holds a quantity")
			}
		}
	}
	return nil
}
