package store

import (
	"os"
	"ravno/store/internal/catalog"
	"ravno/store/internal/enrol"
	"ravno/store/internal/resolve"
	"testing"

	"ravno/crdt/causal"
	"ravno/store/internal/sqlite"
)

const dishes = `CREATE TABLE p(id INTEGER PRIMARY KEY, name TEXT, price REAL);
	INSERT INTO p VALUES(1,'soup',4.5),(2,'tea',1),(3,'cake',3)`

// offered makes b have an unsent offer of row 1 as a whole: a's deletion, older than b's edit,
// came to the hub after it.
func offered(t *testing.T) *chain {
	c := newChain(t, dishes, nil, "a", "b")
	c.level()
	c.at("a", "DELETE FROM p WHERE id=1")
	_, err := c.store("a").Fold()
	c.must(err)
	c.at("b", "UPDATE p SET price=9 WHERE id=1")
	c.up("b")
	c.up("a")
	c.down("b")
	c.expect("b", "SELECT name, price FROM p WHERE id=1", "soup|9")
	for _, x := range c.open("hub") { // what an open conflict is about is not forgotten
		c.resolve("hub", x.ID, resolve.Resolution{Keep: "b", By: "admin"})
	}
	return c
}

// The offer is work that waits for the hub, and yet the node's floor is past it: the deletion of
// the row settles while the offer waits.
func TestOfferOnItsWayBringsNoRowBack(t *testing.T) {
	c := offered(t)
	before, err := c.store("b").Self()
	c.must(err)
	delta, _ := c.collect(c.store("b"), 0, before.HubHave)
	c.down("a")
	c.at("hub", "DELETE FROM p WHERE id=1")
	c.down("a")
	c.down("b")
	c.forget(everybody)
	c.forget(everybody)
	self, err := c.store("b").Self()
	c.must(err)
	_, err = c.hub.ApplyFromNode(self.Site, delta, 0)
	c.must(err)
	c.must(c.store("b").Acknowledged(causal.Reached{Position: delta.To}))
	c.level()
	c.expectAll("SELECT id FROM p", "2\n3")
}

// An offer that waits does not bring a deleted row back.
func TestOfferWaitingBringsNoRowBack(t *testing.T) {
	c := offered(t)
	c.down("a")
	c.at("hub", "DELETE FROM p WHERE id=1")
	c.down("a")
	c.down("b")
	c.forget(everybody)
	c.forget(everybody)
	c.up("b")
	c.level()
	c.expectAll("SELECT id FROM p", "2\n3")
}

// An offer that waits does not overwrite a row made anew.
func TestOfferWaitingSparesRowMadeAnew(t *testing.T) {
	c := offered(t)
	c.down("a")
	c.at("hub", "DELETE FROM p WHERE id=1")
	_, err := c.hub.Fold()
	c.must(err)
	c.at("hub", "INSERT INTO p VALUES(1,'made anew',7)")
	c.down("a")
	c.down("b")
	c.forget(everybody)
	c.forget(everybody)
	c.up("b")
	c.level()
	c.expectAll("SELECT * FROM p WHERE id=1", "1|made anew|7")
}

// withSoup is a chain whose row 1 was there from the start, or was made by a.
func withSoup(t *testing.T, made bool) *chain {
	schema := dishes
	if made {
		schema = "CREATE TABLE p(id INTEGER PRIMARY KEY, name TEXT, price REAL)"
	}
	c := newChain(t, schema, nil, "a", "b")
	if made {
		c.at("a", "INSERT INTO p VALUES(1,'soup',4.5)")
	}
	c.level()
	return c
}

// A deleted row in an open conflict.
func deletedAndEdited(t *testing.T, born bool) *chain {
	c := withSoup(t, born)
	c.at("b", "UPDATE p SET price=9 WHERE id=1")
	_, err := c.store("b").Fold()
	c.must(err)
	c.at("a", "DELETE FROM p WHERE id=1")
	c.level()
	if kinds := c.kinds("hub"); kinds != "edit_delete " {
		t.Fatalf("%q", kinds)
	}
	return c
}

// Who deletes first at the hub: the whole row is in no side of the record.
func TestConflictResolvedAfterForgetting(t *testing.T) {
	for _, who := range []struct {
		name string
		who  int
		at   string
		born bool
	}{
		{"nobody forgot", 0, "hub", false},
		{"everybody forgot, at the hub", everybody, "hub", false},
		{"everybody forgot, at b", everybody, "b", false},
		{"the hub forgot, at b", 1, "b", false},
		{"the hub forgot, at b, of a row that a made", 1, "b", true},
		{"the nodes forgot, at b, of a row that a made", 6, "b", true},
		{"the nodes forgot, at the hub, of a row that a made", 6, "hub", true},
	} {
		t.Run(who.name, func(t *testing.T) {
			c := deletedAndEdited(t, who.born)
			c.forget(who.who)
			c.forget(who.who)
			c.resolve(who.at, c.open("hub")[0].ID, resolve.Resolution{Keep: "b", By: "admin"})
			c.level()
			c.expectAll("SELECT * FROM p WHERE id=1", "1|soup|9")
		})
	}
}

// An old resolution is taken back: the hub has forgotten the row it deleted, the node has not.
func TestUndoAfterForgetting(t *testing.T) {
	for _, who := range []struct {
		name string
		who  int
		at   string
	}{{"everybody", everybody, "b"}, {"the hub", 1, "b"}, {"the nodes", 6, "b"},
		{"the nodes, undone at the hub", 6, "hub"}} {
		for _, born := range []bool{false, true} {
			t.Run(who.name, func(t *testing.T) {
				c := withSoup(t, born)
				c.at("a", "DELETE FROM p WHERE id=1")
				_, err := c.store("a").Fold()
				c.must(err)
				c.at("b", "UPDATE p SET price=9 WHERE id=1")
				c.level()
				id := c.open("hub")[0].ID
				c.resolve("hub", id, resolve.Resolution{Keep: "a", By: "admin"})
				c.level()
				c.expectAll("SELECT * FROM p WHERE id=1", "")
				c.forget(who.who)
				c.forget(who.who)
				c.now = c.now.Add(1e9)
				_, err = c.store(who.at).Undo(id, resolve.UndoOptions{By: "admin"})
				c.must(err)
				c.level()
				c.expectAll("SELECT * FROM p WHERE id=1", "1|soup|9")
			})
		}
	}
}

// restored closes a node, puts back an earlier copy of its file and opens it again.
func (c *chain) backup(name string) string {
	s := c.nodes[name]
	copied := s.Path() + ".backup"
	c.must(onFileCopy(s.Path(), copied))
	return copied
}

func (c *chain) restore(name, copied string) {
	path := c.nodes[name].Path()
	c.nodes[name].Close()
	c.must(enrol.RemoveAll(path, path+"-wal", path+"-shm"))
	data, err := os.ReadFile(copied)
	c.must(err)
	c.must(os.WriteFile(path, data, 0o600))
	s, err := Open(path, c.clock)
	c.must(err)
	c.t.Cleanup(func() { s.Close() })
	c.nodes[name] = s
}

// A node that has seen less than it once said was restored from a backup. What others did meanwhile
// is forgotten, or about to be: it would get rows it was sent early not at all, bring deleted ones
// back, and overwrite what it does not know of without a conflict.
func TestRestoredNodeRefused(t *testing.T) {
	for name, since := range map[string]func(c *chain){
		"a change":  func(c *chain) { c.at("hub", "UPDATE d SET a='h' WHERE id=1"); c.level() },
		"a death":   func(c *chain) { c.at("hub", "DELETE FROM l"); c.level() },
		"forgotten": func(c *chain) { c.at("hub", "DELETE FROM l"); c.level(); c.forget(1); c.forget(1) },
		"a slice": func(c *chain) {
			c.writtenApart("hub", "UPDATE d SET a='h' WHERE id=1", "UPDATE d SET a='h' WHERE id=2",
				"UPDATE l SET x='h' WHERE id=1")
			c.firstDown("a")
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newChain(t, documents, nil, "a")
			c.level()
			c.greets("a", true)
			copied := c.backup("a")
			since(c)
			c.greets("a", true)
			c.restore("a", copied)
			c.greets("a", false)
		})
	}
}

// greets checks whether the hub lets a node in as it is.
func (c *chain) greets(name string, welcome bool) {
	c.t.Helper()
	self, err := c.nodes[name].Self()
	c.must(err)
	err = c.hub.Greeted(self.Site, causal.Reached{Position: self.Seen, Until: self.Until}, self.Floor)
	if (err == nil) != welcome {
		c.t.Fatalf("%s is greeted with %v", name, err)
	}
}

// A row that went early gets a fresh key.
func TestAheadRowRekeyedNotSentAgain(t *testing.T) {
	c := newChain(t, documents, nil, "a", "b")
	c.level()
	c.at("hub", "INSERT INTO l VALUES(3,2,'by the hub')")
	_, err := c.hub.Fold()
	c.must(err)
	c.writtenApart("a", "UPDATE d SET a='a' WHERE id=1", "UPDATE d SET a='a' WHERE id=2",
		"INSERT INTO l VALUES(3,1,'by a')")
	c.firstUp("a")
	c.expect("hub", "SELECT * FROM l WHERE id>2", "3|2|by the hub\n4|1|by a")
	c.down("a")
	c.expect("a", "SELECT * FROM l WHERE id>2", "3|2|by the hub\n4|1|by a")
	c.down("b")
	c.at("b", "UPDATE l SET x='b, having seen it' WHERE id=4")
	c.up("b")
	if applied := c.up("a"); applied.Changes != 1 {
		t.Errorf("%d rows were sent after the cut", applied.Changes)
	}
	c.level()
	c.expectAll("SELECT * FROM l WHERE id>2", "3|2|by the hub\n4|1|b, having seen it")
	if open := c.open("hub"); len(open) != 1 { // over d 2, to which the hub had added a line
		t.Errorf("%d conflicts: %+v", len(open), open)
	}
	c.noneEarly("hub", "a", "b")
}

// A journal that is trimmed, and nothing else.
func TestSettleDespiteTrimmedJournal(t *testing.T) {
	c := newChain(t, dishes+"; CREATE TABLE ev(id INTEGER PRIMARY KEY, what TEXT)",
		[]catalog.Setting{{Table: "ev", Class: catalog.Journal}}, "a", "b")
	c.at("a", "INSERT INTO ev VALUES(1,'opened a')")
	c.level()
	c.at("a", "DELETE FROM ev")
	c.level()
	c.at("hub", "UPDATE p SET price=5 WHERE id=1")
	for range 5 {
		c.level()
		c.forget(everybody)
	}
	for _, site := range []string{"hub", "a", "b"} {
		if n := c.remembers(site, "p"); n != "0" {
			t.Errorf("%s remembers %s rows", site, n)
		}
	}
}

// The parent of a held row is deleted and forgotten; the row finds its place.
func TestHeldUntilDeletedParentReturns(t *testing.T) {
	for _, who := range []int{0, 1, everybody} {
		c := newChain(t, `CREATE TABLE d(id INTEGER PRIMARY KEY, a); CREATE TABLE l(id INTEGER PRIMARY KEY, d REFERENCES d,
			code UNIQUE);
			INSERT INTO d VALUES(1,'x'),(2,'x')`, nil, "a", "b")
		c.level()
		c.at("a", "INSERT INTO l VALUES(1,1,'k')")
		_, err := c.store("a").Fold()
		c.must(err)
		c.at("b", "INSERT INTO l VALUES(2,2,'k')")
		c.level()
		c.expectAll("SELECT * FROM l", "1|1|k")
		c.at("hub", "DELETE FROM d WHERE id=2")
		c.level()
		c.forget(who)
		c.forget(who)
		c.at("hub", "UPDATE l SET code='other' WHERE id=1")
		c.level()
		for _, site := range []string{"hub", "a", "b"} {
			c.expect(site, "PRAGMA foreign_key_check", "")
		}
		c.at("a", "INSERT INTO d VALUES(2,'again')")
		c.level()
		c.expectAll("SELECT * FROM l", "1|1|other\n2|2|k")
	}
}

func onFileCopy(from, to string) error {
	return sqlite.With(from, func(c *sqlite.Conn) error { return c.Exec("VACUUM INTO '" + to + "'") })
}

// The same with a row that another node made: the hub refuses it for good.
func TestOfferOfOthersRowWaits(t *testing.T) {
	c := newChain(t, "CREATE TABLE p(id INTEGER PRIMARY KEY, name TEXT, price REAL)", nil, "a", "b")
	c.at("a", "INSERT INTO p VALUES(1,'soup',4.5)")
	c.level()
	c.at("a", "DELETE FROM p WHERE id=1")
	_, err := c.store("a").Fold()
	c.must(err)
	c.at("b", "UPDATE p SET price=9 WHERE id=1")
	c.up("b")
	c.up("a")
	c.down("b")
	c.down("a")
	c.at("hub", "DELETE FROM p WHERE id=1")
	c.down("a")
	c.down("b")
	c.forget(everybody)
	c.forget(everybody)
	c.up("b")
	c.level()
	c.expectAll("SELECT id FROM p", "")
}

// A node that joined late brings the tombstone along and resolves the conflict.
func TestLateNodeResolvesForgottenRow(t *testing.T) {
	c := deletedAndEdited(t, true)
	c.join("late", causal.Incarnation{9})
	c.level()
	c.forget(1)
	c.forget(1)
	c.resolve("late", c.open("hub")[0].ID, resolve.Resolution{Keep: "b", By: "admin"})
	c.level()
	c.expectAll("SELECT * FROM p WHERE id=1", "1|soup|9")
}

// Late joins and carried shadows in the middle of a settlement.
func TestLateNodeForgetsOnlyStable(t *testing.T) {
	for _, when := range []string{"before", "checkpoint", "settled"} {
		c := newChain(t, dishes, nil, "a", "b")
		c.level()
		c.forget(everybody)
		c.at("a", "INSERT INTO p VALUES(10,'x',1); UPDATE p SET name='y' WHERE id=2; DELETE FROM p WHERE id=3")
		c.up("a")
		if when == "checkpoint" {
			c.must(c.hub.Settle())
		}
		c.at("a", "INSERT INTO p VALUES(11,'x',1)")
		c.up("a")
		if when == "settled" {
			c.level()
			c.forget(1)
			c.at("a", "INSERT INTO p VALUES(12,'x',1)")
			c.up("a")
		}
		c.join("late", causal.Incarnation{9})
		for range 4 {
			c.down("late")
			c.at("late", "UPDATE p SET price=price+1 WHERE id=2")
			c.up("late")
			c.forget(everybody)
			c.down("a")
			c.forget(9)
		}
		c.at("b", "UPDATE p SET name='b' WHERE id=1")
		c.at("hub", "UPDATE p SET price=8 WHERE id>9")
		c.at("a", "UPDATE p SET name='a' WHERE id=11")
		c.level()
		c.forget(everybody)
		c.at("late", "UPDATE p SET price=9 WHERE id=10; INSERT INTO p VALUES(3,'anew',1)")
		c.level()
		for _, x := range c.open("hub") {
			c.resolve("hub", x.ID, resolve.Resolution{Keep: x.Sites[0], By: "admin"})
		}
		for range 3 {
			c.level()
			c.forget(everybody)
		}
		for _, site := range []string{"hub", "a", "b", "late"} {
			if n := c.remembers(site, "p"); n != "0" {
				t.Errorf("%s: %s remembers %s", when, site, n)
			}
		}
		c.expect("hub", "SELECT id FROM p WHERE id<12", "1\n2\n3\n10\n11")
	}
}

// A journal whose rows are forgotten: updates and reused keys.
func TestForgetJournal(t *testing.T) {
	c := newChain(t, "CREATE TABLE ev(id INTEGER PRIMARY KEY, what TEXT)",
		[]catalog.Setting{{Table: "ev", Class: catalog.Journal}}, "a", "b")
	c.at("a", "INSERT INTO ev VALUES(1,'first')")
	c.level()
	c.forget(everybody)
	c.forget(everybody)
	c.at("a", "UPDATE ev SET what='first, later' WHERE id=1")
	c.level()
	c.at("a", "DELETE FROM ev")
	c.at("a", "INSERT INTO ev VALUES(1,'second')")
	c.level()
	c.forget(everybody)
	c.forget(everybody)
	c.at("a", "UPDATE ev SET what='second, later' WHERE id=1")
	c.level()
	c.expect("hub", "SELECT what FROM ravno_journal_ev ORDER BY ravno_received_at, what", "first, later\nsecond, later")
}

// Keep-local births, natural keys, two births of one forgotten key.
func TestForgottenNaturalKeyMadeTwice(t *testing.T) {
	c := newChain(t, "CREATE TABLE p(id TEXT PRIMARY KEY, name TEXT, price REAL)", nil, "a", "b")
	c.at("a", "INSERT INTO p VALUES('k','first',1)")
	c.level()
	for _, who := range []int{1, 2, 4, 6, 7} {
		c.at("hub", "DELETE FROM p")
		c.level()
		c.forget(who)
		c.forget(who)
		c.at("a", "INSERT INTO p VALUES('k','of a',1)")
		c.at("b", "INSERT INTO p(id,name) VALUES('k','of b')")
		c.level()
		c.expectAll("SELECT * FROM p", "k|of b|NULL")
		open := c.open("hub")
		if len(open) != 1 || string(open[0].Kind) != "key_collision" {
			t.Errorf("%d: %+v", who, open)
			return
		}
		c.forget(who)
		c.forget(who)
		c.resolve("a", open[0].ID, resolve.Resolution{Keep: "a", By: "admin"})
		c.level()
		c.expectAll("SELECT * FROM p", "k|of a|1")
	}
}

// The hub has forgotten with which versions a row's columns came, and a node has not: the node's
// own deletion of the row loses against an edit of one column.
func TestReturnWholeWhereRemembered(t *testing.T) {
	for _, who := range []int{0, 1, 2, everybody} {
		for _, editor := range []string{"hub", "b"} {
			c := newChain(t, "CREATE TABLE p(id TEXT PRIMARY KEY, name TEXT, price REAL)", nil, "a", "b", "c")
			c.at("c", "INSERT INTO p VALUES('k','soup',4.5)")
			c.level()
			c.forget(who)
			c.forget(who)
			c.at("a", "DELETE FROM p")
			_, err := c.store("a").Fold()
			c.must(err)
			c.at(editor, "UPDATE p SET price=9")
			for range 5 {
				for _, name := range c.names() {
					c.up(name)
					c.down(name)
				}
			}
			for _, site := range []string{"hub", "a", "b", "c"} {
				if got := c.rows(site, "SELECT * FROM p"); got != "k|soup|9" {
					t.Errorf("%b forgot, %s edited: at %s %q", who, editor, site, got)
				}
			}
		}
	}
}
