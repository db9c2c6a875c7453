package store

import (
	"ravno/store/internal/resolve"
	"testing"

	"ravno/crdt"
)

// A unique generated column is placed alike everywhere.
func TestUniqueGeneratedColumn(t *testing.T) {
	c := newChain(t, "CREATE TABLE q(id INTEGER PRIMARY KEY, n INT, h INT GENERATED ALWAYS AS (n*2) STORED UNIQUE); "+
		"INSERT INTO q(id,n) VALUES(1,1)", nil, "a", "b")
	c.at("a", "INSERT INTO q(id,n) VALUES(2,5)")
	c.at("b", "INSERT INTO q(id,n) VALUES(3,5)")
	c.up("b")
	c.settle()
	c.level()
}

// A partial unique index is placed alike everywhere.
func TestPartialUniqueIndex(t *testing.T) {
	c := newChain(t, "CREATE TABLE p(id INTEGER PRIMARY KEY, a TEXT UNIQUE, b TEXT, n INT); CREATE UNIQUE INDEX pb ON "+
		"p(b) WHERE n>50; INSERT INTO p VALUES(9,'zz','F',60)", nil, "a", "b")
	c.at("a", "INSERT INTO p VALUES(1,'q','F',1)") // older claim on a; outside the partial index
	c.at("b", "INSERT INTO p VALUES(2,'q','G',1)")
	c.up("b")
	c.settle()
	c.level()
}

// A unique expression is placed by its collation.
func TestUniqueExpressionCollation(t *testing.T) {
	c := newChain(t, "CREATE TABLE q(id INTEGER PRIMARY KEY, n TEXT); CREATE UNIQUE INDEX qi ON q(trim(n) COLLATE NOCASE)",
		nil, "a", "b")
	c.at("a", "INSERT INTO q(id,n) VALUES(2,'abc')")
	c.at("b", "INSERT INTO q(id,n) VALUES(3,'ABC')")
	c.up("b")
	c.settle()
	c.level()
}

// A constraint that replaces by itself replaces nothing while applying.
func TestOnConflictReplaceNotInApply(t *testing.T) {
	c := newChain(t, "CREATE TABLE p(id INTEGER PRIMARY KEY, code TEXT UNIQUE ON CONFLICT REPLACE)", nil, "a", "b")
	c.at("a", "INSERT INTO p VALUES(1,'x')")
	c.at("b", "INSERT INTO p VALUES(2,'x')")
	c.level()
	c.expect("hub", "SELECT * FROM p", "1|x")
	if open := c.open("hub"); len(open) != 1 || open[0].Kind != crdt.Unique {
		t.Errorf("%+v", open)
	}
}

// A row made under the key of a held one does not lose what was written to that.
func TestHeldKeyRemadeKeepsWork(t *testing.T) {
	c := newChain(t, "CREATE TABLE item(k TEXT PRIMARY KEY, a TEXT, code TEXT UNIQUE); INSERT INTO item "+
		"VALUES('one','x',NULL),('two','x',NULL)", nil, "a", "b")
	c.at("a", "UPDATE item SET code='red' WHERE k='one'")
	c.at("hub", "UPDATE item SET code='red' WHERE k='two'")
	c.at("a", "UPDATE item SET a='first' WHERE k='two'")
	c.down("a") // one has the older claim: two is held, and to the application it is gone
	c.expect("a", "SELECT k FROM item", "one")
	c.at("a", "INSERT INTO item VALUES('two','second',NULL)")
	c.settle()
	c.level()
	c.expectAll("SELECT a FROM item WHERE k='two'", "second")
	for _, x := range c.open("hub") {
		if x.Kind == crdt.KeyCollision && x.Columns[0].Values["a"].Bytes() == "first" {
			_, err := c.store("b").Resolve(x.ID, resolve.Resolution{Keep: "a", By: "admin"})
			c.refused(err, "UNIQUE constraint failed: item.code") // that is one's still
			c.resolve("b", x.ID, resolve.Resolution{Take: map[string]string{"a": "a"}, By: "admin"})
			c.settle()
			c.level()
			c.expectAll("SELECT a FROM item WHERE k='two'", "first")
			return
		}
	}
	t.Errorf("%+v", c.open("hub"))
}

// A row made over one that is held leaves that whole in an open conflict.
func TestHeldKeyRemadeOpensConflict(t *testing.T) {
	for _, maker := range []string{"hub", "a", "b"} {
		c := newChain(t, "CREATE TABLE item(k TEXT PRIMARY KEY, name TEXT, code TEXT UNIQUE)", nil, "a", "b")
		c.at("b", "INSERT INTO item VALUES('x','first','red')")
		c.at("a", "INSERT INTO item VALUES('y','held','red')")
		c.settle()
		c.expectAll("SELECT k FROM item", "x")
		c.at(maker, "INSERT INTO item VALUES('y','made',NULL)") // it cannot see the other
		c.settle()
		c.level()
		c.expectAll("SELECT name FROM item WHERE k='y'", "made")
		kept := false
		for _, x := range c.open("b") {
			for _, column := range x.Columns {
				v := column.Values["a"]
				kept = kept || x.Kind == crdt.KeyCollision && column.Name == "name" && v != nil && v.Bytes() == "held"
			}
		}
		if !kept {
			t.Errorf("made at %s: %+v", maker, c.open("b"))
		}
	}
}
