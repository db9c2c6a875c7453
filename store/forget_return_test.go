package store

import (
	"errors"
	"ravno/store/internal/catalog"
	"ravno/store/internal/history"
	"ravno/store/internal/resolve"
	"ravno/store/internal/rows"
	"strings"
	"testing"

	"ravno/crdt"
)

// The last batch of a node is being applied while it is removed, and what it had not seen is
// settled and forgotten first.
func TestRemovedNodesBatchRefused(t *testing.T) {
	c := newChain(
		t, "CREATE TABLE p(id INTEGER PRIMARY KEY, name TEXT, price REAL); INSERT INTO p VALUES(1,'soup',4.5),(2,'tea',1)",
		nil, "a", "b")
	c.level()
	c.at("b", "UPDATE p SET price=7; UPDATE p SET name='b' WHERE id=2")
	_, err := c.store("b").Fold()
	c.must(err)
	self, err := c.store("b").Self()
	c.must(err)
	batch, _ := c.collect(c.store("b"), 0, self.HubHave) // arrives at the hub, and waits for its turn
	c.at("a", "UPDATE p SET price=9 WHERE id=1; DELETE FROM p WHERE id=2")
	c.up("a")
	c.down("a")
	c.must(c.hub.RemoveSite("b"))
	delete(c.nodes, "b")
	for range 3 {
		c.up("a")
		c.down("a")
		c.forget(1) // only the hub, a has yet to be told
	}
	if n := c.remembers("hub", "p"); n != "0" {
		t.Fatalf("the hub remembers %s", n)
	}
	if _, err := c.hub.ApplyFromNode(self.Site, batch, 0); !errors.Is(err, history.ErrRemoved) {
		t.Errorf("applied: %v", err)
	}
	c.level()
	c.expectAll("SELECT * FROM p", "1|soup|9")
}

// Which of two rows has claimed a value longer, where a partial index lets both in only now.
func TestForgetKeepsPartialIndexPriority(t *testing.T) {
	for _, who := range []int{0, 1, 2, 4, 7} {
		c := newChain(
			t, "CREATE TABLE u(id TEXT PRIMARY KEY, code TEXT, active INT); CREATE UNIQUE INDEX uc ON u(code) WHERE active", nil,
			"a", "b")
		c.level()
		c.at("a", "INSERT INTO u VALUES('p2','x',0)")
		c.at("a", "INSERT INTO u VALUES('p1','x',0)")
		c.level()
		c.settle()
		c.forget(who)
		c.at("a", "UPDATE u SET active=1 WHERE id='p1'")
		c.at("b", "UPDATE u SET active=1 WHERE id='p2'")
		c.toAndFro(6)
		hub, a, b := c.rows("hub", "SELECT id FROM u"), c.rows("a", "SELECT id FROM u"), c.rows("b", "SELECT id FROM u")
		if hub != a || hub != b {
			t.Errorf("%b forgot: hub %q a %q b %q", who, hub, a, b)
		}
	}
}

// A resolution is taken back by who made the row, of which a unique value is another's.
func TestForgottenRowBackByMaker(t *testing.T) {
	for _, who := range []int{0, 1, 7} {
		c := newChain(t, "CREATE TABLE p(id INTEGER PRIMARY KEY, code TEXT UNIQUE, price REAL)", nil, "a", "b")
		c.at("a", "INSERT INTO p VALUES(1,'soup',4.5)")
		c.level()
		c.at("b", "UPDATE p SET code='bean soup'")
		c.level()
		c.at("a", "DELETE FROM p WHERE id=1")
		_, err := c.store("a").Fold()
		c.must(err)
		c.at("b", "UPDATE p SET price=9 WHERE id=1")
		c.level()
		id := c.open("hub")[0].ID
		c.resolve("hub", id, resolve.Resolution{Keep: "a", By: "admin"})
		c.level()
		c.expectAll("SELECT * FROM p WHERE id=1", "")
		c.forget(who)
		c.forget(who)
		c.now = c.now.Add(1e9)
		_, err = c.store("a").Undo(id, resolve.UndoOptions{By: "admin"})
		c.must(err)
		c.toAndFro(6)
		for _, s := range []string{"hub", "a", "b"} {
			if got := c.rows(s, "SELECT * FROM p"); got != "1|bean soup|9" {
				t.Errorf("%b forgot: at %s %q", who, s, got)
			}
		}
	}
}

// A document's lines go with its head; the admin brings the head back after everything is forgotten.
func TestForgottenDocumentBackWithLines(t *testing.T) {
	for _, first := range []bool{true, false} {
		for _, who := range []int{0, 1, 7} {
			c := newChain(t, documents, nil, "a", "b")
			c.level()
			c.at("hub", "INSERT INTO l VALUES(5,1,'another line')")
			c.level()
			if first {
				c.at("b", "UPDATE d SET a='b' WHERE id=1")
				_, err := c.store("b").Fold()
				c.must(err)
				c.at("a", "DELETE FROM d WHERE id=1")
			} else {
				c.at("a", "UPDATE d SET a='a' WHERE id=1")
				_, err := c.store("a").Fold()
				c.must(err)
				c.at("b", "DELETE FROM d WHERE id=1")
			}
			c.level()
			open := c.open("hub")
			if len(open) != 1 {
				t.Fatalf("%+v", open)
			}
			c.expectAll("SELECT id FROM d", "2\n3")
			c.forget(who)
			c.forget(who)
			keep := map[bool]string{true: "b", false: "a"}[first]
			c.resolve("hub", open[0].ID, resolve.Resolution{Keep: keep, By: "admin"})
			c.level()
			if got := c.rows(
				"hub", "SELECT d.id, d.a, group_concat(l.id||l.x) FROM d JOIN l ON l.d=d.id WHERE d.id=1"); got != "1|"+keep+
				"|1x,5another line" {
				t.Errorf("%t %b forgot: %q", first, who, got)
			}
		}
	}
}

// What a node has forgotten comes back to it with its own stamps, in a row that is sent whole: that is
// no work of its own that the hub has yet to hear of.
func TestForgottenWorkBackIsNotOwn(t *testing.T) {
	for _, who := range []int{0, 2} {
		c := newChain(t, "CREATE TABLE p(id INTEGER PRIMARY KEY, name TEXT, price REAL, x TEXT)", nil, "a", "b", "c")
		c.at("a", "INSERT INTO p VALUES(1,'soup',4.5,'x')")
		c.level()
		c.settle()
		c.forget(who)
		if who != 0 && c.remembers("a", "p")+c.remembers("hub", "p") != "01" {
			t.Fatal(c.remembers("a", "p") + c.remembers("hub", "p"))
		}
		c.at("b", "DELETE FROM p")
		_, err := c.store("b").Fold()
		c.must(err)
		c.at("hub", "UPDATE p SET price=5")
		c.up("b")
		c.level()
		c.expectAll("SELECT * FROM p", "1|soup|5|x")
		before := c.rows("hub", "SELECT sites, revision FROM ravno_conflict")
		c.at("b", "UPDATE p SET name='bean soup'") // c is away, so that the hub knows of it
		c.up("b")
		c.down("a")
		c.expect("a", "SELECT name FROM p", "bean soup")
		c.at("a", "UPDATE p SET price=6") // having seen it
		c.up("a")
		if now := c.rows("hub", "SELECT sites, revision FROM ravno_conflict"); now != before {
			t.Errorf("%b forgot: the conflict of the hub and b was %q and is %q", who, before, now)
		}
	}
}

// The same: what is no work of the node's own is displaced, offered, and has a floor that is past it.
func TestForgottenWorkBackSparesNewer(t *testing.T) {
	c := newChain(t, "CREATE TABLE p(id INTEGER PRIMARY KEY, name TEXT, price REAL, x TEXT)", nil, "a", "b")
	c.at("a", "INSERT INTO p VALUES(1,'soup',4.5,'x')")
	c.level()
	c.settle()
	c.forget(2) // a is quicker than the hub, or the hub's application edits the row just before it would
	c.at("b", "DELETE FROM p")
	_, err := c.store("b").Fold()
	c.must(err)
	c.at("hub", "UPDATE p SET price=5")
	c.up("b")
	c.level()
	for _, x := range c.open("hub") {
		c.resolve("hub", x.ID, resolve.Resolution{Set: map[string]crdt.Value{"price": crdt.RealValue(5)}, By: "admin"})
	}
	c.level()
	c.at("b", "UPDATE p SET name='bean soup'")
	c.up("b")
	c.down("a")
	c.down("b")
	c.expect("a", "SELECT count(*) FROM ravno_overwritten", "0")
	for range 3 {
		c.forget(1)
	}
	c.up("a")
	c.settle()
	for _, site := range []string{"hub", "a", "b"} {
		c.expect(site, "SELECT * FROM p", "1|bean soup|5|x")
	}
}

// A decision is taken back by a node whose table lacks a column yet, after everybody has forgotten the row.
func TestForgottenRowBackColumnMissing(t *testing.T) {
	for _, who := range []int{0, 1, 5, 7} {
		c := withSoup(t, false)
		c.at("a", "DELETE FROM p WHERE id=1")
		_, err := c.store("a").Fold()
		c.must(err)
		c.at("b", "UPDATE p SET price=9 WHERE id=1")
		c.level()
		id := c.open("hub")[0].ID
		c.resolve("hub", id, resolve.Resolution{Keep: "a", By: "admin"})
		c.level()
		c.forget(who)
		c.forget(who)
		c.at("hub", "ALTER TABLE p ADD COLUMN note TEXT DEFAULT 'none'")
		c.at("b", "ALTER TABLE p ADD COLUMN note TEXT DEFAULT 'none'")
		c.now = c.now.Add(1e9)
		_, err = c.store("a").Undo(id, resolve.UndoOptions{By: "admin"})
		c.must(err)
		c.up("a") // what comes down to it waits for its upgrade
		c.down("b")
		c.at("a", "ALTER TABLE p ADD COLUMN note TEXT DEFAULT 'none'")
		c.settle()
		c.at("hub", "UPDATE p SET price=price+0 WHERE id=1")
		c.settle()
		for _, s := range []string{"hub", "b"} {
			if got := c.rows(s, "SELECT * FROM p WHERE id=1"); got != "1|soup|9|none" {
				t.Errorf("%b forgot: at %s %q", who, s, got)
			}
		}
	}
}

// The hub gives a row the key of one that it has forgotten and its maker has not: the maker takes
// that for a row of its own made since, leaves the delta, and never hears that it may forget.
func TestFreshKeyOfRowToBeForgotten(t *testing.T) {
	c := newChain(t, dishes, nil, "a", "b")
	c.at("hub", "INSERT INTO p VALUES(11,'x',1)")
	c.level()
	c.at("hub", "DELETE FROM p WHERE id=11")
	_, err := c.hub.Fold()
	c.must(err)
	c.must(c.hub.Settle()) // the checkpoint
	c.level()
	c.at("hub", "INSERT INTO p VALUES(10,'of the hub',1)")
	_, err = c.hub.Fold()
	c.must(err)
	c.at("a", "INSERT INTO p VALUES(10,'of a',1)")
	c.forget(1)
	for range 10 {
		c.toAndFro(1)
		c.forget(everybody)
	}
	for _, site := range []string{"hub", "a", "b"} {
		c.expect(site, "SELECT id, name FROM p WHERE id>3", "10|of the hub\n11|of a")
	}
}

// Nothing may come that had not seen what is settled. If it does all the same, it is refused: it
// could bring back what is forgotten, and nobody would notice.
func TestUnseenStableWorkRefused(t *testing.T) {
	c := newChain(t, dishes, nil, "a")
	c.level()
	c.at("a", "UPDATE p SET price=7 WHERE id=1")
	c.at("hub", "DELETE FROM p WHERE id=1")
	for range 2 {
		_, err := c.hub.Fold()
		c.must(err)
		c.must(c.hub.Settle())
		c.must(c.hub.write(func(tx *rows.Tx) error {
			// which is not so
			return tx.SQL.Exec("UPDATE ravno_peer SET acked=?, floor=?", catalog.Integer(tx.Position()),
				catalog.Integer(tx.Position()))
		}))
	}
	_, err := c.store("a").Fold()
	c.must(err)
	self, err := c.store("a").Self()
	c.must(err)
	batch, _ := c.collect(c.store("a"), 0, self.HubHave)
	if _, err := c.hub.ApplyFromNode(self.Site, batch, 0); err == nil || !strings.Contains(err.Error(), "is settled") {
		t.Fatalf("applied: %v", err)
	}
	c.expect("hub", "SELECT id FROM p", "2\n3")
}

// toAndFro lets every node send and receive, one after the other, so many times.
func (c *chain) toAndFro(times int) {
	for range times {
		for _, name := range c.names() {
			c.up(name)
			c.down(name)
		}
	}
}

// A row that outlived a deletion is the same for those who knew more of it.
func TestOutlivedRowWithMoreKnown(t *testing.T) {
	c := newChain(t, "CREATE TABLE p(id INTEGER PRIMARY KEY, n INT, m TEXT); INSERT INTO p VALUES(1,1,'x')", nil, "a", "b")
	c.at("hub", "UPDATE p SET m='z' WHERE id=1")
	c.down("b")
	c.at("hub", "DELETE FROM p WHERE id=1")
	c.at("a", "UPDATE p SET n=98 WHERE id=1")
	c.settle()
	c.level()
}
