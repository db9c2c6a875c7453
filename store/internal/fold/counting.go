package fold

import (
	"ravno/crdt"
	"ravno/store/internal/catalog"
	"ravno/store/internal/rows"
)

// foldCounters counts the values that the application wrote into the counters of a row. It returns the
// columns whose value in the table must change to the sum of all parts.
func foldCounters(tx *rows.Tx, f *folding, row *crdt.Row, before crdt.Row) (*catalog.Values, error) {
	m, err := tx.ReadTable(f.T, f.Key)
	if err != nil || m == nil {
		return nil, err
	}
	differ := catalog.NewValues(0)
	for _, column := range f.T.Counters {
		at := f.lastAt
		written := f.replaced
		for _, set := range f.sets {
			if set.columns.Has(int(column)) {
				written, at = true, set.At
			}
		}
		_, known := before.Counter(column)
		switch {
		case f.born || !known:
			row.SetBase(column, m.Value(column))
			continue
		case !written:
			continue
		}
		// The register belongs to the base. Counting does not change it.
		row.Set(column, before.Version(column))
		if sum := row.Count(column, m.Value(column), version(tx, f, at)); sum != m.Value(column) {
			differ.Set(column, sum)
		}
	}
	return differ, nil
}

// onlyCounts reports whether the application wrote nothing but counters in a row.
func (f *folding) onlyCounts() bool {
	if f.born || f.replaced || len(f.sets) == 0 {
		return false
	}
	for _, set := range f.sets {
		for number := range set.columns.All() {
			if f.T.ClassOf(crdt.Column(number)) != crdt.ClassCounter {
				return false
			}
		}
	}
	return true
}
