package status

import (
	"math"
	"strings"
	"testing"
	"time"
)

// healthy is a server with nothing wrong; the rows of the truth table break it.
func healthy(breaks ...func(*Facts)) Facts {
	f := Facts{Known: true, LinkUp: true, LinkSince: twoPastTwo, ClockLimit: 30 * time.Second}
	for _, breaking := range breaks {
		breaking(&f)
	}
	return f
}

// twoPastTwo is 14:02 in Sofia.
var twoPastTwo = time.Date(2026, 3, 1, 12, 2, 0, 0, time.UTC)

var sofia = time.FixedZone("EET", 2*60*60)

// What can be wrong with a server, in the order of precedence, each with what is then said.
var wrongs = []struct {
	cause Cause
	does  func(*Facts)
	says  string
}{
	{Revoked, func(f *Facts) { f.Revoked = true }, "revoked: the hub refuses this server"},
	{Identity, func(f *Facts) { f.IdentityTrouble = "restored from a backup." }, "restored from a backup"},
	{Disk, func(f *Facts) { f.DiskTrouble = "disk full: 0 bytes free" }, "disk full: 0 bytes free"},
	{NoLink, func(f *Facts) { f.LinkUp, f.LinkTrouble = false, "hub unreachable" },
		"no link since 2026-03-01 14:02 EET: hub unreachable"},
	{Clock, func(f *Facts) { f.ClockOffset = -200 * time.Second }, "clock is 3m20s behind the hub's (limit 30s)"},
	{Schema, func(f *Facts) { f.SchemaDifference = "orders lacks column tip" }, "schema differs: orders lacks column tip"},
	{Parked, func(f *Facts) { f.Parked = 7 }, "7 changes parked"},
	{Error, func(f *Facts) { f.OtherTrouble = "fold failed:\n\tout of memory" }, "fold failed: out of memory"},
	{Conflict, func(f *Facts) { f.Conflicts, f.ConflictAbout = 1, "orders changed on two sides" },
		"orders changed on two sides: 1 conflict open"},
}

func wrong(cause Cause) func(*Facts) {
	for _, w := range wrongs {
		if w.cause == cause {
			return w.does
		}
	}
	panic("no such cause: " + cause)
}

func TestJudgeTruthTable(t *testing.T) {
	pending := func(out, in int64) func(*Facts) {
		return func(f *Facts) { f.PendingOut, f.PendingIn = out, in }
	}
	unknown := func(f *Facts) { f.Known, f.LinkUp = false, false }
	cases := []struct {
		when  string
		facts Facts
		want  Verdict
	}{
		{"nothing at all is known", Facts{}, Verdict{Grey, "", "not known: no link to the hub yet"}},
		{"all is well", healthy(), Verdict{Green, "", ""}},

		{"120 changes are on their way", healthy(pending(100, 20)), Verdict{Grey, "", "transferring: 120 changes to go"}},
		{"one change is on its way out", healthy(pending(1, 0)), Verdict{Grey, "", "transferring: 1 change to go"}},
		{"one change is on its way in", healthy(pending(0, 1)), Verdict{Grey, "", "transferring: 1 change to go"}},
		{"more is on its way than can be counted", healthy(pending(math.MaxInt64, 2)),
			Verdict{Grey, "", "transferring: 9223372036854775807 changes to go"}},

		{"it is revoked", healthy(wrong(Revoked)), Verdict{Red, Revoked,
			"revoked: the hub refuses this server. Try: ravno node add at the hub, then ravno join on this server"}},
		{"it was restored", healthy(wrong(Identity)), Verdict{Red, Identity, "restored from a backup"}},
		{"its disk is full", healthy(wrong(Disk)), Verdict{Red, Disk, "disk full: 0 bytes free"}},
		{"its link is down", healthy(wrong(NoLink)),
			Verdict{Red, NoLink, "no link since 2026-03-01 14:02 EET: hub unreachable"}},
		{"its link is down and nobody knows why", healthy(func(f *Facts) { f.LinkUp = false }),
			Verdict{Red, NoLink, "no link since 2026-03-01 14:02 EET"}},
		{"it never had a link", healthy(func(f *Facts) { f.LinkUp, f.LinkSince = false, time.Time{} }),
			Verdict{Red, NoLink, "no link yet"}},
		{"its clock is behind", healthy(wrong(Clock)), Verdict{Red, Clock,
			"clock is 3m20s behind the hub's (limit 30s). Try: synchronise its clock"}},
		{"its clock is ahead", healthy(func(f *Facts) { f.ClockOffset = 31500 * time.Millisecond }), Verdict{Red, Clock,
			"clock is 31.5s ahead of the hub's (limit 30s). Try: synchronise its clock"}},
		{"its clock is just within the limit", healthy(func(f *Facts) { f.ClockOffset = -30 * time.Second }),
			Verdict{Green, "", ""}},
		{"its clock is not judged", healthy(func(f *Facts) { f.ClockOffset, f.ClockLimit = time.Hour, 0 }),
			Verdict{Green, "", ""}},
		{"its schema differs", healthy(wrong(Schema)), Verdict{Red, Schema, "schema differs: orders lacks column tip"}},
		{"changes are parked", healthy(wrong(Parked)), Verdict{Red, Parked, "7 changes parked"}},
		{"something else failed", healthy(wrong(Error)), Verdict{Red, Error, "fold failed: out of memory"}},
		{"a conflict is open", healthy(wrong(Conflict)), Verdict{Red, Conflict,
			"orders changed on two sides: 1 conflict open. Try: ravno conflict list"}},
		{"two conflicts are open", healthy(func(f *Facts) { f.Conflicts = 2 }), Verdict{Red, Conflict,
			"2 conflicts open. Try: ravno conflict list"}},

		{"the link is down and a conflict is open", healthy(wrong(NoLink), wrong(Conflict)), Verdict{Red, NoLink,
			"no link since 2026-03-01 14:02 EET: hub unreachable; also: orders changed on two sides: 1 conflict open"}},
		{"the link is down and changes wait", healthy(wrong(NoLink), pending(5, 0)), Verdict{Red, NoLink,
			"no link since 2026-03-01 14:02 EET: hub unreachable"}},
		{"a conflict is open and changes are on their way", healthy(wrong(Conflict), pending(5, 0)), Verdict{Red, Conflict,
			"orders changed on two sides: 1 conflict open. Try: ravno conflict list"}},
		{"a wrong clock has parked changes", healthy(wrong(Clock), wrong(Parked)), Verdict{Red, Clock,
			"clock is 3m20s behind the hub's (limit 30s); also: 7 changes parked. Try: synchronise its clock"}},

		{"the observer is cut off", healthy(unknown),
			Verdict{Grey, "", "not known: no link to the hub since 2026-03-01 14:02 EET"}},
		{"the observer is cut off and its last status was bad", healthy(unknown, wrong(Disk), wrong(Clock), pending(5, 5)),
			Verdict{Grey, "", "not known: no link to the hub since 2026-03-01 14:02 EET"}},
		{"the observer is cut off and holds a conflict", healthy(unknown, wrong(Conflict)), Verdict{Red, Conflict,
			"orders changed on two sides: 1 conflict open. Try: ravno conflict list"}},
	}
	for _, c := range cases {
		if got := Judge(c.facts, sofia); got != c.want {
			t.Errorf("when %s:\n got %+v\nwant %+v", c.when, got, c.want)
		}
	}
}

// All 2^9 sets of what can be wrong, each with and without pending changes.
func TestJudgeNamesFirstCauseHidesNone(t *testing.T) {
	for set := range 1 << len(wrongs) {
		facts := healthy()
		var first Cause
		for i, w := range wrongs {
			if set&(1<<i) != 0 {
				w.does(&facts)
				if first == NoCause {
					first = w.cause
				}
			}
		}
		for _, pending := range []int64{0, 3} {
			facts.PendingIn = pending
			verdict := Judge(facts, sofia)
			if verdict.Cause != first {
				t.Fatalf("%+v: cause %q, want %q", facts, verdict.Cause, first)
			}
			if (verdict.State == Red) != (set != 0) || (verdict.State == Green) != (set == 0 && pending == 0) {
				t.Fatalf("%+v: state %q", facts, verdict.State)
			}
			for i, w := range wrongs {
				if mentioned := strings.Contains(verdict.CauseText, w.says); mentioned != (set&(1<<i) != 0) {
					t.Fatalf("%+v: text %q, mentions %q: %v", facts, verdict.CauseText, w.says, mentioned)
				}
			}
		}
	}
}

func TestLongTextsAreBounded(t *testing.T) {
	verdict := Judge(healthy(func(f *Facts) { f.DiskTrouble = strings.Repeat("й", 10_000) }), nil)
	if want := strings.Repeat("й", maxGivenText-1) + "…"; verdict.CauseText != want {
		t.Errorf("text of %d bytes, want %d", len(verdict.CauseText), len(want))
	}
}

func TestTimesAreInUTCWithoutALocation(t *testing.T) {
	verdict := Judge(healthy(func(f *Facts) { f.LinkUp = false }), nil)
	if want := "no link since 2026-03-01 12:02 UTC"; verdict.CauseText != want {
		t.Errorf("got %q, want %q", verdict.CauseText, want)
	}
}
