package capture

import (
	"math"
	"slices"
	"strings"
	"testing"

	"ravno/crdt"
)

// FuzzMeaning reads a mask of the log as text, as integer and as what it is no mask of.
func FuzzMeaning(f *testing.F) {
	for _, s := range []string{
		"", "0", "1,", ",", "0,1", "+1", "007", "4611686018427387903", "4611686018427387904",
		strings.Repeat("0,", maxGroups-1) + "1", strings.Repeat("0,", maxGroups) + "1",
		strings.Repeat("0,", maxGroups-1) + "4611686018427387903", Columns(0, 61, 62, 200).value().Bytes(),
		Columns(MaxColumnNumber).value().Bytes(),
	} {
		f.Add(s, int64(len(s)))
	}
	for _, n := range []int64{math.MinInt64, -4, int64(Look), int64(Delete), int64(Insert), 0, 1<<62 - 1, 1 << 62} {
		f.Add("0", n)
	}
	f.Fuzz(func(t *testing.T, s string, n int64) {
		for _, m := range []crdt.Value{
			crdt.TextValue(s), crdt.IntegerValue(n), {}, crdt.BlobValue(s), crdt.RealValue(float64(n)),
		} {
			var e Entry
			if err := e.meaning(m); err != nil {
				continue
			}
			if m.Kind() != crdt.Text && m.Kind() != crdt.Integer {
				t.Fatalf("%s %v is taken for %+v", m.Kind(), m, e)
			}
			if e.Op != Update {
				if e.Op < Look || e.Op > Insert || !e.Columns.Empty() {
					t.Fatalf("%v is taken for %+v", m, e)
				}
				continue
			}
			sameAgain(t, m, e.Columns)
		}
	})
}

// sameAgain writes a set as the log holds it, and reads it again.
func sameAgain(t *testing.T, m crdt.Value, s ColumnSet) {
	t.Helper()
	all := slices.Collect(s.All())
	if !slices.IsSorted(all) || len(all) > 0 && all[len(all)-1] > MaxColumnNumber || s.Empty() != (len(all) == 0) {
		t.Fatalf("%v is taken for the columns %v", m, all)
	}
	for _, n := range all {
		if !s.Has(n) {
			t.Fatalf("%v has column %d, and has not", m, n)
		}
	}
	for _, other := range []ColumnSet{s, Columns(all...)} {
		var again Entry
		if err := again.meaning(other.value()); err != nil || again.Op != Update || !again.Columns.Equal(s) {
			t.Fatalf("%v is %v, read again as %+v, %v", m, other.value(), again, err)
		}
	}
}

// The last group has room for more columns than there are numbers.
func TestMaskBeyondTheLastColumnRefused(t *testing.T) {
	var s ColumnSet
	s.Add(MaxColumnNumber)
	if _, err := parseColumns(s.value().Bytes()); err != nil {
		t.Error(err)
	}
	s.Add(MaxColumnNumber + 1)
	if got, err := parseColumns(s.value().Bytes()); err == nil {
		t.Errorf("taken for %v", slices.Collect(got.All()))
	}
}
