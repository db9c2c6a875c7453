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

// A deleted row comes back with all its document had.
func TestResolveBringsDocumentBack(t *testing.T) {
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

// What two admins decide at once is one resolution everywhere the newer.
func TestResolveTwiceNewerWins(t *testing.T) {
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

// A dry run says what would be written and writes nothing.
func TestResolveDryRunWritesNothing(t *testing.T) {
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

// What a resolution cannot do is refused and leaves nothing half done.
func TestResolveRefusedLeavesNothing(t *testing.T) {
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

// A row that others refer to is not deleted by a resolution.
func TestResolveSparesReferredRow(t *testing.T) {
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

// Rows that swap a unique value are resolved together.
func TestResolveSwappedUniqueValues(t *testing.T) {
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

// The conflict of a table that is gone can be closed at the hub.
func TestResolveTableGone(t *testing.T) {
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

// A decision does not make one row another.
func TestResolveKeepsKeys(t *testing.T) {
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

// A row that refers to a deleted one loses the reference where the schema says so.
func TestResolveOnDeleteSetNull(t *testing.T) {
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

// A decision leaves what both sides counted alone.
func TestResolveLeavesCountersAlone(t *testing.T) {
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

// The conflict of a held row can be resolved.
func TestResolveHeldRow(t *testing.T) {
	c := newChain(t, "CREATE TABLE p(id INTEGER PRIMARY KEY, lo INT, hi INT, CHECK(lo<=hi)); INSERT INTO p VALUES(1,5,10)",
		nil, "a", "b")
	c.at("a", "UPDATE p SET lo=9")
	c.at("b", "UPDATE p SET hi=6")
	c.settle()
	c.level()
	x := c.open("hub")[0]
	for _, r := range []resolve.Resolution{{Keep: "a"}, {Keep: "b"}, {Take: map[string]string{"lo": "a", "hi": "a"}},
		{Set: map[string]crdt.Value{"lo": crdt.IntegerValue(1), "hi": crdt.IntegerValue(2)}}} {
		r.DryRun = true
		if _, err := c.hub.Resolve(x.ID, r); err != nil {
			t.Error(err)
		}
	}
}

// Keeping a side does not take back later work.
func TestResolveSparesLaterWork(t *testing.T) {
	c := newChain(t, "CREATE TABLE p(id INTEGER PRIMARY KEY, n INT, m INT); INSERT INTO p VALUES(1,1,1)", nil, "a", "b")
	c.at("a", "UPDATE p SET n=2")
	c.at("b", "UPDATE p SET n=3, m=3")
	c.settle()
	c.at("a", "UPDATE p SET m=50") // everyone level: an ordinary later write
	c.settle()
	_, err := c.hub.Resolve(c.open("hub")[0].ID, resolve.Resolution{Keep: "a"})
	c.must(err)
	c.expect("hub", "SELECT n, m FROM p", "2|50")
}

// Keeping the side that deleted a document deletes what others added to it.
func TestResolveKeepDeletingSide(t *testing.T) {
	c := newChain(t, "CREATE TABLE d(id INTEGER PRIMARY KEY, n INT); CREATE TABLE l(id TEXT PRIMARY KEY, d INT "+
		"REFERENCES d(id) ON DELETE CASCADE, n INT); INSERT INTO d VALUES(1,1); INSERT INTO l VALUES('x',1,1)", nil, "a", "b")
	c.at("a", "DELETE FROM d WHERE id=1")
	c.at("b", "UPDATE d SET n=2; UPDATE l SET n=2; INSERT INTO l VALUES('y',1,3)")
	c.settle()
	open := c.open("hub")
	if len(open) != 1 {
		t.Fatalf("%+v", open)
	}
	if _, err := c.hub.Resolve(open[0].ID, resolve.Resolution{Keep: "a", By: "admin"}); err != nil {
		t.Fatal(err)
	}
	c.settle()
	c.level()
	c.expect("b", "SELECT (SELECT count(*) FROM d), (SELECT count(*) FROM l)", "0|0")
}

// A column that is gone keeps no conflict open.
func TestResolveColumnGone(t *testing.T) {
	c := newChain(t, "CREATE TABLE p(id INTEGER PRIMARY KEY, old INT, n INT); INSERT INTO p VALUES(1,1,1)", nil, "a", "b")
	c.at("a", "UPDATE p SET old=2")
	c.at("b", "UPDATE p SET old=3")
	c.settle()
	for _, site := range []string{"hub", "a", "b"} {
		c.migrate(site, "ALTER TABLE p DROP COLUMN old")
	}
	if _, err := c.hub.Resolve(c.open("hub")[0].ID, resolve.Resolution{Keep: "a", By: "admin"}); err != nil {
		t.Fatal(err)
	}
	c.settle()
	if open := c.open("b"); len(open) != 0 {
		t.Errorf("%+v", open)
	}
}

// A row with values still to come is not resolved with defaults.
func TestResolveIncompleteRowRefused(t *testing.T) {
	c := newChain(t, "CREATE TABLE p(id INTEGER PRIMARY KEY, name TEXT, price INT); INSERT INTO p VALUES(1,'soup',4)", nil,
		"a")
	c.at("hub", "DELETE FROM p")
	_, err := c.hub.Fold()
	c.must(err)
	c.must(c.try("hub", "DELETE FROM ravno_image")) // as a hub of format 1 is left
	c.at("a", "UPDATE p SET price=5")
	c.up("a") // the hub has the price alone
	open := c.open("hub")
	if len(open) != 1 {
		t.Fatalf("%+v", open)
	}
	if _, err := c.hub.Resolve(open[0].ID, resolve.Resolution{
		Set: map[string]crdt.Value{"price": crdt.IntegerValue(9)}, By: "admin"}); err == nil {
		t.Errorf("resolved to %q although the name is not known yet", c.rows("hub", "SELECT * FROM p"))
	}
	c.settle()
	c.level()
	c.expect("hub", "SELECT * FROM p", "1|soup|5")
}
