package store

import (
	"ravno/store/internal/catalog"
	"testing"

	"ravno/crdt"
)

const orders = `CREATE TABLE orders(id INTEGER PRIMARY KEY AUTOINCREMENT, guest TEXT);
	CREATE TABLE line(id INTEGER PRIMARY KEY, ord INT NOT NULL REFERENCES orders(id) ON DELETE CASCADE, dish TEXT, n INT);
	CREATE TABLE seat(ord INT REFERENCES orders(id) ON DELETE CASCADE, nr INT, who TEXT, PRIMARY KEY(ord, nr))
	WITHOUT ROWID;
	CREATE TABLE wish(id TEXT PRIMARY KEY, ord INT, nr INT, wish TEXT, FOREIGN KEY(ord, nr) REFERENCES seat(ord, nr));
	CREATE TABLE payment(id TEXT PRIMARY KEY, ord INT REFERENCES orders(id), cents INT)`

// Two orders of one number both live and everything follows the second.
func TestRekeyTwoOrdersOfOneNumber(t *testing.T) {
	c := newChain(t, orders, nil, "a", "b")
	for _, site := range []string{"a", "b"} {
		c.at(site, `INSERT INTO orders(guest) VALUES('`+site+`'); INSERT INTO line(ord,dish,n) VALUES(1,'soup `+site+`',1);
			INSERT INTO seat VALUES(1,1,'`+site+`'); INSERT INTO wish VALUES('w`+site+`',1,1,'`+site+
			`'); INSERT INTO payment VALUES('p`+site+`',1,100)`)
	}
	c.level()
	for _, site := range []string{"hub", "a", "b"} {
		c.expect(site, "SELECT id, guest FROM orders ORDER BY id", "1|a\n2|b")
		c.expect(site, "SELECT ord, dish FROM line ORDER BY id", "1|soup a\n2|soup b")
		c.expect(site, "SELECT ord, who FROM seat ORDER BY ord", "1|a\n2|b")
		c.expect(site, "SELECT ord, wish FROM wish ORDER BY id", "1|a\n2|b")
		c.expect(site, "SELECT ord, id FROM payment ORDER BY id", "1|pa\n2|pb")
		c.expect(site, "PRAGMA foreign_key_check", "")
	}
	if open := c.open("b"); len(open) != 0 {
		t.Errorf("%+v", open)
	}
	all, err := c.hub.Conflicts(true)
	c.must(err)
	kinds := make(map[crdt.ConflictKind]int)
	for _, x := range all {
		kinds[x.Kind]++
	}
	if len(all) != 2 || kinds[crdt.KeyCollision] != 2 { // the order and its line
		t.Errorf("%+v", all)
	}
}

// Writes still under way follow the fresh key.
func TestRekeyWritesUnderWayFollow(t *testing.T) {
	c := newChain(t, orders, nil, "a", "b")
	c.at("a", "INSERT INTO orders(guest) VALUES('a')")
	c.up("a")
	c.at("b", "INSERT INTO orders(guest) VALUES('b')")
	c.up("b") // order 2 at the hub; b does not know yet
	c.at("b", "INSERT INTO payment VALUES('sent',1,1)")
	c.up("b") // the hub translates
	c.expect("hub", "SELECT ord FROM payment", "2")
	c.at("b", "INSERT INTO payment VALUES('kept',1,2); UPDATE orders SET guest='b!' WHERE id=1; INSERT INTO seat "+
		"VALUES(1,1,'x'); DELETE FROM seat")
	c.down("b") // b hears of it, with work that is not sent
	c.expect("b", "SELECT id, guest FROM orders ORDER BY id", "1|a\n2|b!")
	c.expect("b", "SELECT ord FROM payment", "2\n2")
	c.at("b", "INSERT INTO payment VALUES('other',1,3)") // and this one is for a's order
	c.level()
	c.expect("a", "SELECT id, ord FROM payment ORDER BY cents", "sent|2\nkept|2\nother|1")
	c.expect("a", "SELECT guest FROM orders ORDER BY id", "a\nb!")
}

// A delta that crosses with own rows waits until the hub has them.
func TestRekeyCrossingDeltaWaits(t *testing.T) {
	c := newChain(t, orders, nil, "a", "b")
	c.at("a", "INSERT INTO orders(guest) VALUES('a'); INSERT INTO line(ord,dish) VALUES(1,'a')")
	c.up("a")
	c.at("b", "INSERT INTO orders(guest) VALUES('b'); INSERT INTO line(ord,dish) VALUES(1,'b')")
	c.down("b")
	c.expect("b", "SELECT guest FROM orders", "b") // not mixed with a's
	c.at("b", "DELETE FROM orders; INSERT INTO orders VALUES(1,'b again'); INSERT INTO payment VALUES('p',1,5)")
	c.level()
	c.expect("a", "SELECT id, guest FROM orders ORDER BY id", "1|a\n2|b again")
	c.expect("a", "SELECT ord FROM payment", "2")
	c.expect("hub", "SELECT ord, dish FROM line", "1|a")
}

// A row deleted and made again before its fresh key is known.
func TestRekeyRowMadeAgainUnknown(t *testing.T) {
	c := newChain(t, orders, nil, "a", "b")
	c.at("a", "INSERT INTO orders(guest) VALUES('a')")
	c.up("a")
	c.at("b", "INSERT INTO orders(guest) VALUES('b'); INSERT INTO payment VALUES('p1',1,1)")
	c.up("b")
	c.at("b",
		"DELETE FROM payment; DELETE FROM orders; INSERT INTO orders VALUES(1,'b2'); INSERT INTO payment VALUES('p2',1,2)")
	c.level()
	c.expect("a", "SELECT guest FROM orders ORDER BY id", "a\nb2")
	c.expect("a", "SELECT o.guest FROM payment p JOIN orders o ON o.id=p.ord", "b2")
}

// Many orders of many servers offline.
func TestRekeyManyOrdersOffline(t *testing.T) {
	c := newChain(t, orders, nil, "a", "b", "c")
	for round := range 3 {
		for _, site := range []string{"a", "b", "c", "hub"} {
			c.at(site, `WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i+1 FROM n WHERE i<20)
				INSERT INTO orders(guest) SELECT '`+site+`' FROM n;
				INSERT INTO line(ord,dish) SELECT id, '`+site+`' FROM orders o WHERE guest='`+site+
				`' AND NOT EXISTS(SELECT 1 FROM line WHERE ord=o.id);
				INSERT INTO seat SELECT id, 1, '`+site+`' FROM orders o WHERE guest='`+site+
				`' AND NOT EXISTS(SELECT 1 FROM seat WHERE ord=o.id)`)
			if round == 1 && site != "hub" {
				c.up(site)
			}
		}
	}
	c.level()
	c.expect("c", "SELECT guest, count(*) FROM orders GROUP BY 1", "a|60\nb|60\nc|60\nhub|60")
	c.expect("c", "SELECT count(*) FROM orders o JOIN line l ON l.ord=o.id AND l.dish=o.guest", "240")
	c.expect("c", "SELECT count(*) FROM orders o JOIN seat s ON s.ord=o.id AND s.who=o.guest", "240")
}

// The rows of one migration run at every server are not renumbered.
func TestRekeySparesMigrationRows(t *testing.T) {
	c := newChain(t, "CREATE TABLE p(id TEXT PRIMARY KEY)", nil, "a", "b")
	for _, site := range []string{"a", "hub", "b"} {
		c.migrate(site, "CREATE TABLE rate(id INTEGER PRIMARY KEY, name TEXT, percent INT); INSERT INTO rate(name,percent) "+
			"VALUES('low',9),('high',20)")
	}
	c.level()
	c.at("b", "UPDATE rate SET percent=21 WHERE name='high'")
	c.level()
	c.expectAll("SELECT id, name, percent FROM rate ORDER BY id", "1|low|9\n2|high|21")
	if all, err := c.hub.Conflicts(true); err != nil || len(all) != 0 {
		t.Errorf("%+v %v", all, err)
	}
}

// A row the hub knew is not born again by outliving its deletion.
func TestRekeySparesOutlivedRow(t *testing.T) {
	for _, downs := range [][3]bool{{true, true, false}, {true, false, true}, {true, true, true}} {
		c := newChain(t, "CREATE TABLE item(id INTEGER PRIMARY KEY, a TEXT, stock INTEGER NOT NULL DEFAULT 100)",
			[]catalog.Setting{{Table: "item", Class: catalog.Synced, Counters: []string{"stock"}}}, "a", "b")
		then := func(i int) {
			if downs[i] {
				c.down("a")
			}
		}
		c.at("a", "INSERT INTO item VALUES(4,'x',100)")
		c.settle()
		c.at("a", "DELETE FROM item WHERE id=4")
		c.at("hub", "UPDATE item SET stock=stock-3 WHERE id=4") // the newer word: it lives
		then(0)
		c.at("a", "UPDATE item SET a='again' WHERE id=4")
		then(1)
		c.at("hub", "DELETE FROM item WHERE id=4")
		then(2)
		c.at("hub", "INSERT INTO item VALUES(4,'new',100)") // another row, made in knowledge of the first
		c.up("a")
		c.settle()
		c.level()
		c.expectAll("SELECT id, a FROM item", "4|new")
	}
}
