package e2e

import (
	"fmt"
	"os/exec"
	"testing"
)

// edit is one action of an application, with the rows that have to be everywhere afterwards.
type edit struct {
	name       string
	statements []string
	query      string
	want       string
}

// ordinaryEdits has everything ordinary SQL can do to a row. n sets the keys apart, so that the edits
// can be made several times over.
func ordinaryEdits(n int) []edit {
	at := func(format string, args ...any) string { return fmt.Sprintf(format, args...) }
	base := n * 1_000_000
	return []edit{
		{"insert", []string{at(`INSERT INTO Artist VALUES(%d, 'Щурците')`, base+1)},
			at(`SELECT Name FROM Artist WHERE ArtistId=%d`, base+1), "Щурците"},
		{"update of one column", []string{at(`UPDATE Customer SET Phone='+359 2 %d' WHERE CustomerId=%d`, n, n)},
			at(`SELECT Phone || ' ' || FirstName FROM Customer WHERE CustomerId=%d`, n),
			at("+359 2 %d %s", n, []string{"", "Luís", "Leonie"}[n])},
		{"delete", []string{at(`DELETE FROM InvoiceLine WHERE InvoiceId=%d`, 100+n)},
			at(`SELECT count(*) FROM InvoiceLine WHERE InvoiceId=%d`, 100+n), "0"},
		{"key change", []string{at(`INSERT INTO Artist VALUES(%d, 'moves')`, base+2),
			at(`UPDATE Artist SET ArtistId=%d WHERE ArtistId=%d`, base+3, base+2)},
			at(`SELECT group_concat(ArtistId) FROM Artist WHERE ArtistId IN (%d, %d)`, base+2, base+3), at("%d", base+3)},
		{"change of a key of two columns", []string{`INSERT OR IGNORE INTO PlaylistTrack VALUES(1, 1)`,
			at(`INSERT INTO PlaylistTrack VALUES(2, %d)`, n),
			at(`UPDATE PlaylistTrack SET PlaylistId=4 WHERE PlaylistId=2 AND TrackId=%d`, n)},
			at(`SELECT group_concat(PlaylistId) FROM PlaylistTrack WHERE PlaylistId IN (2, 4) AND TrackId=%d`, n), "4"},
		{"REPLACE by primary key", []string{at(`REPLACE INTO Artist VALUES(%d, 'replaced %d')`, n, n)},
			at(`SELECT Name FROM Artist WHERE ArtistId=%d`, n), at("replaced %d", n)},
		{"REPLACE through a UNIQUE index", []string{
			at(`INSERT INTO Genre VALUES(%d, 'Polka %d'), (%d, 'Horo %d')`, base+1, n, base+2, n),
			at(`REPLACE INTO Genre VALUES(%d, 'Polka %d')`, base+3, n)},
			at(`SELECT group_concat(GenreId) FROM (SELECT GenreId FROM Genre WHERE GenreId>%d AND GenreId<%d ORDER BY 1)`, base,
				base+9), at("%d,%d", base+2, base+3)},
		{"UPDATE OR REPLACE through a UNIQUE index",
			[]string{at(`UPDATE OR REPLACE Genre SET Name='Polka %d' WHERE GenreId=%d`, n, base+2)},
			at(`SELECT group_concat(GenreId) FROM Genre WHERE GenreId>%d AND GenreId<%d`, base, base+9), at("%d", base+2)},
		{"UPSERT", []string{at(`INSERT INTO MediaType VALUES(%d, 'vinyl')`, base+1),
			at(`INSERT INTO MediaType VALUES(%d, 'tape') ON CONFLICT(MediaTypeId) DO UPDATE SET
				Name=Name||' and '||excluded.Name`, base+1)},
			at(`SELECT Name FROM MediaType WHERE MediaTypeId=%d`, base+1), "vinyl and tape"},
		{"values of every class", []string{
			at(`INSERT INTO Artist VALUES(%d, NULL), (%d, ''), (%d, x''), (%d, x'00ff00'), (%d, CAST(x'610062' AS TEXT))`,
				base+11, base+12, base+13, base+14, base+15),
			at(`UPDATE Invoice SET Total=9223372036854775807 WHERE InvoiceId=%d`, n),
			at(`UPDATE Invoice SET Total=0.1+0.2 WHERE InvoiceId=%d`, n+2),
			at(`UPDATE Invoice SET Total='much' WHERE InvoiceId=%d`, n+4),
			at(`UPDATE Invoice SET Total=-1e308 WHERE InvoiceId=%d`, n+6)},
			at(`SELECT (SELECT group_concat(typeof(Name)) FROM (SELECT Name FROM Artist WHERE ArtistId BETWEEN %d AND %d ORDER BY
				ArtistId)) ||
				(SELECT group_concat(typeof(Total)) FROM (SELECT Total FROM Invoice WHERE InvoiceId IN (%d, %d, %d, %d)
				ORDER BY InvoiceId))`, base+11, base+15, n, n+2, n+4, n+6),
			"null,text,blob,blob,text" + "integer,real,text,real"},
		{"DELETE without WHERE", []string{`DELETE FROM PlaylistTrack`}, `SELECT count(*) FROM PlaylistTrack`, "0"},
		{"a transaction of 50,000 rows", []string{at(`INSERT INTO Artist WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1
			FROM n WHERE i<50000) SELECT %d+i, 'artist ' || i FROM n`, base+100_000)},
			at(`SELECT count(*) FROM Artist WHERE ArtistId>%d AND ArtistId<=%d`, base+100_000, base+150_000), "50000"},
	}
}

func TestWritesReachEverybody(t *testing.T) {
	c, plovdiv, _ := newChain(t, `CREATE UNIQUE INDEX genre_name ON Genre(Name)`)
	if tables := len(read(t, c.hub.app)) - len(replicated); tables != 11 {
		t.Fatalf("%d tables to compare, want chinook's 11", tables)
	}
	c.same() // the first load is whole when join returns
	c.everywhere("8715", `SELECT count(*) FROM PlaylistTrack`)

	t.Log("the daemon runs: each edit reaches all")
	for _, e := range ordinaryEdits(1) {
		plovdiv.sql(e.statements...)
		c.level()
		c.everywhere(e.want, e.query)
	}
	c.same()

	t.Log("the daemon is stopped: all edits wait, and reach all when it is started")
	plovdiv.stop()
	edits, left := ordinaryEdits(2), map[string]string{}
	for _, e := range edits {
		plovdiv.sql(e.statements...)
		if got := plovdiv.value(e.query); got != e.want {
			t.Errorf("%s: left %s with the application, want %s", e.name, got, e.want)
		}
	}
	for _, e := range edits { // later ones may have gone over earlier ones
		left[e.query] = plovdiv.value(e.query)
	}
	plovdiv.start()
	c.identical()
	for query, want := range left {
		c.everywhere(want, query)
	}
	c.allGreen()
	if found := expect(t, 0, "conflict", "list", "--all", "--db", c.hub.db, "--json"); found != "[]\n" {
		t.Errorf("one server wrote, nobody else, and yet: %s", found)
	}
}

// Applications come with SQLite libraries of their own, older and newer.
func TestApplicationsWithOtherSQLite(t *testing.T) {
	t.Parallel()
	c := newHub(t, "chinook.sqlite", "")
	plovdiv := c.join("plovdiv")
	written := 0
	for i, other := range [][]string{
		{"sqlite3", plovdiv.db, `PRAGMA busy_timeout=1000; UPDATE Artist SET Name=Name||'!' WHERE ArtistId<10;
			INSERT INTO Artist VALUES(1000, 'other')`},
		{"python3", "-c", "import sqlite3,sys\nc=sqlite3.connect(sys.argv[1],timeout=1)\nc.execute('INSERT INTO Artist " +
			"VALUES(1001, ?)',('other',))\nc.execute('DELETE FROM PlaylistTrack WHERE PlaylistId=5')\nc.commit()", plovdiv.db},
	} {
		if _, err := exec.LookPath(other[0]); err != nil {
			t.Logf("%s is not on this machine", other[0])
			continue
		}
		if said, err := exec.Command(other[0], other[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", other[0], err, said)
		}
		written++
		c.identical()
		c.everywhere("other", `SELECT Name FROM Artist WHERE ArtistId=?`, 1000+i)
	}
	c.everywhere(fmt.Sprint(written), `SELECT count(*) FROM Artist WHERE Name='other'`)
}

func TestNorthwindLevelsAndLeaves(t *testing.T) {
	t.Parallel()
	c := newHub(t, "northwind.sqlite", "")
	views := `SELECT group_concat(sql, ';') FROM (SELECT sql FROM sqlite_master WHERE type='view' AND name NOT LIKE
		'ravno~_%' ESCAPE '~' ORDER BY name)`
	before := c.hub.value(views)
	plovdiv, varna := c.join("plovdiv"), c.join("varna")
	c.same()

	plovdiv.sql(`UPDATE "Order Details" SET Quantity=Quantity+1, Discount=0.15 WHERE OrderID=10248`,
		`DELETE FROM "Order Details" WHERE OrderID=10249 AND ProductID=14`,
		`UPDATE Categories SET Picture=randomblob(200000) WHERE CategoryID=1`)
	varna.sql(`INSERT INTO "Order Details" VALUES(10250, 1, 18, 3, 0)`,
		`UPDATE Employees SET Photo=zeroblob(0) WHERE EmployeeID=2`,
		`UPDATE Employees SET Photo=x'00010203' WHERE EmployeeID=3`)
	c.hub.sql(`INSERT INTO Customers(CustomerID, CompanyName) VALUES('RAVNO', 'Равно ООД')`,
		`UPDATE Products SET UnitPrice=1.0 WHERE ProductID=2`)
	c.identical()
	c.everywhere("3", `SELECT Quantity FROM "Order Details" WHERE OrderID=10250 AND ProductID=1`)
	c.everywhere("200000", `SELECT length(Picture) FROM Categories WHERE CategoryID=1`)
	c.everywhere("blob0", `SELECT typeof(Photo) || length(Photo) FROM Employees WHERE EmployeeID=2`)
	c.everywhere(before, views)
	c.everywhere(c.hub.value(`SELECT sum(Subtotal) FROM "Order Subtotals"`), `SELECT sum(Subtotal) FROM "Order Subtotals"`)

	t.Log("varna leaves")
	if said := refused(t, "leave", "--db", varna.db); said == "" {
		t.Error("left while the daemon runs, and said nothing")
	}
	had := read(t, varna.app, replicated...)
	varna.stop()
	expect(t, 0, "leave", "--db", varna.db)
	if found := differences(had, read(t, varna.app, replicated...)); len(found) > 0 {
		t.Errorf("leaving changed the application's data: %s", found)
	}
	for query, want := range map[string]string{
		`SELECT count(*) FROM sqlite_master WHERE name LIKE '%ravno%' OR sql LIKE '%ravno%'`: "0",
		`SELECT count(*) FROM sqlite_master WHERE type='trigger'`:                            "0",
		views: before,
	} {
		if got := varna.value(query); got != want {
			t.Errorf("after leave, %s: %s, want %s", query, got, want)
		}
	}
	varna.sql(`UPDATE Products SET UnitPrice=3 WHERE ProductID=2`) // the application goes on alone
	if said := refused(t, "status", "--db", varna.db); said == "" {
		t.Error("status of a file that is nobody's said nothing")
	}
}
