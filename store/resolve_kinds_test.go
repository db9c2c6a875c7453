package store

import (
	"ravno/store/internal/catalog"
	"ravno/store/internal/conflict"
	"ravno/store/internal/resolve"
	"testing"

	"ravno/crdt"
)

// claimed makes two rows of two sites that claim one value. The row of b is held.
func claimed(t *testing.T) (c *chain, id string) {
	c = newChain(t, customers, nil, "a", "b")
	c.at("a", "INSERT INTO customer VALUES(8,'dup','of a')")
	c.at("b", "INSERT INTO customer VALUES(9,'dup','of b'); INSERT INTO orders VALUES(19,9,1); INSERT INTO line "+
		"VALUES('of b',19,1)")
	c.level()
	c.expect("hub", "SELECT id FROM customer WHERE code='dup'", "8")
	open := c.open("a")
	if len(open) != 1 || open[0].Kind != crdt.Unique {
		t.Fatalf("%+v", open)
	}
	return c, open[0].ID
}

// Of two rows that claim one value the kept one is in its table.
func TestResolveUniqueKeptRowInTable(t *testing.T) {
	for _, play := range []struct {
		name, after string
		r           resolve.Resolution
	}{
		{"the held one is kept", "9|dup|of b|1", resolve.Resolution{Keep: "b"}},
		{"the one in force is kept", "8|dup|of a|NULL", resolve.Resolution{Keep: "a"}},
		{"the held one gets another value", "8|dup|of a|NULL\n9|other|of b|1",
			resolve.Resolution{Set: map[string]crdt.Value{"code": catalog.Text("other")}}},
		{"the one in force gets another value", "8|other|of a|NULL\n9|dup|of b|1",
			resolve.Resolution{Set: map[string]crdt.Value{"customer[8].code": catalog.Text("other")}}},
	} {
		for _, site := range []string{"hub", "b"} {
			t.Run(play.name+", taken back at "+site, func(t *testing.T) {
				c, id := claimed(t)
				const all = "SELECT customer.*, qty FROM customer LEFT JOIN orders ON customer=customer.id LEFT JOIN line ON " +
					"orders=orders.id WHERE customer.id>2 ORDER BY customer.id"
				dry := play.r
				dry.DryRun = true
				planned := c.resolve("a", id, dry)
				c.expect("a", all, "8|dup|of a|NULL")
				writes := c.resolve("a", id, play.r)
				if len(writes) == 0 || len(writes) != len(planned) {
					t.Errorf("written %+v, planned %+v", writes, planned)
				}
				c.level()
				c.expect("hub", all, play.after)
				c.expect("b", "SELECT count(*) FROM ravno_image WHERE state='held'", "0")

				_, err := c.nodes["b"].Undo(id, resolve.UndoOptions{By: "admin@b", DryRun: true})
				c.must(err)
				c.expect(site, all, play.after)
				_, err = c.store(site).Undo(id, resolve.UndoOptions{By: "admin"})
				c.must(err)
				c.expect(site, all, "8|dup|of a|NULL")
				c.level()
				c.expect("a", all, "8|dup|of a|NULL")
				c.expect("hub", "SELECT count(*) FROM ravno_image WHERE state='held'", "3")
				if open := c.open("hub"); len(open) != 1 || open[0].ID != id {
					t.Errorf("open at the hub: %s", c.conflicts("hub"))
				}
			})
		}
	}
}

// Two rows of one site are not kept by site.
func TestResolveTwoRowsOfOneSite(t *testing.T) {
	c := newChain(t, customers, nil, "a", "b")
	c.at("a", "INSERT INTO customer VALUES(8,'x','of a'); INSERT INTO customer VALUES(9,'y','of a')")
	c.level()
	whole := func(id int64) conflict.Side {
		return conflict.Side{Site: 2, Table: "customer", Key: hexKey(number(id)), Whole: true,
			Values: encoded(map[string]crdt.Value{"code": catalog.Text("x"), "name": catalog.Text("of a")})}
	}
	c.record("aaaa", crdt.Unique, "customer", crdt.NewKey(number(9)), "2", "",
		conflict.Detail{Sides: []conflict.Side{whole(8), whole(9)}})
	_, err := c.hub.Resolve("aaaa", resolve.Resolution{Keep: "a", By: "admin"})
	c.refused(err, "both rows are of a")
	_, err = c.hub.Resolve("aaaa", resolve.Resolution{Set: map[string]crdt.Value{"code": catalog.Text("x")}, By: "admin"})
	c.refused(err, "UNIQUE")
	c.resolve("hub", "aaaa", resolve.Resolution{Set: map[string]crdt.Value{"code": catalog.Text("two")}})
	c.level()
	c.expect("a", "SELECT code FROM customer WHERE id>7 ORDER BY id", "x\ntwo")
}

// referred makes a customer that a deleted while b referred to it: it is in force again.
func referred(t *testing.T) (c *chain, id string) {
	c = newChain(t, customers, nil, "a", "b")
	c.at("hub", "INSERT INTO customer VALUES(7,'guest','Guest')")
	c.level()
	c.at("a", "DELETE FROM customer WHERE id=7")
	c.at("b", "INSERT INTO orders VALUES(12,7,5); INSERT INTO line VALUES('z',12,1)")
	c.level()
	open := c.open("b")
	if len(open) != 1 || open[0].Kind != crdt.ForeignKey {
		t.Fatalf("%+v", open)
	}
	return c, open[0].ID
}

// Of a row deleted here and referred to there the kept side is in force.
func TestResolveForeignKeyKeptSide(t *testing.T) {
	const counts = "SELECT (SELECT count(*) FROM customer WHERE id=7), (SELECT count(*) FROM orders WHERE id=12), " +
		"(SELECT count(*) FROM line WHERE id='z')"
	c, id := referred(t)
	if writes := c.resolve("b", id, resolve.Resolution{Keep: "b"}); len(writes) != 0 {
		t.Errorf("%+v", writes)
	}
	c.level()
	_, err := c.hub.Undo(id, resolve.UndoOptions{By: "admin"})
	c.must(err)
	c.level()
	c.expect("a", counts, "1|1|1")
	if writes := c.resolve("b", id, resolve.Resolution{Keep: "a"}); len(writes) != 3 {
		t.Errorf("%+v", writes)
	}
	c.level()
	c.expect("a", counts, "0|0|0")
	_, err = c.hub.Undo(id, resolve.UndoOptions{By: "admin"})
	c.must(err)
	c.level()
	c.expect("b", counts, "1|1|1")
	c.expect("b", "SELECT * FROM customer WHERE id=7", "7|guest|Guest")
	c.at("b", "INSERT INTO orders VALUES(14,7,5)") // nobody had this in mind
	c.level()
	_, err = c.hub.Resolve(id, resolve.Resolution{Keep: "a", By: "admin"})
	c.refused(err, "orders[14] refers to it")
}

// A key that ravno gave anew is said in the record.
func TestConflictNamesFreshKey(t *testing.T) {
	c := newChain(t, customers, nil, "a", "b")
	c.record("cccc", crdt.KeyCollision, "orders", crdt.NewKey(number(2)), "2,3", conflict.ByItself, map[string]any{
		"sides": []conflict.Side{
			{Site: 3, Table: "orders", Key: hexKey(number(2)), Whole: true, Values: map[string]string{}}},
		"renumbered": map[string]any{"site": 3, "table": "orders", "old": hexKey(number(2)), "new": hexKey(number(205))}})
	c.level()
	x := c.conflict("a", "cccc")
	if x.Open || x.Renumbered == nil || x.Renumbered.Site != "b" ||
		catalog.RowName(x.Renumbered.Table, x.Renumbered.New) != "orders[205]" ||
		catalog.RowName("orders", x.Renumbered.Old) != "orders[2]" {
		t.Errorf("%+v", x.Renumbered)
	}
	_, err := c.hub.Undo("cccc", resolve.UndoOptions{By: "admin"})
	c.refused(err, "closed by ravno itself")
	_, err = c.hub.Resolve("cccc", resolve.Resolution{Keep: "a", By: "admin"})
	c.refused(err, "closed by ravno itself")
	if n := len(c.open("a")); n != 0 {
		t.Errorf("%d open", n)
	}
}

// A decision sees references as the parents column compares.
func TestResolveComparesAsParentColumn(t *testing.T) {
	c := newChain(t, `CREATE TABLE g(id TEXT PRIMARY KEY, code TEXT UNIQUE COLLATE NOCASE);
		CREATE TABLE u(id TEXT PRIMARY KEY, code TEXT REFERENCES g(code)); INSERT INTO g VALUES('1','a')`, nil, "a", "b")
	c.at("hub", "INSERT INTO u VALUES('1','A')") // refers to a
	c.at("b", "DELETE FROM g")
	c.settle()
	c.expectAll("SELECT count(*) FROM g", "1")
	c.resolve("hub", c.open("hub")[0].ID, resolve.Resolution{Keep: "b", By: "admin"}) // the row is to be gone
	c.settle()
	c.level()
	c.expectAll("SELECT (SELECT count(*) FROM g) + (SELECT count(*) FROM u)", "0")
}

// A row that is held with the one given up goes with it.
func TestResolveHeldFollowerGoesToo(t *testing.T) {
	c := newChain(t, `CREATE TABLE g(id TEXT PRIMARY KEY, code TEXT UNIQUE);
		CREATE TABLE u(id TEXT PRIMARY KEY, g TEXT REFERENCES g(id) ON DELETE CASCADE);
		INSERT INTO g VALUES('2','b'); INSERT INTO u VALUES('1','2')`, nil, "a", "b") // u: nobody ever changes it
	c.at("hub", "INSERT INTO g VALUES('3','c')")
	c.at("b", "UPDATE g SET code='c' WHERE id='2'")
	c.settle()
	c.expectAll("SELECT count(*) FROM u", "0")
	c.resolve("hub", c.open("hub")[0].ID, resolve.Resolution{Keep: "hub", By: "admin"})
	c.settle()
	c.level()
	c.expectAll("SELECT (SELECT count(*) FROM g) || (SELECT count(*) FROM u)", "10")
}

// A row that what two sites wrote keeps out of its table is whole in their conflict.
func TestConflictHasUnfitRowWhole(t *testing.T) {
	c := newChain(t, `CREATE TABLE p(id TEXT PRIMARY KEY, name TEXT, lo INT, hi INT, CHECK(lo<=hi));
		CREATE TABLE l(id TEXT PRIMARY KEY, p TEXT REFERENCES p(id), what TEXT);
		INSERT INTO p VALUES('k','soup',3,9); INSERT INTO l VALUES('m','k','below')`, nil, "a", "b")
	c.at("hub", "UPDATE p SET hi=5")
	c.at("a", "UPDATE p SET lo=8")
	c.settle()
	c.level()
	c.expectAll("SELECT count(*) FROM p", "0") // 8 is not below 5
	x := c.open("b")[0]
	before := map[string]string{}
	for _, column := range x.Columns {
		if column.Base != nil {
			before[column.Name] = column.Base.String()
		}
	}
	if x.Kind != crdt.EditEdit || before["name"] != "soup" || before["what"] != "below" {
		t.Errorf("%s %v", x.Kind, before)
	}
	_, err := c.store("b").Resolve(x.ID, resolve.Resolution{Keep: "a", By: "admin"})
	c.refused(err, "CHECK constraint failed") // of what the hub wrote it has nothing to say
	c.resolve("b", x.ID, resolve.Resolution{Take: map[string]string{"lo": "a"},
		Set: map[string]crdt.Value{"hi": number(10)}, By: "admin"})
	c.settle()
	c.level()
	c.expectAll("SELECT name, lo, hi, what FROM p JOIN l ON l.p=p.id", "soup|8|10|below")
}
