package store

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"ravno/crdt"
	"ravno/store/internal/sqlite"
)

// What SQLite can hold arrives as what it was, by storage class and bytes, from a node
// through the hub at another node, by INSERT, by UPDATE and after a DELETE.
func TestValuesArriveUnchanged(t *testing.T) {
	values := []string{
		"NULL", "0", "1", "1.0", "'1'", "x'31'", "0.0", "(0.0*-1)", "9e999", "-9e999", "4.9e-324", "0.1",
		"9007199254740993", "9007199254740992.0", "9223372036854775807", "(-9223372036854775807-1)", "-9223372036854775808.0",
		"9223372036854775808.0",
		"''", "x''", "'a'||char(0)||'b'", "char(0)", "CAST(x'ff' AS TEXT)", "CAST(x'c3' AS TEXT)", "CAST(x'eda080' AS TEXT)",
		"CAST(x'6100ff' AS TEXT)",
		"'Щ'", "char(0x1F600)", "'e'||char(0x301)", "char(0xE9)", "char(0xFEFF)", "'a b '", "x'00'", "zeroblob(70000)",
		"replace(hex(zeroblob(40000)),'00','я')",
	}
	c := newChain(t, "CREATE TABLE v(id INTEGER PRIMARY KEY, v, i INT, r REAL, n NUMERIC, s TEXT, b BLOB)", nil, "a", "b")
	each := func(site, sql string) {
		var all []string
		for i, value := range values {
			all = append(all, strings.NewReplacer("ID", strconv.Itoa(i+1), "$", value).Replace(sql))
		}
		c.at(site, "BEGIN; "+strings.Join(all, "; ")+"; COMMIT")
	}
	each("hub", "INSERT INTO v(id, v) VALUES(ID, 'before')")
	c.level()
	each("a", "INSERT INTO v VALUES(1000+ID, $, $, $, $, $, $)")
	each("b", "UPDATE v SET v=$, i=$, r=$, n=$, s=$, b=$ WHERE id=ID")
	c.level()
	classes := func(site string, from, to int) string {
		return c.rows(site, fmt.Sprintf("SELECT typeof(v), hex(CAST(v AS BLOB)), v, typeof(i), i, typeof(r), r, typeof(n), "+
			"n, typeof(s), s, typeof(b) FROM v WHERE id BETWEEN %d AND %d ORDER BY id", from, to))
	}
	inserted, updated := strings.Split(classes("a", 1001, 2000), "\n"), strings.Split(classes("b", 1, 1000), "\n")
	for i := range updated {
		if inserted[i] != updated[i] {
			t.Errorf("%s: inserted %.200q, updated %.200q", values[i], inserted[i], updated[i])
		}
	}
	c.at("hub",
		"DELETE FROM v WHERE id<1000; INSERT INTO v SELECT id-1000, v, i, r, n, s, b FROM v; DELETE FROM v WHERE id>1000")
	c.level()
	if again := classes("b", 1, 1000); again != strings.Join(updated, "\n") {
		t.Error("a row deleted and inserted again is another one")
	}
}

// One value of another storage class, spelling or sign is a change like any other.
func TestValuesClassSpellingSignArrive(t *testing.T) {
	changes := []struct{ column, from, to string }{
		{"v", "1", "1.0"}, {"v", "1.0", "1"}, {"v", "1", "'1'"}, {"v", "'1'", "x'31'"}, {"v", "0.0", "(0.0*-1)"},
		{"v", "(0.0*-1)", "0.0"}, {"v", "0", "0.0"},
		{"v", "''", "NULL"}, {"v", "''", "x''"}, {"v", "9007199254740993", "9007199254740992.0"},
		{"v", "'a'", "'a'||char(0)"},
		{"s", "'abc'", "'ABC'"}, {"s", "'a'", "'a '"}, {"p", "'a'", "'a '"}, {"p", "'a  '", "'a'"}, {"n", "1", "'x'"},
		{"n", "-9223372036854775808.0", "(-9223372036854775807-1)"},
	}
	c := newChain(
		t, "CREATE TABLE v(id INTEGER PRIMARY KEY, v, s TEXT COLLATE NOCASE UNIQUE, p TEXT COLLATE RTRIM UNIQUE, n NUMERIC)",
		nil, "a", "b")
	for i, change := range changes {
		c.at("hub", fmt.Sprintf("INSERT INTO v(id, %s) VALUES(%d, %s)", change.column, i, change.from))
		c.level()
		for _, to := range []string{change.to, change.from} {
			c.at("a", fmt.Sprintf("UPDATE v SET %s=%s WHERE id=%d", change.column, to, i))
			query := fmt.Sprintf("SELECT typeof(%[1]s), hex(CAST(%[1]s AS BLOB)), %[1]s FROM v WHERE id=%[2]d", change.column, i)
			want := c.rows("a", query)
			c.level()
			c.expect("b", query, want)
		}
		c.at("hub", "DELETE FROM v")
	}
	if n := len(c.open("hub")); n != 0 {
		t.Errorf("%d conflicts", n)
	}
}

// A key written in another way is the same row, and its new spelling arrives.
func TestKeySpellingsAreOneRow(t *testing.T) {
	for _, key := range []struct{ name, table, first, second string }{
		{"NOCASE", "CREATE TABLE v(k TEXT COLLATE NOCASE PRIMARY KEY, n INT)", "'abc'", "'ABC'"},
		{"NOCASE, without rowid", "CREATE TABLE v(k TEXT COLLATE NOCASE PRIMARY KEY, n INT) WITHOUT ROWID", "'abc'", "'aBc'"},
		{"RTRIM", "CREATE TABLE v(k TEXT COLLATE RTRIM PRIMARY KEY, n INT)", "'abc'", "'abc  '"},
		{"no type", "CREATE TABLE v(k PRIMARY KEY, n INT)", "1", "1.0"},
		{"zero", "CREATE TABLE v(k PRIMARY KEY, n INT)", "0.0", "(0.0*-1)"},
		{"unique, not null", "CREATE TABLE v(k NOT NULL COLLATE NOCASE UNIQUE, n INT)", "'x'", "'X'"},
	} {
		t.Run(key.name, func(t *testing.T) {
			c := newChain(t, key.table+"; INSERT INTO v VALUES("+key.first+", 1)", nil, "a", "b")
			query := "SELECT typeof(k), hex(CAST(k AS BLOB)), k, n FROM v"
			c.at("a", "UPDATE v SET k="+key.second)
			want := c.rows("a", query)
			c.level()
			c.expect("b", query, want)
			c.at("b", "DELETE FROM v; INSERT INTO v VALUES("+key.first+", 2)")
			want = c.rows("b", query)
			c.level()
			c.expect("a", query, want)
			c.at("a", "INSERT OR REPLACE INTO v VALUES("+key.second+", 3)")
			c.at("b", "UPDATE v SET n = 4")
			c.level()
			if n := c.rows("hub", "SELECT count(*) FROM v"); n != "1" {
				t.Errorf("%s rows", n)
			}
		})
	}
}

// Tables of every shape level.
func TestTableShapesLevel(t *testing.T) {
	var columns []string
	for i := range 200 {
		columns = append(columns, fmt.Sprintf("c%d", i))
	}
	for _, shape := range []struct{ name, schema, a, b, query, want string }{
		{"two hundred columns", "CREATE TABLE w(id INTEGER PRIMARY KEY, " + strings.Join(columns, ", ") +
			"); INSERT INTO w(id) VALUES(1)",
			"UPDATE w SET " + strings.Join(columns[:150], "=1, ") + "=1", "INSERT INTO w(id, c199) VALUES(2, 'last')",
			"SELECT id, c0, c61, c62, c149, c150, c199 FROM w", "1|1|1|1|1|NULL|NULL\n2|NULL|NULL|NULL|NULL|NULL|last"},
		{"all key", "CREATE TABLE k(a, b TEXT, PRIMARY KEY(a, b)) WITHOUT ROWID; INSERT INTO k VALUES(1, 'x')",
			"INSERT INTO k VALUES('1', 'x'), (1.5, 'y')", "DELETE FROM k; INSERT INTO k VALUES(x'01', '')",
			"SELECT typeof(a), a, b FROM k", "real|1.5|y\ntext|1|x\nblob|x'01'|"},
		{"names", `CREATE TABLE "a ""b'] [.%"("k ]" TEXT PRIMARY KEY, "two
lines" INT, [q"uote] TEXT DEFAULT 'x''y', "select" INT, "naïve", "номер" INT)`,
			`INSERT INTO "a ""b'] [.%" VALUES('one', 1, 'q', 2, 3, 4)`,
			`INSERT INTO "a ""b'] [.%"("k ]") VALUES('two'); UPDATE "a ""b'] [.%" SET "номер"=5, "select"=6`,
			`SELECT * FROM "a ""b'] [.%" ORDER BY 1`, "one|1|q|2|3|4\ntwo|NULL|x'y|6|NULL|5"},
		{"Cyrillic", `CREATE TABLE "Поръчка"("номер" INTEGER PRIMARY KEY, "Клиент" TEXT UNIQUE, "сума" REAL)`,
			`INSERT INTO "Поръчка" VALUES(1, 'Ана', 2.5)`, `INSERT INTO "Поръчка" VALUES(2, 'Борис', 3)`,
			`SELECT * FROM "Поръчка"`, "1|Ана|2.5\n2|Борис|3"},
		{"columns named as the rowid",
			"CREATE TABLE r(rowid TEXT PRIMARY KEY, oid INT UNIQUE, _rowid_ BLOB); INSERT INTO r VALUES('x', 7, 1)",
			"UPDATE r SET oid=8 WHERE rowid='x'", "INSERT INTO r VALUES('y', 9, x'00')",
			"SELECT rowid, oid, _rowid_ FROM r ORDER BY 1", "x|8|1\ny|9|x'00'"},
		{"columns named as ravno's", "CREATE TABLE r(site INTEGER PRIMARY KEY, t, m, ms, k1, p1, stamp, NEW INT, OLD INT, " +
			"key); INSERT INTO r(site) VALUES(1)",
			"UPDATE r SET t=1, m=2, ms=3, k1=4, p1=5, stamp=6, NEW=7, OLD=8, key=9", "INSERT INTO r(site, key) VALUES(2, 1)",
			"SELECT * FROM r", "1|1|2|3|4|5|6|7|8|9\n2|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|1"},
		{"generated columns", "CREATE TABLE g(id INTEGER PRIMARY KEY, a INT, b AS (a * 2) UNIQUE, c AS (a || 'x') STORED); " +
			"INSERT INTO g(id, a) VALUES(1, 1)",
			"UPDATE g SET a=5", "INSERT INTO g(id, a) VALUES(2, 6)", "SELECT * FROM g", "1|5|10|5x\n2|6|12|6x"},
		{"strict", "CREATE TABLE s(id INT PRIMARY KEY, a ANY, r REAL, b BLOB) STRICT, WITHOUT ROWID; INSERT INTO s " +
			"VALUES(1, 1, 1, x'')",
			"UPDATE s SET a=1.0", "INSERT INTO s VALUES(2, '1', 2.5, NULL)", "SELECT id, typeof(a), a, typeof(r), b FROM s",
			"1|real|1|real|x''\n2|text|1|real|NULL"},
		{"checks of what must not be checked twice", "CREATE TABLE h(id INTEGER PRIMARY KEY AUTOINCREMENT, n INT NOT NULL " +
			"DEFAULT 7 CHECK(n > 0), at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP); INSERT INTO h VALUES(1, 1, 'then')",
			"INSERT INTO h(id, at) VALUES(10, 'a')", "INSERT INTO h(id, n, at) VALUES(20, 2, 'b')", "SELECT * FROM h",
			"1|1|then\n10|7|a\n20|2|b"},
	} {
		t.Run(shape.name, func(t *testing.T) {
			c := newChain(t, shape.schema, nil, "a", "b")
			c.at("a", shape.a)
			c.at("b", shape.b)
			c.level()
			c.expect("hub", shape.query, shape.want)
			c.expect("b", shape.query, shape.want)
		})
	}
}

// A row with a null in its key stays at home and harms nobody.
func TestNullKeyStaysAtHome(t *testing.T) {
	c := newChain(t, "CREATE TABLE k(a, b, v, PRIMARY KEY(a, b)); INSERT INTO k VALUES(1, 1, 'first')", nil, "a", "b")
	c.at("a", "INSERT INTO k VALUES(NULL, 1, 'x'), (NULL, 1, 'y'), (2, 2, 'whole')")
	c.at("a", "UPDATE k SET v='z' WHERE a=1")
	for range 3 {
		c.up("a")
		c.down("b")
	}
	c.expect("b", "SELECT * FROM k ORDER BY a", "1|1|z\n2|2|whole")
	c.expect("a", "SELECT count(*) FROM k WHERE a IS NULL", "2")
}

// A blob of twenty megabytes arrives.
func TestBlobOfTwentyMegabytesArrives(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	c := newChain(t, "CREATE TABLE b(id INTEGER PRIMARY KEY, b); INSERT INTO b VALUES(1, NULL)", nil, "a", "b")
	c.at("a", "UPDATE b SET b=zeroblob(20000000) WHERE id=1; INSERT INTO b VALUES(2, randomblob(20000000))")
	c.up("a")
	c.down("b")
	want, _, err := c.nodes["a"].Digests("b")
	c.must(err)
	got, _, err := c.nodes["b"].Digests("b")
	c.must(err)
	if got[0] != want[0] || got[0].Rows != 2 {
		t.Error("another blob arrived")
	}
	c.expect("b", "SELECT id, typeof(b), length(b) FROM b", "1|blob|20000000\n2|blob|20000000")
}

const written = "CREATE TABLE w(k TEXT COLLATE NOCASE PRIMARY KEY, v, s TEXT UNIQUE); INSERT INTO w VALUES('Ана', " +
	"'я', 'é'), ('b', 1, NULL)"

// Files in UTF16 level.
func TestUTF16FilesLevel(t *testing.T) {
	for _, encoding := range []string{"UTF-16le", "UTF-16be"} {
		t.Run(encoding, func(t *testing.T) {
			c := newChain(t, "PRAGMA encoding='"+encoding+"'; "+written, nil, "a", "b")
			levelInEveryEncoding(c)
			c.expect("b", "PRAGMA encoding", encoding)
		})
	}
}

// A hub and its nodes in different encodings level.
func TestDifferentEncodingsLevel(t *testing.T) {
	for _, encodings := range [][3]string{{"UTF-8", "UTF-16le", "UTF-16be"}, {"UTF-16be", "UTF-8", "UTF-16le"}} {
		c := newChain(t, "PRAGMA encoding='"+encodings[0]+"'; "+written, nil, "a", "b")
		for i, name := range []string{"a", "b"} {
			c.reencode(name, encodings[i+1])
			c.expect(name, "PRAGMA encoding", encodings[i+1])
		}
		levelInEveryEncoding(c)
	}
}

func levelInEveryEncoding(c *chain) {
	c.t.Helper()
	c.at("a", "INSERT INTO w VALUES('щ', char(0x1F600), 'e'||char(0x301)), ('c', 'a'||char(0)||'b', ''), ('d', x'd83d', "+
		"char(0xFEFF)||'x')")
	c.at("b", "UPDATE w SET v='ю' WHERE k='B'; UPDATE w SET k='B' WHERE k='b'")
	c.level()
	c.at("hub", "UPDATE w SET s=s||'!'; DELETE FROM w WHERE k='C'")
	c.level()
	sorted := func(site string) string { // here: BINARY compares bytes, which depend on the encoding
		lines := strings.Split(c.rows(site, "SELECT k, v, s FROM w"), "\n")
		slices.Sort(lines)
		return strings.Join(lines, "\n")
	}
	want := sorted("hub")
	if got := sorted("b"); got != want {
		c.t.Errorf("at b %q, at the hub %q", got, want)
	}
	if !strings.Contains(want, "B|ю|NULL") || !strings.Contains(want, "щ|\U0001F600|e\u0301!") {
		c.t.Errorf("%q", want)
	}
	if n := len(c.open("hub")); n != 0 {
		c.t.Errorf("%d conflicts", n)
	}
}

// reencode writes a node's file anew in another text encoding, which SQLite itself cannot.
func (c *chain) reencode(name, encoding string) {
	c.t.Helper()
	path := c.store(name).Path()
	c.must(c.nodes[name].Close())
	old, err := sqlite.Open(path, sqlite.ReadWrite)
	c.must(err)
	fresh, err := sqlite.Open(path+".new", sqlite.Create)
	c.must(err)
	c.must(fresh.Exec("PRAGMA encoding='" + encoding + "'; PRAGMA journal_mode=WAL"))
	var tables, others []string
	c.must(old.Rows(
		"SELECT name, sql, type FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' ORDER BY rowid", nil,
		func(row []crdt.Value) error {
			if row[2].Bytes() != "table" {
				others = append(others, row[1].Bytes())
				return nil
			}
			tables = append(tables, row[0].Bytes())
			return fresh.Exec(row[1].Bytes())
		}))
	for _, table := range tables {
		var columns []string
		c.must(old.Rows("SELECT name FROM pragma_table_info(?)", []crdt.Value{crdt.TextValue(table)},
			func(row []crdt.Value) error {
				columns = append(columns, row[0].Bytes())
				return nil
			}))
		c.must(old.Rows("SELECT "+sqlite.QuoteAll("+", columns)+" FROM "+sqlite.Quote(table), nil,
			func(row []crdt.Value) error {
				return fresh.Exec("INSERT INTO "+sqlite.Quote(table)+" VALUES(?"+strings.Repeat(",?", len(columns)-1)+")", row...)
			}))
	}
	for _, sql := range others {
		c.must(fresh.Exec(sql))
	}
	c.must(fresh.Exec("PRAGMA wal_checkpoint(TRUNCATE)"))
	c.must(old.Close())
	c.must(fresh.Close())
	for _, suffix := range []string{"-wal", "-shm"} {
		os.Remove(path + suffix)
		os.Remove(path + ".new" + suffix)
	}
	c.must(os.Rename(path+".new", path))
	c.nodes[name], err = Open(path, c.clock)
	c.must(err)
	c.t.Cleanup(func() { c.nodes[name].Close() })
}

// A row is found by its key as the shadow has it, whatever the key's length and storage class.
func TestTextKeysTravel(t *testing.T) {
	for _, collation := range []string{"BINARY", "NOCASE", "RTRIM"} {
		c := newChain(t, "CREATE TABLE p(k TEXT PRIMARY KEY COLLATE "+collation+" NOT NULL, n INT) WITHOUT ROWID", nil, "a",
			"b")
		for i, key := range []string{"''", "'x'", "'Ünï'", "x'0303'", "x'0378'", "'5'", "5.5", "char(0)",
			"'a'||char(0)||'b'"} {
			c.at("a", fmt.Sprintf("INSERT INTO p VALUES(%s, %d)", key, i))
		}
		for _, length := range []int{126, 127, 128, 129, 130, 16383, 16384} {
			c.at("a", fmt.Sprintf("INSERT INTO p VALUES('%s', %d)", strings.Repeat("k", length), length))
			c.at("a", fmt.Sprintf("INSERT INTO p VALUES(char(1)||'%s', %d)", strings.Repeat("k", length), length))
		}
		c.level()
		c.at("b", "UPDATE p SET n=n+1")
		c.level()
		c.expectAll("SELECT count(*), sum(n) FROM p", "23|"+fmt.Sprint(36+2*(126+127+128+129+130+16383+16384)+23))
	}
}

// A row without a key stays behind alone.
func TestKeylessRowStaysBehind(t *testing.T) {
	c := newChain(t, "CREATE TABLE p(k TEXT PRIMARY KEY, n INT); INSERT INTO p VALUES('a',1),('b',1)", nil, "a", "b")
	c.at("a", "INSERT INTO p VALUES(NULL, 5)")
	c.settle()
	c.at("a", "UPDATE p SET n=2 WHERE k='a'")
	c.reopen("a") // the daemon restarts: the table is refused, its triggers go, its log is trimmed
	c.settle()
	c.at("a", "UPDATE p SET n=2 WHERE k='b'; DELETE FROM p WHERE k IS NULL") // the admin mends it
	c.settle()
	c.reopen("a")
	c.settle()
	c.level()
}

// A row without a key stops no other table.
func TestKeylessRowStopsNoTable(t *testing.T) {
	c := newChain(
		t, "CREATE TABLE p(k TEXT PRIMARY KEY, n INT); CREATE TABLE o(k INTEGER PRIMARY KEY); INSERT INTO p VALUES('a',1)",
		nil, "a", "b")
	c.at("a", "INSERT INTO p VALUES(NULL, 5)")
	c.settle()
	c.reopen("a")
	c.at("b", "UPDATE p SET n=2; INSERT INTO o VALUES(1)")
	c.up("b")
	self, _ := c.nodes["a"].Self()
	delta, _ := c.collect(c.hub, self.Site, self.Seen)
	if _, err := c.nodes["a"].ApplyFromHub(delta); err != nil {
		t.Error(err)
	}
}
