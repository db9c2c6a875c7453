package status

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite the golden files in testdata")

// golden compares with testdata/name, or rewrites it with -update.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (go test -update writes it)", err)
	}
	if got != string(want) {
		t.Errorf("differs from %s (go test -update rewrites it):\n%s", path, got)
	}
}

// clockOf is a moment on the day of the examples, in Sofia.
func clockOf(hour, minute int) time.Time {
	return time.Date(2026, 3, 1, hour, minute, 30, 250e6, sofia)
}

// judged is a server whose colour follows from facts.
func judged(server Server, facts Facts) Server {
	verdict := Judge(facts, sofia)
	server.State, server.Cause, server.CauseText = verdict.State, verdict.Cause, verdict.CauseText
	server.PendingOut, server.PendingIn, server.Conflicts = facts.PendingOut, facts.PendingIn, facts.Conflicts
	server.ClockOffsetMS = facts.ClockOffset.Milliseconds()
	return server
}

// chain is a hub and five nodes, as the hub sees them.
func chain() Snapshot {
	return Snapshot{
		Site: "centrala", Role: "hub", Hub: "centrala", At: clockOf(15, 30), Daemon: true,
		Servers: []Server{
			judged(Server{Name: "centrala", Role: "hub", Since: clockOf(8, 0), LastTransfer: clockOf(15, 29),
				Version: "1.2.0"}, healthy()),
			judged(Server{Name: "Ресторант Витоша", Role: "node", Since: clockOf(9, 15), LastTransfer: clockOf(15, 29),
				Version: "1.2.0"}, healthy(func(f *Facts) { f.ClockOffset = 3 * time.Millisecond })),
			judged(Server{Name: "Пловдив", Role: "node", Since: clockOf(14, 2), LastTransfer: clockOf(14, 1),
				Version: "1.2.0"}, healthy(wrong(NoLink), wrong(Conflict), func(f *Facts) { f.PendingIn = 1834 })),
			judged(Server{Name: "складъ-2", Role: "node", Since: clockOf(15, 28), LastTransfer: clockOf(15, 30),
				Version: "1.1.9"}, healthy(func(f *Facts) { f.PendingOut, f.PendingIn = 100, 20 })),
			judged(Server{Name: "北京", Role: "node", Since: clockOf(13, 0), LastTransfer: clockOf(15, 12),
				Version: "1.2.0"}, healthy(wrong(Conflict))),
			judged(Server{Name: "new-shop", Role: "node"},
				healthy(func(f *Facts) { f.LinkUp, f.LinkSince = false, time.Time{} })),
		},
		Notices: []string{"node token for new-shop expires at 16:00", "certificate of Пловдив ends in 12 days"},
	}
}

// levelPair is the smallest organisation on a good day, seen from its node.
func levelPair() Snapshot {
	return Snapshot{
		Site: "shop-1", Role: "node", Hub: "centrala", At: clockOf(15, 30), Daemon: true,
		Servers: []Server{
			{Name: "centrala", Role: "hub", State: Green, Since: clockOf(8, 0), LastTransfer: clockOf(15, 29), Version: "1.2.0"},
			{Name: "shop-1", Role: "node", State: Green, Since: clockOf(8, 0), LastTransfer: clockOf(15, 29), Version: "1.2.0"},
		},
	}
}

// cutOff is what a node sees when its link is down: the hub is out of reach, and of the others nothing is known.
func cutOff() Snapshot {
	s := levelPair()
	unknown := healthy(func(f *Facts) { f.Known, f.LinkUp = false, false })
	s.Servers = []Server{
		judged(Server{Name: "centrala", Role: "hub", Since: clockOf(14, 2), LastTransfer: clockOf(14, 1)},
			healthy(wrong(NoLink), func(f *Facts) { f.PendingIn = 12 })),
		judged(Server{Name: "shop-2", Role: "node", Since: clockOf(14, 2), LastTransfer: clockOf(14, 0)}, unknown),
		judged(Server{Name: "shop-1", Role: "node", Since: clockOf(14, 2), LastTransfer: clockOf(14, 1)},
			healthy(wrong(NoLink), func(f *Facts) { f.PendingOut = 12 })),
	}
	s.Daemon = false
	return s
}

const hostileName = "\x1b]0;owned\x07\x1b[2Jевил\u009b31m\u202e\n<script>alert('\"&1')</script>\xff\U000e0041"

// hostile is a chain in which every text was written by somebody who means harm.
func hostile() Snapshot {
	return Snapshot{
		Site: hostileName, Role: hostileName, Hub: "hub" + hostileName, At: clockOf(15, 30), Daemon: true,
		Servers: []Server{{Name: hostileName, Role: hostileName, State: Red, Cause: Cause(hostileName),
			CauseText: hostileName, Version: hostileName}},
		Notices: []string{hostileName},
	}
}

func draw(t *testing.T, drawing func(*strings.Builder) error) string {
	t.Helper()
	var out strings.Builder
	if err := drawing(&out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func tableOf(t *testing.T, s Snapshot, o TableOptions) string {
	t.Helper()
	return draw(t, func(out *strings.Builder) error { return Table(out, s, o) })
}

func pageOf(t *testing.T, s Snapshot, o PageOptions) string {
	t.Helper()
	return draw(t, func(out *strings.Builder) error { return Page(out, s, o) })
}

func jsonOf(t *testing.T, s Snapshot) string {
	t.Helper()
	return draw(t, func(out *strings.Builder) error { return Encode(out, s) })
}

func TestSnapshotAsPeopleAndScriptsSeeIt(t *testing.T) {
	page := PageOptions{Location: sofia, Refresh: DefaultRefresh}
	golden(t, "chain.txt", tableOf(t, chain(), TableOptions{Location: sofia}))
	golden(t, "chain_width_100.txt", tableOf(t, chain(), TableOptions{Location: sofia, Width: 100}))
	golden(t, "chain_width_60.txt", tableOf(t, chain(), TableOptions{Location: sofia, Width: 60}))
	golden(t, "chain_color.txt", tableOf(t, chain(), TableOptions{Location: sofia, Color: true}))
	golden(t, "chain.json", jsonOf(t, chain()))
	golden(t, "chain.html", pageOf(t, chain(), page))
	golden(t, "cut_off.txt", tableOf(t, cutOff(), TableOptions{Location: sofia, Width: 80}))
	golden(t, "level.txt", tableOf(t, levelPair(), TableOptions{Location: sofia}))
	golden(t, "level.html", pageOf(t, levelPair(), page))
	golden(t, "hostile.txt", tableOf(t, hostile(), TableOptions{Location: sofia}))
	golden(t, "hostile.json", jsonOf(t, hostile()))
	golden(t, "hostile.html", pageOf(t, hostile(), page))
}
