package store

import "testing"

// A delta and own work that cross on the way: no reader at the node sees what only the hub can
// mend.

// A node leaves what refers to a value it has replaced.
func TestCrossingReplacedReference(t *testing.T) {
	c := newChain(t, `CREATE TABLE g(id TEXT PRIMARY KEY, code TEXT UNIQUE);
		CREATE TABLE u(id TEXT PRIMARY KEY, code TEXT REFERENCES g(code))`, nil, "a", "b")
	c.at("hub", "INSERT INTO g VALUES('4','c'); INSERT INTO u VALUES('4','c')")
	c.at("a", "INSERT INTO g VALUES('4','d')") // the later birth of the two: c is not what it is called at a
	c.down("a")
	c.expect("a", "PRAGMA foreign_key_check", "")
	c.settle()
	c.level()
	c.expectAll("SELECT code FROM u", "d") // the reference has followed
}

// A node leaves a new value of what its own work refers to.
func TestCrossingNewParentValue(t *testing.T) {
	for _, move := range []string{"UPDATE g SET code='d'", "REPLACE INTO g VALUES('4','d')"} {
		c := newChain(t, `CREATE TABLE g(id TEXT PRIMARY KEY, code TEXT UNIQUE);
			CREATE TABLE u(id TEXT PRIMARY KEY, code TEXT REFERENCES g(code)); INSERT INTO g VALUES('4','c')`, nil, "a", "b")
		c.at("a", "INSERT INTO u VALUES('4','c')")
		c.at("hub", move)
		c.down("a") // the hub does not know of the reference yet
		c.expect("a", "PRAGMA foreign_key_check", "")
		c.settle()
		c.level()
		c.expectAll("SELECT code FROM u", "d")
	}
}
