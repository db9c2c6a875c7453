package store

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"ravno/crdt"
	"ravno/crdt/hlc"
	"ravno/store/internal/capture"
)

func TestRowsOfALogAreFoundByTableAndKeyInTheOrderOfTheirFirstEntries(t *testing.T) {
	tables := []*table{{number: 1}, {number: 2}} // with rows of the same keys
	rapid.Check(t, func(t *rapid.T) {
		rows, known := newGathered(), map[reference]*loggedRow{}
		var order []reference
		entries := rapid.SliceOf(rapid.IntRange(0, 4*leastSlots)).Draw(t, "entries")
		for i := range rapid.IntRange(0, 4*leastSlots).Draw(t, "rows") { // enough for the index to grow
			entries = append(entries, i)
		}
		for _, i := range entries {
			up, key := tables[i%2], crdt.NewKey(integer(i/2))
			ref := up.reference(key)
			row := rows.row(up, key, capture.Insert)
			if known[ref] == nil {
				known[ref] = row
				order = append(order, ref)
			}
			if row != known[ref] || row.t != up || row.key != key {
				t.Fatalf("row %v was found as %v", ref, row.t.reference(row.key))
			}
		}
		var got []reference
		for _, row := range rows.order() {
			got = append(got, row.t.reference(row.key))
		}
		if !slices.Equal(got, order) {
			t.Fatalf("rows in the order %v, want %v", got, order)
		}
	})
}

func TestOfUpdatesInARowOfTheSameColumnsOnlyTheLastIsKept(t *testing.T) {
	var row loggedRow
	for i, columns := range [][]int{{1}, {1}, {1, 70}, {1, 70}, {1}, {70}} {
		row.add(capture.Entry{Op: capture.Update, Columns: capture.Columns(columns...)}, hlc.Time(i+1))
	}
	var at []hlc.Time
	for _, set := range row.sets() {
		at = append(at, set.at)
	}
	if want := []hlc.Time{2, 4, 5, 6}; !slices.Equal(at, want) {
		t.Errorf("kept the updates at %v, want %v", at, want)
	}
}
