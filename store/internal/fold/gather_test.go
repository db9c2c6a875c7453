package fold

import (
	"ravno/store/internal/catalog"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"ravno/crdt"
	"ravno/crdt/hlc"
	"ravno/store/internal/capture"
)

// Rows of a log are found by table and key in the order of their first entries.
func TestGatheredOrder(t *testing.T) {
	tables := []*catalog.Table{{Number: 1}, {Number: 2}} // with rows of the same keys
	rapid.Check(t, func(t *rapid.T) {
		rows, known := NewGathered(), map[catalog.Reference]*LoggedRow{}
		var order []catalog.Reference
		entries := rapid.SliceOf(rapid.IntRange(0, 4*LeastSlots)).Draw(t, "entries")
		for i := range rapid.IntRange(0, 4*LeastSlots).Draw(t, "rows") { // enough for the index to grow
			entries = append(entries, i)
		}
		for _, i := range entries {
			up, key := tables[i%2], crdt.NewKey(catalog.Integer(i/2))
			ref := up.Reference(key)
			row := rows.Row(up, key, capture.Insert)
			if known[ref] == nil {
				known[ref] = row
				order = append(order, ref)
			}
			if row != known[ref] || row.T != up || row.Key != key {
				t.Fatalf("row %v was found as %v", ref, row.T.Reference(row.Key))
			}
		}
		var got []catalog.Reference
		for _, row := range rows.Order() {
			got = append(got, row.T.Reference(row.Key))
		}
		if !slices.Equal(got, order) {
			t.Fatalf("rows in the order %v, want %v", got, order)
		}
	})
}

// Of updates in a row of the same columns only the last is kept.
func TestGatheredKeepsLastUpdate(t *testing.T) {
	var row LoggedRow
	for i, columns := range [][]int{{1}, {1}, {1, 70}, {1, 70}, {1}, {70}} {
		row.Add(capture.Entry{Op: capture.Update, Columns: capture.Columns(columns...)}, hlc.Time(i+1))
	}
	var at []hlc.Time
	for _, set := range row.Sets() {
		at = append(at, set.At)
	}
	if want := []hlc.Time{2, 4, 5, 6}; !slices.Equal(at, want) {
		t.Errorf("kept the updates at %v, want %v", at, want)
	}
}
