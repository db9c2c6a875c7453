package crdt_test

import (
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/crdt/hlc"
)

func same(t *rapid.T, law string, left, right state) {
	t.Helper()
	if left.String() != right.String() {
		t.Fatalf("%s:\nleft\n%sright\n%s", law, left, right)
	}
}

// Two sites become the same, whichever merges the other.
func TestMergeIsCommutative(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := states().Draw(t, "a"), states().Draw(t, "b")
		same(t, "a+b = b+a", a.merged(b), b.merged(a))
	})
}

// Three sites become the same, in whichever groups they merge.
func TestMergeIsAssociative(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := states().Draw(t, "a"), states().Draw(t, "b"), states().Draw(t, "c")
		same(t, "(a+b)+c = a+(b+c)", a.merged(b).merged(c), a.merged(b.merged(c)))
	})
}

// Merging the same again changes nothing.
func TestMergeIsIdempotent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := states().Draw(t, "a"), states().Draw(t, "b")
		same(t, "a+a = a", a.merged(a), a)
		ab := a.merged(b)
		same(t, "(a+b)+b = a+b", ab.merged(b), ab)
		same(t, "(a+b)+a = a+b", ab.merged(a), ab)
		for key, h := range ab {
			after, out := h.merge(true, h.whole(key), 9)
			if out.Changed || out.Won != nil || out.Lost != nil || out.Died || out.Revived || out.Reborn || out.Outlived {
				t.Fatalf("a row merged into itself is a change: %+v", out)
			}
			if !reflect.DeepEqual(after.row, h.row) {
				t.Fatalf("a row merged into itself: %+v, was %+v", after.row, h.row)
			}
		}
	})
}

// The order and repetition of partial changes make no difference.
func TestPartialChangesInAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		start := states().Draw(t, "start")
		sent := rapid.SliceOfN(changes(), 1, 8).Draw(t, "sent")
		repeated := append(slices.Clone(sent), rapid.SliceOfN(rapid.SampledFrom(sent), 0, 4).Draw(t, "again")...)
		reordered := rapid.Permutation(repeated).Draw(t, "reordered")
		inOrder, anyhow := start.clone(), start.clone()
		inOrder.merge(2, sent...)
		anyhow.merge(3, reordered...)
		same(t, "order and repetition", inOrder, anyhow)
	})
}

func TestChangesSameThroughAnotherSite(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		start := states().Draw(t, "start")
		sent := rapid.SliceOfN(changes(), 1, 8).Draw(t, "sent")
		direct, relay, behind := start.clone(), start.clone(), start.clone()
		direct.merge(2, sent...)
		relay.merge(2, sent...)
		same(t, "direct = relayed", direct, behind.merged(relay))
	})
}

func TestOutcomeTellsWhatMergeDid(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		change := changes().Draw(t, "change")
		h, present := states().Draw(t, "site")[change.Key]
		change.Seen = 7
		const at causal.Position = 42
		after, out := h.merge(present, change, at)

		wasLive, live := present && h.row.Live(), out.Row.Live()
		if out.Died != (wasLive && !live) || out.Revived != (present && !wasLive && live) {
			t.Fatalf("was live %v, is live %v, but died %v, revived %v", wasLive, live, out.Died, out.Revived)
		}
		order := change.Birth.Compare(h.row.Birth.Stamp)
		if out.Reborn != (present && order > 0) || out.Outlived != (present && order < 0) {
			t.Fatalf("births compare %d, but reborn %v, outlived %v", order, out.Reborn, out.Outlived)
		}
		if changed := !present || stamps(h.row) != stamps(out.Row); out.Changed != changed {
			t.Fatalf("changed %v, but\nbefore %s\nafter  %s", out.Changed, h, after)
		}
		counter, _ := out.Row.Counter(modelCounter)
		if base, known := after.values[modelCounter]; known && counter.Base != base {
			t.Fatalf("the base is %v, the register's value %v", counter.Base, base)
		}
		was, now := stamps(h.row).parts, stamps(out.Row).parts
		if !present || order > 0 {
			was = [4]hlc.Stamp{}
		}
		if counted := was != now; slices.Equal(out.Counted, []crdt.Column{modelCounter}) != counted || !counted &&
			out.Counted != nil {
			t.Fatalf("counted %v, but the parts were %v and are %v", out.Counted, was, now)
		}
		for i, reg := range change.Registers {
			before, now := h.row.Version(reg.Column).Stamp, out.Row.Version(reg.Column)
			newer := !present || order > 0 || order == 0 && reg.Stamp.After(before)
			if won := slices.Contains(out.Won, i); won != newer {
				t.Fatalf("register %d: won %v, want %v", i, won, newer)
			} else if won && now != (crdt.Version{Stamp: reg.Stamp, Position: at, Seen: change.Seen}) {
				t.Fatalf("register %d won, but its version is %+v", i, now)
			}
			kept := present && (order < 0 || order == 0 && before.After(reg.Stamp))
			if slices.Contains(out.Lost, i) != kept {
				t.Fatalf("register %d: lost %v, want %v", i, !kept, kept)
			}
		}
	})
}

// stamped is the part of a row that may change in a merge.
type stamped struct {
	birth, death hlc.Stamp
	columns      [modelColumns]hlc.Stamp
	base         crdt.Value
	parts        [4]hlc.Stamp // of sites 2 to 5
}

func stamps(row crdt.Row) stamped {
	counter, _ := row.Counter(modelCounter)
	s := stamped{birth: row.Birth.Stamp, death: row.Death.Stamp, base: counter.Base}
	for column := range modelColumns {
		s.columns[column] = row.Version(column).Stamp
	}
	for _, part := range counter.Parts {
		s.parts[part.Stamp.Site-2] = part.Stamp
	}
	return s
}

func TestMergeNeverTurnsAnythingBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		change := changes().Draw(t, "change")
		h, present := states().Draw(t, "site")[change.Key]
		out := crdt.Merge(h.row, present, change, 1)
		if !present || out.Row.Birth.Stamp.After(h.row.Birth.Stamp) {
			return // a newer row owes nothing to the former one
		}
		if h.row.Birth.Stamp.After(out.Row.Birth.Stamp) || h.row.Death.Stamp.After(out.Row.Death.Stamp) {
			t.Fatalf("turned back: %+v, was %+v", out.Row, h.row)
		}
		for column := range modelColumns {
			if h.row.Version(column).Stamp.After(out.Row.Version(column).Stamp) {
				t.Fatalf("column %d turned back: %+v, was %+v", column, out.Row, h.row)
			}
		}
		now := stamps(out.Row).parts
		for i, was := range stamps(h.row).parts {
			if was.After(now[i]) {
				t.Fatalf("the part of site %d turned back: %v, was %v", i+2, now[i], was)
			}
		}
	})
}

func TestMergeLeavesItsArgumentsAlone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		change := changes().Draw(t, "change")
		h, present := states().Draw(t, "site")[change.Key]
		// Spare capacity, so that a Set on a row which shares the slice would show.
		h.row.Columns = slices.Grow(h.row.Columns, int(modelColumns))
		for i := range h.row.Counters {
			h.row.Counters[i].Parts = slices.Grow(h.row.Counters[i].Parts, 9)
		}
		rowBefore, changeBefore := h.row.Clone(), change
		changeBefore.Registers, changeBefore.Parts = slices.Clone(change.Registers), slices.Clone(change.Parts)
		out := crdt.Merge(h.row, present, change, 5)
		if !out.Outlived {
			for column := range modelColumns {
				out.Row.Set(column, crdt.Version{Stamp: stampAt(99, 9)})
			}
			for site := causal.Site(1); site < 9; site++ {
				out.Row.Count(modelCounter, crdt.IntegerValue(int64(site)), crdt.Version{Stamp: stampAt(99, site)})
			}
		}
		if len(rowBefore.Columns) != len(h.row.Columns) ||
			!slices.Equal(rowBefore.Columns, h.row.Columns) || !sameCounters(rowBefore, h.row) ||
			!reflect.DeepEqual(changeBefore, change) {
			t.Fatalf("row %+v, was %+v\nchange %+v, was %+v", h.row, rowBefore, change, changeBefore)
		}
	})
}

func sameCounters(a, b crdt.Row) bool {
	return slices.EqualFunc(a.Counters, b.Counters, func(x, y crdt.Counter) bool {
		return x.Column == y.Column && x.Base == y.Base && slices.Equal(x.Parts, y.Parts)
	})
}

// A row that outlives a deletion is marked, because a site that merged the deletion first has thrown
// its values away and may need it whole.
func TestRowOutlivingDeletionIsMarked(t *testing.T) {
	birth := crdt.Version{Stamp: stampAt(10, 3)}
	edited := crdt.Row{Birth: birth, Base: birth}
	edited.Set(0, crdt.Version{Stamp: stampAt(30, 3)})
	dead := crdt.Row{Birth: birth, Base: birth, Death: crdt.Version{Stamp: stampAt(20, 4)}}
	deletion := crdt.Change{Birth: birth.Stamp, Death: stampAt(20, 4)}
	edit := crdt.Change{Birth: birth.Stamp, Registers: []crdt.Register{{Column: 0, Stamp: stampAt(30, 3)}}}
	cases := []struct {
		name   string
		row    crdt.Row
		change crdt.Change
		want   causal.Position
	}{
		{"the deletion comes late", edited, deletion, 77},
		{"the edit comes late", dead, edit, 77},
		{"the deletion is in force", crdt.Row{Birth: birth, Base: birth}, deletion, 0},
		{"a count revives", dead, crdt.Change{Birth: birth.Stamp, Parts: []crdt.ChangePart{{Stamp: stampAt(30, 3)}}}, 77},
		{"an edit too old to revive", dead, crdt.Change{Birth: birth.Stamp,
			Registers: []crdt.Register{{Column: 0, Stamp: stampAt(15, 3)}}}, 0},
		{"an edit of a row nobody deleted", edited, crdt.Change{Birth: birth.Stamp,
			Registers: []crdt.Register{{Column: 0, Stamp: stampAt(40, 3)}}}, 0},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			out := crdt.Merge(c.row, true, c.change, 77)
			if out.Row.Revived != c.want {
				t.Fatalf("marked at %d, want %d", out.Row.Revived, c.want)
			}
			if again := crdt.Merge(out.Row, true, c.change, 99); again.Row.Revived != c.want {
				t.Fatalf("the same again moved the mark to %d", again.Row.Revived)
			}
		})
	}
}
