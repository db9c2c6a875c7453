package store

import (
	"os"
	"path/filepath"
	"ravno/store/internal/catalog"
	"ravno/store/internal/enrol"
	"ravno/store/internal/install"
	"ravno/store/internal/rows"
	"strings"
	"testing"

	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/store/internal/capture"
	"ravno/store/internal/sqlite"
)

// searchable is a table with a full-text index that keeps no copy of its rows, kept fresh by
// triggers as SQLite's documentation has them (https://sqlite.org/fts3.html, 6.2.2).
const searchable = `CREATE TABLE doc(id INTEGER PRIMARY KEY, title TEXT, body TEXT);
	CREATE VIRTUAL TABLE found USING fts4(content="doc", title, body);
	CREATE TRIGGER doc_bu BEFORE UPDATE ON doc BEGIN DELETE FROM found WHERE docid=OLD.rowid; END;
	CREATE TRIGGER doc_bd BEFORE DELETE ON doc BEGIN DELETE FROM found WHERE docid=OLD.rowid; END;
	CREATE TRIGGER doc_au AFTER UPDATE ON doc BEGIN INSERT INTO found(docid, title, body) VALUES(NEW.rowid, NEW.title,
	NEW.body); END;
	CREATE TRIGGER doc_ai AFTER INSERT ON doc BEGIN INSERT INTO found(docid, title, body) VALUES(NEW.rowid, NEW.title,
	NEW.body); END;
	INSERT INTO doc VALUES(1,'soup','beans and carrots'),(2,'cake','walnuts')`

// sound checks a full-text index against its table at every server.
func (c *chain) sound(index string) {
	c.t.Helper()
	for _, site := range append(c.names(), "hub") {
		if err := c.try(site, "INSERT INTO "+index+"("+index+") VALUES('integrity-check')"); err != nil {
			c.t.Errorf("the index at %s is not that of its table: %v", site, err)
		}
	}
}

// noticed reports whether a notice of a site has all these words.
func (c *chain) noticed(site string, words ...string) bool {
	c.t.Helper()
	notices, err := c.store(site).Notices()
	c.must(err)
	for _, notice := range notices {
		all := strings.HasPrefix(notice, "index or table ")
		for _, word := range words {
			all = all && strings.Contains(notice, word)
		}
		if all {
			return true
		}
	}
	return false
}

// A search index finds what was written elsewhere.
func TestMirrorSearchIndexIsFresh(t *testing.T) {
	c := newChain(t, searchable, nil, "a", "b")
	c.at("a", "INSERT INTO doc VALUES(3,'tea','mint'); UPDATE doc SET body='lentils and carrots' WHERE id=1; DELETE "+
		"FROM doc WHERE id=2")
	c.level()
	for _, site := range []string{"hub", "b"} {
		c.expect(site, "SELECT docid FROM found WHERE found MATCH 'mint OR lentils OR beans OR walnuts' ORDER BY docid",
			"1\n3")
	}
	c.sound("found")
	c.at("b", "UPDATE doc SET id=30 WHERE id=3; INSERT INTO doc VALUES(1,'salad','beans') ON CONFLICT(id) DO UPDATE SET "+
		"title=excluded.title")
	c.at("a", "UPDATE doc SET title='stew' WHERE id=1")
	c.level()
	c.sound("found")
	c.expect("a", "SELECT docid FROM found WHERE found MATCH 'mint'", "30")
	if c.noticed("a") || c.noticed("hub") {
		t.Error("a fresh index is reported as stale")
	}
}

// Rows that are held and placed stay in the index as in the table.
func TestMirrorFollowsHeldRows(t *testing.T) {
	c := newChain(t, strings.Replace(searchable, "title TEXT", "title TEXT UNIQUE", 1), nil, "a", "b")
	c.at("a", "INSERT INTO doc VALUES(3,'tea','mint'); UPDATE doc SET title='t' WHERE id=1; UPDATE doc SET title='soup' "+
		"WHERE id=2; UPDATE doc SET title='cake' WHERE id=1")
	c.at("b", "INSERT INTO doc VALUES(4,'tea','sage')")
	c.level()
	c.sound("found")
	c.expect("b", "SELECT docid FROM found WHERE found MATCH 'tea'", "3")
	c.at("hub", "DELETE FROM doc WHERE id=3")
	c.level()
	c.sound("found")
	c.expect("a", "SELECT docid FROM found WHERE found MATCH 'tea'", "4")
}

// A counter of this server and a tree of places are kept fresh.
func TestMirrorLocalCounterAndTree(t *testing.T) {
	c := newChain(t, `CREATE TABLE "sho""p s"(id INTEGER PRIMARY KEY, x REAL, y REAL, kind TEXT);
		CREATE TABLE [per kind](kind TEXT PRIMARY KEY, n INT); CREATE TABLE last(kind TEXT);
		CREATE VIRTUAL TABLE place USING rtree(id, x0, x1, y0, y1);
		CREATE TRIGGER "main"."a""1" AFTER INSERT ON "SHO""P s" BEGIN INSERT INTO place VALUES(NEW.id, NEW.x, NEW.x, NEW.y,
		NEW.y);
			INSERT OR IGNORE INTO [per kind] VALUES(NEW.kind, 0); UPDATE `+"`per kind`"+` SET n=n+1 WHERE kind=NEW.kind; END;
		CREATE TRIGGER [a 2] AFTER UPDATE OF x, "y" ON [sho"p s] WHEN NEW.x IS NOT OLD.x OR NEW.y IS NOT OLD.y BEGIN
			UPDATE place SET x0=(WITH at(a) AS (SELECT NEW.x) SELECT a FROM at), x1=NEW.x, y0=NEW.y, y1=NEW.y WHERE id=NEW.id;
			END;
		CREATE TRIGGER a3 AFTER DELETE ON
		[sho"p s] BEGIN DELETE FROM place WHERE id=OLD.id; UPDATE [per kind] SET n=n-1 WHERE kind=OLD.kind; END;
		CREATE TRIGGER a5 AFTER UPDATE OF kind ON
		[sho"p s] WHEN NEW.kind='pub' OR NEW.kind='inn' BEGIN INSERT INTO last VALUES('new '||NEW.kind); END;
		CREATE TRIGGER a4 AFTER UPDATE ON [per kind] BEGIN DELETE FROM last; INSERT INTO last VALUES(NEW.kind); END`,
		[]catalog.Setting{{Table: "per kind", Class: catalog.Local}, {Table: "last", Class: catalog.Local}}, "a", "b")
	c.at("a", `INSERT INTO "sho""p s" VALUES(1,1,1,'bar'),(2,2,2,'bar'),(3,3,3,'cafe')`)
	c.level()
	c.at("b", `UPDATE "sho""p s" SET x=9 WHERE id=1; DELETE FROM "sho""p s" WHERE id=3`)
	c.level()
	c.at("hub", `UPDATE "sho""p s" SET kind='pub' WHERE id=2; UPDATE "sho""p s" SET kind='diner' WHERE id=1`)
	c.level()
	for _, site := range []string{"hub", "a", "b"} {
		c.expect(site, "SELECT id, x0 FROM place ORDER BY id", "1|9\n2|2")
		c.expect(site, "SELECT rtreecheck('place')", "ok")
		c.expect(site, "SELECT * FROM [per kind] ORDER BY kind", "bar|2\ncafe|0")
		c.expect(site, "SELECT * FROM last", "cafe\nnew pub") // the first by a trigger of a table that only a trigger writes
	}
}

// Triggers that write what syncs fire at their origin and nowhere else.
func TestMirrorNotOfSyncedTables(t *testing.T) {
	c := newChain(t, `CREATE TABLE audit(n INTEGER PRIMARY KEY, what TEXT); CREATE TABLE item(id INTEGER PRIMARY KEY,
		name TEXT, last_update TEXT);
		CREATE TABLE mixed(id INTEGER PRIMARY KEY, x TEXT); CREATE VIRTUAL TABLE words USING fts4(x);
		CREATE TABLE ev(n INTEGER PRIMARY KEY, what TEXT);
		CREATE TRIGGER b1 AFTER INSERT ON item BEGIN INSERT INTO audit(what) VALUES(NEW.name);
		INSERT INTO ev(what) VALUES(NEW.name); END;
		CREATE TRIGGER b2 AFTER UPDATE ON item BEGIN UPDATE item SET last_update=coalesce(last_update,'')||'!' WHERE
		id=NEW.id; END;
		CREATE TRIGGER b3 AFTER INSERT ON mixed BEGIN INSERT INTO audit(what) VALUES('mixed');
		INSERT INTO words(docid, x) VALUES(NEW.id, NEW.x); END;
		CREATE TRIGGER b4 BEFORE INSERT ON item WHEN NEW.name='' BEGIN SELECT RAISE(IGNORE); END`,
		[]catalog.Setting{{Table: "ev", Class: catalog.Journal}}, "a", "b")
	c.at("a", "INSERT INTO item VALUES(1,'spoon',NULL)")
	c.level()
	c.at("b", "UPDATE item SET name='fork'; INSERT INTO mixed VALUES(1,'rare')")
	c.level() // falls silent: nothing of it is an echo
	c.level()
	for _, site := range []string{"hub", "a", "b"} {
		c.expect(site, "SELECT what FROM audit ORDER BY n", "spoon\nmixed")
		c.expect(site, "SELECT name, last_update FROM item", "fork|!")
	}
	c.expect("b", "SELECT count(*) FROM ev", "0")
	c.expect("hub", "SELECT count(*) FROM words WHERE words MATCH 'rare'", "0")
	if !c.noticed("hub", "audit, words", "(trigger b3)", "writes to audit too") || c.noticed("hub", "b1") ||
		c.noticed("hub", "b2") || c.noticed("hub", "b4") {
		notices, _ := c.hub.Notices()
		t.Errorf("notices %q", notices)
	}
}

// A trigger that the application drops or replaces is mirrored as it is now.
func TestMirrorFollowsReplacedTrigger(t *testing.T) {
	c := newChain(t, "CREATE TABLE p(id INTEGER PRIMARY KEY, n INT); CREATE TABLE seen(n INT); CREATE TRIGGER p_ai "+
		"AFTER INSERT ON p BEGIN INSERT INTO seen VALUES(NEW.n); END",
		[]catalog.Setting{{Table: "seen", Class: catalog.Local}}, "a")
	c.at("hub", "INSERT INTO p VALUES(1,1)")
	c.level()
	c.at("a", "DROP TRIGGER p_ai; CREATE TRIGGER p_ai AFTER INSERT ON p BEGIN INSERT INTO seen VALUES(NEW.n*10); END")
	c.at("hub", "INSERT INTO p VALUES(2,2)")
	c.level()
	c.at("a", "DROP TRIGGER p_ai")
	c.at("hub", "INSERT INTO p VALUES(3,3)")
	c.level()
	c.expect("a", "SELECT n FROM seen", "1\n20")
	c.at("a", "CREATE TRIGGER p_ai AFTER INSERT ON p BEGIN INSERT INTO seen VALUES(NEW.n); END; CREATE TRIGGER p_au "+
		"AFTER UPDATE ON p BEGIN DELETE FROM seen; END; DROP TABLE seen")
	c.at("hub", "INSERT INTO p VALUES(4,4)")
	c.level() // a trigger with nowhere to write stops nothing
	if !c.noticed("a", "seen", "p_ai", "no such table") || c.noticed("hub") {
		t.Error("a trigger that cannot be mirrored is not reported, or where it should not be")
	}
	c.at("a", "CREATE TABLE seen(n INT)")
	c.at("hub", "INSERT INTO p VALUES(5,5)")
	c.level()
	c.expect("a", "SELECT n FROM seen", "5")
	if c.noticed("a") {
		t.Error("still reported although it is mirrored again")
	}
}

// A trigger that reads another table is mirrored but not trusted.
func TestMirrorReadingOtherTable(t *testing.T) {
	c := newChain(t, `CREATE TABLE line(id INTEGER PRIMARY KEY, product INT); CREATE TABLE product(id INTEGER PRIMARY KEY,
		name TEXT); CREATE VIRTUAL TABLE sold USING fts4(name);
		CREATE TRIGGER line_ai AFTER INSERT ON line BEGIN INSERT INTO sold(docid, name) SELECT NEW.id, p.name FROM product p
		WHERE p.id=NEW.product; END;
		CREATE TRIGGER line_ad AFTER DELETE ON line BEGIN DELETE FROM sold WHERE docid=OLD.id AND NOT EXISTS(SELECT 1 FROM
		line WHERE id=OLD.id); END`, nil, "a")
	c.at("a", "INSERT INTO product VALUES(1,'tea')")
	c.level()
	c.at("a", "INSERT INTO line VALUES(1,1)")
	c.level()
	c.expect("hub", "SELECT docid FROM sold WHERE sold MATCH 'tea'", "1")
	if !c.noticed("hub", "sold", "reads table product", "(trigger line_ai)") {
		notices, _ := c.hub.Notices()
		t.Errorf("notices %q", notices)
	}
}

// A trigger only the application can run is reported before and after the first write.
func TestMirrorImpossibleIsReported(t *testing.T) {
	c := newChain(t, "CREATE TABLE p(id INTEGER PRIMARY KEY, n TEXT); CREATE TABLE seen(n)",
		[]catalog.Setting{{Table: "seen", Class: catalog.Local}}, "a")
	c.at("hub", "CREATE TRIGGER p_ai AFTER INSERT ON p BEGIN INSERT INTO seen VALUES(soundslike(NEW.n)); END")
	for range 2 {
		if !c.noticed("hub", "seen", "soundslike") {
			t.Error("no notice")
		}
		c.at("a", "INSERT INTO p(n) VALUES('x')")
		c.level()
	}
	c.expect("hub", "SELECT count(*) FROM p", "2")
	again, err := Open(c.hub.Path(), c.clock)
	c.must(err)
	defer again.Close()
	if notices, err := again.Notices(); err != nil || len(notices) != 1 || !strings.Contains(notices[0], "soundslike") {
		t.Errorf("of a store that has not written yet: %q %v", notices, err)
	}
}

// An index that refuses a row holds up neither the row nor the chain.
func TestMirrorRefusalHoldsNothingUp(t *testing.T) {
	c := newChain(t, `CREATE TABLE p(id INTEGER PRIMARY KEY, code TEXT UNIQUE, n INT);
		CREATE TABLE few(n INT UNIQUE CHECK(n<100));
		CREATE TRIGGER p_ai AFTER INSERT ON p BEGIN INSERT INTO few VALUES(NEW.n); END;
		CREATE TRIGGER p_ad AFTER DELETE ON p BEGIN DELETE FROM few WHERE n=OLD.n; END`,
		[]catalog.Setting{{Table: "few", Class: catalog.Local}}, "a", "b")
	c.at("hub", "INSERT INTO few VALUES(7)")
	c.at("a", "INSERT INTO p VALUES(1,'x',6)")
	c.at("b", "INSERT INTO p VALUES(2,'x',5)") // held: of its own, not of the index
	c.level()
	c.expect("hub", "SELECT n FROM few ORDER BY n", "6\n7")
	if c.noticed("hub") {
		t.Error("a row that does not fit is taken for an index that fails")
	}
	c.at("a", "INSERT INTO p VALUES(3,'y',7)")
	c.at("a", "INSERT INTO p VALUES(4,'z',8)")
	c.level()
	c.expect("hub", "SELECT id, n FROM p ORDER BY id", "1|6\n3|7\n4|8")
	if !c.noticed("hub", "triggers of p", "UNIQUE constraint failed: few.n") || c.noticed("b") {
		notices, _ := c.hub.Notices()
		t.Errorf("notices %q", notices)
	}
	events, err := c.hub.JournalRows(install.JournalFilter{Table: "ravno_event", Site: "hub"})
	c.must(err)
	failed := 0
	for _, e := range events {
		for _, v := range e.Row {
			if v.Name == "kind" && v.Value.Bytes() == string("mirror_failed") {
				failed++
			}
		}
	}
	if failed != 1 {
		t.Errorf("%d events of the failed index", failed)
	}
	c.expect("b", "SELECT n FROM few ORDER BY n", "6\n7\n8")
	c.at("hub", "DELETE FROM few; INSERT INTO few SELECT n FROM p; CREATE TABLE other(x)") // repaired, and another schema
	c.at("a", "INSERT INTO p VALUES(5,'w',9)")
	c.level()
	c.expect("hub", "SELECT count(*) FROM few", "4")
	if c.noticed("hub", "triggers of p") {
		t.Error("still reported after it works again")
	}
}

// Triggers that could refuse rows or end the transaction are not mirrored.
func TestMirrorNotOfRefusingTriggers(t *testing.T) {
	c := newChain(t, `CREATE TABLE p(id INTEGER PRIMARY KEY, n INT); CREATE TABLE l(n INT UNIQUE);
		CREATE TABLE r(n UNIQUE ON CONFLICT ROLLBACK); CREATE VIEW v AS SELECT n FROM l;
		CREATE TRIGGER v_ii INSTEAD OF INSERT ON v BEGIN INSERT INTO l VALUES(NEW.n); END;
		CREATE TRIGGER p1 AFTER INSERT ON p BEGIN SELECT RAISE(IGNORE) WHERE EXISTS(SELECT 1 FROM l);
		INSERT OR IGNORE INTO l VALUES(NEW.n); END;
		CREATE TRIGGER p2 AFTER INSERT ON p BEGIN INSERT OR ROLLBACK INTO l VALUES(-NEW.n); END;
		CREATE TRIGGER p3 AFTER INSERT ON p BEGIN INSERT INTO r VALUES(NEW.n%1); END;
		CREATE TRIGGER p4 AFTER INSERT ON p BEGIN INSERT INTO v VALUES(NEW.n*1000); END`,
		[]catalog.Setting{{Table: "l", Class: catalog.Local}, {Table: "r", Class: catalog.Local}}, "a")
	c.at("a", "INSERT INTO p VALUES(1,1)")
	c.at("hub", "INSERT INTO l VALUES(-1); INSERT INTO r VALUES(0)")
	c.level()
	c.expect("hub", "SELECT n FROM p", "1")
	for _, name := range []string{"p1", "p2", "p3", "p4"} {
		if !c.noticed("hub", "(trigger ", name) {
			t.Errorf("trigger %s is not reported", name)
		}
	}
}

// Mirrors are nobodys business but the writers and no change of the schema.
func TestMirrorLeavesSchemaAlone(t *testing.T) {
	c := newChain(t, searchable+"; CREATE TABLE l(n); CREATE TRIGGER l_ai AFTER INSERT ON l BEGIN DELETE FROM l; END",
		[]catalog.Setting{{Table: "l", Class: catalog.Local}}, "a")
	c.level()
	before := c.rows("hub", "PRAGMA schema_version")
	mirrors := func() (names string) {
		c.must(c.hub.write(func(tx *rows.Tx) (err error) {
			names, err = tx.SQL.Text(
				"SELECT group_concat(tbl_name||' '||name, ', ') FROM temp.sqlite_master WHERE type='trigger'")
			return err
		}))
		return names
	}
	want := mirrors()
	if strings.Count(want, "doc ravno_mirror_") != 4 || strings.Count(want, ",") != 3 {
		t.Errorf("mirrors %q", want)
	}
	for range 3 {
		refusal := c.hub.write(func(tx *rows.Tx) error {
			if err := tx.SQL.Exec("DROP TRIGGER temp.ravno_mirror_1"); err != nil {
				return err
			}
			return catalog.ErrKey
		})
		if refusal != catalog.ErrKey || mirrors() != want {
			t.Fatalf("after a transaction that was undone (%v): %q", refusal, mirrors())
		}
	}
	if after := c.rows("hub", "PRAGMA schema_version"); after != before {
		t.Errorf("schema version %s, before %s", after, before)
	}
	c.expect("hub", "SELECT count(*) FROM sqlite_master WHERE name LIKE '%mirror%'", "0")
	c.at("a", "INSERT INTO doc VALUES(9,'x','y')")
	c.level()
	c.must(c.hub.Leave(true))
	c.must(c.try2(c.hub.Path(), "INSERT INTO doc VALUES(10,'x','y'); INSERT INTO found(found) VALUES('integrity-check')"))
}

// try2 runs SQL on a file that is no longer ravno's.
func (c *chain) try2(path, sql string) error {
	conn, err := sqlite.Open(path, sqlite.ReadWrite)
	c.must(err)
	defer conn.Close()
	return conn.Exec(sql)
}

// A file that joins with an index of its own finds the hubs rows.
func TestMirrorIndexAtJoin(t *testing.T) {
	for _, policy := range []enrol.LocalRows{enrol.DiscardLocal, enrol.KeepLocal} {
		c := newChain(t, searchable, nil, "a")
		path, load := filepath.Join(c.dir, "own.db"), filepath.Join(c.dir, "own.load")
		conn, err := sqlite.Open(path, sqlite.Create)
		c.must(err)
		c.must(conn.Exec("PRAGMA journal_mode=WAL; " + searchable +
			"; UPDATE doc SET body='turnips'; INSERT INTO doc VALUES(7,'own','basil')"))
		conn.Close()
		_, err = c.hub.WriteLoad(load)
		c.must(err)
		hash := [32]byte{77}
		c.must(c.hub.AddToken("own", hash, c.now.Add(1e12)))
		site, _, err := c.hub.Enrol(hash, [16]byte{77},
			func(_ causal.Site, _ string) (string, error) { return "serial", nil })
		c.must(err)
		_, _, err = enrol.InstallLoad(load, path, enrol.NodeOptions{Site: site, Incarnation: [16]byte{77}}, policy, c.clock)
		c.must(err)
		c.nodes["own"], err = Open(path, c.clock)
		c.must(err)
		t.Cleanup(func() { c.nodes["own"].Close() })
		c.level()
		c.sound("found")
		c.expect("own", "SELECT docid FROM found WHERE found MATCH 'turnips'", "")
		want := ""
		if policy == enrol.KeepLocal {
			want = "7"
		}
		c.expect("a", "SELECT docid FROM found WHERE found MATCH 'basil'", want)
	}
}

// An index whose module ravno lacks is a notice and nothing else.
func TestMirrorUnknownModuleIsNotice(t *testing.T) {
	c := newChain(t, "CREATE TABLE doc(id INTEGER PRIMARY KEY, body TEXT)", nil)
	// The file as an application with the module leaves it.
	c.must(c.try2(c.hub.Path(), `PRAGMA writable_schema=ON;
		INSERT INTO sqlite_master
		VALUES('table','found','found',0,'CREATE VIRTUAL TABLE found USING best_match(body, content=''doc'')');
		PRAGMA writable_schema=RESET;
		CREATE TRIGGER doc_ai AFTER INSERT ON doc BEGIN INSERT INTO found(rowid, body) VALUES(NEW.id, NEW.body); END`))
	c.join("a", [16]byte{2})
	c.now = c.now.Add(1e9)
	c.must(c.hub.write(func(tx *rows.Tx) error { // as the application would, which can run its trigger
		key := crdt.NewKey(catalog.Integer(1))
		if err := tx.SQL.Exec("INSERT INTO doc VALUES(1,'basil')"); err != nil {
			return err
		}
		return tx.Log(tx.Cat.ByName["doc"], key, capture.Insert, nil)
	}))
	c.level()
	c.expect("a", "SELECT body FROM doc", "basil")
	for _, site := range []string{"hub", "a"} {
		if !c.noticed(site, "found", "best_match") {
			notices, _ := c.store(site).Notices()
			t.Errorf("%s: notices %q", site, notices)
		}
	}
	if _, err := os.Stat(c.hub.Path()); err != nil {
		t.Error(err)
	}
}

// A file tells before it is enrolled which of its indexes would grow stale.
func TestStaleIndexesBeforeEnrolment(t *testing.T) {
	path := filepath.Join(t.TempDir(), "shop.db")
	c := emptyChain(t, filepath.Dir(path))
	conn, err := sqlite.Open(path, sqlite.Create)
	c.must(err)
	c.must(conn.Exec(searchable + `; CREATE TABLE l(n); CREATE TABLE s(n INTEGER PRIMARY KEY);
		CREATE TRIGGER one AFTER INSERT ON doc BEGIN INSERT INTO l VALUES(app(NEW.title)); END;
		CREATE TRIGGER two AFTER INSERT ON doc BEGIN INSERT INTO s VALUES(app(NEW.title)); END`))
	conn.Close()
	before, err := os.ReadFile(path)
	c.must(err)
	stale, err := install.StaleIndexes(path, []catalog.Setting{{Table: "l", Class: catalog.Local}})
	if err != nil || len(stale) != 1 || stale[0].Table != "l" ||
		!strings.Contains(stale[0].Reason, "no such function: app") || stale[0].Try == "" {
		t.Errorf("%+v %v", stale, err)
	}
	if stale, err = install.StaleIndexes(path, []catalog.Setting{
		{Table: "l", Class: catalog.Local}, {Table: "DOC", Class: catalog.Local}}); err != nil || len(stale) != 0 {
		t.Errorf("%+v %v", stale, err)
	}
	if after, err := os.ReadFile(path); err != nil || string(after) != string(before) {
		t.Error("the file was changed")
	}
}
