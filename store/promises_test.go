package store

// Promises that nothing else holds the store to: each was missing when a bug against it was
// planted and no test failed.

import (
	"errors"
	"ravno/store/internal/catalog"
	"ravno/store/internal/enrol"
	"ravno/store/internal/history"
	"ravno/store/internal/merge"
	"ravno/store/internal/resolve"
	"strings"
	"testing"
	"time"

	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/crdt/hlc"
)

// A write of the value that is there is a write.
func TestWriteOfSameValueIsWrite(t *testing.T) {
	c := newChain(t, "CREATE TABLE p(id INTEGER PRIMARY KEY, n INT); INSERT INTO p VALUES(1,1)", nil, "a", "b", "z")
	c.at("a", "UPDATE p SET n=5")
	c.at("b", "UPDATE p SET n=6")
	c.at("z", "UPDATE p SET n=5")
	c.up("a")
	c.up("z") // the same value, and newer than that of b
	c.up("b")
	c.level()
	c.expect("hub", "SELECT n FROM p", "5")
}

// The hub sends a node nothing of its own.
func TestHubSendsNodeNothingOwn(t *testing.T) {
	c := newChain(t, "CREATE TABLE p(id INTEGER PRIMARY KEY, n INT); INSERT INTO p VALUES(1,1)", nil, "a", "b")
	c.level()
	c.at("a", "UPDATE p SET n=5; INSERT INTO p VALUES(2,2)")
	c.up("a")
	for name, want := range map[string]int{"a": 0, "b": 2} {
		self, err := c.nodes[name].Self()
		c.must(err)
		if _, changes := c.collect(c.hub, self.Site, self.Seen); changes != want {
			t.Errorf("%d changes for %s, want %d", changes, name, want)
		}
	}
}

// The applications triggers do not run where their effects arrive.
func TestTriggersRunOnlyAtOrigin(t *testing.T) {
	// What the trigger writes arrives before the row that fires it, and after it.
	c := newChain(t, `CREATE TABLE before(id INTEGER PRIMARY KEY, qty INT); CREATE TABLE sale(id INTEGER PRIMARY KEY,
		qty INT); CREATE TABLE total(id INTEGER PRIMARY KEY, qty INT);
		INSERT INTO before VALUES(1, 100); INSERT INTO total VALUES(1, 0);
		CREATE TRIGGER sold AFTER INSERT ON sale BEGIN UPDATE before SET qty = qty - NEW.qty;
		UPDATE total SET qty = qty + NEW.qty; END`, nil, "a", "b")
	c.at("a", "INSERT INTO sale VALUES(1, 7)")
	c.up("a")
	if waiting, _, _, err := c.hub.logWaits(); err != nil || waiting > 0 {
		t.Errorf("applying left entries in the log: %v", err)
	}
	c.level()
	for _, site := range []string{"hub", "a", "b"} {
		c.expect(site, "SELECT before.qty, total.qty FROM before, total", "93|7")
	}
}

// An apply folds everything that was written before it.
func TestApplyFoldsFirst(t *testing.T) {
	c := newChain(t, "CREATE TABLE p(id INTEGER PRIMARY KEY, n INT); INSERT INTO p VALUES(1,1),(2,2),(3,3)", nil, "a", "b")
	c.at("a", "UPDATE p SET n=n+10")
	c.up("a")
	c.at("b", "UPDATE p SET n=n+20") // not folded when the work of a arrives
	c.down("b")
	c.level()
	if n := len(c.open("hub")); n != 3 {
		t.Errorf("%d conflicts, want one for each row", n)
	}
}

// A delta that begins elsewhere is not applied.
func TestDeltaOutOfOrderRefused(t *testing.T) {
	c := newChain(t, "CREATE TABLE p(id INTEGER PRIMARY KEY, n INT); INSERT INTO p VALUES(1,1)", nil, "a")
	for range 3 {
		c.at("a", "UPDATE p SET n=n+1")
		c.up("a")
		c.at("hub", "UPDATE p SET n=n+1")
		c.down("a")
	}
	self, err := c.nodes["a"].Self()
	c.must(err)
	for _, from := range []causal.Position{self.HubHave - 1, self.HubHave + 1} {
		var out *merge.OutOfOrderError
		if _, err := c.hub.ApplyFromNode(self.Site, deltaOf(history.Span{From: from, To: from + 10}, nil), 0); !errors.As(
			err, &out) || out.Have.Position != self.HubHave {
			t.Errorf("the hub has %d and takes %d: %v", self.HubHave, from, err)
		}
	}
	for _, from := range []causal.Position{self.Seen - 1, self.Seen + 1} {
		var out *merge.OutOfOrderError
		if _, err := c.nodes["a"].ApplyFromHub(deltaOf(history.Span{From: from, To: from + 10}, nil)); !errors.As(
			err, &out) || out.Have.Position != self.Seen {
			t.Errorf("the node has %d and takes %d: %v", self.Seen, from, err)
		}
	}
}

// A token is good for one server only.
func TestTokenEnrolsOneServer(t *testing.T) {
	c := newChain(t, "CREATE TABLE p(id INTEGER PRIMARY KEY)", nil)
	enrolWith := func(hash byte, who byte) error {
		_, _, err := c.hub.Enrol([32]byte{hash}, causal.Incarnation{who},
			func(causal.Site, string) (string, error) { return "serial", nil })
		return err
	}
	c.must(c.hub.AddToken("varna", [32]byte{1}, c.now.Add(time.Hour)))
	c.must(enrolWith(1, 7))
	c.must(enrolWith(1, 7)) // the same node, whose answer got lost
	if err := enrolWith(1, 8); !errors.Is(err, enrol.ErrTokenUsed) {
		t.Errorf("another server with a token that was used: %v", err)
	}
	c.must(c.hub.RemoveSite("varna"))
	for _, who := range []byte{7, 8} {
		if err := enrolWith(1, who); !errors.Is(err, enrol.ErrTokenUsed) {
			t.Errorf("a token that was used, after its node was removed: %v", err)
		}
	}
	c.must(c.hub.AddToken("burgas", [32]byte{2}, c.now.Add(time.Hour)))
	c.now = c.now.Add(time.Hour + time.Second)
	if err := enrolWith(2, 9); !errors.Is(err, enrol.ErrTokenExpired) {
		t.Errorf("a token an hour and a second after it was made for an hour: %v", err)
	}
}

// Every value a side had is in the conflict.
func TestConflictHasEveryValue(t *testing.T) {
	c := newChain(t, "CREATE TABLE p(id INTEGER PRIMARY KEY, name TEXT); INSERT INTO p VALUES(1,'x')", nil, "a", "b", "z")
	c.at("a", "UPDATE p SET name='of a'")
	c.at("b", "UPDATE p SET name='first of b'")
	c.at("z", "UPDATE p SET name='of z'")
	c.up("a")
	c.up("b")
	c.at("b", "UPDATE p SET name='second of b'") // without having seen a
	c.up("b")
	c.level()
	text := c.rows("hub", "SELECT detail FROM ravno_conflict")
	for _, value := range []string{"of a", "first of b", "second of b", "of z"} {
		if encoded := catalog.EncodeValue(crdt.TextValue(value)); !strings.Contains(text, encoded) {
			t.Errorf("%q is in no conflict", value)
		}
	}
}

// A decision is newer than what it decided about.
func TestDecisionIsNewerThanSides(t *testing.T) {
	c := newChain(t, "CREATE TABLE p(id INTEGER PRIMARY KEY, n INT); INSERT INTO p VALUES(1,1)", nil, "a", "b", "z")
	c.at("a", "UPDATE p SET n=5")
	c.at("b", "UPDATE p SET n=6")
	c.up("a")
	c.up("b")                     // 6 is in force
	c.at("z", "UPDATE p SET n=7") // before the decision, which comes first at the hub
	c.now = c.now.Add(time.Second)
	_, err := c.hub.Resolve(c.open("hub")[0].ID, resolve.Resolution{Keep: "b", By: "admin"})
	c.must(err)
	c.level()
	c.expect("z", "SELECT n FROM p", "6")
}

// A deleted line belongs to its document.
func TestDeletedLineInItsDocument(t *testing.T) {
	c := newChain(t, invoices, []catalog.Setting{{Table: "line", Class: catalog.Synced, Document: "invoice"}}, "a", "b")
	c.at("a", "UPDATE invoice SET total=11 WHERE id=1")
	c.at("b", "DELETE FROM line WHERE id=2")
	c.level()
	open := c.open("a")
	if len(open) != 1 || open[0].DocumentTable != "invoice" {
		t.Fatalf("%+v", open)
	}
}

// A node cannot submit under anothers identity.
func TestNodeUnderOtherIdentityRefused(t *testing.T) {
	c := newChain(t, "CREATE TABLE p(id INTEGER PRIMARY KEY, n INT); INSERT INTO p VALUES(1,1)", nil, "a", "b")
	other, err := c.nodes["b"].Self()
	c.must(err)
	stamp := hlc.Stamp{Time: hlc.At(c.now.UnixMilli()), Site: other.Site}
	var refused *merge.IdentityError
	err = c.forge("p", []string{"id"}, []string{"n"}, crdt.Change{Key: crdt.NewKey(crdt.IntegerValue(1)),
		Registers: []crdt.Register{{Stamp: stamp, Value: crdt.IntegerValue(666)}}})
	if !errors.As(err, &refused) || refused.Claimed != other.Site {
		t.Errorf("taken: %v", err)
	}
	c.expect("hub", "SELECT n FROM p", "1")
}

// The hub remembers what unsent work has not seen.
func TestChangeRecordsWaitForUnsentWork(t *testing.T) {
	c := newChain(t, "CREATE TABLE p(id INTEGER PRIMARY KEY, n INT); INSERT INTO p VALUES(1,1)", nil, "a", "b")
	c.level()
	c.at("b", "UPDATE p SET n=5")
	c.must(second(c.nodes["b"].Fold()))
	c.at("a", "UPDATE p SET n=6")
	c.up("a")
	c.down("a")
	c.down("b")   // has seen the work of a now; the work it has not sent has not
	for range 2 { // a checkpoint, and that it is known to all
		c.must(c.hub.Settle())
	}
	c.level()
	if n := len(c.open("hub")); n != 1 {
		t.Errorf("%d conflicts", n)
	}
}

// A digest tells storage classes apart.
func TestDigestTellsStorageClassesApart(t *testing.T) {
	sum := map[Sum]string{}
	for _, value := range []string{"1", "1.0", "'1'", "x'31'", "NULL", "'NULL'", "0.0", "(0.0*-1)", "''", "x''"} {
		c := newChain(t, "CREATE TABLE p(id INTEGER PRIMARY KEY, n); INSERT INTO p VALUES(1,"+value+")", nil)
		digests, _, err := c.hub.Digests("p")
		c.must(err)
		if other, same := sum[digests[0].Sum]; same {
			t.Errorf("%s and %s have one digest", value, other)
		}
		sum[digests[0].Sum] = value
	}
}

func second(_ int, err error) error { return err }

// What was seen is no conflict while another node is away.
func TestSeenIsNoConflictNodeAway(t *testing.T) {
	c := newChain(t, "CREATE TABLE p(id INTEGER PRIMARY KEY, n INT); INSERT INTO p VALUES(1,1)", nil, "a", "b", "away")
	for range 2 { // the hub has to remember all of it, because of the node that is away
		for _, name := range []string{"a", "b"} {
			c.down(name)
			c.at(name, "UPDATE p SET n=n+1")
			c.up(name)
		}
	}
	if open := c.open("hub"); len(open) != 0 {
		t.Errorf("%+v", open)
	}
	c.expect("hub", "SELECT n FROM p", "5")
}

// A line the hub deleted belongs to its document.
func TestLineDeletedAtHubInItsDocument(t *testing.T) {
	c := newChain(t, invoices, []catalog.Setting{{Table: "line", Class: catalog.Synced, Document: "invoice"}}, "a")
	c.at("a", "UPDATE invoice SET total=11 WHERE id=1")
	c.at("hub", "DELETE FROM line WHERE id=2")
	c.level()
	open := c.open("a")
	if len(open) != 1 || open[0].DocumentTable != "invoice" {
		t.Fatalf("%+v", open)
	}
}

// A journal row deleted at its node stays whole at the hub.
func TestJournalRowDeletedStaysAtHub(t *testing.T) {
	c := newChain(t, "CREATE TABLE ev(id INTEGER PRIMARY KEY, what TEXT)",
		[]catalog.Setting{{Table: "ev", Class: catalog.Journal}}, "a")
	c.at("a", "INSERT INTO ev VALUES(1,'opened')")
	c.level()
	c.at("a", "DELETE FROM ev")
	if applied := c.up("a"); applied.Changes != 0 {
		t.Errorf("%d changes for a deletion", applied.Changes)
	}
	c.expect("hub", "SELECT ravno_site, id, what FROM ravno_journal_ev", "a|1|opened")
}

// A fresh key is none of its makers own.
func TestFreshKeyIsNotOfMaker(t *testing.T) {
	c := newChain(t, "CREATE TABLE orders(id INTEGER PRIMARY KEY, guest TEXT); CREATE TABLE payment(id TEXT PRIMARY "+
		"KEY, ord INT REFERENCES orders(id))", nil, "a", "b")
	c.at("a", "INSERT INTO orders VALUES(1,'a')")
	c.at("b", "INSERT INTO orders VALUES(1,'b1'),(2,'b2'),(3,'b3'); INSERT INTO payment SELECT 'p'||id, id FROM orders")
	c.up("a")
	c.up("b") // one is taken; two and three, which the hub has never heard of, are b's own
	c.level()
	c.expect("a", "SELECT group_concat(guest) FROM (SELECT guest FROM orders ORDER BY guest)", "a,b1,b2,b3")
	c.expect("hub", "SELECT p.id, o.guest FROM payment p JOIN orders o ON o.id=p.ord ORDER BY 1", "p1|b1\np2|b2\np3|b3")
	c.expect("b", "SELECT id FROM orders WHERE guest IN ('b2','b3') ORDER BY id", "2\n3")
}

// A line for a held sale waits with it.
func TestHeldSaleHoldsItsLine(t *testing.T) {
	c := newChain(t, `CREATE TABLE sale(id TEXT PRIMARY KEY, number INT UNIQUE);
		CREATE TABLE line(id TEXT PRIMARY KEY, sale TEXT NOT NULL REFERENCES sale(id) ON DELETE CASCADE, dish TEXT)`, nil,
		"a", "b")
	c.at("a", "INSERT INTO sale VALUES('sa',7)")
	c.at("b", "INSERT INTO sale VALUES('sb',7)")
	c.up("a")
	c.up("b") // held at the hub; b does not know
	c.at("b", "INSERT INTO line VALUES('lb','sb','tea')")
	c.up("b")
	c.expect("hub", "SELECT count(*) FROM line", "0")
	c.expect("hub", "PRAGMA foreign_key_check", "")
	c.level()
	c.at("a", "DELETE FROM sale WHERE id='sa'")
	c.level()
	for _, site := range []string{"hub", "a", "b"} {
		c.expect(site, "SELECT s.id, l.id FROM sale s JOIN line l ON l.sale=s.id", "sb|lb")
	}
}

// Two who write the same agree.
func TestSameValuesAreNoConflict(t *testing.T) {
	c := newChain(t, "CREATE TABLE p(id INTEGER PRIMARY KEY, n INT, m INT); INSERT INTO p VALUES(1,1,1)", nil, "a", "b")
	c.at("a", "UPDATE p SET n=5")
	c.at("b", "UPDATE p SET n=5")
	c.level()
	if open := c.open("hub"); len(open) != 0 {
		t.Errorf("both wrote 5: %+v", open)
	}
	c.at("a", "UPDATE p SET n=6")
	c.at("b", "UPDATE p SET n=6, m=7")
	c.level()
	if n := len(c.open("hub")); n != 1 {
		t.Errorf("%d conflicts, although one wrote more than the other", n)
	}
}

// A node cannot count under anothers identity.
func TestCountUnderOtherIdentityRefused(t *testing.T) {
	c := newChain(t, "CREATE TABLE p(id INTEGER PRIMARY KEY, n INT); INSERT INTO p VALUES(1,10)",
		[]catalog.Setting{{Table: "p", Class: catalog.Synced, Counters: []string{"n"}}}, "a", "b")
	other, err := c.nodes["b"].Self()
	c.must(err)
	var refused *merge.IdentityError
	err = c.forge("p", []string{"id"}, []string{"n"}, crdt.Change{Key: crdt.NewKey(crdt.IntegerValue(1)),
		Parts: []crdt.ChangePart{
			{Stamp: hlc.Stamp{Time: hlc.At(c.now.UnixMilli()), Site: other.Site}, Total: crdt.IntegerValue(1000)}}})
	if !errors.As(err, &refused) || refused.Claimed != other.Site {
		t.Errorf("taken: %v", err)
	}
	c.expect("hub", "SELECT n FROM p", "10")
}

// A count in a row deleted elsewhere is not lost.
func TestCountInDeletedRowKept(t *testing.T) {
	c := newChain(t, "CREATE TABLE p(id INTEGER PRIMARY KEY, name TEXT, n INT); INSERT INTO p VALUES(1,'soup',10)",
		[]catalog.Setting{{Table: "p", Class: catalog.Synced, Counters: []string{"n"}}}, "a", "b")
	c.at("a", "UPDATE p SET n=n-1")
	c.must(second(c.nodes["a"].Fold()))
	c.at("a", "DELETE FROM p")
	c.at("b", "UPDATE p SET name='stew', n=n-2") // newer than the deletion: the row lives on
	c.up("a")
	c.level()
	for _, site := range []string{"hub", "a", "b"} {
		c.expect(site, "SELECT name, n FROM p", "stew|7")
	}
}

// A reference by a unique value follows the row it refers to.
func TestReferenceByUniqueValueFollows(t *testing.T) {
	for _, first := range []string{"a", "b"} {
		t.Run(first+" first", func(t *testing.T) {
			c := newChain(t, `CREATE TABLE guest(id TEXT PRIMARY KEY, code TEXT UNIQUE); CREATE TABLE sale(id TEXT PRIMARY KEY,
				guest TEXT REFERENCES guest(code));
				INSERT INTO guest VALUES('g','c')`, nil, "a", "b")
			c.at("a", "UPDATE guest SET code='d'")
			c.at("b", "INSERT INTO sale VALUES('s','c')")
			c.up(first)
			c.level()
			for _, site := range []string{"hub", "a", "b"} {
				c.expect(site, "SELECT guest FROM sale", "d")
				c.expect(site, "PRAGMA foreign_key_check", "")
			}
		})
	}
}
