package crdt_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/crdt/hlc"
)

// A row with its base is a compact form of a version for every column. It must read like the plain
// list, stay sorted, and list no version that equals the base.
func TestRowReadsLikeListOfVersions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		versions := rapid.Custom(func(t *rapid.T) crdt.Version {
			return crdt.Version{
				Stamp:    stampsFrom(hlc.Stamp{}).Draw(t, "stamp"),
				Position: causal.Position(rapid.Uint64Range(0, 1).Draw(t, "position")),
			}
		})
		birth, base := versions.Draw(t, "birth"), versions.Draw(t, "base")
		row, plain := crdt.Row{Birth: birth, Base: base}, map[crdt.Column]crdt.Version{}
		for range rapid.IntRange(0, 20).Draw(t, "sets") {
			column, v := crdt.Column(rapid.Uint16Range(0, 6).Draw(t, "column")), versions.Draw(t, "version")
			row.Set(column, v)
			plain[column] = v
		}
		newest := base.Stamp
		if birth.Stamp.After(newest) {
			newest = birth.Stamp
		}
		for column := range crdt.Column(8) {
			want, set := plain[column]
			if !set {
				want = base
			}
			if got := row.Version(column); got != want {
				t.Fatalf("column %d has %+v, want %+v", column, got, want)
			}
			if want.Stamp.After(newest) {
				newest = want.Stamp
			}
		}
		if row.Newest() != newest {
			t.Fatalf("newest %v, want %v", row.Newest(), newest)
		}
		ascending := slices.IsSortedFunc(row.Columns,
			func(a, b crdt.ColumnVersion) int { return int(a.Column) - int(b.Column) })
		repeats := slices.ContainsFunc(row.Columns, func(c crdt.ColumnVersion) bool { return c.Version == base })
		if !ascending || repeats {
			t.Fatalf("columns %+v of base %+v", row.Columns, base)
		}
	})
}

func TestLiveByNewerOfDeletionAndEdit(t *testing.T) {
	at := func(time hlc.Time, site causal.Site) crdt.Version { return crdt.Version{Stamp: stampAt(time, site)} }
	edited := func(row crdt.Row, v crdt.Version) crdt.Row {
		row.Set(0, v)
		return row
	}
	born := crdt.Row{Birth: at(10, 3), Base: at(10, 3)}
	dead := crdt.Row{Birth: at(10, 3), Base: at(10, 3), Death: at(20, 3)}
	cases := []struct {
		name string
		row  crdt.Row
		live bool
	}{
		{"a settled row", crdt.Row{}, true},
		{"a row just born", born, true},
		{"a settled row, deleted", crdt.Row{Death: at(20, 3)}, false},
		{"deleted after its birth", dead, false},
		{"edited before the deletion", edited(dead, at(19, 9)), false},
		{"edited after the deletion", edited(dead, at(21, 2)), true},
		{"edited at its time by a higher site", edited(dead, at(20, 4)), true},
		{"edited at its time by a lower site", edited(dead, at(20, 2)), false},
		{"edited in the very transaction", edited(dead, at(20, 3)), true},
		{"replaced after the deletion", crdt.Row{Birth: at(10, 3), Base: at(21, 3), Death: at(20, 3)}, true},
		{"deleted at the time of its birth by a higher site", crdt.Row{Birth: at(10, 3), Base: at(10, 3), Death: at(10, 4)},
			false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := c.row.Live(); got != c.live {
				t.Errorf("live %v, want %v", got, c.live)
			}
		})
	}
}

func TestCloneSharesNothing(t *testing.T) {
	row := crdt.Row{Columns: make([]crdt.ColumnVersion, 0, 8)}
	row.Set(1, crdt.Version{Position: 1})
	clone := row.Clone()
	clone.Set(1, crdt.Version{Position: 2})
	clone.Set(0, crdt.Version{Position: 3})
	row.SetBase(1, crdt.IntegerValue(10))
	row.Count(1, crdt.IntegerValue(9), crdt.Version{Stamp: stampAt(20, 3)})
	counted := row.Clone()
	counted.SetBase(1, crdt.IntegerValue(100))
	counted.Count(1, crdt.IntegerValue(0), crdt.Version{Stamp: stampAt(30, 3)})
	counted.Count(1, crdt.IntegerValue(1), crdt.Version{Stamp: stampAt(30, 2)})
	if c, ok := row.Counter(1); !ok || c.Sum() != crdt.IntegerValue(9) || len(c.Parts) != 1 {
		t.Errorf("the counter became %+v", c)
	}
	if len(row.Columns) != 1 || row.Version(1).Position != 1 {
		t.Errorf("the row became %+v", row)
	}
}

func TestRewriteChangesOlderRegistersOnly(t *testing.T) {
	at := func(time hlc.Time) crdt.Version { return crdt.Version{Stamp: hlc.Stamp{Time: time, Site: 3}} }
	for _, base := range []hlc.Time{10, 30} { // before the version, and after it
		row := crdt.Row{Birth: at(10), Base: at(base)}
		row.Set(1, at(15))
		row.Set(2, at(40))
		shared := row
		row.Rewrite(at(20))
		for column, want := range map[crdt.Column]hlc.Time{0: max(base, 20), 1: 20, 2: 40} {
			if got := row.Version(column).Stamp.Time; got != want {
				t.Errorf("base at %d: column %d is at %d, want %d", base, column, got, want)
			}
		}
		if shared.Version(1) != at(15) {
			t.Error("a copy of the row was changed too")
		}
	}
}
