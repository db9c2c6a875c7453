package store

import (
	"encoding/hex"
	"encoding/json"
	"ravno/store/internal/catalog"
	"ravno/store/internal/conflict"
	"ravno/store/internal/resolve"
	"ravno/store/internal/rows"
	"strings"
	"testing"

	"ravno/crdt"
	"ravno/store/internal/capture"
)

// record puts a conflict record into the hub's table, as the judge of another kind would.
func (c *chain) record(id string, kind crdt.ConflictKind, table string, key crdt.Key, sites, resolvedBy string,
	det any) {
	c.t.Helper()
	encoded, err := json.Marshal(det)
	c.must(err)
	resolved := int64(0)
	if resolvedBy != "" {
		resolved = 1
	}
	c.must(c.hub.write(func(tx *rows.Tx) error {
		if err := tx.SQL.Exec(`INSERT INTO ravno_conflict(id, kind, tab, key, document_tab, document_key, sites, found_at,
			detail, revision, resolved, resolved_by)
			VALUES(?,?,?,?,?,?,?,?,?,1,?,?)`, catalog.Text(id), catalog.Text(string(kind)), catalog.Text(table),
			catalog.Blob(key), catalog.Text(table), catalog.Blob(key), catalog.Text(sites), catalog.Integer(tx.Now()),
			catalog.Text(string(encoded)), catalog.Integer(resolved), catalog.Text(resolvedBy)); err != nil {
			return err
		}
		if err := tx.Log(tx.Cat.ByName["ravno_conflict"], crdt.NewKey(catalog.Text(id)), capture.Insert, nil); err != nil {
			return err
		}
		_, err := c.hub.foldFirst(tx)
		return err
	}))
}

func hexKey(values ...crdt.Value) string { return hex.EncodeToString([]byte(crdt.NewKey(values...))) }

// encoded are values by column name as a record keeps them.
func encoded(values map[string]crdt.Value) map[string]string {
	m := map[string]string{}
	for name, v := range values {
		m[name] = catalog.EncodeValue(v)
	}
	return m
}

func number(n int64) crdt.Value { return crdt.IntegerValue(n) }

func (c *chain) conflict(site, id string) conflict.Conflict {
	c.t.Helper()
	x, err := c.store(site).FindConflict(id)
	c.must(err)
	return x
}

func (c *chain) resolve(site, id string, r resolve.Resolution) []resolve.Write {
	c.t.Helper()
	c.now = c.now.Add(1e9)
	r.By = "admin@" + site
	writes, err := c.store(site).Resolve(id, r)
	c.must(err)
	return writes
}

// refused checks that an error says what, and what to try, in one line.
func (c *chain) refused(err error, words string) {
	c.t.Helper()
	if err == nil || !strings.Contains(err.Error(), words) || !strings.Contains(err.Error(), "Try: ") ||
		strings.Contains(err.Error(), "\n") {
		c.t.Errorf("%v; want one line with %q and Try:", err, words)
	}
}

const customers = `CREATE TABLE customer(id INTEGER PRIMARY KEY, code TEXT UNIQUE, name TEXT NOT NULL);
	CREATE TABLE orders(id INTEGER PRIMARY KEY, customer INTEGER REFERENCES customer(id), total INTEGER CHECK(total>=0));
	CREATE TABLE line(id TEXT PRIMARY KEY, orders INTEGER NOT NULL REFERENCES orders(id) ON DELETE CASCADE, qty INTEGER);
	INSERT INTO customer VALUES(1,'ana','Ana'),(2,'bor','Boris'); INSERT INTO orders VALUES(1,1,10),(2,2,20);
	INSERT INTO line VALUES('x',1,1),('y',1,2)`

func TestADeletedRowComesBackWithAllItsDocumentHad(t *testing.T) {
	c := newChain(t, customers, nil, "a", "b")
	c.at("b", "UPDATE line SET qty=5 WHERE id='y'")
	c.at("a", "DELETE FROM orders WHERE id=1")
	c.level()
	open := c.open("hub")
	if len(open) != 1 {
		t.Fatalf("%+v", open)
	}
	if n := len(must(c.hub.DocumentRows(open[0].ID))); n != 0 &&
		c.rows("hub", "SELECT count(*) FROM orders WHERE id=1") == "0" {
		t.Errorf("%d rows of a document that is not there", n)
	}
	writes := c.resolve("b", open[0].ID, resolve.Resolution{Keep: "b"})
	if len(writes) == 0 {
		t.Error("nothing written")
	}
	c.level()
	c.expect("a", "SELECT * FROM orders WHERE id=1", "1|1|10")
	c.expect("a", "SELECT id, qty FROM line ORDER BY id", "x|1\ny|5")
	c.expect("a", "SELECT count(*) FROM pragma_foreign_key_check", "0")
	rows := must(c.nodes["a"].DocumentRows(open[0].ID))
	if len(rows) != 3 || rows[0].Table != "orders" || rows[2].Row[2].Value != number(5) {
		t.Errorf("%+v", rows)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestWhatTwoAdminsDecideAtOnceIsOneResolutionEverywhereTheNewer(t *testing.T) {
	c := newChain(t, customers, nil, "a", "b", "z")
	c.at("a", "UPDATE orders SET total=11 WHERE id=1")
	c.at("b", "UPDATE orders SET total=12 WHERE id=1")
	c.level()
	id := c.open("hub")[0].ID
	c.resolve("a", id, resolve.Resolution{Keep: "a", Note: "older"})
	c.resolve("z", id, resolve.Resolution{Keep: "b", Note: "newer"})
	c.level()
	for _, site := range []string{"hub", "a", "b", "z"} {
		x := c.conflict(site, id)
		if x.Open || x.Note != "newer" || x.ResolvedBy != "admin@z" {
			t.Errorf("at %s: open %v, %q by %s", site, x.Open, x.Note, x.ResolvedBy)
		}
		c.expect(site, "SELECT total FROM orders WHERE id=1", "12")
	}
}

func TestADryRunSaysWhatWouldBeWrittenAndWritesNothing(t *testing.T) {
	c := newChain(t, customers, nil, "a", "b")
	c.at("a", "UPDATE orders SET total=11 WHERE id=1")
	c.at("b", "UPDATE orders SET total=12 WHERE id=1")
	c.level()
	before := c.dump("a")
	id := c.open("hub")[0].ID
	writes := c.resolve("a", id, resolve.Resolution{Keep: "a", DryRun: true})
	if len(writes) != 1 || writes[0].Column != "total" || *writes[0].Before != number(12) ||
		writes[0].Value != number(11) {
		t.Errorf("%+v", writes)
	}
	if c.dump("a") != before {
		t.Error("a dry run wrote something")
	}
	c.resolve("a", id, resolve.Resolution{Keep: "a"})
	before = c.dump("a")
	writes, err := c.nodes["a"].Undo(id, resolve.UndoOptions{By: "admin", DryRun: true})
	if err != nil || len(writes) != 1 || *writes[0].Before != number(11) || writes[0].Value != number(12) {
		t.Errorf("%+v %v", writes, err)
	}
	if c.dump("a") != before {
		t.Error("a dry run of undo wrote something")
	}
}

func TestWhatAResolutionCannotDoIsRefusedAndLeavesNothingHalfDone(t *testing.T) {
	c := newChain(t, customers, nil, "a", "b")
	c.at("a", "UPDATE customer SET code='anna', name='Anna' WHERE id=1; UPDATE orders SET total=11, customer=1 WHERE id=2")
	c.at("b", "UPDATE customer SET code='ani', name='Ani' WHERE id=1; UPDATE orders SET total=12, customer=2 WHERE id=2")
	c.at("a", "UPDATE orders SET customer=NULL WHERE id=2")
	c.level()
	ids := map[string]string{}
	for _, x := range c.open("hub") {
		ids[x.Table] = x.ID
	}
	before := c.dump("hub")
	for _, refusal := range []struct {
		table, words string
		set          map[string]crdt.Value
	}{
		{"customer", "UNIQUE", map[string]crdt.Value{"code": catalog.Text("bor"), "name": catalog.Text("x")}},
		{"customer", "NOT NULL", map[string]crdt.Value{"code": catalog.Text("free"), "name": {}}},
		{"orders", "CHECK", map[string]crdt.Value{"total": number(-1)}},
		{"orders", "customer[99], which is not there", map[string]crdt.Value{"customer": number(99), "total": number(5)}},
		{"orders", "has no column nothing", map[string]crdt.Value{"nothing": number(1)}},
	} {
		_, err := c.hub.Resolve(ids[refusal.table], resolve.Resolution{Set: refusal.set, By: "admin"})
		c.refused(err, refusal.words)
	}
	_, err := c.hub.Resolve(ids["orders"], resolve.Resolution{Keep: "hub", By: "admin"})
	c.refused(err, "hub is not one of them")
	if after := c.dump("hub"); after != before {
		t.Errorf("something was written: %s", firstDifference(before, after))
	}
}

func TestARowThatOthersReferToIsNotDeletedByAResolution(t *testing.T) {
	c := newChain(
		t, strings.Replace(customers, "INSERT INTO customer",
			"INSERT INTO customer VALUES(7,'guest','Guest'); INSERT INTO customer", 1), nil, "a", "b")
	c.at("b", "UPDATE customer SET name='Guest of b' WHERE id=7")
	c.at("a", "DELETE FROM customer WHERE id=7")
	c.at("b", "UPDATE customer SET name='Guest of b again' WHERE id=7")
	c.level()
	x := c.open("hub")[0]
	c.at("b", "INSERT INTO orders VALUES(9,7,1)")
	c.level()
	_, err := c.hub.Resolve(x.ID, resolve.Resolution{Keep: "a", By: "admin"})
	c.refused(err, "orders[9] refers to it")
	c.at("b", "DELETE FROM orders WHERE id=9")
	c.level()
	c.resolve("hub", x.ID, resolve.Resolution{Keep: "a"})
	c.level()
	c.expect("b", "SELECT count(*) FROM customer WHERE id=7", "0")
}

func TestRowsThatSwapAUniqueValueAreResolvedTogether(t *testing.T) {
	c := newChain(t, `CREATE TABLE d(id INTEGER PRIMARY KEY, n INT); CREATE TABLE l(id TEXT PRIMARY KEY, d INT REFERENCES
		d(id) ON DELETE CASCADE, place INT UNIQUE);
		INSERT INTO d VALUES(1,1); INSERT INTO l VALUES('x',1,1),('y',1,2)`, nil, "a", "b")
	swap := "UPDATE l SET place=-1 WHERE id='x'; UPDATE l SET place=1 WHERE id='y'; UPDATE l SET place=2 WHERE id='x'"
	c.at("a", swap)
	c.at("b", "UPDATE d SET n=2")
	c.level()
	c.expect("hub", "SELECT id, place FROM l ORDER BY id", "x|2\ny|1")
	id := c.open("hub")[0].ID
	if _, err := c.nodes["b"].Resolve(id, resolve.Resolution{Keep: "b", By: "admin"}); err != nil {
		t.Fatal(err)
	}
	c.level()
	c.expect("a", "SELECT id, place FROM l ORDER BY id", "x|1\ny|2")
	_, err := c.nodes["a"].Undo(id, resolve.UndoOptions{By: "admin"})
	c.must(err)
	c.level()
	c.expect("b", "SELECT id, place FROM l ORDER BY id", "x|2\ny|1")
}

func TestTheConflictOfATableThatIsGoneCanBeClosedAtTheHub(t *testing.T) {
	c := newChain(t, customers+"; CREATE TABLE p(id INTEGER PRIMARY KEY, n INT); INSERT INTO p VALUES(1,1)", nil, "a", "b")
	c.at("a", "UPDATE p SET n=2")
	c.at("b", "UPDATE p SET n=3")
	c.level()
	for _, site := range []string{"hub", "a", "b"} {
		c.migrate(site, "DROP TABLE p")
	}
	id := c.open("hub")[0].ID
	_, err := c.nodes["a"].Resolve(id, resolve.Resolution{Keep: "a", By: "admin"})
	c.refused(err, "table p is not in this database. Try: the same at the hub")
	_, err = c.hub.Resolve(id, resolve.Resolution{Set: map[string]crdt.Value{"n": number(1)}, By: "admin"})
	c.refused(err, "no column n")
	c.resolve("hub", id, resolve.Resolution{Keep: "a"})
	c.level()
	if n := len(c.open("a")); n != 0 {
		t.Errorf("%d still open", n)
	}
}

func TestADecisionDoesNotMakeOneRowAnother(t *testing.T) {
	c := newChain(
		t, "CREATE TABLE p(k TEXT COLLATE NOCASE PRIMARY KEY, n INT) WITHOUT ROWID; INSERT INTO p VALUES('abc',1)", nil, "a",
		"b")
	c.at("a", "UPDATE p SET k='ABC'")
	c.at("b", "UPDATE p SET k='Abc'")
	c.level()
	id := c.open("hub")[0].ID
	_, err := c.hub.Resolve(id, resolve.Resolution{Set: map[string]crdt.Value{"k": catalog.Text("other")}, By: "admin"})
	c.refused(err, "another key")
	c.resolve("hub", id, resolve.Resolution{Keep: "a"})
	c.level()
	c.expect("b", "SELECT k FROM p", "ABC")
	_, err = c.nodes["b"].Undo(id, resolve.UndoOptions{By: "admin"})
	c.must(err)
	c.level()
	c.expect("a", "SELECT k FROM p", "Abc")
}

func TestARowThatRefersToADeletedOneLosesTheReferenceWhereTheSchemaSaysSo(t *testing.T) {
	c := newChain(t, strings.Replace(customers, "REFERENCES customer(id)", "REFERENCES customer(id) ON DELETE SET NULL",
		1), nil, "a", "b")
	c.at("a", "DELETE FROM customer WHERE id=1")
	c.at("b", "UPDATE customer SET name='Anna' WHERE id=1")
	c.level()
	c.at("b", "UPDATE orders SET customer=1 WHERE id=2")
	c.level()
	id := ""
	for _, x := range c.open("hub") {
		if x.Table == "customer" {
			id = x.ID
		}
	}
	c.resolve("hub", id, resolve.Resolution{Keep: "a"})
	c.level()
	c.expect("b", "SELECT id, customer FROM orders WHERE id=2", "2|NULL")
	_, err := c.nodes["a"].Undo(id, resolve.UndoOptions{By: "admin"})
	c.must(err)
	c.level()
	c.expect("b", "SELECT id, customer FROM orders WHERE id=2", "2|1")
}

func TestADecisionLeavesWhatBothSidesCountedAlone(t *testing.T) {
	c := newChain(t, "CREATE TABLE p(id INTEGER PRIMARY KEY, name TEXT, stock INTEGER NOT NULL); INSERT INTO p "+
		"VALUES(1,'soup',10),(2,'tea',10)",
		[]catalog.Setting{{Table: "p", Class: catalog.Synced, Counters: []string{"stock"}}}, "a", "b")
	c.at("a", "UPDATE p SET name='bean soup', stock=stock-1 WHERE id=1")
	c.at("b", "UPDATE p SET name='lentil soup', stock=stock-2 WHERE id=1; DELETE FROM p WHERE id=2")
	c.at("a", "UPDATE p SET name='black tea', stock=stock-3 WHERE id=2")
	c.level()
	for _, x := range c.open("hub") {
		c.resolve("a", x.ID, resolve.Resolution{Keep: "a"})
	}
	c.level()
	c.expect("b", "SELECT * FROM p", "1|bean soup|7\n2|black tea|7")
	for _, x := range must(c.hub.Conflicts(true)) {
		_, err := c.hub.Undo(x.ID, resolve.UndoOptions{By: "admin"})
		c.must(err)
	}
	c.level()
	c.expect("a", "SELECT name, stock FROM p WHERE id=1", "lentil soup|7")
}
