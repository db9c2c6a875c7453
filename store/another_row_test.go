package store

import (
	"testing"

	"ravno/crdt"
)

// Numbers are given again: an application without AUTOINCREMENT gives the number of the last
// row it deleted to the next one. What is decided or told about the former row must not touch
// the other.

const receiptsAndLines = `CREATE TABLE receipt(id INTEGER PRIMARY KEY, total INTEGER);
	CREATE TABLE receipt_line(id INTEGER PRIMARY KEY, receipt INTEGER NOT NULL REFERENCES receipt(id) ON DELETE CASCADE, what TEXT);
	INSERT INTO receipt VALUES(1,10),(2,20); INSERT INTO receipt_line VALUES(1,1,'tea'),(2,2,'soup')`

func TestALineThatNobodyElseEverSawIsNoSideOfAConflict(t *testing.T) {
	c := newChain(t, receiptsAndLines, nil, "a", "b")
	c.at("a", "INSERT INTO receipt_line VALUES(24,2,'mistyped')")
	must(c.nodes["a"].Fold())
	c.at("a", "DELETE FROM receipt_line WHERE id=24")
	c.at("b", "UPDATE receipt SET total=25 WHERE id=2")
	c.up("b")
	c.up("a")
	c.level()
	if open := c.open("hub"); len(open) > 0 {
		t.Errorf("a line came and went at a alone: %+v", open)
	}
	c.at("hub", "INSERT INTO receipt_line VALUES(24,1,'bread')")
	c.at("b", "UPDATE receipt SET total=26 WHERE id=2")
	c.level()
	c.expectAll("SELECT what FROM receipt_line WHERE id=24", "bread")
}

// reused is a chain with a conflict about receipt 2, which a deleted and the hub edited: it was
// deleted since, and its number given to a receipt that nobody disagrees about.
func reused(t *testing.T, site string) (c *chain, conflict string) {
	c = newChain(t, receiptsAndLines, nil, "a", "b")
	c.at("a", "DELETE FROM receipt WHERE id=2")
	c.at("hub", "UPDATE receipt SET total=27 WHERE id=2; INSERT INTO receipt_line VALUES(3,2,'bread')")
	c.level()
	conflict = c.open("hub")[0].ID
	c.at(site, "DELETE FROM receipt WHERE id=2")
	c.level()
	c.at(site, "INSERT INTO receipt VALUES(2,99); INSERT INTO receipt_line VALUES(2,2,'wine'),(3,2,'cheese')")
	c.level()
	return c, conflict
}

const otherReceipt = "SELECT r.total, l.what FROM receipt r JOIN receipt_line l ON l.receipt=r.id WHERE r.id=2 ORDER BY l.id"

func TestADecisionDeletesNoRowThatGotTheNumberSince(t *testing.T) {
	for _, at := range []string{"hub", "a", "b"} {
		c, id := reused(t, "b")
		if writes := c.resolve(at, id, Resolution{Keep: "a"}); len(writes) > 0 {
			t.Errorf("at %s: what a deleted is gone already, and yet it wrote %+v", at, writes)
		}
		c.level()
		c.expectAll(otherReceipt, "99|wine\n99|cheese")
		if open := c.open("hub"); len(open) > 0 {
			t.Errorf("at %s: still open: %+v", at, open)
		}
	}
}

func TestADecisionGivesNoValuesToARowThatGotTheNumberSince(t *testing.T) {
	c, id := reused(t, "hub")
	for _, r := range []Resolution{{Keep: "hub", By: "admin"}, {Take: map[string]string{"total": "hub"}, By: "admin"}} {
		_, err := c.hub.Resolve(id, r)
		c.refused(err, "its key is another row's now")
	}
	c.expect("hub", otherReceipt, "99|wine\n99|cheese")
	c.resolve("hub", id, Resolution{Set: map[string]crdt.Value{"receipt.total": number(100)}})
	c.level()
	c.expectAll("SELECT total FROM receipt WHERE id=2", "100")
	if open := c.open("hub"); len(open) > 0 {
		t.Errorf("still open: %+v", open)
	}
}

func TestARowThatWasReplacedByOneOfTheSidesIsTheOneTheRecordIsAbout(t *testing.T) {
	c := newChain(t, receiptsAndLines, nil, "a", "b")
	c.at("hub", "UPDATE receipt SET total=21 WHERE id=2")
	c.at("a", "DELETE FROM receipt WHERE id=2; INSERT INTO receipt VALUES(2,22)")
	c.level()
	open := c.open("hub")
	if len(open) != 1 {
		t.Fatalf("%+v", open)
	}
	c.resolve("hub", open[0].ID, Resolution{Keep: "hub"})
	c.level()
	c.expectAll("SELECT total FROM receipt WHERE id=2", "21")
}

func TestALineDoesNotComeBackIntoAnotherReceiptOfTheSameNumber(t *testing.T) {
	c := newChain(t, receiptsAndLines, nil, "a", "b")
	c.at("hub", "DELETE FROM receipt_line WHERE id=2")
	c.at("a", "UPDATE receipt_line SET what='soup of the day' WHERE id=2")
	c.at("hub", "DELETE FROM receipt_line WHERE id=2")
	c.level()
	id := c.open("hub")[0].ID
	c.at("b", "DELETE FROM receipt WHERE id=2")
	c.level()
	c.at("b", "INSERT INTO receipt VALUES(2,99)")
	c.level()
	_, err := c.hub.Resolve(id, Resolution{Keep: "a", By: "admin"})
	c.refused(err, "receipt[2] was deleted since, and its key is another row's now")
	c.resolve("hub", id, Resolution{Keep: "hub"})
	c.level()
	c.expectAll("SELECT total, (SELECT count(*) FROM receipt_line WHERE receipt=2) FROM receipt WHERE id=2", "99|0")
}
