package capture

import (
	"fmt"
	"strings"
	"testing"

	"ravno/crdt"
)

// describe writes entries as "op table(key) columns".
func describe(entries []Entry) string {
	var all []string
	for _, e := range entries {
		text := fmt.Sprintf("%s %d%v", e.Op, e.Table, e.Key)
		for n := range e.Columns.All() {
			text += fmt.Sprintf(" c%d", n)
		}
		all = append(all, text)
	}
	return strings.Join(all, "; ")
}

// One table of each kind of key; d1 and d2 hang on docs. Numbers are in order of names.
const forms = `
CREATE TABLE t1(id INTEGER PRIMARY KEY, u TEXT COLLATE NOCASE UNIQUE, p INT, e TEXT, n TEXT NOT NULL DEFAULT 'dflt'
UNIQUE, v);
CREATE UNIQUE INDEX part ON t1(p) WHERE v > 10;
CREATE UNIQUE INDEX expr ON t1(lower(e)) WHERE e IS NOT NULL;
INSERT INTO t1 VALUES(1,'a',1,'One','n1',11),(2,'b',2,'Two','n2',12),(3,'c',3,NULL,'dflt',3);
CREATE TABLE t2(k TEXT COLLATE NOCASE PRIMARY KEY, u UNIQUE, v INT);
INSERT INTO t2 VALUES('x',1,1),('y',2,2),('z',3,3);
CREATE TABLE t3(a, b TEXT, PRIMARY KEY(a, b)) WITHOUT ROWID;
INSERT INTO t3 VALUES(1,'p'),(2,'q');
CREATE TABLE t4(id INTEGER PRIMARY KEY, t1 INT REFERENCES t1 ON DELETE CASCADE ON UPDATE CASCADE, t2 TEXT REFERENCES t2
ON DELETE SET NULL ON UPDATE CASCADE);
INSERT INTO t4 VALUES(1,1,'x'),(2,1,'y'),(3,2,'x');
CREATE TABLE t5(t1 INT REFERENCES t1 ON DELETE CASCADE ON UPDATE CASCADE, n INT, v REAL, PRIMARY KEY(t1, n))
WITHOUT ROWID;
INSERT INTO t5 VALUES(1,1,0.5),(1,2,1),(2,1,2);
`

// Every form of write leaves an entry for every row it touches.
func TestEveryWriteLeavesEntries(t *testing.T) {
	for _, form := range []struct{ name, sql, log string }{
		{"insert", "INSERT INTO t1(id, n) VALUES(9, 1.5)", "insert 1[9]"},
		{"insert without a key", "INSERT INTO t2 VALUES('w', NULL, NULL)", "insert 2[w]"},
		{"insert into an all-key table", "INSERT INTO t3 VALUES(1,'r')", "insert 3[1 r]"},
		{"default values", "INSERT OR REPLACE INTO t1 DEFAULT VALUES", "look 1[3]; insert 1[4]"},
		{"upsert, do nothing", "INSERT INTO t2 VALUES('X',9,9) ON CONFLICT DO NOTHING", "look 2[x]"},
		{"upsert by key", "INSERT INTO t2 VALUES('X',9,9) ON CONFLICT(k) DO UPDATE SET v=excluded.v",
			"look 2[x]; update 2[x] c2"},
		{"upsert through a unique column", "INSERT INTO t2 VALUES('w',2,9) ON CONFLICT(u) DO UPDATE SET v=9",
			"look 2[y]; update 2[y] c2"},
		{"replace by key", "INSERT OR REPLACE INTO t2 VALUES('X',9,9)",
			"look 2[x]; update 4[1] c2; update 4[3] c2; insert 2[X]"},
		{"replace by rowid", "INSERT OR REPLACE INTO t2(rowid, k) VALUES(2,'w')", "look 2[y]; update 4[2] c2; insert 2[w]"},
		{"replace through a unique column", "REPLACE INTO t2 VALUES('w',2,9)", "look 2[y]; update 4[2] c2; insert 2[w]"},
		{"replace two rows", "REPLACE INTO t2 VALUES('Z',2,9)", "look 2[z]; look 2[y]; update 4[2] c2; insert 2[Z]"},
		{"replace through NOCASE", "REPLACE INTO t1(id,u) VALUES(3,'B')", ""},
		{"replace through a partial index", "REPLACE INTO t1(id,p,n,v) VALUES(8,1,'m',20)",
			"look 1[1]; delete 5[1 1]; delete 5[1 2]; delete 4[1]; delete 4[2]; insert 1[8]"},
		{"outside of a partial index", "REPLACE INTO t1(id,p,n,v) VALUES(8,3,'m',20)", "insert 1[8]"},
		{"replace through an expression", "REPLACE INTO t1(id,e,n) VALUES(8,'ONE','m')",
			"look 1[1]; delete 5[1 1]; delete 5[1 2]; delete 4[1]; delete 4[2]; insert 1[8]"},
		{"replace through a default", "REPLACE INTO t1(id,n) VALUES(8,NULL)", "look 1[3]; insert 1[8]"},
		{"update or replace the key", "UPDATE OR REPLACE t2 SET k='Y' WHERE k='x'",
			"look 2[y]; update 4[2] c2; update 4[1] c2; update 4[3] c2; look 2[x]; insert 2[Y]"},
		{"update or replace a unique column", "UPDATE OR REPLACE t2 SET u=u+1", ""},
		{"update or replace through a predicate", "UPDATE OR REPLACE t1 SET p=1, v=99 WHERE id=3",
			"look 1[1]; delete 5[1 1]; delete 5[1 2]; delete 4[1]; delete 4[2]; update 1[3] c2 c5"},
		{"update or replace through an expression", "UPDATE OR REPLACE t1 SET e='tWo' WHERE id=1",
			"look 1[2]; delete 5[2 1]; delete 4[3]; update 1[1] c3"},
		{"update or replace through a default", "UPDATE OR REPLACE t1 SET n=NULL WHERE id=1", "look 1[3]; update 1[1] c4"},
		{"update or replace the rowid", "UPDATE OR REPLACE t2 SET rowid=3 WHERE k='x'", "look 2[z]"},
		{"or ignore", "INSERT OR IGNORE INTO t2 VALUES('v',7,1),('X',8,1),('w',9,1)", "insert 2[v]; look 2[x]; insert 2[w]"},
		{"or fail keeps the first rows", "INSERT OR FAIL INTO t2 VALUES('v',7,1),('X',8,1),('w',9,1)",
			"insert 2[v]; look 2[x]"},
		{"update or fail", "UPDATE OR FAIL t2 SET u=max(u,2)+1", ""},
		{"abort", "INSERT INTO t2 VALUES('v',7,1),('X',8,1)", ""},
		{"delete", "DELETE FROM t2 WHERE v=3", "delete 2[z]"},
		{"delete all", "DELETE FROM t3", "delete 3[1 p]; delete 3[2 q]"},
		{"cascade and set null", "DELETE FROM t1 WHERE id=1; DELETE FROM t2 WHERE k='x'", ""},
		{"replace a parent", "REPLACE INTO t1(id,u) VALUES(1,'z')", ""},
		{"update cascade", "UPDATE t1 SET id=7 WHERE id=1", ""},
		{"change of a key by the rowid's name", "UPDATE t3 SET a=5 WHERE a=1; UPDATE t4 SET oid=7 WHERE id=1",
			"look 3[1 p]; insert 3[5 p]; look 4[1]; insert 4[7]"},
		{"swap of keys", "BEGIN; UPDATE t3 SET a=-1 WHERE a=1; UPDATE t3 SET a=1, b='p' WHERE a=2; UPDATE t3 SET a=2, " +
			"b='q' WHERE a=-1; COMMIT", ""},
		{"other spelling of a key", "UPDATE t2 SET k=upper(k) WHERE k='z'; UPDATE t3 SET a=1.0 WHERE a=1",
			"update 2[Z] c0; update 3[1 p] c0"},
		{"nothing changes", "UPDATE t1 SET id=id, u=u, p=p, e=e, n=n, v=v; UPDATE t2 SET k=k, v=v; UPDATE t3 SET a=a, b=b",
			""},
		{"class only", "UPDATE t1 SET v=12.0 WHERE id=2", "update 1[2] c5"},
		{"case only", "UPDATE t1 SET u='B' WHERE id=2", "update 1[2] c1"},
		{"sign of zero", "UPDATE t1 SET v=0.0 WHERE id=1; UPDATE t1 SET v=0.0*-1 WHERE id=1",
			"update 1[1] c5; update 1[1] c5"},
		{"to NULL and back", "UPDATE t5 SET v=NULL WHERE n=2; UPDATE t5 SET v=3 WHERE n=2",
			"update 5[1 2] c2; update 5[1 2] c2"},
		{"a savepoint rolled back",
			"BEGIN; DELETE FROM t2; SAVEPOINT s; DELETE FROM t3; INSERT INTO t1(id) VALUES(70); ROLLBACK TO s; COMMIT", ""},
		{"all rolled back", "BEGIN; DELETE FROM t2; DELETE FROM t3; ROLLBACK", ""},
		{"deleted and born again", "BEGIN; DELETE FROM t4 WHERE id=3; INSERT INTO t4(id, t1) VALUES(3, 2); COMMIT",
			"delete 4[3]; insert 4[3]"},
	} {
		for _, recursive := range []string{"OFF", "ON"} {
			t.Run(form.name+", recursive triggers "+recursive, func(t *testing.T) {
				c := install(t, open(t, forms+"PRAGMA recursive_triggers="+recursive))
				entries, _ := c.run(t, form.sql)
				if form.log != "" && recursive == "OFF" && describe(entries) != form.log {
					t.Errorf("log: %s\nwant %s", describe(entries), form.log)
				}
				if form.name == "nothing changes" && len(entries) > 0 {
					t.Errorf("log: %s", describe(entries))
				}
			})
		}
	}
}

// The applications own triggers are seen too.
func TestWritesOfOwnTriggersAreSeen(t *testing.T) {
	c := open(t, forms+`
		CREATE TRIGGER stamp AFTER INSERT ON t2 BEGIN UPDATE t2 SET v = v + 100 WHERE k = NEW.k; END;
		CREATE TRIGGER again AFTER UPDATE OF v ON t2 WHEN NEW.v < 200 BEGIN UPDATE t2 SET u = NULL WHERE k = NEW.k; END;
		CREATE TRIGGER before_it BEFORE INSERT ON t3 BEGIN UPDATE t1 SET u = NEW.b WHERE id = 1; END;
		CREATE TRIGGER replaces AFTER DELETE ON t3 BEGIN INSERT OR REPLACE INTO t1(id, u) VALUES(50, 'C'); END;
		CREATE VIEW both AS SELECT k, v FROM t2;
		CREATE TRIGGER through INSTEAD OF INSERT ON both BEGIN REPLACE INTO t2(k, v) VALUES(NEW.k, NEW.v); END`)
	captured := install(t, c)
	for _, sql := range []string{"INSERT INTO t2 VALUES('new', 9, 1)", "REPLACE INTO t2 VALUES('X', 2, 1)",
		"INSERT INTO t3 VALUES('b', 'B2')",
		"DELETE FROM t3 WHERE a = 1", "INSERT INTO both VALUES('Y', 5), ('w', 6)"} {
		if _, err := captured.run(t, sql); err != nil {
			t.Errorf("%s: %v", sql, err)
		}
	}
}

func TestNamesAndDefaultsOfEveryKind(t *testing.T) {
	c := open(t, `
		CREATE TABLE "a ""b"""("k ""c""" TEXT PRIMARY KEY, [u v] TEXT NOT NULL UNIQUE DEFAULT bare, "two
lines" UNIQUE, flag NOT NULL DEFAULT true, "quo'ted" NOT NULL DEFAULT "double", UNIQUE(flag, "quo'ted"));
		CREATE TABLE "Заказ"("номер" INTEGER PRIMARY KEY, "имя" UNIQUE);
		CREATE TABLE "new"("old" PRIMARY KEY, "new" UNIQUE, r, "NEW.x");
		CREATE TABLE "old"(rowid TEXT PRIMARY KEY, oid UNIQUE, r);
		CREATE TABLE shadowed(rowid INT PRIMARY KEY, oid UNIQUE, _rowid_ UNIQUE);
		CREATE TABLE r(r INTEGER PRIMARY KEY, m UNIQUE, t, k1);
		CREATE TABLE made(k INTEGER NOT NULL UNIQUE, a, g AS (a * 2) UNIQUE, s AS (a || k) STORED);
		CREATE UNIQUE INDEX over ON made(g + 1) WHERE g > 2;
		CREATE TABLE strict(id INT PRIMARY KEY, a ANY UNIQUE, b BLOB, c INTEGER) STRICT`)
	captured := install(t, c)
	if len(captured.specs) != 8 {
		t.Fatalf("%d tables", len(captured.specs))
	}
	for _, sql := range []string{
		`INSERT INTO "a ""b""" VALUES('1','x',5,1,'q'),('2','bare',6,true,'double')`,
		`REPLACE INTO "a ""b"""("k ""c""","two` + "\n" + `lines") VALUES('3',5)`,
		`REPLACE INTO "a ""b""" VALUES('4',NULL,7,NULL,NULL)`,
		`UPDATE OR REPLACE "a ""b""" SET "two` + "\n" + `lines"=7, "k ""c"""='9'`,
		`INSERT INTO "Заказ" VALUES(1,'а'),(2,'б')`, `REPLACE INTO "Заказ"("имя") VALUES('а')`,
		`UPDATE "Заказ" SET "имя"='я' WHERE "номер"=2`,
		`INSERT INTO "new" VALUES(1,1,1,1),(2,2,2,2)`, `REPLACE INTO "new" VALUES(3,1,1,1)`,
		`UPDATE OR REPLACE "new" SET "new"=2, "NEW.x"=8 WHERE "old"=3`,
		`INSERT INTO "old" VALUES('x',1,1),('y',2,2)`, `REPLACE INTO "old"(_rowid_, rowid) VALUES(1,'z')`,
		`UPDATE OR REPLACE "old" SET rowid='y' WHERE rowid='z'`,
		`INSERT INTO shadowed VALUES(1,1,1),(2,2,2),(3,3,3)`, `UPDATE OR REPLACE shadowed SET rowid=2, oid=3 WHERE rowid=1`,
		`INSERT INTO r VALUES(1,1,1,1),(2,2,2,2)`, `UPDATE OR REPLACE r SET m=1, r=5 WHERE r=2`,
		`INSERT INTO made(k,a) VALUES(1,1),(2,2),(3,3)`, `REPLACE INTO made(k,a) VALUES(9,2)`,
		`UPDATE OR REPLACE made SET a=1.0 WHERE k=9`,
		`INSERT INTO strict VALUES(1,1,x'00',1),(2,'1',x'01',2)`, `UPDATE strict SET a=1.0, b=x'02', c=3 WHERE id=1`,
		`REPLACE INTO strict VALUES(4,1,NULL,NULL)`,
	} {
		if _, err := captured.run(t, sql); err != nil {
			t.Errorf("%s: %v", sql, err)
		}
	}
}

// A row replaced through a generated column of a default is seen.
func TestVictimByGeneratedColumnIsSeen(t *testing.T) {
	for _, statement := range []string{"REPLACE INTO t VALUES(2, NULL)",
		"INSERT INTO t VALUES(2, 'C'); UPDATE OR REPLACE t SET c = NULL WHERE k = 2"} {
		c := install(t, open(t, "CREATE TABLE t(k INTEGER PRIMARY KEY, c TEXT NOT NULL DEFAULT 'a', g AS (lower(c)) "+
			"UNIQUE); INSERT INTO t VALUES(1, 'A'), (3, 'B')"))
		if entries, err := c.run(t, statement); err != nil || !strings.Contains(describe(entries), "look 1[1]") {
			t.Errorf("%s: %s %v", statement, describe(entries), err)
		}
		if n, _ := c.Int("SELECT count(*) FROM t"); n != 2 {
			t.Errorf("%d rows", n)
		}
	}
}

// A table of two hundred columns tells them all apart.
func TestMaskOfTwoHundredColumns(t *testing.T) {
	var columns []string
	for i := range 200 {
		columns = append(columns, fmt.Sprintf("c%d", i))
	}
	c := install(t, open(t, "CREATE TABLE t(id INTEGER PRIMARY KEY, "+strings.Join(columns, ",")+")"))
	if _, err := c.run(t, "INSERT INTO t(id) VALUES(1)"); err != nil {
		t.Fatal(err)
	}
	for i, column := range columns {
		entries, err := c.run(t, "UPDATE t SET "+column+"=1")
		if want := fmt.Sprintf("update 1[1] c%d", i+1); err != nil || describe(entries) != want {
			t.Fatalf("%s: %s, %v", column, describe(entries), err)
		}
	}
	entries, err := c.run(t, "UPDATE t SET "+strings.Join(columns, "=2, ")+"=2")
	if err != nil || len(entries) != 1 || strings.Count(describe(entries), " c") != 200 {
		t.Errorf("%s %v", describe(entries), err)
	}
	if entries, _ = c.run(t, "UPDATE t SET c7=2, c199=2"); len(entries) != 0 {
		t.Errorf("nothing changed, log: %s", describe(entries))
	}
}

// Numbers of columns need not follow their order.
func TestMaskColumnNumbersInAnyOrder(t *testing.T) {
	c := open(t, "CREATE TABLE t(a, id INTEGER PRIMARY KEY, b)")
	specs := specsOf(t, c)
	specs[0].ColumnNumbers = []int{130, 0, 61}
	must(t, Install(c, specs))
	captured := &captured{Conn: c, specs: specs}
	_, err := captured.run(t, "INSERT INTO t VALUES(1, 1, 1)")
	must(t, err)
	if entries, _ := captured.run(t, "UPDATE t SET a = 2, b = 2"); describe(entries) != "update 1[1] c61 c130" {
		t.Error(describe(entries))
	}
	if entries, _ := captured.run(t, "UPDATE t SET b = 3"); describe(entries) != "update 1[1] c61" {
		t.Error(describe(entries))
	}
}

// The clock in the log is the writers wall clock.
func TestLogClockIsWritersClock(t *testing.T) {
	c := install(t, open(t, "CREATE TABLE t(id INTEGER PRIMARY KEY)"))
	exact, err := c.Text("SELECT strftime('%s%f', 'now')") // seconds, then SS.SSS
	must(t, err)
	entries, _ := c.run(t, "INSERT INTO t VALUES(1)")
	var seconds, fraction int64
	_, err = fmt.Sscanf(exact[:10]+" "+exact[len(exact)-3:], "%d %d", &seconds, &fraction)
	must(t, err)
	const slow = 60_000 // ms
	if passed := entries[0].Millis - (seconds*1000 + fraction); passed < 0 || passed > slow {
		t.Errorf("%d ms after %s", passed, exact)
	}
	bad, err := c.Int("WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i+1 FROM n WHERE i < 20000) " +
		"SELECT count(*) FROM n WHERE " + strings.ReplaceAll(nowMillis, "'now'", "1700000000 + i * 7919.001, 'unixepoch'") +
		" <> CAST(strftime('%s', 1700000000 + i * 7919.001, 'unixepoch') || substr(strftime('%f', 1700000000 + i * " +
		"7919.001, 'unixepoch'), -3) AS INTEGER)")
	if err != nil || bad != 0 {
		t.Errorf("%d of 20001 times are not exact: %v", bad, err)
	}
}

func TestValuesOfKeysAreLoggedAsStored(t *testing.T) {
	c := install(t, open(t, "CREATE TABLE t(k PRIMARY KEY, v)"))
	for _, v := range []crdt.Value{crdt.IntegerValue(1<<53 + 1), crdt.RealValue(0.1), crdt.TextValue("a\x00b"),
		crdt.TextValue("\xff"), crdt.BlobValue(""), crdt.TextValue("1")} {
		must(t, c.Exec("INSERT INTO t(k) VALUES(?)", v))
		if e := c.news(t); len(e) != 1 || e[0].Key[0] != v {
			t.Errorf("%v (%s) became %v", v, v.Kind(), e)
		}
	}
}
