package store

import (
	"ravno/store/internal/catalog"
	"strings"
	"testing"
)

const stock = `CREATE TABLE product(id INTEGER PRIMARY KEY, name TEXT, stock INT, weight REAL);
	INSERT INTO product VALUES(1,'cup',100,10.5),(2,'pot',50,0.25)`

var stockCounters = []catalog.Setting{{Table: "product", Class: catalog.Synced, Counters: []string{"stock", "weight"}}}

// What two shops sell offline both counts.
func TestCounterAddsOfflineSales(t *testing.T) {
	c := newChain(t, stock, stockCounters, "a", "b")
	c.at("a",
		"UPDATE product SET stock=stock-3 WHERE id=1; UPDATE product SET stock=stock-1, weight=weight-0.1 WHERE id=1")
	c.at("b", "UPDATE product SET stock=stock-5, weight=weight-0.7 WHERE id=1")
	c.at("hub", "UPDATE product SET stock=stock+20 WHERE id=1")
	c.level()
	c.expectAll("SELECT stock FROM product WHERE id=1", "111")
	c.expectAll("SELECT round(weight,6) FROM product WHERE id=1", "9.7")
	if kinds := c.kinds("hub"); kinds != "" {
		t.Errorf("counting is no conflict, but %q", kinds)
	}
}

// A stock taking wins over what it had seen and not over the rest.
func TestCounterStockTakingKeepsUnseen(t *testing.T) {
	c := newChain(t, stock, stockCounters, "a", "b")
	c.at("a", "UPDATE product SET stock=stock-10 WHERE id=1")
	c.level()
	c.at("b", "UPDATE product SET stock=stock-7 WHERE id=1") // not seen by who counts
	c.at("a", "UPDATE product SET stock=80 WHERE id=1")      // 90 were expected
	c.level()
	c.expectAll("SELECT stock FROM product WHERE id=1", "73")
}

// Counts survive replacement edits deletions and returns.
func TestCounterSurvivesRowLife(t *testing.T) {
	c := newChain(t, stock, stockCounters, "a", "b")
	c.at("a", "REPLACE INTO product VALUES(1,'big cup',98,10.5)")
	c.at("b", "UPDATE product SET stock=stock-1 WHERE id=1")
	c.at("b", "UPDATE product SET name='mug', stock=stock-1 WHERE id=2")
	c.at("hub", "INSERT INTO product VALUES(3,'jug',NULL,NULL)")
	c.level()
	c.expectAll("SELECT stock FROM product ORDER BY id", "97\n49\nNULL")
	c.at("a", "UPDATE product SET stock=5 WHERE id=3")
	c.at("b", "UPDATE product SET stock=4 WHERE id=3")
	c.level()
	c.expectAll("SELECT stock FROM product WHERE id=3", "9")
	c.at("a", "DELETE FROM product WHERE id=1")
	c.at("b", "UPDATE product SET stock=stock-2 WHERE id=1") // newer than the deletion: it is back
	c.at("hub", "UPDATE product SET stock=stock-1 WHERE id=1")
	c.level()
	c.expectAll("SELECT stock FROM product WHERE id=1", "94")
	if kinds := c.kinds("a"); kinds != "edit_delete " {
		t.Errorf("%q", kinds)
	}
}

// A late server gets the counts and counts on.
func TestCounterAtLateServer(t *testing.T) {
	c := newChain(t, stock, stockCounters, "a")
	c.at("a", "UPDATE product SET stock=stock-10 WHERE id=1")
	c.level()
	c.join("b", [16]byte{9})
	c.at("b", "UPDATE product SET stock=stock-1")
	c.at("a", "UPDATE product SET stock=stock-1")
	c.level()
	c.expectAll("SELECT stock FROM product ORDER BY id", "88\n48")
}

// A column becomes a counter while servers are away.
func TestCounterSetWhileServersAway(t *testing.T) {
	c := newChain(t, stock, nil, "a", "b")
	c.at("a", "UPDATE product SET stock=60 WHERE id=1") // under way as an ordinary write
	c.must(c.hub.SetTable(catalog.Setting{Table: "product", Class: catalog.Synced, Counters: []string{"stock"}}))
	c.at("hub", "UPDATE product SET stock=stock-1 WHERE id=1")
	c.level()
	c.at("a", "UPDATE product SET stock=stock-1 WHERE id=1")
	c.at("b", "UPDATE product SET stock=stock-1 WHERE id=1")
	c.level()
	c.expectAll("SELECT stock FROM product WHERE id=1", "57")
}

// The counter of a renumbered row counts on.
func TestCounterOfRekeyedRow(t *testing.T) {
	c := newChain(t, stock, stockCounters, "a", "b")
	c.at("a", "INSERT INTO product VALUES(9,'a',10,1)")
	c.at("b", "INSERT INTO product VALUES(9,'b',20,1); UPDATE product SET stock=stock-1 WHERE id=9")
	c.up("a")
	c.up("b")
	c.at("b", "UPDATE product SET stock=stock-1 WHERE id=9")
	c.level()
	c.at("a", "UPDATE product SET stock=stock-1 WHERE id>8")
	c.at("b", "UPDATE product SET stock=stock-1 WHERE id>8")
	c.level()
	c.expectAll("SELECT name, stock FROM product WHERE id>8 ORDER BY id", "a|8\nb|16")
}

// What cannot be a counter is refused.
func TestCounterRefused(t *testing.T) {
	c := newChain(t, "CREATE TABLE p(id INTEGER PRIMARY KEY, code INT UNIQUE, up INT REFERENCES p(id), n INT)", nil)
	for _, column := range []string{"id", "code", "up", "none"} {
		err := c.hub.SetTable(catalog.Setting{Table: "p", Class: catalog.Synced, Counters: []string{column}})
		if err == nil || !strings.Contains(err.Error(), "Try:") {
			t.Errorf("%s: %v", column, err)
		}
	}
	c.must(c.hub.SetTable(catalog.Setting{Table: "p", Class: catalog.Synced, Counters: []string{"n"}}))
}

// A count before a deletion counts if the row lives on.
func TestCounterBeforeDeletionOutlived(t *testing.T) {
	c := newChain(t, stock, stockCounters, "a", "b")
	c.at("a", "UPDATE product SET stock=stock-1 WHERE id=1; DELETE FROM product WHERE id=1") // in one fold
	c.at("b", "UPDATE product SET stock=stock-2, name='mug' WHERE id=1")
	c.level()
	c.expectAll("SELECT stock FROM product WHERE id=1", "97")
}

// A row edited and deleted in one go comes back without the edit.
func TestCounterEditAndDeleteInOneGo(t *testing.T) {
	for _, first := range []string{"a", "b"} {
		c := newChain(t, stock, stockCounters, "a", "b")
		c.at("a", "UPDATE product SET name='pot' WHERE id=1")
		_, err := c.nodes["a"].Fold() // not sent, and then never sent
		c.must(err)
		c.at("a", "UPDATE product SET name='mug' WHERE id=1; DELETE FROM product WHERE id=1")
		c.at("hub", "UPDATE product SET stock=stock-2 WHERE id=1")
		if first == "b" {
			c.down("a")
		}
		c.level()
		c.expectAll("SELECT name, stock FROM product WHERE id=1", "cup|98")
	}
}
