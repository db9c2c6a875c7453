package store

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"ravno/crdt"
)

// TestDatabasesOfFormat1AreOpenedForEver opens a hub and a node as the first format left
// them: level but for one sale that is not sent, with two open conflicts.
func TestDatabasesOfFormat1AreOpenedForEver(t *testing.T) {
	c := emptyChain(t, t.TempDir())
	c.now = time.Date(2026, 12, 1, 7, 0, 0, 0, time.UTC)
	open := func(name string) *Store {
		data, err := os.ReadFile("../testdata/older/format1-" + name + ".sqlite")
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
	if kinds := c.kinds("hub"); kinds != "edit_edit edit_delete " {
		t.Fatalf("%q", kinds)
	}
	c.level()
	c.expect("hub", "SELECT count(*) FROM sale", "2")
	for _, name := range []string{"hub", "shop"} {
		conflict := c.open(name)[0]
		if _, err := c.store(name).Resolve(conflict.ID, Resolution{Keep: "hub", By: "admin"}); err != nil {
			t.Fatal(err)
		}
		c.level()
	}
	c.at("shop", "INSERT INTO sale VALUES('s3','new'); INSERT INTO line(sale,product,qty) VALUES('s3','p1',1)")
	c.at("hub", "INSERT INTO sale VALUES('s4','new'); INSERT INTO line(sale,product,qty) VALUES('s4','p1',1)")
	c.level()
	c.expect("shop", "SELECT count(*), count(DISTINCT sale) FROM line", "3|3")
	c.expect("hub", "SELECT format FROM ravno_state", "3")
	if all, err := c.hub.Conflicts(true); err != nil || all[len(all)-1].Kind != crdt.KeyCollision {
		t.Errorf("%+v %v", all, err)
	}
}
