package store

import (
	"context"
	"testing"
)

// forget lets the hub find out what is settled, tells the nodes, and lets those of them all forget
// it whose bits are set: the hub's is the first.
func (c *chain) forget(who int) {
	c.t.Helper()
	c.must(c.hub.Settle())
	for i, name := range append([]string{"hub"}, c.names()...) {
		if who>>i&1 == 0 {
			continue
		}
		s := c.store(name)
		if name != "hub" {
			self, err := s.Self()
			c.must(err)
			peer, _, err := c.hub.Peer(self.Site)
			c.must(err)
			_, err = s.Settled(peer.Settled)
			c.must(err)
		}
		c.must(s.Forget(context.Background()))
	}
}

const everybody = 1<<31 - 1

// remembers is how many rows of a table a site has a shadow of.
func (c *chain) remembers(site, table string) string {
	return c.rows(site, "SELECT count(*) FROM "+c.shadowOf(site, table))
}

func (c *chain) shadowOf(site, table string) string {
	return "ravno_shadow_" + c.rows(site, "SELECT number FROM ravno_table WHERE name='"+table+"'")
}

func TestWhatEverybodyHasIsForgotten(t *testing.T) {
	c := newChain(t, documents, nil, "a", "b")
	c.level()
	c.at("a", "INSERT INTO d VALUES(10,'a'); INSERT INTO l VALUES(10,10,'a'),(11,10,'a'); UPDATE d SET a='a' WHERE id=1; DELETE FROM l WHERE id=2")
	c.level()
	c.forget(everybody)
	for _, site := range []string{"hub", "a", "b"} {
		for _, table := range []string{"d", "l"} {
			if n := c.remembers(site, table); n != "0" {
				t.Errorf("%s remembers %s rows of %s", site, n, table)
			}
		}
		c.expect(site, "SELECT count(*) FROM ravno_image", "0")
	}
	c.at("b", "UPDATE l SET x='b' WHERE id=10; DELETE FROM l WHERE id=11; INSERT INTO l VALUES(2,10,'anew')")
	c.at("hub", "UPDATE d SET a='hub' WHERE id=10")
	c.level()
	c.expectAll("SELECT * FROM l", "1|1|x\n2|10|anew\n10|10|b")
	c.expectAll("SELECT a FROM d WHERE id=10", "hub")
}
