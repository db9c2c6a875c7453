package store

import (
	"testing"
)

// A row of a node that is not upgraded yet gets the new columns default.
func TestNewColumnDefaultOfOldNode(t *testing.T) {
	c := newChain(t, "CREATE TABLE p(id INTEGER PRIMARY KEY, n INT)", nil, "a", "b")
	for _, s := range []string{"hub", "b"} {
		c.at(s, "ALTER TABLE p ADD COLUMN c TEXT DEFAULT 'd'")
	}
	c.at("a", "INSERT INTO p VALUES(2,2)") // a is upgraded an hour later
	c.settle()
	c.at("a", "ALTER TABLE p ADD COLUMN c TEXT DEFAULT 'd'")
	c.settle()
	c.level()
}

// A column added and filled in one transaction levels.
func TestColumnAddedAndFilledLevels(t *testing.T) {
	c := newChain(t, "CREATE TABLE p(id INTEGER PRIMARY KEY, n INT); INSERT INTO p VALUES(1,1)", nil, "a")
	c.level()
	c.at("hub", "ALTER TABLE p ADD COLUMN x INT")
	c.at("a", "BEGIN; ALTER TABLE p ADD COLUMN x INT; UPDATE p SET x=1; COMMIT")
	c.settle()
	c.level()
}

// Rows of a table made and filled in one transaction level.
func TestTableMadeAndFilledLevels(t *testing.T) {
	c := newChain(t, "CREATE TABLE p(id INTEGER PRIMARY KEY)", nil, "a", "b")
	const create = "CREATE TABLE s(id INTEGER PRIMARY KEY, v TEXT)"
	c.at("a", create)
	c.at("b", create)
	c.at("hub", "BEGIN; "+create+"; INSERT INTO s VALUES(1,'seed'); COMMIT")
	c.settle()
	c.at("hub", "INSERT INTO s VALUES(2,'later')")
	c.settle()
	c.level()
	c.expect("a", "SELECT v FROM s", "seed\nlater")
}

// The same migration run at every server is no conflict.
func TestMigrationEverywhereNoConflict(t *testing.T) {
	c := newChain(t, "CREATE TABLE p(id INTEGER PRIMARY KEY)", nil, "a", "b")
	for _, site := range []string{"hub", "a", "b"} {
		c.at(site, "BEGIN; CREATE TABLE s(id INTEGER PRIMARY KEY, v TEXT); INSERT INTO s VALUES(1,'seed'); ALTER TABLE p "+
			"ADD COLUMN x DEFAULT 5; COMMIT")
	}
	c.settle()
	c.level()
	if open := c.open("hub"); len(open) != 0 {
		t.Errorf("%d conflicts: %+v", len(open), open)
	}
}

// A migration makes a table and fills it, and nobody writes anything else. The rows count as pending and
// travel at once: their position is in the state, not only in their shadows.
func TestMigrationAloneIsPending(t *testing.T) {
	c := newChain(t, "CREATE TABLE p(id INTEGER PRIMARY KEY)", nil, "a")
	c.level()
	before, err := c.hub.Self()
	c.must(err)
	const create = "CREATE TABLE s(id INTEGER PRIMARY KEY, v TEXT)"
	c.at("a", create)
	c.at("hub", "BEGIN; "+create+"; INSERT INTO s VALUES(1,'seed'); COMMIT")
	_, position, err := c.hub.FoldTo(t.Context())
	c.must(err)
	if position <= before.Position {
		t.Errorf("the hub is at position %d, as it was before the migration", position)
	}
	if n, err := c.hub.Pending(2, before.Position); err != nil || n == 0 {
		t.Errorf("%d rows are pending for the node: %v", n, err)
	}
	c.down("a")
	c.expect("a", "SELECT v FROM s", "seed")
}
