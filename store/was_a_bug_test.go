package store

// Scenarios that were bugs once, each with the name of what holds now.

import (
	"bytes"
	"os"
	"path/filepath"
	"ravno/store/internal/catalog"
	"ravno/store/internal/enrol"
	"ravno/store/internal/history"
	"ravno/store/internal/resolve"
	"testing"
	"time"

	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/crdt/hlc"
	"ravno/store/internal/sqlite"
)

func (c *chain) settle() {
	for range 4 {
		for _, n := range c.names() {
			c.up(n)
			c.down(n)
		}
	}
}
func (c *chain) reopen(name string) {
	p := c.store(name).Path()
	c.store(name).Close()
	s, err := Open(p, c.clock)
	c.must(err)
	c.nodes[name] = s
	c.t.Cleanup(func() { s.Close() })
}

// forge submits to the hub, as node a, a change a's own ravno would never make.
func (c *chain) forge(table string, key []string, columns []string, ch crdt.Change) error {
	self, err := c.nodes["a"].Self()
	c.must(err)
	section := &crdt.Section{Table: table, KeyColumns: key, Columns: columns, Changes: []crdt.Change{ch}}
	_, err = c.hub.ApplyFromNode(self.Site, deltaOf(
		history.Span{From: self.HubHave, To: self.Position + 1}, []*crdt.Section{section}), 0)
	return err
}

func TestARowThatOutlivedADeletionIsTheSameForThoseWhoKnewMoreOfIt(t *testing.T) {
	c := newChain(t, "CREATE TABLE p(id INTEGER PRIMARY KEY, n INT, m TEXT); INSERT INTO p VALUES(1,1,'x')", nil, "a", "b")
	c.at("hub", "UPDATE p SET m='z' WHERE id=1")
	c.down("b")
	c.at("hub", "DELETE FROM p WHERE id=1")
	c.at("a", "UPDATE p SET n=98 WHERE id=1")
	c.settle()
	c.level()
}

func TestWritingOverOwnUnsentWorkHasNotSeenWhatThatWorkKeptOut(t *testing.T) {
	c := newChain(t, "CREATE TABLE p(id INTEGER PRIMARY KEY, n INT); INSERT INTO p VALUES(1,1)", nil, "a", "b")
	c.at("hub", "UPDATE p SET n=101")
	c.at("b", "UPDATE p SET n=106") // concurrent and newer
	c.down("b")                     // 101 loses at b; b's application never sees it
	c.at("b", "UPDATE p SET n=107")
	c.settle()
	c.level()
	if n := len(c.open("hub")); n != 1 {
		t.Errorf("%d conflicts; 101 is nowhere", n)
	}
}
func TestDeletingOwnUnsentWorkHasNotSeenWhatThatWorkKeptOut(t *testing.T) {
	c := newChain(t, "CREATE TABLE p(id INTEGER PRIMARY KEY, n INT); INSERT INTO p VALUES(1,1)", nil, "a", "b")
	c.at("a", "UPDATE p SET n=101")
	c.up("a")
	c.at("b", "UPDATE p SET n=106")
	c.down("b")
	c.at("b", "DELETE FROM p")
	c.settle()
	c.level()
	if n := len(c.open("hub")); n != 1 {
		t.Errorf("%d conflicts; 101 is nowhere", n)
	}
}

func TestAUniqueGeneratedColumnIsPlacedAlikeEverywhere(t *testing.T) {
	c := newChain(t, "CREATE TABLE q(id INTEGER PRIMARY KEY, n INT, h INT GENERATED ALWAYS AS (n*2) STORED UNIQUE); "+
		"INSERT INTO q(id,n) VALUES(1,1)", nil, "a", "b")
	c.at("a", "INSERT INTO q(id,n) VALUES(2,5)")
	c.at("b", "INSERT INTO q(id,n) VALUES(3,5)")
	c.up("b")
	c.settle()
	c.level()
}
func TestAPartialUniqueIndexIsPlacedAlikeEverywhere(t *testing.T) {
	c := newChain(t, "CREATE TABLE p(id INTEGER PRIMARY KEY, a TEXT UNIQUE, b TEXT, n INT); CREATE UNIQUE INDEX pb ON "+
		"p(b) WHERE n>50; INSERT INTO p VALUES(9,'zz','F',60)", nil, "a", "b")
	c.at("a", "INSERT INTO p VALUES(1,'q','F',1)") // older claim on a; outside the partial index
	c.at("b", "INSERT INTO p VALUES(2,'q','G',1)")
	c.up("b")
	c.settle()
	c.level()
}
func TestAUniqueExpressionIsPlacedByItsCollation(t *testing.T) {
	c := newChain(t, "CREATE TABLE q(id INTEGER PRIMARY KEY, n TEXT); CREATE UNIQUE INDEX qi ON q(trim(n) COLLATE NOCASE)",
		nil, "a", "b")
	c.at("a", "INSERT INTO q(id,n) VALUES(2,'abc')")
	c.at("b", "INSERT INTO q(id,n) VALUES(3,'ABC')")
	c.up("b")
	c.settle()
	c.level()
}

func TestASettingHoldsAtTheNodesWhenItArrives(t *testing.T) {
	c := newChain(t, "CREATE TABLE s(id INTEGER PRIMARY KEY, v TEXT)", nil, "a")
	c.must(c.hub.SetTable(catalog.Setting{Table: "s", Class: catalog.Local}))
	c.settle()
	c.expect("a", "SELECT class FROM ravno_setting", "local") // it arrived
	c.at("a", "INSERT INTO s VALUES(1,'mine')")
	c.nodes["a"].Fold()
	self, _ := c.nodes["a"].Self()
	delta, n := c.collect(c.nodes["a"], 0, self.HubHave)
	if _, err := c.hub.ApplyFromNode(self.Site, delta, 0); n > 0 && err != nil {
		t.Errorf("a still captures the table, and its link ends each time: %v", err)
	}
}

func TestAJournalThatUsesRowidsAgainLosesNothingAtTheHub(t *testing.T) {
	c := newChain(t, "CREATE TABLE ev(id INTEGER PRIMARY KEY, what TEXT)",
		[]catalog.Setting{{Table: "ev", Class: catalog.Journal}}, "a")
	c.at("a", "INSERT INTO ev(what) VALUES('one')")
	c.settle()
	c.at("a", "DELETE FROM ev")
	c.settle()
	c.at("a", "INSERT INTO ev(what) VALUES('two')") // SQLite gives id 1 again
	c.settle()
	c.expect("hub", "SELECT what FROM ravno_journal_ev ORDER BY what", "one\ntwo")
}

func TestARowWithoutAKeyStaysBehindAlone(t *testing.T) {
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
func TestARowWithoutAKeyStopsNoOtherTable(t *testing.T) {
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

func TestTheConflictOfAHeldRowCanBeResolved(t *testing.T) {
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

func TestARowOfANodeThatIsNotUpgradedYetGetsTheNewColumnsDefault(t *testing.T) {
	c := newChain(t, "CREATE TABLE p(id INTEGER PRIMARY KEY, n INT)", nil, "a", "b")
	for _, s := range []string{"hub", "b"} {
		c.at(s, "ALTER TABLE p ADD COLUMN c TEXT DEFAULT 'd'")
	}
	c.at("a", "INSERT INTO p VALUES(2,2)") // a is upgraded an hour later
	c.settle()
	c.at("a", "ALTER TABLE p ADD COLUMN c TEXT DEFAULT 'd'")
	c.settle()
	c.level()
}

func TestAColumnAddedAndFilledInOneTransactionLevels(t *testing.T) {
	c := newChain(t, "CREATE TABLE p(id INTEGER PRIMARY KEY, n INT); INSERT INTO p VALUES(1,1)", nil, "a")
	c.level()
	c.at("hub", "ALTER TABLE p ADD COLUMN x INT")
	c.at("a", "BEGIN; ALTER TABLE p ADD COLUMN x INT; UPDATE p SET x=1; COMMIT")
	c.settle()
	c.level()
}

func TestAFirstLoadHoldsNothingThatStaysAtTheHub(t *testing.T) {
	c := newChain(t, "CREATE TABLE ev(id TEXT PRIMARY KEY, what TEXT); CREATE TABLE s(id TEXT PRIMARY KEY, v TEXT); "+
		"CREATE TABLE late(id TEXT PRIMARY KEY, v TEXT)",
		[]catalog.Setting{{Table: "ev", Class: catalog.Journal}, {Table: "s", Class: catalog.Local}}, "a")
	c.at("hub", "INSERT INTO ev VALUES('SECRETEVENTKEY','x')")
	c.at("hub", "INSERT INTO s VALUES('k','LOCALSECRET')")
	c.at("hub", "INSERT INTO late VALUES('SHADOWSECRET','x')")
	c.level()
	c.must(c.hub.SetTable(catalog.Setting{Table: "late", Class: catalog.Local}))
	path := filepath.Join(c.dir, "x.load")
	_, err := c.hub.WriteLoad(path)
	c.must(err)
	data, _ := os.ReadFile(path)
	for _, s := range []string{"SECRETEVENTKEY", "LOCALSECRET", "SHADOWSECRET"} {
		if bytes.Contains(data, []byte(s)) {
			t.Errorf("%s is in the first load", s)
		}
	}
}

func TestANodeCannotRevokeAnother(t *testing.T) {
	c := newChain(t, "CREATE TABLE p(id INTEGER PRIMARY KEY)", nil, "a", "b")
	key := crdt.NewKey(crdt.IntegerValue(3))
	var birth hlc.Stamp
	c.hub.Outgoing(3, 0, 0, func(_ history.Span, s *crdt.Section) error {
		for _, x := range s.Changes {
			if s.Table == "ravno_site" && x.Key == key {
				birth = x.Birth
			}
		}
		return nil
	})
	err := c.forge("ravno_site", []string{"site"}, []string{"site", "name", "role", "removed"},
		crdt.Change{Key: key, Birth: birth,
			Registers: []crdt.Register{{Column: 3, Stamp: hlc.Stamp{Time: 1 << 62, Site: 2}, Value: crdt.IntegerValue(1)}}})
	peers, _ := c.hub.Peers()
	for _, p := range peers {
		if p.Removed {
			t.Errorf("node a removed site %d (error %v)", p.Site, err)
		}
	}
}
func TestANodeCannotChangeTheHubsSettings(t *testing.T) {
	c := newChain(t, "CREATE TABLE secret(id INTEGER PRIMARY KEY, v TEXT)",
		[]catalog.Setting{{Table: "secret", Class: catalog.Local}}, "a")
	err := c.forge("ravno_setting", []string{"tab"}, []string{"tab", "class", "document", "counters"},
		crdt.Change{Key: crdt.NewKey(crdt.TextValue("secret")),
			Registers: []crdt.Register{{Column: 1, Stamp: hlc.Stamp{Time: 1 << 62, Site: 2}, Value: crdt.TextValue("synced")}}})
	t.Log(err)
	c.expect("hub", "SELECT class FROM ravno_setting", "local")
}
func TestANodeCannotForgeABirthOfAnother(t *testing.T) {
	c := newChain(t, "CREATE TABLE p(id INTEGER PRIMARY KEY, m TEXT); INSERT INTO p VALUES(1,'x')", nil, "a", "b")
	err := c.forge("p", []string{"id"}, []string{"id", "m"},
		crdt.Change{Key: crdt.NewKey(crdt.IntegerValue(1)), Whole: true, Birth: hlc.Stamp{Time: 1 << 60, Site: 3}})
	t.Log(err)
	c.at("b", "UPDATE p SET m='honest'")
	c.up("b")
	c.expect("hub", "SELECT m FROM p", "honest")
}

func TestKeepingASideDoesNotTakeBackLaterWork(t *testing.T) {
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

func TestAJoinTakesAnotherSpellingForOtherValues(t *testing.T) {
	c := newChain(t, "CREATE TABLE p(id INTEGER PRIMARY KEY, n TEXT COLLATE NOCASE, x); INSERT INTO p VALUES(1,'abc',1)",
		nil)
	path := filepath.Join(c.dir, "n.db")
	conn, err := sqlite.Open(path, sqlite.Create)
	c.must(err)
	c.must(conn.Exec(
		"CREATE TABLE p(id INTEGER PRIMARY KEY, n TEXT COLLATE NOCASE, x); INSERT INTO p VALUES(1,'ABC',1.0)"))
	conn.Close()
	load := filepath.Join(c.dir, "n.load")
	_, err = c.hub.WriteLoad(load)
	c.must(err)
	_, backup, err := enrol.InstallLoad(load, path, enrol.NodeOptions{Site: 2, Incarnation: causal.Incarnation{7}},
		enrol.RefuseLocal, c.clock)
	if err == nil && backup == "" {
		t.Error("'ABC' and 1.0 were replaced by 'abc' and 1, unasked and without a backup")
	}
}

func TestTwoTokensOfOneNameEnrolOneServer(t *testing.T) {
	c := newChain(t, "CREATE TABLE p(id INTEGER PRIMARY KEY)", nil)
	c.must(c.hub.AddToken("shop", [32]byte{1}, c.now.Add(time.Hour)))
	c.must(c.hub.AddToken("shop", [32]byte{2}, c.now.Add(time.Hour)))
	issue := func(causal.Site, string) (string, error) { return "s", nil }
	_, _, err := c.hub.Enrol([32]byte{1}, causal.Incarnation{9}, issue)
	c.must(err)
	if _, name, err := c.hub.Enrol([32]byte{2}, causal.Incarnation{10}, issue); err == nil {
		t.Error("a second server is called", name)
	}
}
func TestAnExpiredTokenRenewsNothing(t *testing.T) {
	c := newChain(t, "CREATE TABLE p(id INTEGER PRIMARY KEY)", nil)
	c.must(c.hub.AddToken("shop", [32]byte{2}, c.now.Add(time.Hour)))
	issue := func(causal.Site, string) (string, error) { return "s", nil }
	site, _, err := c.hub.Enrol([32]byte{2}, causal.Incarnation{10}, issue)
	c.must(err)
	c.must(c.hub.AckedByNode(site, causal.Reached{Position: 5}, 5, true)) // it linked; it has sent nothing of its own yet
	c.now = c.now.Add(1000 * time.Hour)
	if _, _, err = c.hub.Enrol([32]byte{2}, causal.Incarnation{10}, issue); err == nil {
		t.Error("a token that expired 999 hours ago issued another certificate")
	}
}

func TestRowsOfATableMadeAndFilledInOneTransactionLevel(t *testing.T) {
	c := newChain(t, "CREATE TABLE p(id INTEGER PRIMARY KEY)", nil, "a", "b")
	const create = "CREATE TABLE s(id INTEGER PRIMARY KEY, v TEXT)"
	c.at("a", create)
	c.at("b", create)
	c.at("hub", "BEGIN; "+create+"; INSERT INTO s VALUES(1,'seed'); COMMIT")
	c.settle()
	c.at("hub", "INSERT INTO s VALUES(2,'later')")
	c.settle()
	c.level()
	c.expect("a", "SELECT v FROM s", "seed\nlater")
}

func TestTheSameMigrationRunAtEveryServerIsNoConflict(t *testing.T) {
	c := newChain(t, "CREATE TABLE p(id INTEGER PRIMARY KEY)", nil, "a", "b")
	for _, site := range []string{"hub", "a", "b"} {
		c.at(site, "BEGIN; CREATE TABLE s(id INTEGER PRIMARY KEY, v TEXT); INSERT INTO s VALUES(1,'seed'); ALTER TABLE p "+
			"ADD COLUMN x DEFAULT 5; COMMIT")
	}
	c.settle()
	c.level()
	if open := c.open("hub"); len(open) != 0 {
		t.Errorf("%d conflicts: %+v", len(open), open)
	}
}

func TestKeepingTheSideThatDeletedADocumentDeletesWhatOthersAddedToIt(t *testing.T) {
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

func TestAColumnThatIsGoneKeepsNoConflictOpen(t *testing.T) {
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

// migrate changes the schema with ravno's triggers out of the way, as an application would
// have to; the next transaction of ravno puts them back.
func (c *chain) migrate(site, sql string) {
	c.t.Helper()
	conn, err := sqlite.Open(c.store(site).Path(), sqlite.ReadWrite)
	c.must(err)
	defer conn.Close()
	var triggers []string
	c.must(conn.Rows("SELECT name FROM sqlite_master WHERE type='trigger'", nil, func(row []crdt.Value) error {
		triggers = append(triggers, row[0].Bytes())
		return nil
	}))
	conn.Forget()
	for _, name := range triggers {
		c.must(conn.Exec("DROP TRIGGER " + sqlite.Quote(name)))
	}
	c.must(conn.Exec(sql))
}

func TestARowWithValuesStillToComeIsNotResolvedWithDefaults(t *testing.T) {
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

func TestAFileOutsideWALModeJoinsAndDropsItsRows(t *testing.T) {
	for _, policy := range []enrol.LocalRows{enrol.DiscardLocal, enrol.KeepLocal} {
		c := newChain(t, "CREATE TABLE p(id TEXT PRIMARY KEY); INSERT INTO p VALUES('hub')", nil, "a")
		load, path := filepath.Join(c.dir, "load"), filepath.Join(c.dir, "late.db")
		conn, err := sqlite.Open(path, sqlite.Create)
		c.must(err)
		c.must(conn.Exec("CREATE TABLE p(id TEXT PRIMARY KEY); INSERT INTO p VALUES('own')"))
		conn.Close()
		_, err = c.hub.WriteLoad(load)
		c.must(err)
		_, backup, err := enrol.InstallLoad(load, path, enrol.NodeOptions{Site: 9, Incarnation: causal.Incarnation{9}},
			policy, c.clock)
		if err != nil || backup == "" {
			t.Errorf("policy %d: backup %q, %v", policy, backup, err)
		}
	}
}

func TestAConstraintThatReplacesByItselfReplacesNothingWhileApplying(t *testing.T) {
	c := newChain(t, "CREATE TABLE p(id INTEGER PRIMARY KEY, code TEXT UNIQUE ON CONFLICT REPLACE)", nil, "a", "b")
	c.at("a", "INSERT INTO p VALUES(1,'x')")
	c.at("b", "INSERT INTO p VALUES(2,'x')")
	c.level()
	c.expect("hub", "SELECT * FROM p", "1|x")
	if open := c.open("hub"); len(open) != 1 || open[0].Kind != crdt.Unique {
		t.Errorf("%+v", open)
	}
}

func TestAnEditThatCrossesADeletionAndAnotherRowOfThatKeyIsNoBirth(t *testing.T) {
	c := newChain(t, "CREATE TABLE item(id INTEGER PRIMARY KEY, a TEXT, b TEXT)", nil, "a", "b")
	c.at("a", "INSERT INTO item VALUES(5,'x','y')")
	c.settle()
	c.at("hub", "DELETE FROM item; INSERT INTO item VALUES(5,'new','new')")
	c.at("a", "UPDATE item SET a='edited' WHERE id=5")
	c.down("a") // before the hub has the edit
	c.settle()
	c.level()
	c.expectAll("SELECT a, b FROM item", "new|new")
	x := c.open("hub")[0]
	if v := x.Columns[0].Values["a"]; len(c.open("hub")) != 1 || x.Kind == crdt.KeyCollision || v == nil ||
		v.Bytes() != "edited" {
		t.Errorf("%s %v", x.Kind, x.Columns)
	}
}

// deletedUnsent is a chain in which b has made row 1 of a table anew and deletes it, having
// written something in it, before the hub has heard of it; a has only the former row 1.
func deletedUnsent(t *testing.T, schema string, counters catalog.Setting, anew, written, table string) *chain {
	c := newChain(t, schema, []catalog.Setting{counters}, "a", "b")
	c.at("b", "DELETE FROM "+table+" WHERE id=1; "+anew)
	_, err := c.nodes["b"].Fold()
	c.must(err)
	c.at("b", written+"; DELETE FROM "+table+" WHERE id=1")
	return c
}

func TestARowMadeCountedAndDeletedUnsentComesBackWithWhatItWasCountedFrom(t *testing.T) {
	const anew, sold = "INSERT INTO product VALUES(1,'jug',100,1)", "UPDATE product SET stock=stock-3 WHERE id=1"
	c := deletedUnsent(t, stock, stockCounters[0], anew, sold, "product")
	c.at("a", "UPDATE product SET name='mug' WHERE id=1")
	c.level()
	_, err := c.hub.Resolve(c.open("hub")[0].ID, resolve.Resolution{Keep: "a", By: "admin"})
	c.must(err)
	c.level()
	c.expectAll("SELECT name, stock, weight FROM product WHERE id=1", "mug|97|1")
}

func TestTwoWhoOnlyDeletedHaveNoConflictOverWhatOneHadMadeAnew(t *testing.T) {
	for _, first := range []string{"a", "b"} {
		c := deletedUnsent(t, stock, stockCounters[0], "INSERT INTO product VALUES(1,'jug',100,1)", "SELECT 1", "product")
		c.at("a", "DELETE FROM product WHERE id=1")
		c.up(first)
		c.level()
		if kinds := c.kinds("hub"); kinds != "" {
			t.Errorf("%s first: %q", first, kinds)
		}
	}
}

func TestCountersAloneAreNotTheRemainsOfARowThatOthersReferTo(t *testing.T) {
	const schema = `CREATE TABLE ord(id INTEGER PRIMARY KEY, note TEXT, total INT); INSERT INTO ord VALUES(1,'one',10);
		CREATE TABLE line(id TEXT PRIMARY KEY, ord INT NOT NULL REFERENCES ord(id) ON DELETE CASCADE)`
	for _, written := range []string{"SELECT 1", "UPDATE ord SET total=total+5 WHERE id=1"} {
		for _, first := range []string{"a", "b"} {
			c := deletedUnsent(t, schema, catalog.Setting{Table: "ord", Class: catalog.Synced, Counters: []string{"total"}},
				"INSERT INTO ord VALUES(1,'again',20)", written, "ord")
			c.at("a", "INSERT INTO line VALUES('x',1)")
			c.up(first)
			c.level()
			c.expectAll("PRAGMA foreign_key_check", "")
			if kinds := c.kinds("hub"); kinds != "edit_delete " {
				t.Errorf("%s first: %q", first, kinds)
			}
		}
	}
}

func TestARowMadeUnderTheKeyOfAHeldOneDoesNotLoseWhatWasWrittenToThat(t *testing.T) {
	c := newChain(t, "CREATE TABLE item(k TEXT PRIMARY KEY, a TEXT, code TEXT UNIQUE); INSERT INTO item "+
		"VALUES('one','x',NULL),('two','x',NULL)", nil, "a", "b")
	c.at("a", "UPDATE item SET code='red' WHERE k='one'")
	c.at("hub", "UPDATE item SET code='red' WHERE k='two'")
	c.at("a", "UPDATE item SET a='first' WHERE k='two'")
	c.down("a") // one has the older claim: two is held, and to the application it is gone
	c.expect("a", "SELECT k FROM item", "one")
	c.at("a", "INSERT INTO item VALUES('two','second',NULL)")
	c.settle()
	c.level()
	c.expectAll("SELECT a FROM item WHERE k='two'", "second")
	for _, x := range c.open("hub") {
		if x.Kind == crdt.KeyCollision && x.Columns[0].Values["a"].Bytes() == "first" {
			_, err := c.store("b").Resolve(x.ID, resolve.Resolution{Keep: "a", By: "admin"})
			c.refused(err, "UNIQUE constraint failed: item.code") // that is one's still
			c.resolve("b", x.ID, resolve.Resolution{Take: map[string]string{"a": "a"}, By: "admin"})
			c.settle()
			c.level()
			c.expectAll("SELECT a FROM item WHERE k='two'", "first")
			return
		}
	}
	t.Errorf("%+v", c.open("hub"))
}

func TestARowMadeOverOneThatIsHeldLeavesThatWholeInAnOpenConflict(t *testing.T) {
	for _, maker := range []string{"hub", "a", "b"} {
		c := newChain(t, "CREATE TABLE item(k TEXT PRIMARY KEY, name TEXT, code TEXT UNIQUE)", nil, "a", "b")
		c.at("b", "INSERT INTO item VALUES('x','first','red')")
		c.at("a", "INSERT INTO item VALUES('y','held','red')")
		c.settle()
		c.expectAll("SELECT k FROM item", "x")
		c.at(maker, "INSERT INTO item VALUES('y','made',NULL)") // it cannot see the other
		c.settle()
		c.level()
		c.expectAll("SELECT name FROM item WHERE k='y'", "made")
		kept := false
		for _, x := range c.open("b") {
			for _, column := range x.Columns {
				v := column.Values["a"]
				kept = kept || x.Kind == crdt.KeyCollision && column.Name == "name" && v != nil && v.Bytes() == "held"
			}
		}
		if !kept {
			t.Errorf("made at %s: %+v", maker, c.open("b"))
		}
	}
}
