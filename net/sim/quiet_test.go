package sim

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"ravno/net/exchange"
	"ravno/net/session"
	"ravno/net/status"
)

// openApp opens a database as the application of a site does.
func openApp(path string) (*sql.DB, error) {
	app, err := sql.Open("sqlite3", "file:"+path+"?_busy_timeout=1000&_synchronous=NORMAL&_txlock=immediate")
	if err == nil {
		app.SetMaxOpenConns(1)
	}
	return app, err
}

// sizes is the size of every file of every site.
func (c *chain) sizes() string {
	c.t.Helper()
	var b strings.Builder
	for _, s := range c.sites {
		for _, suffix := range []string{"", "-wal"} {
			info, err := os.Stat(s.db + suffix)
			if err == nil {
				fmt.Fprintf(&b, "%s%s: %d bytes\n", s.name, suffix, info.Size())
			}
		}
		self, err := s.daemon.store.Self()
		c.must(err)
		fmt.Fprintf(&b, "%s: position %d, seen %d\n", s.name, self.Position, self.Seen)
	}
	return b.String()
}

func TestLevelChainFallsSilent(t *testing.T) {
	story(t, []string{"hub", "varna", "burgas"}, func(c *chain) {
		c.exec("varna", "UPDATE item SET a='x' WHERE id=1")
		c.exec("burgas", "UPDATE item SET b='y' WHERE id=2")
		c.settle(nil)
		c.eventually("green", 5*time.Second, c.allGreen)
		time.Sleep(10 * time.Second)

		const quiet = time.Minute
		files, sent := c.sizes(), c.net.Sent()
		time.Sleep(quiet)
		if now := c.sizes(); now != files {
			c.t.Fatalf("something grew while nothing happened; before:\n%safter:\n%s", files, now)
		}
		// Each end of each link pings: the ping, its answer, and acknowledgements of both.
		const perPing = 4
		links := uint64(len(c.sites) - 1)
		most := links * 2 * perPing * uint64(quiet/session.PingEvery)
		sent = c.net.Sent() - sent
		c.t.Logf("%d packets in %s over %d links, at most %d allowed", sent, quiet, links, most)
		if sent > most {
			c.t.Fatalf("%d packets in %s of silence over %d links, want at most %d", sent, quiet, links, most)
		}
	})
}

// A table missing at a node turns only that node red. It levels once the table is there.
func TestTableMissingTurnsNodeRed(t *testing.T) {
	story(t, []string{"hub", "varna", "burgas"}, func(c *chain) {
		const create = "CREATE TABLE extra(id INTEGER PRIMARY KEY, what TEXT)"
		c.exec("hub", create)
		c.exec("burgas", create)
		time.Sleep(3 * time.Second) // their daemons see it
		c.exec("burgas", "INSERT INTO extra VALUES(1, 'news')")
		c.eventually("varna, which lacks the table, is red with cause schema everywhere", 5*time.Second, func() bool {
			return c.red("hub", "varna", status.Schema) && c.red("varna", "varna", status.Schema) &&
				c.red("burgas", "varna", status.Schema)
		})
		if text := c.sees("hub", "varna").CauseText; !strings.Contains(text, "extra") {
			c.t.Fatalf("the table is not named: %s", text)
		}
		for i := range 12 {
			value := fmt.Sprint("sale ", i)
			c.exec("burgas", "UPDATE item SET a='"+value+"' WHERE id=1")
			c.eventually(value+" is at the hub", 2*time.Second,
				func() bool { return c.has("hub", "SELECT a FROM item WHERE id=1", value) })
			own := fmt.Sprint("own ", i)
			c.exec("varna", "UPDATE item SET b='"+own+"' WHERE id=2")
			c.eventually(own+" of the node without the table is at the hub", 5*time.Second,
				func() bool { return c.has("hub", "SELECT b FROM item WHERE id=2", own) })
			time.Sleep(time.Second)
			if !c.green("hub", "burgas") || !c.green("hub", "hub") || c.green("hub", "varna") {
				c.t.Fatalf("only varna has trouble:\n%s", c.statuses())
			}
		}
		c.exec("varna", create)
		took := c.eventually("all green and level once the table is there", 45*time.Second,
			func() bool { return c.allGreen() && c.isLevel() })
		c.t.Logf("level after %s", took)
		if !c.has("varna", "SELECT what FROM extra WHERE id=1", "news") {
			c.t.Fatalf("the row did not arrive")
		}
	})
}

// Verify over a link counts every row that differs and no other.
func TestVerifyOverLinkCountsDifferences(t *testing.T) {
	story(t, []string{"hub", "varna", "burgas"}, func(c *chain) {
		const rows = 9000 // several messages, in any direction
		c.exec("hub", "WITH RECURSIVE n(i) AS (SELECT 1000 UNION ALL SELECT i+1 FROM n WHERE i<2000) INSERT INTO item(id, "+
			"a) SELECT i, 'level' FROM n")
		c.settle(nil)
		// Behind the capture's back, as a bug or a repaired file would.
		c.exec("varna", fmt.Sprintf(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<%d)
			INSERT INTO item(id, a) SELECT 100000+i, 'astray' FROM n; DELETE FROM ravno_log WHERE id>(SELECT folded FROM
			ravno_state)`, rows))

		fromHub, err := c.sites[0].daemon.hub.Verify(context.Background(), "")
		c.must(err)
		fromNode, err := c.site("varna").daemon.node.Verify(context.Background(), "")
		c.must(err)
		for what, results := range map[string][]exchange.TableResult{
			"the hub of varna": fromHub["varna"], "varna of the hub": fromNode["hub"], "the hub of burgas": fromHub["burgas"]} {
			if len(results) == 0 {
				c.t.Fatalf("%s: nothing was compared", what)
			}
			for _, r := range results {
				want := 0
				if r.Table == "item" && what != "the hub of burgas" {
					want = rows
				}
				if r.Differing != want || r.Level != (want == 0) {
					c.t.Fatalf("%s: %d rows of %s differ (level %t), want %d", what, r.Differing, r.Table, r.Level, want)
				}
			}
		}
	})
}
