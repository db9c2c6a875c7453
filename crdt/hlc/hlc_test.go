package hlc_test

import (
	"cmp"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"ravno/crdt/causal"
	"ravno/crdt/hlc"
)

// reading is the time of a millisecond and a counter.
func reading(millis int64, counter hlc.Time) hlc.Time { return hlc.At(millis) + counter }

// One clock walks down the table. Each line is a step at a physical time, with its result.
func TestClockFollowsAnyPhysicalClock(t *testing.T) {
	var (
		at1970 = time.Unix(0, 0).UnixMilli()
		at2026 = time.Date(2026, 3, 1, 7, 0, 0, 0, time.UTC).UnixMilli()
		at2038 = time.Date(2038, 1, 19, 3, 14, 7, 0, time.UTC).UnixMilli() // a 32-bit second count ends here
		at3000 = time.Date(3000, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()
	)
	var clock hlc.Clock
	tick := func(millis int64) func() hlc.Time { return func() hlc.Time { return clock.Tick(millis) } }
	follow := func(millis int64) func() hlc.Time { return func() hlc.Time { return clock.Follow(millis) } }
	observe := func(seen hlc.Time) func() hlc.Time {
		return func() hlc.Time { clock.Observe(seen); return clock.Last() }
	}
	ticks := func(n int, millis int64) func() hlc.Time {
		return func() (last hlc.Time) {
			for range n {
				last = clock.Tick(millis)
			}
			return last
		}
	}
	steps := []struct {
		name string
		step func() hlc.Time
		want hlc.Time
	}{
		{"a first write in 1970 is not the zero time", tick(at1970), reading(0, 1)},
		{"a clock before 1970 is taken for 1970", tick(-86_400_000), reading(0, 2)},
		{"the least clock there is", tick(math.MinInt64), reading(0, 3)},
		{"the clock is set to the truth", tick(at2026), reading(at2026, 0)},
		{"a tie", tick(at2026), reading(at2026, 1)},
		{"a further write of the transaction", follow(at2026), reading(at2026, 1)},
		{"and one a millisecond later", follow(at2026 + 1), reading(at2026+1, 0)},
		{"and one a millisecond earlier", follow(at2026), reading(at2026+1, 0)},
		{"the next transaction", tick(at2026 + 1), reading(at2026+1, 1)},
		{"the clock jumps back an hour", tick(at2026 - 3_600_000), reading(at2026+1, 2)},
		{"and stays behind", tick(at2026 - 3_599_999), reading(at2026+1, 3)},
		{"and jumps back to 1970", tick(at1970), reading(at2026+1, 4)},
		{"and catches up", tick(at2026 + 2), reading(at2026+2, 0)},
		{"70,000 writes in one millisecond carry into the next", ticks(70_000, at2026+2), reading(at2026+3, 70_000-65_536)},
		{"whose own writes come after", tick(at2026 + 3), reading(at2026+3, 70_000-65_536+1)},
		{"something older is received", observe(reading(at2026, 9)), reading(at2026+3, 70_000-65_536+1)},
		{"something newer is received", observe(reading(at2026+9, 65_535)), reading(at2026+9, 65_535)},
		{"a write after it", tick(at2026 + 4), reading(at2026+10, 0)},
		{"a write with it, of one transaction", follow(at2026 + 4), reading(at2026+10, 0)},
		{"the last 32-bit second", tick(at2038), reading(at2038, 0)},
		{"the second after it", tick(at2038 + 1000), reading(at2038+1000, 0)},
		{"a far future", tick(at3000), reading(at3000, 0)},
		{"back from the far future", tick(at2026), reading(at3000, 1)},
		{"past the last millisecond", tick(hlc.MaxMillis + 1), reading(hlc.MaxMillis, 0)},
		{"the greatest clock there is", tick(math.MaxInt64), reading(hlc.MaxMillis, 1)},
	}
	for _, s := range steps {
		if got := s.step(); got != s.want || clock.Last() != s.want {
			t.Fatalf("%s: %v (the clock says %v), want %v", s.name, got, clock.Last(), s.want)
		}
	}
}

func TestTimeHoldsItsMillisecond(t *testing.T) {
	cases := []struct {
		millis, held int64
		wall         string
	}{
		{math.MinInt64, 0, "1970-01-01T00:00:00Z"},
		{-1, 0, "1970-01-01T00:00:00Z"},
		{0, 0, "1970-01-01T00:00:00Z"},
		{1, 1, "1970-01-01T00:00:00.001Z"},
		{1<<31*1000 - 1, 1<<31*1000 - 1, "2038-01-19T03:14:07.999Z"},
		{1 << 31 * 1000, 1 << 31 * 1000, "2038-01-19T03:14:08Z"},
		{hlc.MaxMillis, hlc.MaxMillis, "10889-08-02T05:31:50.655Z"},
		{hlc.MaxMillis + 1, hlc.MaxMillis, "10889-08-02T05:31:50.655Z"},
		{math.MaxInt64, hlc.MaxMillis, "10889-08-02T05:31:50.655Z"},
	}
	for _, c := range cases {
		at := hlc.At(c.millis)
		if at.Millis() != c.held || at.Counter() != 0 || at.Wall().Format(time.RFC3339Nano) != c.wall {
			t.Errorf("%d is held as %v, %s; want %d, %s", c.millis, at, at.Wall().Format(time.RFC3339Nano), c.held, c.wall)
		}
		if last := at + 65_535; last.Millis() != c.held || last.Counter() != 65_535 {
			t.Errorf("the last time of %d is %v", c.held, last)
		}
	}
}

func TestStampsOrderedByTimeThenSite(t *testing.T) {
	ascending := []hlc.Stamp{
		{},
		{Time: 0, Site: 1},
		{Time: 1, Site: 0},
		{Time: 1, Site: 2},
		{Time: 1, Site: 1<<32 - 1},
		{Time: reading(0, 65_535), Site: 1},
		{Time: reading(1, 0), Site: 1},
		{Time: 1<<64 - 1, Site: 1},
	}
	for i, a := range ascending {
		if a.IsZero() != (i == 0) {
			t.Errorf("%v is zero: %v", a, a.IsZero())
		}
		for j, b := range ascending {
			if got, want := a.Compare(b), cmp.Compare(i, j); got != want {
				t.Errorf("%v compared with %v is %d, want %d", a, b, got, want)
			}
			if a.After(b) != (i > j) {
				t.Errorf("%v after %v: %v", a, b, a.After(b))
			}
		}
	}
}

func TestStampWrittenAsTimeAndSite(t *testing.T) {
	if got := (hlc.Stamp{Time: reading(1234, 5), Site: causal.Hub}).String(); got != "1234.5@1" {
		t.Errorf("got %s", got)
	}
}

// With any physical clock and any arrivals, a write is later than everything before it. A further write
// of its transaction is not earlier, and none is behind the physical time.
func TestClockOnlyGoesForward(t *testing.T) {
	// The last milliseconds are left out: the hub parks the future long before them.
	const greatest = hlc.MaxMillis - 1
	millis := rapid.OneOf(rapid.Int64Range(-5, 5), rapid.Int64Range(math.MinInt64, greatest))
	rapid.Check(t, func(t *rapid.T) {
		clock := hlc.NewClock(hlc.At(rapid.Int64Range(0, greatest).Draw(t, "resumed at")))
		for range rapid.IntRange(1, 50).Draw(t, "steps") {
			before := clock.Last()
			switch rapid.SampledFrom([]string{"tick", "follow", "observe"}).Draw(t, "step") {
			case "tick":
				at := millis.Draw(t, "at")
				if got := clock.Tick(at); got <= before || got < hlc.At(at) || got != clock.Last() {
					t.Fatalf("tick at %d gave %v after %v", at, got, before)
				}
			case "follow":
				at := millis.Draw(t, "at")
				if got := clock.Follow(at); got < before || got < hlc.At(at) || got != clock.Last() {
					t.Fatalf("follow at %d gave %v after %v", at, got, before)
				}
			case "observe":
				seen := hlc.Time(rapid.Uint64Range(0, uint64(hlc.At(greatest))).Draw(t, "seen"))
				clock.Observe(seen)
				if clock.Last() != max(before, seen) {
					t.Fatalf("observing %v at %v gave %v", seen, before, clock.Last())
				}
				if copied := clock; copied.Tick(0) <= seen {
					t.Fatalf("a write after observing %v is not later", seen)
				}
			}
		}
	})
}

// A clock is a value. After a rollback the one from before the transaction counts.
func TestClockRollsBackAsValue(t *testing.T) {
	clock := hlc.NewClock(reading(5, 0))
	before := clock
	clock.Tick(9)
	clock.Observe(reading(99, 0))
	if before.Last() != reading(5, 0) || before.Tick(5) != reading(5, 1) {
		t.Errorf("the clock from before is at %v", before.Last())
	}
}
