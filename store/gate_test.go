package store

import "testing"

// Whatever is written beside an application steps aside for it: see package sqlite. A connection that
// took the lock without asking would count nothing.
func TestWritesGoThroughGate(t *testing.T) {
	c := newChain(t, ordersSchema, nil, "varna")
	c.at("varna", "INSERT INTO ord VALUES('v',1)")
	c.level()
	c.must(c.hub.SetTable(Setting{Table: "note", Class: Synced}))
	for name, s := range map[string]*Store{"the hub": c.hub, "the node": c.nodes["varna"]} {
		if e := s.Entries(); e.AtOnce == 0 || e.Ungated > 0 || e.Forced > 0 {
			t.Errorf("%s: %+v", name, e)
		}
	}
	before := c.hub.Entries().AtOnce
	c.must(c.hub.Leave(true))
	if c.hub.Entries().AtOnce <= before {
		t.Error("leave took the file without asking")
	}
}
