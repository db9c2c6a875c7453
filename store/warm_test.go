package store

import (
	"testing"
	"time"
)

// A disk that is slow is read before the application is kept out, and only then.
func TestSlowDiskIsReadBeforeTheLock(t *testing.T) {
	for name, c := range map[string]struct {
		took   time.Duration // for the 256 rows of the last slice
		warmed int
	}{"a disk": {time.Second, 1}, "memory": {2 * time.Millisecond, 0}} {
		ch := newChain(t, ordersSchema, nil, "varna")
		ch.at("varna", "INSERT INTO ord VALUES('v',1)")
		ch.level()
		ch.hub.turn.changes = leastSlice
		ch.hub.turn.took(ch.now, ch.now.Add(c.took))
		ch.at("varna", "UPDATE ord SET total=2")
		if ch.up("varna"); ch.hub.turn.warmed != c.warmed {
			t.Errorf("%s: %d rows were read before", name, ch.hub.turn.warmed)
		}
		ch.level()
		ch.expect("hub", "SELECT total FROM ord", "2")
	}
}
