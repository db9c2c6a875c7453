package store

import "testing"

// A delta with an orphan is taken while other columns of the parents table are written.
func TestCrossingOrphanBesideOtherColumns(t *testing.T) {
	c := newChain(t, `CREATE TABLE g(id TEXT PRIMARY KEY, code TEXT UNIQUE, stock INT);
		CREATE TABLE u(id TEXT PRIMARY KEY, code TEXT REFERENCES g(code)); INSERT INTO g VALUES('1','a',0)`, nil, "a")
	c.at("hub", "PRAGMA foreign_keys=OFF; INSERT INTO u VALUES('1','nowhere')")
	c.at("a", "UPDATE g SET stock=stock+1")
	c.up("a")
	c.at("a", "UPDATE g SET stock=stock+1") // before the hub's answer is here
	_, err := c.hub.Fold()
	c.must(err)
	self, err := c.nodes["a"].Self()
	c.must(err)
	delta, _ := c.collect(c.hub, self.Site, self.Seen)
	_, err = c.nodes["a"].ApplyFromHub(delta)
	c.must(err)
}
