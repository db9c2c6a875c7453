package store

import (
	"ravno/store/internal/resolve"
	"testing"

	"ravno/crdt"
)

// Two decisions at once are merged and open no other conflict.
func TestDecisionsAtOnceOpenNoConflict(t *testing.T) {
	for _, first := range []string{"a", "b"} {
		c := newChain(t, "CREATE TABLE p(id INTEGER PRIMARY KEY, name TEXT, price INT); INSERT INTO p VALUES(1,'soup',4)",
			nil, "a", "b")
		c.at("a", "UPDATE p SET name='stew', price=5")
		c.at("b", "UPDATE p SET name='broth', price=6")
		c.level()
		id := c.open("a")[0].ID
		for _, site := range []string{"a", "b"} { // b decides a second later
			c.now = c.now.Add(1e9)
			_, err := c.store(site).Resolve(id, resolve.Resolution{
				Set: map[string]crdt.Value{"name": crdt.TextValue("by " + site)}, By: site})
			c.must(err)
		}
		c.up(first)
		c.level()
		c.expect("hub", "SELECT name FROM p", "by b")
		all, err := c.hub.Conflicts(true)
		c.must(err)
		if len(all) != 1 || all[0].Open || all[0].ResolvedBy != "b" {
			t.Errorf("first %s: %+v", first, all)
		}
	}
}
