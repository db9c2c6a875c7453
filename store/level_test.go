package store

import (
	"fmt"
	"ravno/store/internal/catalog"
	"ravno/store/internal/install"
	"ravno/store/internal/resolve"
	"strings"
	"testing"
	"time"

	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/store/internal/sqlite"
)

// Writes at every server reach every other.
func TestWritesReachEveryServer(t *testing.T) {
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

// Different columns are both kept and of one column the later write.
func TestColumnsMergeLaterWriteWins(t *testing.T) {
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

// Edits with a sync between them are never a conflict however wrong the clocks.
func TestSeenEditsNeverConflict(t *testing.T) {
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

// A head and a line of one invoice are one conflict.
func TestDocumentIsOneConflict(t *testing.T) {
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

// A delta never carries half of a transaction that is not folded yet.
func TestDeltaHasWholeTransactions(t *testing.T) {
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

// A deleted row whose edit was newer comes back whole.
func TestDeletedRowNewerEditReturns(t *testing.T) {
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

// Two births of one key are never mixed.
func TestBirthsOfOneKeyNeverMixed(t *testing.T) {
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

// An unsent write that loses is still kept in the conflict.
func TestConflictKeepsUnsentLoser(t *testing.T) {
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

// Replace upsert and delete of everything level.
func TestReplaceUpsertDeleteLevel(t *testing.T) {
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

// Two rows that claim one value the older stays and the other waits.
func TestUniqueOlderStaysOtherHeld(t *testing.T) {
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

// Journals go to the hub alone and never meet.
func TestJournalsGoToHubAlone(t *testing.T) {
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

// Leaving leaves the applications data and nothing else.
func TestLeaveKeepsOnlyApplicationData(t *testing.T) {
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

// A row born before a first load is the same row after it.
func TestRowSameAcrossFirstLoad(t *testing.T) {
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
