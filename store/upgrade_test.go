package store

import (
	"os"
	"path/filepath"
	"ravno/store/internal/resolve"
	"strings"
	"testing"
	"time"

	"ravno/crdt"
)

// older opens a hub and a node as an older format left them.
func older(t *testing.T, format string) *chain {
	c := emptyChain(t, t.TempDir())
	c.now = time.Date(2026, 12, 1, 7, 0, 0, 0, time.UTC)
	open := func(name string) *Store {
		data, err := os.ReadFile("../testdata/older/" + format + "-" + name + ".sqlite")
		c.must(err)
		path := filepath.Join(c.dir, name+".db")
		c.must(os.WriteFile(path, data, 0o600))
		s, err := Open(path, c.clock)
		c.must(err)
		t.Cleanup(func() { s.Close() })
		return s
	}
	c.hub = open("hub")
	c.nodes["shop"] = open("shop")
	return c
}

// TestUpgradeFromFormat1 opens a hub and a node as the first format left
// them: level but for one sale that is not sent, with two open conflicts.
func TestUpgradeFromFormat1(t *testing.T) {
	c := older(t, "format1")
	if kinds := c.kinds("hub"); kinds != "edit_edit edit_delete " {
		t.Fatalf("%q", kinds)
	}
	c.level()
	c.expect("hub", "SELECT count(*) FROM sale", "2")
	for _, name := range []string{"hub", "shop"} {
		conflict := c.open(name)[0]
		if _, err := c.store(name).Resolve(conflict.ID, resolve.Resolution{Keep: "hub", By: "admin"}); err != nil {
			t.Fatal(err)
		}
		c.level()
	}
	c.at("shop", "INSERT INTO sale VALUES('s3','new'); INSERT INTO line(sale,product,qty) VALUES('s3','p1',1)")
	c.at("hub", "INSERT INTO sale VALUES('s4','new'); INSERT INTO line(sale,product,qty) VALUES('s4','p1',1)")
	c.level()
	c.expect("shop", "SELECT count(*), count(DISTINCT sale) FROM line", "3|3")
	c.expect("hub", "SELECT format FROM ravno_state", "5")
	if all, err := c.hub.Conflicts(true); err != nil || all[len(all)-1].Kind != crdt.KeyCollision {
		t.Errorf("%+v %v", all, err)
	}
}

// TestUpgradeFromFormat2 opens a hub and a node as the second format left them:
// with a line that got a fresh number, a counter, two conflicts, and one sale that is not sent.
func TestUpgradeFromFormat2(t *testing.T) {
	c := older(t, "format2")
	if kinds := c.kinds("hub"); kinds != "edit_delete edit_edit " {
		t.Fatalf("%q", kinds)
	}
	c.level()
	c.expect("hub", "SELECT count(*) FROM sale WHERE state='not sent'", "1")
	c.expect("shop", "SELECT stock FROM product WHERE id='p1'", "97")
	c.expect("shop", "SELECT count(*), count(DISTINCT id) FROM line", "3|3")
	// A line changes its sale while the other site edits that: both formats' tables are needed.
	c.at("shop", "UPDATE line SET sale='s3' WHERE sale='s1'; UPDATE product SET stock=stock-1 WHERE id='p1'")
	c.at("hub", "UPDATE sale SET state='closed' WHERE id='s3'; UPDATE product SET stock=stock-1 WHERE id='p1'")
	_, err := c.store("shop").Fold()
	c.must(err)
	c.expect("shop", "SELECT count(*)>0 FROM ravno_moved", "1")
	c.level()
	c.expect("hub", "SELECT stock FROM product WHERE id='p1'", "95")
	c.expect("hub", "SELECT format FROM ravno_state", "5")
}

// The hub, the shop and the bar are as format 4 left them. There is a conflict of each kind, a held row and a
// row with a fresh key. The hub has yet to hear of a sale, of an edit it has overwritten and of a moved line.
func TestUpgradeFromFormat4(t *testing.T) {
	c := older(t, "format4")
	c.expect("hub", "SELECT format FROM ravno_state", "5")
	c.expect("shop", "SELECT count(*) FROM ravno_overwritten", "1")
	c.expect("hub", "SELECT count(*)>0, (SELECT count(*) FROM ravno_ahead) FROM ravno_change", "1|1")
	if kinds := c.kinds("hub"); !strings.Contains(kinds, "unique") {
		t.Fatalf("%q", kinds)
	}
	c.level()
	c.expect("hub", "SELECT code FROM sale WHERE id=40", "late")
	c.expect("hub", "SELECT sale FROM line WHERE id=3", "4")
	// The tables are those of a file made today.
	fresh := newChain(t, "CREATE TABLE sale(id INTEGER PRIMARY KEY)", nil, "shop")
	const own = "SELECT group_concat(name) FROM (SELECT name FROM sqlite_master " +
		"WHERE name GLOB 'ravno_*' AND name NOT GLOB '*_[0-9]*' AND type IN ('table', 'index') ORDER BY name)"
	c.expect("hub", own, fresh.rows("hub", own))
}
