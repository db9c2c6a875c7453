package causal_test

import (
	"testing"

	"pgregory.net/rapid"

	"ravno/crdt/causal"
)

func TestConcurrentIsUnseenOfOtherSites(t *testing.T) {
	cases := []struct {
		name          string
		author, other causal.Site
		seen          causal.Seen
		at            causal.Position
		want          bool
	}{
		{"committed after what the author had seen", 2, 3, 4, 5, true},
		{"the very last thing the author had seen", 2, 3, 5, 5, false},
		{"committed before what the author had seen", 2, 3, 6, 5, false},
		{"an author who had seen nothing", 2, 3, 0, 1, true},
		{"the state before the hub's first commit", 2, 3, 0, 0, false},
		{"the same site, seen", 2, 2, 6, 5, false},
		{"the same site, by its number of the hub not seen", 2, 2, 4, 5, false},
		{"the hub's own commit, not seen", 2, causal.Hub, 4, 5, true},
		{"the hub's own commit, seen", 2, causal.Hub, 5, 5, false},
		{"the hub and a node's commit: it has seen what it committed", causal.Hub, 2, 5, 5, false},
		{"a row from before ravno", 2, 0, 0, 0, false},
		{"the last position there can be", 2, 3, 1<<64 - 2, 1<<64 - 1, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := causal.Concurrent(c.author, c.other, c.seen, c.at); got != c.want {
				t.Errorf("Concurrent(%v, %v, %d, %d) = %v", c.author, c.other, c.seen, c.at, got)
			}
		})
	}
}

// An author who has seen more is in conflict with less.
func TestConcurrentNeverBySeeingMore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		author, other := causal.Site(rapid.Uint32().Draw(t, "author")), causal.Site(rapid.Uint32().Draw(t, "other"))
		less := causal.Seen(rapid.Uint64().Draw(t, "less"))
		more := causal.Seen(rapid.Uint64Min(uint64(less)).Draw(t, "more"))
		at := causal.Position(rapid.Uint64().Draw(t, "at"))
		if causal.Concurrent(author, other, more, at) && !causal.Concurrent(author, other, less, at) {
			t.Fatal("concurrent only after seeing more")
		}
	})
}

func TestIncarnationZeroUntilDrawn(t *testing.T) {
	if !(causal.Incarnation{}).IsZero() {
		t.Error("the zero incarnation is not zero")
	}
	for i := range len(causal.Incarnation{}) {
		var drawn causal.Incarnation
		drawn[i] = 1
		if drawn.IsZero() {
			t.Errorf("an incarnation with byte %d set is zero", i)
		}
	}
}

func TestSiteWrittenAsItsNumber(t *testing.T) {
	if got := causal.Site(1<<32 - 1).String(); got != "4294967295" {
		t.Errorf("got %s", got)
	}
}
