package store

import (
	"ravno/store/internal/catalog"
	"ravno/store/internal/resolve"
	"testing"

	"ravno/crdt"
)

// Writing over own unsent work has not seen what that work kept out.
func TestOverwriteHasNotSeenKeptOut(t *testing.T) {
	c := newChain(t, "CREATE TABLE p(id INTEGER PRIMARY KEY, n INT); INSERT INTO p VALUES(1,1)", nil, "a", "b")
	c.at("hub", "UPDATE p SET n=101")
	c.at("b", "UPDATE p SET n=106") // concurrent and newer
	c.down("b")                     // 101 loses at b; b's application never sees it
	c.at("b", "UPDATE p SET n=107")
	c.settle()
	c.level()
	if n := len(c.open("hub")); n != 1 {
		t.Errorf("%d conflicts; 101 is nowhere", n)
	}
}

// Deleting own unsent work has not seen what that work kept out.
func TestDeletionHasNotSeenKeptOut(t *testing.T) {
	c := newChain(t, "CREATE TABLE p(id INTEGER PRIMARY KEY, n INT); INSERT INTO p VALUES(1,1)", nil, "a", "b")
	c.at("a", "UPDATE p SET n=101")
	c.up("a")
	c.at("b", "UPDATE p SET n=106")
	c.down("b")
	c.at("b", "DELETE FROM p")
	c.settle()
	c.level()
	if n := len(c.open("hub")); n != 1 {
		t.Errorf("%d conflicts; 101 is nowhere", n)
	}
}

// An edit that crosses a deletion and another row of that key is no birth.
func TestEditCrossingDeletionIsNoBirth(t *testing.T) {
	c := newChain(t, "CREATE TABLE item(id INTEGER PRIMARY KEY, a TEXT, b TEXT)", nil, "a", "b")
	c.at("a", "INSERT INTO item VALUES(5,'x','y')")
	c.settle()
	c.at("hub", "DELETE FROM item; INSERT INTO item VALUES(5,'new','new')")
	c.at("a", "UPDATE item SET a='edited' WHERE id=5")
	c.down("a") // before the hub has the edit
	c.settle()
	c.level()
	c.expectAll("SELECT a, b FROM item", "new|new")
	x := c.open("hub")[0]
	if v := x.Columns[0].Values["a"]; len(c.open("hub")) != 1 || x.Kind == crdt.KeyCollision || v == nil ||
		v.Bytes() != "edited" {
		t.Errorf("%s %v", x.Kind, x.Columns)
	}
}

// deletedUnsent is a chain in which b has made row 1 of a table anew and deletes it, having
// written something in it, before the hub has heard of it; a has only the former row 1.
func deletedUnsent(t *testing.T, schema string, counters catalog.Setting, anew, written, table string) *chain {
	c := newChain(t, schema, []catalog.Setting{counters}, "a", "b")
	c.at("b", "DELETE FROM "+table+" WHERE id=1; "+anew)
	_, err := c.nodes["b"].Fold()
	c.must(err)
	c.at("b", written+"; DELETE FROM "+table+" WHERE id=1")
	return c
}

// A row made counted and deleted unsent comes back with what it was counted from.
func TestCounterBaseOfUnsentRow(t *testing.T) {
	const anew, sold = "INSERT INTO product VALUES(1,'jug',100,1)", "UPDATE product SET stock=stock-3 WHERE id=1"
	c := deletedUnsent(t, stock, stockCounters[0], anew, sold, "product")
	c.at("a", "UPDATE product SET name='mug' WHERE id=1")
	c.level()
	_, err := c.hub.Resolve(c.open("hub")[0].ID, resolve.Resolution{Keep: "a", By: "admin"})
	c.must(err)
	c.level()
	c.expectAll("SELECT name, stock, weight FROM product WHERE id=1", "mug|97|1")
}

// Two who only deleted have no conflict over what one had made anew.
func TestTwoDeletionsNoConflict(t *testing.T) {
	for _, first := range []string{"a", "b"} {
		c := deletedUnsent(t, stock, stockCounters[0], "INSERT INTO product VALUES(1,'jug',100,1)", "SELECT 1", "product")
		c.at("a", "DELETE FROM product WHERE id=1")
		c.up(first)
		c.level()
		if kinds := c.kinds("hub"); kinds != "" {
			t.Errorf("%s first: %q", first, kinds)
		}
	}
}

// Counters alone are not the remains of a row that others refer to.
func TestCounterIsNoWholeTombstone(t *testing.T) {
	const schema = `CREATE TABLE ord(id INTEGER PRIMARY KEY, note TEXT, total INT); INSERT INTO ord VALUES(1,'one',10);
		CREATE TABLE line(id TEXT PRIMARY KEY, ord INT NOT NULL REFERENCES ord(id) ON DELETE CASCADE)`
	for _, written := range []string{"SELECT 1", "UPDATE ord SET total=total+5 WHERE id=1"} {
		for _, first := range []string{"a", "b"} {
			c := deletedUnsent(t, schema, catalog.Setting{Table: "ord", Class: catalog.Synced, Counters: []string{"total"}},
				"INSERT INTO ord VALUES(1,'again',20)", written, "ord")
			c.at("a", "INSERT INTO line VALUES('x',1)")
			c.up(first)
			c.level()
			c.expectAll("PRAGMA foreign_key_check", "")
			if kinds := c.kinds("hub"); kinds != "edit_delete " {
				t.Errorf("%s first: %q", first, kinds)
			}
		}
	}
}
