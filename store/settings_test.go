package store

import (
	"ravno/store/internal/catalog"
	"ravno/store/internal/history"
	"testing"

	"ravno/crdt"
	"ravno/crdt/hlc"
)

// A setting holds at the nodes when it arrives.
func TestSettingHoldsOnArrival(t *testing.T) {
	c := newChain(t, "CREATE TABLE s(id INTEGER PRIMARY KEY, v TEXT)", nil, "a")
	c.must(c.hub.SetTable(catalog.Setting{Table: "s", Class: catalog.Local}))
	c.settle()
	c.expect("a", "SELECT class FROM ravno_setting", "local") // it arrived
	c.at("a", "INSERT INTO s VALUES(1,'mine')")
	_, err := c.nodes["a"].Fold()
	c.must(err)
	self, _ := c.nodes["a"].Self()
	delta, n := c.collect(c.nodes["a"], 0, self.HubHave)
	if _, err := c.hub.ApplyFromNode(self.Site, delta, 0); n > 0 && err != nil {
		t.Errorf("a still captures the table, and its link ends each time: %v", err)
	}
}

// A node cannot revoke another.
func TestNodeCannotRevoke(t *testing.T) {
	c := newChain(t, "CREATE TABLE p(id INTEGER PRIMARY KEY)", nil, "a", "b")
	key := crdt.NewKey(crdt.IntegerValue(3))
	var birth hlc.Stamp
	_, _, err := c.hub.Outgoing(3, 0, 0, func(_ history.Span, s *crdt.Section) error {
		for _, x := range s.Changes {
			if s.Table == "ravno_site" && x.Key == key {
				birth = x.Birth
			}
		}
		return nil
	})
	c.must(err)
	err = c.forge("ravno_site", []string{"site"}, []string{"site", "name", "role", "removed"},
		crdt.Change{Key: key, Birth: birth,
			Registers: []crdt.Register{{Column: 3, Stamp: hlc.Stamp{Time: 1 << 62, Site: 2}, Value: crdt.IntegerValue(1)}}})
	peers, _ := c.hub.Peers()
	for _, p := range peers {
		if p.Removed {
			t.Errorf("node a removed site %d (error %v)", p.Site, err)
		}
	}
}

// A node cannot change the hubs settings.
func TestNodeCannotChangeSettings(t *testing.T) {
	c := newChain(t, "CREATE TABLE secret(id INTEGER PRIMARY KEY, v TEXT)",
		[]catalog.Setting{{Table: "secret", Class: catalog.Local}}, "a")
	err := c.forge("ravno_setting", []string{"tab"}, []string{"tab", "class", "document", "counters"},
		crdt.Change{Key: crdt.NewKey(crdt.TextValue("secret")),
			Registers: []crdt.Register{{Column: 1, Stamp: hlc.Stamp{Time: 1 << 62, Site: 2}, Value: crdt.TextValue("synced")}}})
	t.Log(err)
	c.expect("hub", "SELECT class FROM ravno_setting", "local")
}

// A node cannot forge a birth of another.
func TestNodeCannotForgeBirth(t *testing.T) {
	c := newChain(t, "CREATE TABLE p(id INTEGER PRIMARY KEY, m TEXT); INSERT INTO p VALUES(1,'x')", nil, "a", "b")
	err := c.forge("p", []string{"id"}, []string{"id", "m"},
		crdt.Change{Key: crdt.NewKey(crdt.IntegerValue(1)), Whole: true, Birth: hlc.Stamp{Time: 1 << 60, Site: 3}})
	t.Log(err)
	c.at("b", "UPDATE p SET m='honest'")
	c.up("b")
	c.expect("hub", "SELECT m FROM p", "honest")
}
