package store

import (
	"context"
	"fmt"
	"ravno/store/internal/catalog"
	"ravno/store/internal/history"
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

// What everybody has is forgotten.
func TestForgetWhatEverySiteHas(t *testing.T) {
	c := newChain(t, documents, nil, "a", "b")
	c.level()
	c.at("a", "INSERT INTO d VALUES(10,'a'); INSERT INTO l VALUES(10,10,'a'),(11,10,'a'); UPDATE d SET a='a' WHERE "+
		"id=1; DELETE FROM l WHERE id=2")
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

// written brings what a site has written to the hub and everybody, several times, so that all
// know that all have it.
func (c *chain) written(site, sql string) {
	c.at(site, sql)
	c.level()
	c.settle()
}

// Deleted and made anew under its key, unseen by who edits the former one.
func TestForgetSparesRowMadeAnew(t *testing.T) {
	c := newChain(t, documents, nil, "a", "b")
	c.written("a", "INSERT INTO l VALUES(10,1,'a')")
	c.forget(everybody)
	c.at("b", "DELETE FROM l WHERE id=10; INSERT INTO l VALUES(10,2,'anew')")
	_, err := c.store("b").Fold()
	c.must(err)
	c.now = c.now.Add(1e9)
	c.at("hub", "UPDATE l SET x='the former, later' WHERE id=10")
	c.level()
	c.expectAll("SELECT * FROM l WHERE id=10", "10|2|anew")
	if n := len(c.open("a")); n != 1 {
		t.Errorf("%d conflicts", n)
	}
}

// A server that is away holds forgetting up until it is removed.
func TestForgetWaitsForAbsentServer(t *testing.T) {
	c := newChain(t, documents, nil, "a", "b")
	c.level()
	c.at("a", "UPDATE d SET a='a' WHERE id=1")
	for range 3 {
		c.up("a")
		c.down("a")
		c.forget(everybody)
	}
	if n := c.remembers("hub", "d"); n != "1" {
		t.Errorf("the hub remembers %s rows that b has yet to get", n)
	}
	c.must(c.hub.RemoveSite("b"))
	b := c.nodes["b"]
	delete(c.nodes, "b")
	for range 3 {
		c.up("a")
		c.down("a")
		c.forget(everybody)
	}
	for _, site := range []string{"hub", "a"} {
		if n := c.remembers(site, "d"); n != "0" {
			t.Errorf("%s remembers %s rows", site, n)
		}
	}
	c.nodes["b"] = b
}

// Work that has not seen an edit can still come, although everybody has the edit.
func TestForgetWaitsForUnsentWork(t *testing.T) {
	c := newChain(t, documents, nil, "a", "b")
	c.level()
	c.at("b", "UPDATE d SET a='b' WHERE id=1")
	_, err := c.store("b").Fold()
	c.must(err)
	c.now = c.now.Add(1e9)
	c.at("a", "UPDATE d SET a='a, later' WHERE id=1")
	for range 3 {
		c.up("a")
		c.down("a")
		c.down("b")
		c.forget(everybody)
	}
	c.level()
	c.expectAll("SELECT a FROM d WHERE id=1", "a, later")
	if kinds := c.kinds("a"); kinds != "edit_edit " {
		t.Errorf("%q", kinds)
	}
}

// What came before the checkpoint was seen by all may still be news to some.
func TestForgetDuringCheckpoint(t *testing.T) {
	c := newChain(t, documents, nil, "a", "b")
	c.level()
	c.at("a", "UPDATE d SET a='a' WHERE id=1")
	_, err := c.store("a").Fold()
	c.must(err)
	c.now = c.now.Add(1e9)
	c.at("b", "UPDATE d SET a='b, later' WHERE id=1")
	c.up("b")
	c.forget(1) // the checkpoint is taken
	c.down("b")
	c.up("a") // it had not seen b's
	c.down("a")
	c.forget(1)
	c.forget(everybody)
	c.level()
	c.expectAll("SELECT a FROM d WHERE id=1", "b, later")
	c.forget(everybody)
	c.level()
	c.expectAll("SELECT a FROM d WHERE id=1", "b, later")
}

// Counters are remembered and count on.
func TestForgetSparesCounters(t *testing.T) {
	c := newChain(t, "CREATE TABLE s(id INTEGER PRIMARY KEY, n INT, a); INSERT INTO s VALUES(1,100,'x'),(2,100,'x')",
		[]catalog.Setting{{Table: "s", Class: catalog.Synced, Counters: []string{"n"}}}, "a", "b")
	for range 3 {
		c.at("a", "UPDATE s SET n=n-1 WHERE id=1")
		c.at("b", "UPDATE s SET n=n-10 WHERE id=1")
		c.level()
		c.settle()
		c.forget(everybody)
	}
	c.expectAll("SELECT n FROM s", "67\n100")
}

// Which of two rows has claimed a value longer is known by their stamps.
func TestForgetSparesTablesWithHeldRows(t *testing.T) {
	c := newChain(t, "CREATE TABLE u(id TEXT PRIMARY KEY, u UNIQUE, w UNIQUE)", nil, "a", "b")
	c.level()
	c.at("a", "INSERT INTO u VALUES('old','1','1')")
	c.now = c.now.Add(1e9)
	c.at("b", "INSERT INTO u VALUES('new','1','2')")
	c.level()
	c.settle()
	c.forget(everybody)
	if n := c.remembers("hub", "u"); n != "2" {
		t.Errorf("%s", n)
	}
	c.written("hub", "DELETE FROM u WHERE id='old'")
	c.expectAll("SELECT * FROM u", "new|1|2")
	c.forget(everybody)
	if n := c.remembers("hub", "u"); n != "0" {
		t.Errorf("%s", n)
	}
}

// An event that is corrected after it is forgotten is no second event.
func TestForgottenEventCorrected(t *testing.T) {
	c := newChain(t, "CREATE TABLE e(id INTEGER PRIMARY KEY, what)",
		[]catalog.Setting{{Table: "e", Class: catalog.Journal}}, "a")
	c.written("a", "INSERT INTO e VALUES(1,'first'),(2,'second')")
	c.forget(everybody)
	if n := c.remembers("a", "e"); n != "0" {
		t.Errorf("a remembers %s events", n)
	}
	c.written("a", "UPDATE e SET what='first, corrected' WHERE id=1")
	c.expect("hub", "SELECT ravno_site, id, what FROM ravno_journal_e ORDER BY id", "a|1|first, corrected\na|2|second")
	c.written("a", "DELETE FROM e WHERE id=1; INSERT INTO e VALUES(1,'another')")
	c.expect("hub", "SELECT id, what FROM ravno_journal_e ORDER BY id, what", "1|another\n1|first, corrected\n2|second")
}

// Who joins afterwards knows the rows for the same.
func TestForgetThenJoinSameRows(t *testing.T) {
	c := newChain(t, documents, nil, "a", "b")
	c.written("a", "INSERT INTO d VALUES(10,'a'); INSERT INTO l VALUES(10,10,'a'); DELETE FROM l WHERE id=2")
	c.forget(1) // only the hub
	c.join("late", [16]byte{99})
	c.at("late", "UPDATE d SET a='late' WHERE id=10; UPDATE l SET x='late' WHERE id=10; INSERT INTO l VALUES(2,10,'late')")
	c.level()
	c.expectAll("SELECT a FROM d WHERE id=10", "late")
	c.expectAll("SELECT * FROM l", "1|1|x\n2|10|late\n10|10|late")
	c.settle()
	c.forget(everybody)
	c.at("a", "DELETE FROM d WHERE id=10")
	c.level()
	c.expectAll("SELECT * FROM l", "1|1|x")
	if n := len(c.open("hub")); n != 0 {
		t.Errorf("%d conflicts", n)
	}
}

// A number of two orders, one of which has got another: its maker goes on with it.
func TestForgottenRekeyedRowEdited(t *testing.T) {
	c := newChain(t, documents, nil, "a", "b")
	c.at("a", "INSERT INTO d VALUES(10,'a'); INSERT INTO l VALUES(10,10,'a')")
	c.at("b", "INSERT INTO d VALUES(10,'b'); INSERT INTO l VALUES(10,10,'b')")
	c.level()
	c.settle()
	c.forget(everybody)
	for _, table := range []string{"d", "l"} {
		for _, site := range []string{"hub", "a", "b"} {
			if n := c.remembers(site, table); n != "0" {
				t.Errorf("%s remembers %s rows of %s", site, n, table)
			}
		}
	}
	c.at("b", "UPDATE l SET x=x||', edited by b'; UPDATE d SET a=a||', edited by b' WHERE id>9")
	c.level()
	c.expectAll("SELECT id, a FROM d WHERE id>9", "10|a, edited by b\n11|b, edited by b")
	c.expectAll("SELECT * FROM l WHERE id>9", "10|10|a, edited by b\n11|11|b, edited by b")
}

// A node in the middle of a delta that comes in slices does not know which of what it has is settled.
func TestForgetNothingWithinDelta(t *testing.T) {
	c := newChain(t, documents, nil, "a")
	c.level()
	c.writtenApart("hub", "UPDATE d SET a='h' WHERE id=1", "UPDATE d SET a='h' WHERE id=2",
		"UPDATE l SET x='h' WHERE id=1")
	c.firstDown("a")
	node := c.nodes["a"]
	self, err := node.Self()
	c.must(err)
	if taken, err := node.Settled(history.Settlement{Hub: self.Seen, At: self.Seen}); taken || err != nil {
		t.Errorf("%t %v", taken, err)
	}
	c.level()
	c.settle()
	c.forget(everybody)
	if n := c.remembers("a", "d"); n != "0" {
		t.Errorf("a remembers %s rows", n)
	}
}

// Some have forgotten a row and some have not, when it is deleted here and edited there.
func TestForgottenRowOutlivesDeletion(t *testing.T) {
	for who := range 8 {
		for _, editsLast := range []bool{true, false} {
			for _, order := range []string{"up, down", "down, up"} {
				t.Run(fmt.Sprintf("%03b have forgotten it, the edit is the later: %t, %s", who, editsLast, order),
					func(t *testing.T) {
						t.Parallel()
						c := newChain(t, "CREATE TABLE p(id INTEGER PRIMARY KEY, a, b); INSERT INTO p VALUES(3,'a','b')", nil, "a", "b")
						c.level()
						c.written("a", "UPDATE p SET id=4")
						c.forget(who)
						write := map[bool]func(){true: func() { c.at("hub", "UPDATE p SET b='hub'") },
							false: func() { c.at("b", "DELETE FROM p") }}
						write[!editsLast]()
						c.now = c.now.Add(1e9)
						write[editsLast]()
						if order == "up, down" {
							c.up("b")
							c.down("b")
						} else {
							c.down("b")
							c.up("b")
						}
						c.forget(who)
						c.level()
						if want := map[bool]string{true: "4|a|hub", false: ""}[editsLast]; c.rows("b", "SELECT * FROM p") != want {
							t.Errorf("%s", c.rows("b", "SELECT * FROM p"))
						}
					})
			}
		}
	}
}
