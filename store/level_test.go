package store

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"ravno/store/internal/catalog"
	"ravno/store/internal/conflict"
	"ravno/store/internal/enrol"
	"ravno/store/internal/history"
	"ravno/store/internal/install"
	"ravno/store/internal/merge"
	"ravno/store/internal/resolve"
	"ravno/store/internal/rows"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/store/internal/sqlite"
)

// checker is what a test or a generated case can fail with.
type checker interface {
	Helper()
	Cleanup(func())
	Errorf(format string, args ...any)
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// chain is a hub and its nodes as files in one directory, with a hand on every transfer.
type chain struct {
	t     checker
	dir   string
	now   time.Time
	hub   *Store
	nodes map[string]*Store
}

func (c *chain) clock() time.Time { return c.now }

func emptyChain(t checker, dir string) *chain {
	return &chain{t: t, dir: dir, now: time.Date(2026, 3, 1, 7, 0, 0, 0, time.UTC), nodes: map[string]*Store{}}
}

// newChain makes a hub of a schema and joins nodes to it.
func newChain(t *testing.T, schema string, settings []catalog.Setting, nodes ...string) *chain {
	t.Helper()
	c := emptyChain(t, t.TempDir())
	path := filepath.Join(c.dir, "hub.db")
	if strings.HasSuffix(schema, ".sqlite") {
		data, err := os.ReadFile(schema)
		c.must(err)
		c.must(os.WriteFile(path, data, 0o600))
	} else {
		conn, err := sqlite.Open(path, sqlite.Create)
		c.must(err)
		c.must(conn.Exec(schema))
		conn.Close()
	}
	_, err := enrol.InitHub(path, enrol.HubOptions{Name: "hub", Incarnation: causal.Incarnation{1}, Settings: settings},
		c.clock)
	c.must(err)
	c.hub, err = Open(path, c.clock)
	c.must(err)
	t.Cleanup(func() { c.hub.Close() })
	for i, name := range nodes {
		c.join(name, causal.Incarnation{byte(i + 2)})
	}
	return c
}

func (c *chain) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *chain) join(name string, incarnation causal.Incarnation) {
	c.t.Helper()
	hash := [32]byte{byte(len(c.nodes) + 1)}
	c.must(c.hub.AddToken(name, hash, c.now.Add(time.Hour)))
	site, _, err := c.hub.Enrol(hash, incarnation, func(causal.Site, string) (string, error) { return "serial", nil })
	c.must(err)
	load, path := filepath.Join(c.dir, name+".load"), filepath.Join(c.dir, name+".db")
	_, err = c.hub.WriteLoad(load)
	c.must(err)
	_, _, err = enrol.InstallLoad(load, path, enrol.NodeOptions{Site: site, Incarnation: incarnation}, enrol.RefuseLocal,
		c.clock)
	c.must(err)
	node, err := Open(path, c.clock)
	c.must(err)
	c.t.Cleanup(func() { node.Close() })
	c.nodes[name] = node
}

func (c *chain) store(name string) *Store {
	if name == "hub" {
		return c.hub
	}
	return c.nodes[name]
}

// at runs SQL as the application of a site would, on a connection of its own, a second later.
func (c *chain) at(site, sql string) {
	c.t.Helper()
	c.now = c.now.Add(time.Second)
	c.must(c.try(site, sql))
}

// try is at for SQL that the schema may refuse.
func (c *chain) try(site, sql string) error {
	c.t.Helper()
	conn, err := sqlite.Open(c.store(site).Path(), sqlite.ReadWrite)
	c.must(err)
	defer conn.Close()
	c.must(conn.Exec("PRAGMA foreign_keys=ON"))
	before, err := conn.Int("SELECT max(id) FROM ravno_log")
	c.must(err)
	refused := conn.Exec(sql)
	// The triggers read the machine's clock; this test has its own.
	c.must(conn.Exec(fmt.Sprintf("UPDATE ravno_log SET ms=%d WHERE id>%d", c.now.UnixMilli(), before)))
	return refused
}

// up brings a node's work to the hub, down the hub's to the node.
func (c *chain) up(name string) merge.Applied {
	c.t.Helper()
	node := c.nodes[name]
	_, err := node.Fold()
	c.must(err)
	self, err := node.Self()
	c.must(err)
	delta, changes := c.collect(node, 0, self.HubHave)
	if changes == 0 && delta.To == delta.From {
		return merge.Applied{}
	}
	applied, err := c.hub.ApplyFromNode(self.Site, delta, self.Floor)
	c.must(err)
	c.must(node.Acknowledged(causal.Reached{Position: delta.To}))
	return applied
}

func (c *chain) down(name string) {
	c.t.Helper()
	node := c.nodes[name]
	_, err := c.hub.Fold()
	c.must(err)
	self, err := node.Self()
	c.must(err)
	delta, _ := c.collect(c.hub, self.Site, self.Seen)
	_, err = node.ApplyFromHub(delta)
	if _, crossed := errors.AsType[*history.CrossingError](err); crossed {
		return // the hub is to have this node's work first
	}
	c.must(err)
	after, err := node.Self()
	c.must(err)
	c.must(c.hub.AckedByNode(self.Site, causal.Reached{Position: after.Seen}, after.Floor, true))
}

func (c *chain) collect(from *Store, node causal.Site, above causal.Position) (merge.Delta, int) {
	c.t.Helper()
	var sections []*crdt.Section
	span, changes, err := from.Outgoing(node, above, 0, func(_ history.Span, s *crdt.Section) error {
		sections = append(sections, s)
		return nil
	})
	c.must(err)
	return deltaOf(span, sections), changes
}

// deltaOf is a delta of sections in memory, which can be read again.
func deltaOf(span history.Span, sections []*crdt.Section) merge.Delta {
	return merge.Delta{Span: span, Open: func() (func() (*crdt.Section, error), error) {
		left := sections
		return func() (*crdt.Section, error) {
			if len(left) == 0 {
				return nil, io.EOF
			}
			next := *left[0]
			next.Changes = slices.Clone(next.Changes)
			for i := range next.Changes {
				next.Changes[i].Registers = slices.Clone(next.Changes[i].Registers)
				next.Changes[i].Parts = slices.Clone(next.Changes[i].Parts)
			}
			left = left[1:]
			return &next, nil
		}, nil
	}}
}

func (c *chain) names() []string {
	var names []string
	for name := range c.nodes {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// level exchanges everything until nobody has anything to send, and then checks that all
// files are the same and valid.
func (c *chain) level() {
	c.t.Helper()
	for round := 0; ; round++ {
		moved := 0
		for _, name := range c.names() {
			moved += c.up(name).Changes
			c.down(name)
		}
		if moved == 0 && round > 2 { // a row that is offered whole takes a round more
			break
		}
		if round > 20 {
			c.t.Fatal("still sending after 20 rounds: the link never falls silent")
		}
	}
	want := c.dump("hub")
	for _, name := range c.names() {
		if got := c.dump(name); got != want {
			c.t.Fatalf("%s differs from the hub:\n%s", name, firstDifference(want, got))
		}
	}
}

func firstDifference(want, got string) string {
	a, b := strings.Split(want, "\n"), strings.Split(got, "\n")
	var out []string
	for i := 0; i < max(len(a), len(b)) && len(out) < 12; i++ {
		x, y := "", ""
		if i < len(a) {
			x = a[i]
		}
		if i < len(b) {
			y = b[i]
		}
		if x != y {
			out = append(out, "hub:  "+x, "node: "+y)
		}
	}
	return strings.Join(out, "\n")
}

// dump is every row of every replicated table, by storage class and bytes, and checks that
// the file is valid.
func (c *chain) dump(site string) string {
	c.t.Helper()
	s := c.store(site)
	var lines []string
	c.must(s.read(func(tx *rows.Tx) error {
		ok, err := tx.SQL.Text("PRAGMA integrity_check")
		if err != nil || ok != "ok" {
			c.t.Errorf("%s: integrity_check: %s %v", site, ok, err)
		}
		for _, t := range tx.Cat.Tables {
			if t.Class != catalog.Synced || t.Name == "ravno_rename" { // which only concerns who made the row
				continue
			}
			err := tx.SQL.Rows("SELECT "+sqlite.QuoteAll("+", t.ColumnNames())+" FROM "+sqlite.Quote(t.Name), nil,
				func(row []crdt.Value) error {
					lines = append(lines, fmt.Sprintf("%s %q", t.Name, string(crdt.NewKey(row...))))
					return nil
				})
			if err != nil {
				return err
			}
		}
		return nil
	}))
	sort.Strings(lines)
	return strings.Join(lines, "\n")
}

// rows reads a query at a site as text, one line a row.
func (c *chain) rows(site, query string) string {
	c.t.Helper()
	var lines []string
	c.must(c.store(site).read(func(tx *rows.Tx) error {
		return tx.SQL.Rows(query, nil, func(row []crdt.Value) error {
			var cells []string
			for _, v := range row {
				cells = append(cells, v.String())
			}
			lines = append(lines, strings.Join(cells, "|"))
			return nil
		})
	}))
	return strings.Join(lines, "\n")
}

func (c *chain) expect(site, query, want string) {
	c.t.Helper()
	if got := c.rows(site, query); got != want {
		c.t.Errorf("at %s, %s\n got %q\nwant %q", site, query, got, want)
	}
}

// open lists the open conflicts of a site.
func (c *chain) open(site string) []conflict.Conflict {
	c.t.Helper()
	list, err := c.store(site).Conflicts(false)
	c.must(err)
	return list
}

const chinook = "../testdata/chinook.sqlite"

func TestWritesAtEveryServerReachEveryOther(t *testing.T) {
	c := newChain(t, chinook, nil, "varna", "burgas")
	c.level()
	c.at("varna", "INSERT INTO Artist VALUES(276,'Щурците'); UPDATE Track SET UnitPrice=1.29 WHERE TrackId=1; DELETE "+
		"FROM PlaylistTrack WHERE PlaylistId=1 AND TrackId<100")
	c.at("burgas", "UPDATE Track SET Composer=NULL WHERE TrackId=1; INSERT INTO Genre VALUES(99,'Opera Buffa'); UPDATE "+
		"Genre SET GenreId=100 WHERE GenreId=99")
	c.at("hub", "INSERT INTO Genre VALUES(26,'Chalga'); REPLACE INTO MediaType VALUES(1,'MP3')")
	c.level()
	c.expect("hub", "SELECT UnitPrice, Composer FROM Track WHERE TrackId=1", "1.29|NULL")
	c.expect("burgas", "SELECT Name FROM Artist WHERE ArtistId=276", "Щурците")
	c.expect("varna", "SELECT GenreId, Name FROM Genre WHERE GenreId>24", "25|Opera\n26|Chalga\n100|Opera Buffa")
	if n := len(c.open("hub")); n != 1 { // both changed track 1
		t.Errorf("%d conflicts", n)
	}
}

func TestDifferentColumnsAreBothKeptAndOfOneColumnTheLaterWrite(t *testing.T) {
	c := newChain(
		t, "CREATE TABLE p(id INTEGER PRIMARY KEY, name TEXT, price REAL, stock INT); INSERT INTO p VALUES(1,'soup',4.5,10)",
		nil, "a", "b")
	c.at("b", "UPDATE p SET price=5.0, name='bean soup' WHERE id=1")
	c.at("a", "UPDATE p SET stock=9, name='lentil soup' WHERE id=1")
	c.level()
	c.expect("hub", "SELECT name, price, stock FROM p", "lentil soup|5|9")
	open := c.open("a")
	if len(open) != 1 || open[0].Kind != crdt.EditEdit || len(open[0].Columns) != 3 {
		t.Fatalf("conflicts %+v", open)
	}
	for _, col := range open[0].Columns {
		if col.Name == "name" && (col.Base == nil || col.Base.Bytes() != "soup" || col.Values["a"].Bytes() != "lentil soup" ||
			col.Values["b"].Bytes() != "bean soup" || col.InForce.Bytes() != "lentil soup") {
			t.Errorf("name: base %v values %v in force %v", col.Base, col.Values, col.InForce)
		}
	}
}

func TestEditsWithASyncBetweenThemAreNeverAConflictHoweverWrongTheClocks(t *testing.T) {
	c := newChain(t, "CREATE TABLE p(id INTEGER PRIMARY KEY, name TEXT); INSERT INTO p VALUES(1,'x')", nil, "a", "b")
	now := c.now
	for i := range 6 {
		site := []string{"a", "b", "hub"}[i%3]
		c.now = now.Add([]time.Duration{0, -50 * 365 * 24 * time.Hour, 3 * time.Hour}[i%3])
		c.at(site, fmt.Sprintf("UPDATE p SET name='%s %d'", site, i))
		c.level()
		c.expect("hub", "SELECT name FROM p", fmt.Sprintf("%s %d", site, i))
	}
	if n := len(c.open("hub")); n != 0 {
		t.Errorf("%d conflicts", n)
	}
}

const invoices = `CREATE TABLE invoice(id INTEGER PRIMARY KEY, customer TEXT, total REAL);
	CREATE TABLE line(id INTEGER PRIMARY KEY, invoice INTEGER NOT NULL REFERENCES invoice(id), item TEXT, qty INTEGER);
	INSERT INTO invoice VALUES(1,'Ana',10),(2,'Boris',20);
	INSERT INTO line VALUES(1,1,'tea',1),(2,1,'cake',2),(3,2,'soup',1)`

func TestAHeadAndALineOfOneInvoiceAreOneConflict(t *testing.T) {
	c := newChain(t, invoices, []catalog.Setting{{Table: "line", Class: catalog.Synced, Document: "invoice"}}, "a", "b",
		"z")
	c.at("a", "UPDATE invoice SET customer='Anna' WHERE id=1")
	c.at("b", "UPDATE line SET qty=3 WHERE id=2; DELETE FROM line WHERE id=1")
	c.at("a", "UPDATE invoice SET total=11 WHERE id=1")
	c.at("z", "UPDATE line SET qty=9 WHERE id=3")
	c.level()
	id := ""
	for _, site := range []string{"hub", "a", "b", "z"} {
		open := c.open(site)
		if len(open) != 1 || id != "" && open[0].ID != id || strings.Join(open[0].Sites, " ") != "a b" {
			t.Fatalf("at %s: %+v", site, open)
		}
		id = open[0].ID
	}
	if _, err := c.nodes["z"].Resolve(id[:8], resolve.Resolution{
		Keep: "b", By: "admin", Note: "asked the guest"}); err != nil {
		t.Fatal(err)
	}
	c.level()
	for _, site := range []string{"hub", "a", "b", "z"} {
		if n := len(c.open(site)); n != 0 {
			t.Errorf("at %s: %d open after the resolution", site, n)
		}
	}
	c.expect("a", "SELECT customer, total FROM invoice WHERE id=1", "Ana|10")
	c.expect("a", "SELECT id, qty FROM line WHERE invoice=1", "2|3")
}

func TestADeltaNeverCarriesHalfOfATransactionThatIsNotFoldedYet(t *testing.T) {
	c := newChain(t, "CREATE TABLE p(id INTEGER PRIMARY KEY, n INT); INSERT INTO p VALUES(1,0),(2,0)", nil, "a")
	c.at("a", "UPDATE p SET n=1 WHERE id=1")
	_, err := c.nodes["a"].Fold()
	c.must(err)
	c.at("a", "BEGIN; UPDATE p SET n=2 WHERE id=1; UPDATE p SET n=2 WHERE id=2; COMMIT") // after the last fold
	delta, _ := c.collect(c.nodes["a"], 0, 0)
	_, err = c.hub.ApplyFromNode(2, delta, 0)
	c.must(err)
	c.expect("hub", "SELECT n FROM p", "2\n2")
}

func TestADeletedRowWhoseEditWasNewerComesBackWhole(t *testing.T) {
	c := newChain(t, "CREATE TABLE p(id INTEGER PRIMARY KEY, name TEXT, price REAL); INSERT INTO p "+
		"VALUES(1,'soup',4.5),(2,'tea',1),(3,'cake',3)", nil, "a", "b")
	c.at("hub", "DELETE FROM p WHERE id=1")
	c.at("a", "DELETE FROM p WHERE id=2")
	c.at("b", "UPDATE p SET price=9 WHERE id<3")
	c.at("b", "UPDATE p SET price=7 WHERE id=3")
	c.at("a", "DELETE FROM p WHERE id=3")
	c.level()
	c.expect("a", "SELECT * FROM p ORDER BY id", "1|soup|9\n2|tea|9")
	open := c.open("hub")
	if len(open) != 3 {
		t.Fatalf("%d conflicts: %+v", len(open), open)
	}
	for _, x := range open {
		if x.Kind != crdt.EditDelete {
			t.Errorf("%s: %+v", x.Kind, x)
		}
		if x.Key[0].Value.Int() == 3 {
			if _, err := c.hub.Resolve(x.ID, resolve.Resolution{Keep: "b", By: "admin"}); err != nil {
				t.Error(err)
			}
		} else if x.Key[0].Value.Int() == 2 {
			if _, err := c.hub.Resolve(x.ID, resolve.Resolution{Keep: "a", By: "admin"}); err != nil {
				t.Error(err)
			}
		}
	}
	c.level()
	c.expect("b", "SELECT * FROM p ORDER BY id", "1|soup|9\n3|cake|7")
}

func TestTwoBirthsOfOneKeyAreNeverMixed(t *testing.T) {
	c := newChain(t, "CREATE TABLE p(id TEXT PRIMARY KEY, name TEXT, price REAL)", nil, "a", "b")
	c.at("a", "INSERT INTO p VALUES('k','from a',1)")
	c.at("b", "INSERT INTO p VALUES('k','from b',2)")
	c.level()
	c.expect("a", "SELECT * FROM p", "k|from b|2")
	open := c.open("hub")
	if len(open) != 1 || open[0].Kind != crdt.KeyCollision {
		t.Fatalf("%+v", open)
	}
	if _, err := c.nodes["a"].Resolve(open[0].ID, resolve.Resolution{Keep: "a", By: "admin"}); err != nil {
		t.Fatal(err)
	}
	c.level()
	c.expect("b", "SELECT * FROM p", "k|from a|1")
}

func TestAnUnsentWriteThatLosesIsStillKeptInTheConflict(t *testing.T) {
	c := newChain(t, "CREATE TABLE p(id INTEGER PRIMARY KEY, name TEXT); INSERT INTO p VALUES(1,'x')", nil, "a", "b")
	c.at("a", "UPDATE p SET name='older, of a'")
	c.at("b", "UPDATE p SET name='newer, of b'")
	c.up("b")
	c.down("a") // a has not sent yet: its own value is replaced before the hub has it
	c.expect("a", "SELECT name FROM p", "newer, of b")
	c.level()
	open := c.open("b")
	if len(open) != 1 || len(open[0].Columns) != 1 || open[0].Columns[0].Values["a"] == nil ||
		open[0].Columns[0].Values["a"].Bytes() != "older, of a" {
		t.Fatalf("%+v", open)
	}
}

func TestReplaceUpsertAndDeleteOfEverythingLevel(t *testing.T) {
	c := newChain(
		t, "CREATE TABLE p(id INTEGER PRIMARY KEY, code TEXT UNIQUE, n INT); INSERT INTO p "+
			"VALUES(1,'a',1),(2,'b',2),(3,'c',3)", nil, "a", "b")
	c.at("a", "REPLACE INTO p VALUES(1,'b',10)") // takes row 2 with it
	c.level()
	c.expect("b", "SELECT * FROM p", "1|b|10\n3|c|3")
	c.at("b",
		"INSERT INTO p VALUES(3,'c',0) ON CONFLICT(id) DO UPDATE SET n=n+100; INSERT OR IGNORE INTO p VALUES(1,'z',0)")
	c.at("hub", "UPDATE p SET id=id+10")
	c.level()
	c.at("a", "DELETE FROM p")
	c.level()
	c.expect("hub", "SELECT count(*) FROM p", "0")
	c.at("b", "INSERT INTO p VALUES(1,'again',1)")
	c.level()
	c.expect("a", "SELECT * FROM p", "1|again|1")
}

func TestTwoRowsThatClaimOneValueTheOlderStaysAndTheOtherWaits(t *testing.T) {
	c := newChain(t, "CREATE TABLE p(id INTEGER PRIMARY KEY, code TEXT UNIQUE)", nil, "a", "b")
	c.at("a", "INSERT INTO p VALUES(1,'x')")
	c.at("b", "INSERT INTO p VALUES(2,'x')")
	c.up("b")
	c.down("a")
	c.level()
	c.expect("b", "SELECT * FROM p", "1|x")
	c.at("a", "UPDATE p SET code='y'")
	c.level()
	c.expect("hub", "SELECT * FROM p", "1|y\n2|x")
	c.at("b", "UPDATE p SET code='tmp' WHERE id=1; UPDATE p SET code='y' WHERE id=2; UPDATE p SET code='x' WHERE id=1")
	c.level()
	c.expect("hub", "SELECT * FROM p", "1|x\n2|y")
}

func TestJournalsGoToTheHubAloneAndNeverMeet(t *testing.T) {
	c := newChain(t, "CREATE TABLE ev(id INTEGER PRIMARY KEY, what TEXT); INSERT INTO ev VALUES(1,'of the hub')",
		[]catalog.Setting{{Table: "ev", Class: catalog.Journal}}, "a", "b")
	c.at("a", "INSERT INTO ev VALUES(1,'opened a'); INSERT INTO ev VALUES(2,'closed a')")
	c.at("b", "INSERT INTO ev VALUES(1,'opened b')")
	c.level()
	c.expect("a", "SELECT * FROM ev", "1|opened a\n2|closed a")
	c.expect("hub", "SELECT * FROM ev", "1|of the hub")
	c.expect("hub", "SELECT ravno_site, id, what FROM ravno_journal_ev ORDER BY ravno_site, id",
		"a|1|opened a\na|2|closed a\nb|1|opened b\nhub|1|of the hub")
	c.at("a", "DELETE FROM ev")
	c.level()
	rows, err := c.hub.JournalRows(install.JournalFilter{Table: "ev", Site: "a"})
	if err != nil || len(rows) != 2 {
		t.Errorf("%+v %v", rows, err)
	}
}

func TestNorthwindLevels(t *testing.T) {
	c := newChain(t, "../testdata/northwind.sqlite", nil, "a")
	c.at("a", `UPDATE "Order Details" SET Quantity=Quantity+1 WHERE OrderID=(SELECT min(OrderID) FROM "Order Details");
		UPDATE Categories SET Picture=x'00ff' WHERE CategoryID=1`)
	c.at("hub", "INSERT INTO Customers(CustomerID, CompanyName) VALUES('RAVNO','Равно ООД'); DELETE FROM Territories "+
		"WHERE TerritoryID IN (SELECT TerritoryID FROM Territories EXCEPT SELECT TerritoryID FROM EmployeeTerritories)")
	c.level()
	if n := len(c.open("hub")); n != 0 {
		t.Errorf("%d conflicts", n)
	}
}

func TestLeavingLeavesTheApplicationsDataAndNothingElse(t *testing.T) {
	c := newChain(t, chinook, []catalog.Setting{{Table: "Genre", Class: catalog.Journal}}, "a")
	before := c.rows("a", "SELECT count(*) FROM Track")
	if err := c.hub.Leave(false); err == nil {
		t.Error("the hub left although a node is enrolled")
	}
	c.must(c.nodes["a"].Leave(true))
	conn, err := sqlite.Open(c.nodes["a"].Path(), sqlite.ReadWrite)
	c.must(err)
	defer conn.Close()
	left, _ := conn.Text("SELECT group_concat(name) FROM sqlite_master WHERE name LIKE '%ravno%' OR sql LIKE '%ravno%'")
	after, _ := conn.Int("SELECT count(*) FROM Track")
	if left != "" || fmt.Sprint(after) != before {
		t.Errorf("left behind %q; %d tracks, want %s", left, after, before)
	}
}

func TestARowBornBeforeAFirstLoadIsTheSameRowAfterIt(t *testing.T) {
	c := newChain(
		t, "CREATE TABLE pad(x INTEGER PRIMARY KEY); CREATE TABLE o(id INTEGER PRIMARY KEY, guests INTEGER, total TEXT)", nil,
		"a")
	c.at("hub", "INSERT INTO o VALUES(1, 2, '12.50'),(2, 3, 'gone')")
	c.at("hub", "UPDATE o SET guests=3 WHERE id=1; DELETE FROM o WHERE id=2")
	c.level()
	c.join("late", causal.Incarnation{9})
	c.at("hub", "UPDATE o SET guests=4 WHERE id=1")
	c.level()
	c.expect("late", "SELECT * FROM o", "1|4|12.50")
	c.at("late", "UPDATE o SET total='13.00' WHERE id=1")
	c.level()
	c.expect("a", "SELECT * FROM o", "1|4|13.00")
	c.must(c.hub.RenameSite("late", "later"))
	c.level()
	c.expect("late", "SELECT name FROM ravno_site WHERE site=3", "later")
	if n := len(c.open("hub")); n != 0 {
		t.Errorf("%d conflicts", n)
	}
}
