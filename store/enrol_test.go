package store

import (
	"bytes"
	"os"
	"path/filepath"
	"ravno/store/internal/catalog"
	"ravno/store/internal/enrol"
	"testing"
	"time"

	"ravno/crdt/causal"
	"ravno/store/internal/sqlite"
)

// A first load holds nothing that stays at the hub.
func TestFirstLoadLeavesHubsOwn(t *testing.T) {
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

// A join takes another spelling for other values.
func TestJoinOtherSpellingIsOtherValue(t *testing.T) {
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

// Two tokens of one name enrol one server.
func TestTokensOfOneNameEnrolOne(t *testing.T) {
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

// An expired token renews nothing.
func TestTokenExpiredRenewsNothing(t *testing.T) {
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

// A file outside w a l mode joins and drops its rows.
func TestJoinOutsideWALMode(t *testing.T) {
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
