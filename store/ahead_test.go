package store

import (
	"ravno/store/internal/enrol"
	"ravno/store/internal/history"
	"ravno/store/internal/merge"
	"ravno/store/internal/resolve"
	"testing"

	"ravno/crdt"
	"ravno/crdt/causal"
)

// documents is a schema in which a document has lines.
const documents = `CREATE TABLE d(id INTEGER PRIMARY KEY, a); CREATE TABLE l(id INTEGER PRIMARY KEY, d REFERENCES d ON
	DELETE CASCADE, x);
	INSERT INTO d VALUES(1,'x'),(2,'x'),(3,'x'); INSERT INTO l VALUES(1,1,'x'),(2,2,'x')`

// firstSliceOf is the first slice of what one site has for another.
func (c *chain) firstSliceOf(from *Store, node *Store, has enrol.Self) merge.Delta {
	var sections []*crdt.Section
	var span history.Span
	site, above := has.Site, has.Seen
	if from == node {
		site, above = 0, has.HubHave
	}
	_, _, err := from.Outgoing(site, above, 0, func(slice history.Span, s *crdt.Section) error {
		if span.To == 0 {
			span = slice
		}
		if slice.To == span.To {
			sections = append(sections, s)
		}
		return nil
	})
	c.must(err)
	return deltaOf(span, sections)
}

// firstDown brings a node the first slice of what the hub has for it; then its link is cut.
func (c *chain) firstDown(name string) {
	node := c.nodes[name]
	self, err := node.Self()
	c.must(err)
	delta := c.firstSliceOf(c.hub, node, self)
	_, err = node.ApplyFromHub(delta)
	c.must(err)
	c.must(c.hub.AckedByNode(self.Site, causal.Reached{Position: delta.To, Until: delta.Until}, 0, true))
}

// firstUp brings the hub the first slice of a node's work; then the link is cut.
func (c *chain) firstUp(name string) {
	node := c.nodes[name]
	self, err := node.Self()
	c.must(err)
	delta := c.firstSliceOf(node, node, self)
	_, err = c.hub.ApplyFromNode(self.Site, delta, self.Floor)
	c.must(err)
	c.must(node.Acknowledged(causal.Reached{Position: delta.To, Until: delta.Until}))
}

// writtenApart writes statements at a site which are folded one by one, so that each has a
// position of its own.
func (c *chain) writtenApart(site string, statements ...string) {
	c.store(site).SetSliceRows(1)
	for _, sql := range statements {
		c.at(site, sql)
		_, err := c.store(site).Fold()
		c.must(err)
	}
}

func (c *chain) noneEarly(sites ...string) {
	c.t.Helper()
	for _, site := range sites {
		c.expect(site, "SELECT count(*) FROM ravno_ahead", "0")
	}
}

// Who has a document early and edits it is in no conflict.
func TestAheadDocumentEditedNoConflict(t *testing.T) {
	c := newChain(t, documents, nil, "a")
	c.level()
	c.writtenApart("hub", "UPDATE d SET a='h' WHERE id=1", "UPDATE d SET a='h' WHERE id=2",
		"UPDATE l SET x='h' WHERE id=1")
	c.firstDown("a")
	c.expect("hub", "SELECT count(*) FROM ravno_ahead", "1")
	c.expect("a", "SELECT x FROM l WHERE id=1", "h")
	c.at("a", "UPDATE l SET x='a, having seen h' WHERE id=1")
	c.level()
	c.expect("hub", "SELECT x FROM l WHERE id=1", "a, having seen h")
	if n := len(c.open("hub")); n != 0 {
		t.Errorf("%d conflicts", n)
	}
	c.noneEarly("hub", "a")
}

// Who has one document early has not seen the others.
func TestAheadDocumentSaysNothingOfOthers(t *testing.T) {
	c := newChain(t, documents, nil, "a")
	c.level()
	c.writtenApart("hub", "UPDATE d SET a='h' WHERE id=1", "UPDATE d SET a='h' WHERE id=2",
		"UPDATE l SET x='h' WHERE id=1")
	c.firstDown("a")
	c.at("a", "UPDATE d SET a='a' WHERE id=2")
	c.level()
	if kinds := c.kinds("hub"); kinds != "edit_edit " {
		t.Errorf("%q", kinds)
	}
	c.noneEarly("hub", "a")
}

// A row that came early and was deleted stays deleted when its number is used again.
func TestAheadRowDeletedNumberReused(t *testing.T) {
	c := newChain(t, documents, nil, "a")
	c.level()
	c.writtenApart("hub", "UPDATE d SET a='h' WHERE id=1", "UPDATE d SET a='h' WHERE id=2",
		"INSERT INTO l VALUES(3,1,'by the hub')")
	c.firstDown("a")
	c.expect("a", "SELECT x FROM l WHERE id=3", "by the hub")
	c.at("a", "DELETE FROM l WHERE id=3; INSERT INTO l VALUES(3,2,'by a')")
	for range 3 {
		c.up("a")
		c.down("a")
	}
	c.level()
	c.expectAll("SELECT * FROM l", "1|1|x\n2|2|x\n3|2|by a")
	c.noneEarly("hub", "a")
}

// What was sent early is not sent again and no conflict.
func TestAheadRowNotSentAgain(t *testing.T) {
	c := newChain(t, documents, nil, "a", "b")
	c.level()
	c.writtenApart("a", "UPDATE d SET a='a' WHERE id=1", "UPDATE d SET a='a' WHERE id=2", "UPDATE l SET x='a' WHERE id=1")
	c.firstUp("a")
	c.expect("hub", "SELECT x FROM l WHERE id=1", "a")
	c.down("b")
	c.at("b", "UPDATE l SET x='b, having seen a' WHERE id=1")
	c.up("b")
	if applied := c.up("a"); applied.Changes != 1 { // the document that was left
		t.Errorf("%d rows were sent after the cut", applied.Changes)
	}
	c.level()
	c.expectAll("SELECT x FROM l WHERE id=1", "b, having seen a")
	if open := c.open("hub"); len(open) != 0 {
		t.Errorf("%d conflicts: %+v", len(open), open[0])
	}
	c.noneEarly("hub", "a", "b")
}

// A row sent early and deleted elsewhere does not come back under a fresh key.
func TestAheadRowDeletedNotRekeyed(t *testing.T) {
	c := newChain(t, documents, nil, "a", "b")
	c.level()
	c.writtenApart("a", "UPDATE d SET a='a' WHERE id=1", "UPDATE d SET a='a' WHERE id=2",
		"INSERT INTO l VALUES(3,1,'by a')")
	c.firstUp("a")
	c.down("b")
	c.expect("b", "SELECT x FROM l WHERE id=3", "by a")
	c.at("b", "DELETE FROM l WHERE id=3")
	c.up("b")
	c.down("b")
	c.at("b", "INSERT INTO l VALUES(3,2,'by b')")
	c.up("b")
	c.up("a")
	c.level()
	c.expectAll("SELECT * FROM l", "1|1|x\n2|2|x\n3|2|by b")
	c.noneEarly("hub", "a", "b")
}

// A row that went to another document since: that document is to go, and the row with it.
func TestAheadDocumentGetsMovedRow(t *testing.T) {
	c := newChain(t, documents, nil, "a", "b")
	c.level()
	c.writtenApart("a", "UPDATE d SET a='a' WHERE id=1", "UPDATE d SET a='a' WHERE id=2", "UPDATE l SET x='a' WHERE id=2",
		"UPDATE l SET x='a' WHERE id=1")
	c.firstUp("a")
	c.at("a", "UPDATE l SET d=1 WHERE id=2")
	c.level()
	c.expectAll("SELECT * FROM l", "1|1|a\n2|1|a")
	c.noneEarly("hub", "a", "b")
}

// Work of a node that a newer write has displaced goes with the first slice, and once.
func TestAheadOverwrittenNotSentAgain(t *testing.T) {
	c := newChain(t, documents, nil, "a", "b")
	c.level()
	c.writtenApart("a", "UPDATE d SET a='a' WHERE id=1", "UPDATE d SET a='a' WHERE id=2")
	c.at("b", "UPDATE d SET a='b' WHERE id=3")
	c.at("a", "UPDATE d SET a='a' WHERE id=3")
	_, err := c.store("a").Fold()
	c.must(err)
	c.now = c.now.Add(1e9)
	c.at("b", "UPDATE d SET a='b, later' WHERE id=3")
	c.up("b")
	c.down("a")
	c.expect("a", "SELECT count(*) FROM ravno_overwritten", "1")
	c.firstUp("a")
	id := c.open("hub")[0].ID
	c.resolve("hub", id, resolve.Resolution{Keep: "b", By: "admin"})
	c.level()
	if open := c.open("hub"); len(open) != 0 {
		t.Errorf("%d conflicts are open again: %+v", len(open), open[0])
	}
	c.expectAll("SELECT a FROM d", "a\na\nb, later")
	c.noneEarly("hub", "a", "b")
}

// A fresh key is none that a later slice has.
func TestFreshKeyAvoidsLaterSlices(t *testing.T) {
	c := newChain(t, documents, nil, "a")
	c.level()
	c.at("hub", "INSERT INTO l VALUES(3,2,'by the hub')")
	_, err := c.hub.Fold()
	c.must(err)
	c.writtenApart("a", "INSERT INTO l VALUES(3,1,'a, third')", "INSERT INTO l VALUES(4,2,'a, fourth')",
		"INSERT INTO l VALUES(5,3,'a, fifth')")
	c.firstUp("a")
	c.expect("hub", "SELECT * FROM l WHERE id>2", "3|2|by the hub\n6|1|a, third")
	c.level()
	c.expectAll("SELECT * FROM l WHERE id>2", "3|2|by the hub\n4|2|a, fourth\n5|3|a, fifth\n6|1|a, third")
}
