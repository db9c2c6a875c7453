package store

import (
	"ravno/store/internal/catalog"
	"testing"

	"ravno/store/internal/sqlite"
)

// Whatever is written beside an application steps aside for it: see package sqlite. A connection that
// took the lock without asking would count nothing.
func TestWritesGoThroughGate(t *testing.T) {
	c := newChain(t, ordersSchema, nil, "varna")
	c.at("varna", "INSERT INTO ord VALUES('v',1)")
	c.level()
	c.must(c.hub.SetTable(catalog.Setting{Table: "note", Class: catalog.Synced}))
	for name, s := range map[string]*Store{"the hub": c.hub, "the node": c.nodes["varna"]} {
		if e := s.Entries(); e.AtOnce == 0 || e.Ungated > 0 || e.Forced > 0 {
			t.Errorf("%s: %+v", name, e)
		}
	}
	before := c.hub.Entries().AtOnce
	c.must(c.hub.Leave(true))
	if c.hub.Entries().AtOnce <= before {
		t.Error("leave took the file without asking")
	}
}

// An application that was started while no daemon ran may have taken the file out of WAL mode, as some do
// at each start.
func TestFileReturnsToWAL(t *testing.T) {
	for _, mode := range []string{"DELETE", "TRUNCATE", "PERSIST"} {
		c := newChain(t, ordersSchema, nil, "varna")
		path := c.nodes["varna"].Path()
		c.must(c.nodes["varna"].Close())
		app, err := sqlite.Open(path, sqlite.ReadWrite)
		c.must(err)
		left, err := app.Text("PRAGMA journal_mode=" + mode)
		c.must(err)
		if left == "wal" {
			t.Fatal("this test could not take it out of WAL mode")
		}
		c.must(app.Exec("INSERT INTO ord VALUES('sold meanwhile',1)"))
		c.nodes["varna"], err = Open(path, c.clock)
		c.must(err)
		c.must(app.Exec("INSERT INTO ord VALUES('and now',1)"))
		if now, err := app.Text("PRAGMA journal_mode"); err != nil || now != "wal" {
			t.Errorf("after %s it is in mode %s: %v", mode, now, err)
		}
		c.must(app.Close())
		c.level()
		c.expect("hub", "SELECT count(*) FROM ord", "2")
		if e := c.nodes["varna"].Entries(); e.Ungated > 0 {
			t.Errorf("%+v", e)
		}
		c.nodes["varna"].Close()
	}
}

// While a fold waits for an application that reads, what the application has written meanwhile is pending:
// nobody is green who has work that others do not have.
func TestUnfoldedWorkIsPending(t *testing.T) {
	c := newChain(t, ordersSchema, nil, "varna")
	c.level()
	s := c.nodes["varna"]
	self, err := s.Self()
	c.must(err)
	c.at("varna", "INSERT INTO ord VALUES('v',1)")
	if n, err := s.Pending(0, self.Position); err != nil || n != 1 {
		t.Errorf("%d rows before the fold: %v", n, err)
	}
	c.level()
	self, err = s.Self()
	c.must(err)
	if n, err := s.Pending(0, self.HubHave); err != nil || n != 0 {
		t.Errorf("%d rows when level: %v", n, err)
	}
}
