package crdt_test

import (
	"math"
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/crdt/hlc"
)

func integer(i int64) crdt.Value  { return crdt.IntegerValue(i) }
func real64(f float64) crdt.Value { return crdt.RealValue(f) }

// counterOf is a counter with the parts of sites 2, 3, 4 and so on.
func counterOf(base crdt.Value, totals ...crdt.Value) crdt.Counter {
	c := crdt.Counter{Column: 1, Base: base}
	for i, total := range totals {
		c.Parts = append(c.Parts, crdt.Part{Version: crdt.Version{Stamp: stampAt(10, causal.Site(2+i))}, Total: total})
	}
	return c
}

func TestCounterShowsBaseAndDifferences(t *testing.T) {
	const most, least = math.MaxInt64, math.MinInt64
	infinite := math.Inf(1)
	cases := []struct {
		name    string
		counter crdt.Counter
		want    crdt.Value
	}{
		{"nothing known", counterOf(crdt.Value{}), crdt.Value{}},
		{"an integer", counterOf(integer(10)), integer(10)},
		{"a text, not counted in", counterOf(crdt.TextValue("ten")), crdt.TextValue("ten")},
		{"a blob, not counted in", counterOf(crdt.BlobValue("10")), crdt.BlobValue("10")},
		{"an infinity, not counted in", counterOf(real64(infinite)), real64(infinite)},
		{"two sites took from it", counterOf(integer(10), integer(-3), integer(-4)), integer(3)},
		{"a site that gave back what it took", counterOf(integer(10), integer(0)), integer(10)},
		{"NULL, counted in", counterOf(crdt.Value{}, integer(-3)), integer(-3)},
		{"a text, counted in", counterOf(crdt.TextValue("10"), integer(-3)), integer(-3)},
		{"a blob, counted in", counterOf(crdt.BlobValue("10"), integer(-3)), integer(-3)},
		{"a real, counted in integers", counterOf(real64(1.5), integer(1)), real64(2.5)},
		{"an integer, counted in reals", counterOf(integer(1), real64(-0.5)), real64(0.5)},
		{"minus zero", counterOf(real64(math.Copysign(0, -1)), real64(math.Copysign(0, -1))), real64(math.Copysign(0, -1))},
		{"the greatest integer", counterOf(integer(most-1), integer(1)), integer(most)},
		{"one more", counterOf(integer(most), integer(1)), real64(1 << 63)},
		{"the least integer", counterOf(integer(least+1), integer(-1)), integer(least)},
		{"one less", counterOf(integer(least), integer(-1)), real64(-(1 << 63))},
		{"there and back", counterOf(integer(least), integer(most), integer(1)), integer(0)},
		{"reals add in the order of sites", counterOf(integer(0), real64(1e16), real64(1), real64(-1e16)), real64(0)},
		{"reals add in the order of sites, another order", counterOf(integer(0), real64(1e16), real64(-1e16), real64(1)),
			real64(1)},
		{"an infinity, counted in", counterOf(real64(infinite), integer(-1)), real64(math.MaxFloat64)},
		{"infinities that would cancel out", counterOf(real64(infinite), real64(-infinite)), real64(0)},
		{"more than reals hold", counterOf(real64(math.MaxFloat64), real64(math.MaxFloat64)), real64(math.MaxFloat64)},
		{"less than reals hold", counterOf(real64(-math.MaxFloat64), real64(-math.MaxFloat64)), real64(-math.MaxFloat64)},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := c.counter.Sum(); got != c.want {
				t.Errorf("%v %v, want %v %v", got.Kind(), got, c.want.Kind(), c.want)
			}
		})
	}
}

func TestCountTakesDifferenceToCounter(t *testing.T) {
	cases := []struct {
		name    string
		counter crdt.Counter
		now     crdt.Value
		own     crdt.Value // the total of site 3 then; NULL: no part
		want    crdt.Value // what the counter says then
	}{
		{"shows what it says", counterOf(integer(10)), integer(10), crdt.Value{}, integer(10)},
		{"a text that stays", counterOf(crdt.TextValue("ten")), crdt.TextValue("ten"), crdt.Value{}, crdt.TextValue("ten")},
		{"three taken", counterOf(integer(10)), integer(7), integer(-3), integer(7)},
		{"three more taken", counterOf(integer(10), integer(5), integer(-3)), integer(9), integer(-6), integer(9)},
		{"nothing known before", counterOf(crdt.Value{}), integer(7), integer(7), integer(7)},
		{"the same number of another class", counterOf(integer(7)), real64(7), real64(0), real64(7)},
		{"an integer where reals were counted", counterOf(real64(7.5)), integer(7), real64(-0.5), real64(7)},
		{"NULL counts as 0", counterOf(integer(7)), crdt.Value{}, integer(-7), integer(0)},
		{"a text counts as 0", counterOf(integer(7)), crdt.TextValue("8"), integer(-7), integer(0)},
		{"another text", counterOf(crdt.TextValue("a")), crdt.TextValue("b"), integer(0), integer(0)},
		{"a number in place of a text", counterOf(crdt.TextValue("a")), integer(5), integer(5), integer(5)},
		{"a difference beyond integers", counterOf(integer(-2)), integer(math.MaxInt64), real64(1 << 63), real64(1 << 63)},
		{"a difference below integers", counterOf(integer(2)), integer(math.MinInt64), real64(-(1 << 63)),
			real64(-(1 << 63))},
		{"the least integer can be taken to", counterOf(integer(0)), integer(math.MinInt64), integer(math.MinInt64),
			integer(math.MinInt64)},
		{"a difference that is rounded", counterOf(integer(0), real64(1e16)), real64(3), real64(3 - 1e16), real64(4)},
		{"an infinity", counterOf(integer(0)), real64(math.Inf(-1)), real64(-math.MaxFloat64), real64(-math.MaxFloat64)},
		{"back from an infinity", counterOf(real64(math.Inf(1))), integer(5), real64(-math.MaxFloat64), real64(0)},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			row := crdt.Row{Counters: []crdt.Counter{c.counter}}.Clone()
			v := crdt.Version{Stamp: stampAt(20, 3), Position: 7, Seen: 5}
			if got := row.Count(1, c.now, v); got != c.want {
				t.Errorf("shows %v %v, want %v %v", got.Kind(), got, c.want.Kind(), c.want)
			}
			if (c.own == crdt.Value{}) {
				if !reflect.DeepEqual(row, crdt.Row{Counters: []crdt.Counter{c.counter}}) {
					t.Errorf("the row became %+v", row)
				}
				return
			}
			after, _ := row.Counter(1)
			i := slices.IndexFunc(after.Parts, func(p crdt.Part) bool { return p.Stamp.Site == 3 })
			if i < 0 || after.Parts[i] != (crdt.Part{Version: v, Total: c.own}) {
				t.Errorf("parts %+v, want %v by %v", after.Parts, c.own, v)
			}
		})
	}
}

func TestCountersOfRowInOrder(t *testing.T) {
	var row crdt.Row
	if c, ok := row.Counter(4); ok || !reflect.DeepEqual(c, crdt.Counter{Column: 4}) {
		t.Errorf("a row without counters has %+v, %v", c, ok)
	}
	if row.Count(4, crdt.Value{}, crdt.Version{Stamp: stampAt(9, 9)}); row.Counters != nil {
		t.Errorf("what shows NULL and was never counted in has %+v", row.Counters)
	}
	v := func(time hlc.Time, site causal.Site) crdt.Version { return crdt.Version{Stamp: stampAt(time, site)} }
	row.Count(4, integer(1), v(20, 3))
	row.Count(2, integer(1), v(21, 3))
	row.Count(4, integer(3), v(22, 2))
	row.SetBase(2, integer(100))
	row.SetBase(3, integer(5))
	want := []crdt.Counter{
		{Column: 2, Base: integer(100), Parts: []crdt.Part{{Version: v(21, 3), Total: integer(1)}}},
		{Column: 3, Base: integer(5)},
		{Column: 4, Parts: []crdt.Part{{Version: v(22, 2), Total: integer(2)}, {Version: v(20, 3), Total: integer(1)}}},
	}
	if diff := cmp.Diff(want, row.Counters, cmp.Comparer(func(a, b crdt.Value) bool { return a == b })); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if row.Newest() != stampAt(22, 2) {
		t.Errorf("newest %v: counting keeps a row alive like any write", row.Newest())
	}
}

// An application may put anything into a counter. The totals that travel are finite numbers, and a
// table with the value that Count returned has nothing more to count.
func TestCountEndsWithTableValue(t *testing.T) {
	values := rapid.OneOf(rapid.Just(crdt.Value{}), rapid.Just(crdt.TextValue("a")),
		rapid.Map(rapid.Int64(), crdt.IntegerValue), rapid.Map(rapid.Int64Range(-9, 9), crdt.IntegerValue),
		rapid.Map(rapid.Float64(), crdt.RealValue),
		rapid.SampledFrom([]crdt.Value{real64(math.Inf(1)), real64(math.Inf(-1)), real64(math.MaxFloat64),
			integer(math.MinInt64)}))
	rapid.Check(t, func(t *rapid.T) {
		var row crdt.Row
		row.SetBase(0, values.Draw(t, "base"))
		for i, now := range rapid.SliceOfN(values, 1, 6).Draw(t, "shown") {
			v := crdt.Version{Stamp: stampAt(hlc.Time(10+i), causal.Site(rapid.IntRange(2, 4).Draw(t, "site")))}
			before := row.Clone()
			shows := row.Count(0, now, v)
			c, _ := row.Counter(0)
			if shows != c.Sum() {
				t.Fatalf("returned %v, says %v", shows, c.Sum())
			}
			for _, p := range c.Parts {
				if f := p.Total.Float(); p.Total.Kind() != crdt.Integer && p.Total.Kind() != crdt.Real || math.IsInf(f, 0) {
					t.Fatalf("a total of %v %v", p.Total.Kind(), p.Total)
				}
			}
			after := row.Clone()
			if row.Count(0, shows, crdt.Version{Stamp: stampAt(99, 9)}) != shows || !reflect.DeepEqual(row, after) {
				t.Fatalf("counts on after it shows %v", shows)
			}
			if wasShown, _ := before.Counter(0); wasShown.Sum() == now && !reflect.DeepEqual(before, after) {
				t.Fatalf("shown %v, which it said anyway, and became %+v", now, after)
			}
		}
	})
}

// chain is a few sites with one row of one counter, which count and set it and hear of each
// other in any order, late and again and again.
type chain struct {
	sites []crdt.Row
	sent  []crdt.Change // everything anyone ever said
	time  hlc.Time
	base  int64 // what it was last set to
	sum   int64 // of all differences
}

func (c *chain) say(at int) crdt.Change {
	version := c.sites[at].Version(0)
	counter, _ := c.sites[at].Counter(0)
	change := crdt.Change{Whole: true, Registers: []crdt.Register{
		{Stamp: version.Stamp, Value: counter.Base, Class: crdt.ClassCounter}}}
	for _, p := range counter.Parts {
		change.Parts = append(change.Parts, crdt.ChangePart{Stamp: p.Stamp, Total: p.Total})
	}
	c.sent = append(c.sent, change)
	return change
}

func (c *chain) hear(at int, change crdt.Change) {
	c.sites[at] = crdt.Merge(c.sites[at], true, change, 1).Row
}

func (c *chain) version(at int) crdt.Version {
	c.time++
	return crdt.Version{Stamp: stampAt(c.time, causal.Site(2+at))}
}

// Every site's difference counts once, in any order and however often it arrives.
func TestDifferencesCountOnceInAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := &chain{sites: make([]crdt.Row, 4), base: 100}
		for at := range c.sites {
			c.sites[at].SetBase(0, integer(c.base))
		}
		site := rapid.IntRange(0, len(c.sites)-1)
		t.Repeat(map[string]func(*rapid.T){
			"count": func(t *rapid.T) {
				at, difference := site.Draw(t, "at"), rapid.Int64Range(-5, 5).Draw(t, "difference")
				counter, _ := c.sites[at].Counter(0)
				now := integer(counter.Sum().Int() + difference)
				if shows := c.sites[at].Count(0, now, c.version(at)); shows != now {
					t.Fatalf("shows %v instead of %v", shows, now)
				}
				c.sum += difference
			},
			"set": func(t *rapid.T) {
				at := site.Draw(t, "at")
				c.base = rapid.Int64Range(0, 1000).Draw(t, "base")
				c.sites[at].SetBase(0, integer(c.base))
				c.sites[at].Set(0, c.version(at))
			},
			"tell": func(t *rapid.T) { c.hear(site.Draw(t, "to"), c.say(site.Draw(t, "from"))) },
			"say":  func(t *rapid.T) { c.say(site.Draw(t, "at")) },
			"again": func(t *rapid.T) {
				if len(c.sent) > 0 {
					c.hear(site.Draw(t, "to"), rapid.SampledFrom(c.sent).Draw(t, "change"))
				}
			},
		})
		for from := range c.sites {
			c.say(from)
		}
		for at := range c.sites {
			for _, change := range rapid.Permutation(c.sent).Draw(t, "arriving") {
				c.hear(at, change)
			}
			if counter, _ := c.sites[at].Counter(0); counter.Sum() != integer(c.base+c.sum) {
				t.Fatalf("site %d shows %v, set to %d and counted %d: %+v", at, counter.Sum(), c.base, c.sum, counter)
			}
		}
	})
}

func TestBaseNotKnownIsFilledIn(t *testing.T) {
	birth := crdt.Version{Stamp: stampAt(10, 3)}
	part := crdt.ChangePart{Column: 1, Stamp: stampAt(20, 4), Total: integer(-3)}
	partAlone := crdt.Change{Birth: birth.Stamp, Parts: []crdt.ChangePart{part}}
	base := func(stamp hlc.Stamp, counter bool) crdt.Change {
		return crdt.Change{Birth: birth.Stamp, Registers: []crdt.Register{
			{Column: 1, Stamp: stamp, Value: integer(10), Class: classOf(counter)}}}
	}
	early := crdt.Merge(crdt.Row{}, false, partAlone, 5).Row
	cases := []struct {
		name    string
		change  crdt.Change
		want    crdt.Value
		changed bool
	}{
		{"the part again", partAlone, integer(-3), false},
		{"the version the row has", base(birth.Stamp, true), integer(7), true},
		{"a newer one", base(stampAt(30, 4), true), integer(7), true},
		{"an older one", base(stampAt(5, 4), true), integer(-3), false},
		{"a column that is no counter here", base(birth.Stamp, false), integer(-3), false},
		{"a base that is NULL", crdt.Change{Birth: birth.Stamp,
			Registers: []crdt.Register{{Column: 1, Stamp: birth.Stamp, Class: crdt.ClassCounter}}}, integer(-3), false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			out := crdt.Merge(early, true, c.change, 6)
			if counter, _ := out.Row.Counter(1); counter.Sum() != c.want || out.Changed != c.changed {
				t.Errorf("shows %v, changed %v; want %v, %v", counter.Sum(), out.Changed, c.want, c.changed)
			}
			if out.Counted != nil {
				t.Errorf("counted %v", out.Counted)
			}
		})
	}
}

// Another row of the same key has counters of its own.
func TestCountersBelongToOneBirth(t *testing.T) {
	old := crdt.Row{Birth: crdt.Version{Stamp: stampAt(10, 3)}}
	old.SetBase(1, integer(10))
	old.Count(1, integer(7), crdt.Version{Stamp: stampAt(20, 3)})
	anew := crdt.Change{Birth: stampAt(30, 4), Whole: true,
		Registers: []crdt.Register{{Column: 1, Stamp: stampAt(30, 4), Value: integer(50), Class: crdt.ClassCounter}},
		Parts: []crdt.ChangePart{{Column: 1, Stamp: stampAt(31, 4), Total: integer(-1)},
			{Column: 1, Stamp: stampAt(32, 5), Total: integer(-2)},
			{Column: 2, Stamp: stampAt(32, 5), Total: integer(9)}}}
	out := crdt.Merge(old, true, anew, 6)
	if c, _ := out.Row.Counter(1); c.Sum() != integer(47) || !slices.Equal(out.Counted, []crdt.Column{1, 2}) {
		t.Errorf("shows %v, counted %v", c.Sum(), out.Counted)
	}
	late := crdt.Change{Birth: stampAt(10, 3), Parts: []crdt.ChangePart{
		{Column: 1, Stamp: stampAt(40, 5), Total: integer(-4)}}}
	if again := crdt.Merge(out.Row, true, late, 7); again.Changed || again.Counted != nil || !again.Outlived {
		t.Errorf("counting in the former row: %+v", again)
	}
}

// classOf is the class of a column that is a counter, or is not.
func classOf(counter bool) crdt.ColumnClass {
	if counter {
		return crdt.ClassCounter
	}
	return crdt.ClassRegister
}
