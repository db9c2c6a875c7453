package store

import (
	"ravno/store/internal/catalog"
	"ravno/store/internal/resolve"
	"testing"

	"ravno/crdt"
)

// Numbers are given again: an application without AUTOINCREMENT gives the number of the last
// row it deleted to the next one. What is decided or told about the former row must not touch
// the other.

const receiptsAndLines = `CREATE TABLE receipt(id INTEGER PRIMARY KEY, total INTEGER);
	CREATE TABLE receipt_line(id INTEGER PRIMARY KEY, receipt INTEGER NOT NULL REFERENCES receipt(id) ON DELETE CASCADE,
	what TEXT);
	INSERT INTO receipt VALUES(1,10),(2,20); INSERT INTO receipt_line VALUES(1,1,'tea'),(2,2,'soup')`

// A line that nobody else ever saw is no side of a conflict.
func TestConflictOmitsLineNobodySaw(t *testing.T) {
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

const otherReceipt = "SELECT r.total, l.what FROM receipt r JOIN receipt_line l ON l.receipt=r.id " +
	"WHERE r.id=2 ORDER BY l.id"

// A decision deletes no row that got the number since.
func TestDecisionSparesRowWithNumberSince(t *testing.T) {
	for _, at := range []string{"hub", "a", "b"} {
		c, id := reused(t, "b")
		if writes := c.resolve(at, id, resolve.Resolution{Keep: "a"}); len(writes) > 0 {
			t.Errorf("at %s: what a deleted is gone already, and yet it wrote %+v", at, writes)
		}
		c.level()
		c.expectAll(otherReceipt, "99|wine\n99|cheese")
		if open := c.open("hub"); len(open) > 0 {
			t.Errorf("at %s: still open: %+v", at, open)
		}
	}
}

// A decision gives no values to a row that got the number since.
func TestDecisionWritesNoOtherRowSince(t *testing.T) {
	c, id := reused(t, "hub")
	for _, r := range []resolve.Resolution{{Keep: "hub", By: "admin"},
		{Take: map[string]string{"total": "hub"}, By: "admin"}} {
		_, err := c.hub.Resolve(id, r)
		c.refused(err, "its key is another row's now")
	}
	c.expect("hub", otherReceipt, "99|wine\n99|cheese")
	c.resolve("hub", id, resolve.Resolution{Set: map[string]crdt.Value{"receipt.total": number(100)}})
	c.level()
	c.expectAll("SELECT total FROM receipt WHERE id=2", "100")
	if open := c.open("hub"); len(open) > 0 {
		t.Errorf("still open: %+v", open)
	}
}

// A row that was replaced by one of the sides is the one the record is about.
func TestConflictRowReplacedByASide(t *testing.T) {
	c := newChain(t, receiptsAndLines, nil, "a", "b")
	c.at("hub", "UPDATE receipt SET total=21 WHERE id=2")
	c.at("a", "DELETE FROM receipt WHERE id=2; INSERT INTO receipt VALUES(2,22)")
	c.level()
	open := c.open("hub")
	if len(open) != 1 {
		t.Fatalf("%+v", open)
	}
	c.resolve("hub", open[0].ID, resolve.Resolution{Keep: "hub"})
	c.level()
	c.expectAll("SELECT total FROM receipt WHERE id=2", "21")
}

// A line does not come back into another receipt of the same number.
func TestLineStaysOutOfOtherReceipt(t *testing.T) {
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
	_, err := c.hub.Resolve(id, resolve.Resolution{Keep: "a", By: "admin"})
	c.refused(err, "receipt[2] was deleted since, and its key is another row's now")
	c.resolve("hub", id, resolve.Resolution{Keep: "hub"})
	c.level()
	c.expectAll("SELECT total, (SELECT count(*) FROM receipt_line WHERE receipt=2) FROM receipt WHERE id=2", "99|0")
}

// Keys that say what they are about are not given again: a row made anew under one is the same thing.
func TestConflictLineSavedAnew(t *testing.T) {
	c := newChain(t, `CREATE TABLE receipt(id INTEGER PRIMARY KEY, total INTEGER);
		CREATE TABLE line(receipt INTEGER NOT NULL REFERENCES receipt(id) ON DELETE CASCADE, no INTEGER NOT NULL, what TEXT,
		PRIMARY KEY(receipt, no));
		INSERT INTO receipt VALUES(2,20); INSERT INTO line VALUES(2,1,'soup'),(2,2,'bun')`, nil, "a", "b")
	c.at("a", "UPDATE line SET what='soup of a' WHERE no=1")
	c.at("b", "UPDATE line SET what='soup of b' WHERE no=1")
	c.level()
	c.at("hub", "BEGIN; DELETE FROM line; INSERT INTO line VALUES(2,1,'soup of b'),(2,2,'bun'); COMMIT")
	c.level()
	c.resolve("hub", c.open("hub")[0].ID, resolve.Resolution{Keep: "a"})
	c.level()
	c.expectAll("SELECT what FROM line ORDER BY no", "soup of a\nbun")
}

// The hub forgets what is settled before a node does, or after it.
func TestDecisionAfterBirthForgotten(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	for _, who := range []int{1, 2, 3, 4, 6, 7} {
		for _, keep := range []string{"hub", "b"} {
			for _, at := range []string{"hub", "a", "b"} {
				c := newChain(t, receiptsAndLines, nil, "a", "b")
				c.written("a", "INSERT INTO receipt VALUES(5,50); INSERT INTO receipt_line VALUES(50,5,'x')")
				c.settle()
				c.forget(who)
				c.forget(who)
				c.at("hub", "DELETE FROM receipt WHERE id=5")
				c.at("b", "UPDATE receipt SET total=51 WHERE id=5")
				c.level()
				c.resolve(at, c.open("hub")[0].ID, resolve.Resolution{Keep: keep})
				c.level()
				want := map[string]string{"hub": "", "b": "51"}[keep]
				if got := c.rows("hub", "SELECT total FROM receipt WHERE id=5"); got != want {
					t.Errorf("forgotten by %03b, at %s, keep %s: %q, want %q", who, at, keep, got, want)
				}
			}
		}
	}
}

// Without a column that could carry a newer version a row comes back by being made anew.
func TestConflictRowMadeAnewAtHub(t *testing.T) {
	for name, x := range map[string]struct {
		schema      string
		settings    []catalog.Setting
		gone, needs string
		query, want string
	}{
		"all key": {`CREATE TABLE box(id INTEGER PRIMARY KEY); CREATE TABLE thing(id INTEGER PRIMARY KEY, box INTEGER NOT NULL
			REFERENCES box(id) ON DELETE CASCADE, what TEXT);
			INSERT INTO box VALUES(1),(2); INSERT INTO thing VALUES(1,1,'cup'),(2,2,'pot')`, nil,
			"DELETE FROM box WHERE id=2", "INSERT INTO thing VALUES(3,2,'pan')", "SELECT count(*) FROM thing WHERE box=2", "0"},
		"all key, a code": {`CREATE TABLE tag(name TEXT PRIMARY KEY); CREATE TABLE item(id INTEGER PRIMARY KEY,
			tag TEXT REFERENCES tag(name));
			INSERT INTO tag VALUES('y'),('z'); INSERT INTO item VALUES(1,'y')`, nil,
			"DELETE FROM tag WHERE name='z'", "UPDATE item SET tag='z'", "SELECT count(*) FROM tag WHERE name='z'", "0"},
		"key and counter": {`CREATE TABLE stock(item INTEGER PRIMARY KEY, qty INTEGER);
			CREATE TABLE sale(id INTEGER PRIMARY KEY, item INTEGER REFERENCES stock(item));
			INSERT INTO stock VALUES(1,10),(2,3)`, []catalog.Setting{
			{Table: "stock", Class: catalog.Synced, Counters: []string{"qty"}}},
			"DELETE FROM stock WHERE item=2", "INSERT INTO sale VALUES(1,2)", "SELECT count(*) FROM stock WHERE item=2", "0"},
	} {
		c := newChain(t, x.schema, x.settings, "a", "b")
		c.at("hub", x.gone)
		must(c.hub.Fold())
		c.at("a", x.needs)
		c.level()
		c.resolve("hub", c.open("hub")[0].ID, resolve.Resolution{Keep: "hub"})
		c.level()
		if got := c.rows("b", x.query); got != x.want {
			t.Errorf("%s: %s, want %s", name, got, x.want)
		}
	}
}

const receiptsWithQuantities = `CREATE TABLE receipt(id INTEGER PRIMARY KEY, total INTEGER);
	CREATE TABLE receipt_line(id INTEGER PRIMARY KEY, receipt INTEGER NOT NULL REFERENCES receipt(id) ON DELETE CASCADE,
	what TEXT, qty INTEGER);
	INSERT INTO receipt VALUES(1,10),(2,20); INSERT INTO receipt_line VALUES(1,1,'tea',1),(5,2,'bun',1),(6,2,'soup',1)`

// What a site had before is not given to a row that got the number since.
func TestDecisionBaseNotForOtherRow(t *testing.T) {
	c := newChain(t, receiptsWithQuantities, nil, "a", "b")
	c.at("a", "UPDATE receipt SET total=21 WHERE id=2")
	c.at("b", "UPDATE receipt_line SET qty=2 WHERE id=6")
	c.level()
	id := c.open("hub")[0].ID
	c.at("hub", "DELETE FROM receipt_line WHERE id=6")
	c.level()
	c.at("hub", "INSERT INTO receipt_line VALUES(6,1,'wine',2)")
	c.level()
	c.resolve("hub", id, resolve.Resolution{Keep: "a"})
	c.level()
	c.expectAll("SELECT receipt, what, qty FROM receipt_line WHERE id=6", "1|wine|2")
}

// What a site had before is not given to another receipt of the same number.
func TestDecisionBaseNotForOtherReceipt(t *testing.T) {
	c := newChain(t, receiptsWithQuantities, nil, "a", "b")
	c.at("a", "DELETE FROM receipt_line WHERE id=5")
	c.at("b", "UPDATE receipt_line SET qty=2 WHERE id=6")
	c.level()
	id := c.open("hub")[0].ID
	c.at("hub", "DELETE FROM receipt WHERE id=2")
	c.level()
	c.at("hub", "INSERT INTO receipt VALUES(2,99); INSERT INTO receipt_line VALUES(5,2,'cake',1),(6,2,'wine',2)")
	c.level()
	c.resolve("hub", id, resolve.Resolution{Keep: "a"})
	c.level()
	c.expectAll("SELECT what, qty FROM receipt_line WHERE receipt=2 ORDER BY id", "cake|1\nwine|2")
}

// A line that went with its receipt and whose number was given again stays.
func TestLineWithReusedNumberStays(t *testing.T) {
	c := newChain(t, receiptsAndLines, nil, "a", "b")
	c.at("hub", "UPDATE receipt SET total=21 WHERE id=2")
	must(c.hub.Fold())
	c.at("a", "PRAGMA foreign_keys=OFF; DELETE FROM receipt WHERE id=2")
	c.level() // the hub takes the line along
	id := c.open("hub")[0].ID
	c.at("b", "INSERT INTO receipt_line VALUES(2,1,'wine')")
	c.level()
	c.resolve("hub", id, resolve.Resolution{Keep: "a"})
	c.level()
	c.expectAll("SELECT receipt, what FROM receipt_line WHERE id=2", "1|wine")
}

// A row that came and went at one site alone is older or newer than another's of the same key.
func TestTombstoneUnheardKeepsNoneOut(t *testing.T) {
	for name, x := range map[string]struct{ schema, bread, mistyped, deleted, query string }{
		"a line by its number in the receipt": {`CREATE TABLE receipt(id INTEGER PRIMARY KEY, total INTEGER);
			CREATE TABLE line(receipt INTEGER NOT NULL REFERENCES receipt(id) ON DELETE CASCADE, no INTEGER NOT NULL, what TEXT,
			PRIMARY KEY(receipt, no));
			INSERT INTO receipt VALUES(2,20)`, "INSERT INTO line VALUES(2,2,'bread')", "INSERT INTO line VALUES(2,2,'mistyped')",
			"DELETE FROM line", "SELECT what FROM line"},
		"a code with rows that belong to it": {`CREATE TABLE p(id TEXT PRIMARY KEY, what TEXT);
			CREATE TABLE q(id INTEGER PRIMARY KEY, p TEXT REFERENCES p(id) ON DELETE CASCADE)`,
			"INSERT INTO p VALUES('x','bread')", "INSERT INTO p VALUES('x','mistyped')", "DELETE FROM p", "SELECT what FROM p"},
		"all key": {`CREATE TABLE p(id TEXT PRIMARY KEY); CREATE TABLE q(id INTEGER PRIMARY KEY, p TEXT REFERENCES p(id)
			ON DELETE CASCADE)`,
			"INSERT INTO p VALUES('bread')", "INSERT INTO p VALUES('bread')", "DELETE FROM p", "SELECT id FROM p"},
		"a note of a receipt": {`CREATE TABLE receipt(id INTEGER PRIMARY KEY, total INTEGER);
			CREATE TABLE note(receipt INTEGER PRIMARY KEY REFERENCES receipt(id) ON DELETE CASCADE, what TEXT);
			INSERT INTO receipt VALUES(1,10)`, "INSERT INTO note VALUES(1,'bread')", "INSERT INTO note VALUES(1,'mistyped')",
			"DELETE FROM note", "SELECT what FROM note"},
		"a line by a number of its own": {receiptsAndLines, "INSERT INTO receipt_line VALUES(24,2,'bread')",
			"INSERT INTO receipt_line VALUES(24,2,'mistyped')",
			"DELETE FROM receipt_line WHERE id=24", "SELECT what FROM receipt_line WHERE id>2"},
	} {
		for _, first := range []string{"a", "b"} {
			c := newChain(t, x.schema, nil, "a", "b")
			c.at("b", x.bread)
			must(c.nodes["b"].Fold())
			c.at("a", x.mistyped)
			must(c.nodes["a"].Fold())
			c.at("a", x.deleted)
			c.up(first)
			c.level()
			if there := c.rows("hub", x.query); there != "bread" && len(c.open("hub")) == 0 {
				t.Errorf("%s, %s first: there is %q and no conflict", name, first, there)
			}
		}
	}
}

// The number that a row of a got at the hub is given again by b, when that row is gone, and then a
// makes another row under the number the gone one had there.
func TestNumberReusedBeforeHubDeletes(t *testing.T) {
	c := newChain(t, receiptsAndLines, nil, "a", "b")
	c.at("hub", "INSERT INTO receipt_line VALUES(3,1,'of the hub')")
	must(c.hub.Fold())
	c.at("a", "INSERT INTO receipt_line VALUES(3,2,'mistyped')")
	must(c.nodes["a"].Fold())
	c.at("a", "DELETE FROM receipt_line WHERE id=3")
	c.up("a") // which gives it the number 4
	c.down("b")
	c.at("b", "INSERT INTO receipt_line VALUES(4,2,'of b')")
	c.up("b")
	c.at("a", "INSERT INTO receipt_line VALUES(3,2,'of a')")
	c.up("a")
	c.level()
	c.expectAll("SELECT what FROM receipt_line WHERE id>2 ORDER BY what", "of a\nof b\nof the hub")
}

// A row made anew and deleted unheard that outlives it is the same everywhere.
func TestRowRemadeAndDeletedUnheardLevels(t *testing.T) {
	c := newChain(t, `CREATE TABLE item(k TEXT PRIMARY KEY, name TEXT, lo INT DEFAULT 3, hi INT DEFAULT 9,
		stock INT DEFAULT 100); INSERT INTO item(k, name) VALUES('x','tea')`,
		[]catalog.Setting{{Table: "item", Class: catalog.Synced, Counters: []string{"stock"}}}, "a", "b")
	c.at("a", "UPDATE item SET hi=3")
	c.up("a")
	c.at("b", "DELETE FROM item; INSERT INTO item(k, name) VALUES('x','coffee')")
	must(c.nodes["b"].Fold())
	c.at("b", "DELETE FROM item")
	c.at("hub", "UPDATE item SET name='green tea'")
	c.level()
	c.expectAll("SELECT name, lo, hi, stock FROM item", "green tea|3|3|100")
	c.at("b", "UPDATE item SET lo=2")
	c.level()
	c.expectAll("SELECT name, lo, hi, stock FROM item", "green tea|2|3|100")
}
