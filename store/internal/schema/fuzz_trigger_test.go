package schema

import (
	"database/sql/driver"
	"slices"
	"strings"
	"testing"

	driver3 "github.com/mattn/go-sqlite3"
)

// triggerTables are what a trigger of a fuzzer finds.
const triggerTables = `CREATE TABLE t(id INTEGER PRIMARY KEY, x, y, "on", "begin");
	CREATE TABLE begin(id INTEGER PRIMARY KEY, x, y);
	CREATE TABLE f(x, y); CREATE TABLE g(x, y); CREATE TABLE "h i"(x, y);
	CREATE TABLE "select"(x, y); CREATE TABLE asc(x, y)`

// rawConn is a connection of the driver itself, whose authorizer can be asked.
func rawConn(t *testing.T) *driver3.SQLiteConn {
	t.Helper()
	opened, err := (&driver3.SQLiteDriver{}).Open(":memory:")
	if err != nil {
		t.Fatal(err)
	}
	c := opened.(*driver3.SQLiteConn)
	t.Cleanup(func() { c.Close() })
	if _, err := c.Exec(triggerTables, nil); err != nil {
		t.Fatal(err)
	}
	return c
}

// fired is what SQLite says a statement writes and reads, its triggers included, by folded name.
func fired(c *driver3.SQLiteConn, statement string) (writes, reads map[string]bool, err error) {
	writes, reads = map[string]bool{}, map[string]bool{}
	c.RegisterAuthorizer(func(op int, name, _, _ string) int {
		switch op {
		case driver3.SQLITE_INSERT, driver3.SQLITE_UPDATE, driver3.SQLITE_DELETE:
			writes[strings.ToLower(name)] = true
		case driver3.SQLITE_READ:
			reads[strings.ToLower(name)] = true
		}
		return driver3.SQLITE_OK
	})
	defer c.RegisterAuthorizer(nil)
	_, err = c.Exec("EXPLAIN "+statement, nil)
	return writes, reads, err
}

// FuzzTrigger lets SQLite accept a trigger, makes it again of its parts, and asks what both write
// and read.
func FuzzTrigger(f *testing.F) {
	for _, rest := range []string{
		"AFTER INSERT ON t BEGIN INSERT INTO f SELECT x, y FROM g; END",
		"AFTER INSERT ON begin WHEN NEW.x=1. BEGIN INSERT INTO f VALUES(1, 2); END",
		"UPDATE OF x, \"on\" ON main.begin FOR EACH ROW BEGIN UPDATE f SET x=1; END",
		"AFTER UPDATE ON t WHEN NEW.begin AND NEW.x COLLATE NOCASE BEGIN " +
			"UPDATE f SET x=g.x FROM g, \"h i\" WHERE f.y=g.y; END",
		"BEFORE DELETE ON t BEGIN DELETE FROM f WHERE x IN g; DELETE FROM g WHERE (x, y) IN (SELECT * FROM \"h i\"); END",
		"AFTER INSERT ON t BEGIN INSERT INTO f SELECT 1, 2 FROM (g, asc) LEFT JOIN " +
			"(SELECT 1 FROM 'h i') ON 1, [select]; END",
		"AFTER INSERT ON t BEGIN INSERT INTO f SELECT a.x, 1 FROM g AS a, asc JOIN \"h i\" USING(x, y) ORDER BY 1, 2; END",
		"AFTER INSERT ON t WHEN CASE WHEN NEW.x THEN 1.e1 ELSE 0x1F END BEGIN SELECT 1; REPLACE INTO f VALUES(';', 2); END",
		"AFTER INSERT ON t BEGIN WITH r AS (SELECT x, y FROM g) INSERT INTO f SELECT * FROM r, r AS s; END",
		"AFTER INSERT ON t BEGIN WITH replace AS (SELECT 1 a) UPDATE OR IGNORE f SET x=(SELECT a FROM replace); END",
		"AFTER INSERT ON t BEGIN INSERT INTO f VALUES(1, 2) ON CONFLICT DO UPDATE SET x=1, y=2; END",
		"AFTER INSERT ON t \ufeffBEGIN SELECT 1 FROM \ufeffg; END",
		"AFTER INSERT ON t WHEN NEW.x=1. BEGIN SELECT 1; END",
		"AFTER INSERT ON t BEGIN INSERT OR FAIL INTO f SELECT 1, 2 FROM g WHERE x IS DISTINCT FROM y; END",
		"AFTER INSERT ON t BEGIN SELECT 1 FROM json_each('[1,2]'), g UNION SELECT x FROM \"h i\" LIMIT 1, 2; END",
		"AFTER INSERT ON t BEGIN SELECT count(*) OVER (ORDER BY x, y) FROM g NOT INDEXED, asc AS b WHERE NOT x NOT IN f; END",
		"AFTER INSERT ON t WHEN NEW.x COLLATE begin BEGIN SELECT 1; END",
		"UPDATE OF z ON main.begin FOR EACH ROW BEGIN UPDATE f SET x=1; END",
	} {
		f.Add(rest)
	}
	f.Fuzz(func(t *testing.T, rest string) {
		// One statement begins and ends here. What follows a semicolon could write files.
		upper := strings.ToUpper(rest)
		if strings.Contains(rest, "\x00") || strings.Contains(upper, "ATTACH") || strings.Contains(upper, "VACUUM") ||
			strings.Contains(upper, "PRAGMA") || strings.Contains(upper, "LOAD_") {
			return
		}
		c := rawConn(t)
		if _, err := c.Exec("CREATE TRIGGER a "+rest, nil); err != nil {
			return
		}
		found, kept, table := stored(t, c)
		if !found {
			return
		}
		trigger, ok := parseTrigger(kept)
		if !ok || trigger.Event == "" || trigger.Head == "" {
			t.Fatalf("%s: %+v", kept, trigger)
		}
		statement := map[string]string{"insert": "INSERT INTO " + table + "(id) VALUES(1)",
			"update": "UPDATE " + table + " SET id=1, x=2, y=3", "delete": "DELETE FROM " + table}[trigger.Event]
		if table == "t" && trigger.Event == "update" {
			statement += `, "on"=4, "begin"=5`
		}
		writes, reads, err := fired(c, statement)
		if err != nil {
			return // it names what is not there
		}
		if len(writes) == 1 && len(reads) == 0 && len(trigger.Writes) > 0 && !writes[strings.ToLower(trigger.Writes[0])] {
			return // it is of a column that is not there, and never fires
		}
		sameEffects(t, kept, trigger, table, writes, reads)

		// As a mirror is made.
		when := trigger.When
		if when == "" {
			when = "1"
		}
		again := "CREATE TRIGGER a " + trigger.Head + " ON main." + table + " FOR EACH ROW WHEN CASE WHEN 0 THEN 0 ELSE (" +
			when + ") END " + trigger.Body
		if _, err := c.Exec("DROP TRIGGER a", nil); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Exec(again, nil); err != nil {
			t.Fatalf("%s\n%s: %v", kept, again, err)
		}
		writesAgain, readsAgain, err := fired(c, statement)
		if err != nil {
			t.Fatalf("%s\n%s: %v", kept, again, err)
		}
		for _, pair := range [][2]map[string]bool{{writes, writesAgain}, {reads, readsAgain}} {
			if a, b := sorted(pair[0]), sorted(pair[1]); !slices.Equal(a, b) {
				t.Fatalf("%s: %v\n%s: %v", kept, a, again, b)
			}
		}
	})
}

// stored is the only trigger of the file, if it is on a table.
func stored(t *testing.T, c *driver3.SQLiteConn) (found bool, sql, table string) {
	t.Helper()
	rows, err := c.Query("SELECT sql, tbl_name FROM main.sqlite_master WHERE type='trigger'", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	values := make([]driver.Value, 2)
	if rows.Next(values) != nil {
		return false, "", ""
	}
	sql, _ = values[0].(string)
	table, _ = values[1].(string)
	return table == "t" || table == "begin", sql, table
}

func sorted(set map[string]bool) (names []string) {
	for name := range set {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// sameEffects checks what a trigger is known to write and read against what SQLite found.
func sameEffects(t *testing.T, kept string, trigger Trigger, table string, writes, reads map[string]bool) {
	t.Helper()
	known := map[string]bool{table: true}
	for _, name := range trigger.Writes {
		known[strings.ToLower(name)] = true
		if !writes[strings.ToLower(name)] {
			t.Fatalf("%s: writes %q, and SQLite knows %v", kept, name, sorted(writes))
		}
	}
	for name := range writes {
		if !known[name] && !strings.HasPrefix(name, "sqlite_") {
			t.Fatalf("%s: writes %q, and %q are known", kept, name, trigger.Writes)
		}
	}
	for _, name := range trigger.Reads {
		known[strings.ToLower(name)] = true
	}
	tables := []string{"t", "begin", "f", "g", "h i", "select", "asc"}
	for name := range reads {
		if slices.Contains(tables, name) && !known[name] {
			t.Fatalf("%s: reads %q, and %q are known", kept, name, trigger.Reads)
		}
	}
}
