package sim

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ravno/net/identity"
	"ravno/net/quiclink"
	"ravno/net/quiclink/simlink"
	"ravno/net/session"
	"ravno/net/status"
	"ravno/net/wire"
	"ravno/store"
)

// The schema of the stories: free rows, documents of a head and lines, pairs
// that are only ever written together, and a journal.
const schema = `
CREATE TABLE item(id INTEGER PRIMARY KEY, a TEXT, b TEXT, c TEXT);
CREATE TABLE tag(name TEXT COLLATE NOCASE, lang TEXT, word TEXT, PRIMARY KEY(name, lang)) WITHOUT ROWID;
CREATE TABLE head(id INTEGER PRIMARY KEY, note TEXT);
CREATE TABLE line(id TEXT PRIMARY KEY, head INTEGER NOT NULL REFERENCES head(id), what TEXT);
CREATE TABLE left_half(id TEXT PRIMARY KEY, token TEXT);
CREATE TABLE right_half(id TEXT PRIMARY KEY, token TEXT);
CREATE TABLE happening(id INTEGER PRIMARY KEY, what TEXT);
INSERT INTO item VALUES(1,'i1a','i1b','i1c'),(2,'i2a','i2b','i2c'),(3,'i3a','i3b','i3c');
INSERT INTO tag VALUES('one','bg','t1'),('two','en','t2');
INSERT INTO head VALUES(1,'h1'),(2,'h2');
INSERT INTO line VALUES('x',1,'l1'),('y',1,'l2'),('z',2,'l3');`

var settings = []store.Setting{
	{Table: "line", Class: store.Synced, Document: "head"},
	{Table: "happening", Class: store.Journal},
}

// lookAgain is how often a story looks, in false time.
const lookAgain = 50 * time.Millisecond

// story runs a chain of the stories' schema, level and green, under false time.
func story(t *testing.T, names []string, tell func(c *chain)) {
	t.Helper()
	t.Parallel() // most of a story is waiting for the disk
	synctest.Test(t, func(t *testing.T) {
		c := newTemplate(t, t.TempDir(), schema, settings, names...).start(t, t.TempDir(), len(names))
		defer c.stop()
		c.eventually("everything is green in the beginning", 5*time.Second, c.allGreen)
		tell(c)
	})
}

// eventually waits until something is so, says how long that took, and fails after limit.
func (c *chain) eventually(what string, limit time.Duration, so func() bool) time.Duration {
	c.t.Helper()
	began := time.Now()
	for !so() {
		if time.Since(began) >= limit {
			c.t.Fatalf("not within %s: %s\n%s%s", limit, what, c.statuses(), c.positions())
		}
		time.Sleep(lookAgain)
	}
	return time.Since(began)
}

func (c *chain) snapshot(s *site) status.Snapshot {
	c.t.Helper()
	var snapshot status.Snapshot
	var err error
	if s.daemon.hub != nil {
		snapshot, err = s.daemon.hub.Status()
	} else {
		snapshot, err = s.daemon.node.Status()
	}
	c.must(err)
	return snapshot
}

// sees is the line of one server in the status of another.
func (c *chain) sees(at, of string) status.Server {
	c.t.Helper()
	for _, server := range c.snapshot(c.site(at)).Servers {
		if server.Name == of {
			return server
		}
	}
	return status.Server{}
}

func (c *chain) red(at, of string, cause status.Cause) bool {
	c.t.Helper()
	server := c.sees(at, of)
	return server.State == status.Red && server.Cause == cause
}

func (c *chain) green(at, of string) bool { return c.sees(at, of).State == status.Green }

func (c *chain) allGreen() bool {
	for _, s := range c.sites {
		if !c.snapshot(s).Level {
			return false
		}
	}
	return true
}

// statuses is every server's view of every server, for a failure's message.
func (c *chain) statuses() string {
	var b strings.Builder
	for _, s := range c.sites {
		if s.daemon != nil {
			for _, server := range c.snapshot(s).Servers {
				fmt.Fprintf(&b, "%s sees %s: %s %s %s\n", s.name, server.Name, server.State, server.Cause, server.CauseText)
			}
		}
	}
	return b.String()
}

// has reports whether a query of the application yields a value.
func (c *chain) has(at, query, value string) bool {
	c.t.Helper()
	var found sql.NullString
	err := c.site(at).app.QueryRow(query).Scan(&found)
	if err != sql.ErrNoRows {
		c.must(err)
	}
	return found.String == value
}

// A removed node is cut off at once and for good.
func TestRemovedNodeCutOffForGood(t *testing.T) {
	story(t, []string{"hub", "varna", "burgas"}, func(c *chain) {
		hub, varna := c.sites[0], c.site("varna")
		c.must(hub.daemon.store.RemoveSite("varna")) // a command, in another process
		took := c.eventually("varna sees that it was revoked", 5*time.Second,
			func() bool { return c.red("varna", "varna", status.Revoked) })
		c.t.Logf("cut after %s", took)
		c.exec("varna", "UPDATE item SET a='too late' WHERE id=1")
		for range 2 { // and after a restart
			time.Sleep(time.Minute)
			if !c.red("varna", "varna", status.Revoked) {
				c.t.Fatalf("varna no longer sees that it was revoked:\n%s", c.statuses())
			}
			if !c.has("hub", "SELECT a FROM item WHERE id=1", "i1a") {
				c.t.Fatalf("work of a removed node arrived")
			}
			c.crash(varna)
			c.run(varna)
		}
		if c.sees("hub", "varna").Name != "" || !c.green("hub", "burgas") || !c.green("burgas", "burgas") {
			c.t.Fatalf("a removed node is still held against someone:\n%s", c.statuses())
		}
	})
}

// reopen closes a site's application, changes its files, and opens it again.
func (c *chain) reopen(s *site, change func()) {
	c.t.Helper()
	c.must(s.app.Close())
	change()
	var err error
	s.app, err = openApp(s.db)
	c.must(err)
}

// A node restored from a copy is refused, and nothing is overwritten.
func TestRestoredNodeIsRefused(t *testing.T) {
	story(t, []string{"hub", "varna", "burgas"}, func(c *chain) {
		varna, hub := c.site("varna"), c.sites[0]
		var backup []byte
		c.crash(varna)
		c.reopen(varna, func() {
			var err error
			backup, err = os.ReadFile(varna.db)
			c.must(err)
		})
		c.run(varna)
		c.exec("varna", "UPDATE item SET a='after the backup' WHERE id=1")
		c.settle(nil)

		c.crash(varna)
		c.reopen(varna, func() {
			c.must(os.WriteFile(varna.db, backup, 0o600))
			os.Remove(varna.db + "-wal")
			os.Remove(varna.db + "-shm")
		})
		restored, atHub := c.dump(varna), c.dump(hub)
		c.run(varna)
		c.eventually("the restored node is refused, and both say why", 5*time.Second, func() bool {
			return c.red("varna", "varna", status.Identity) && c.red("hub", "varna", status.Identity)
		})
		if text := c.sees("hub", "varna").CauseText; !strings.Contains(text, "restored from a backup") {
			c.t.Fatalf("the hub says of it: %s", text)
		}
		time.Sleep(time.Minute)
		if c.dump(varna) != restored || c.dump(hub) != atHub || !c.red("varna", "varna", status.Identity) {
			c.t.Fatalf("a fenced node was changed, or changed the hub:\n%s", c.statuses())
		}
		if !c.green("hub", "burgas") {
			c.t.Fatalf("held against burgas:\n%s", c.statuses())
		}
	})
}

// A node that comes back before the hub misses its old link is let in at once.
func TestReturningNodeReplacesOldLink(t *testing.T) {
	story(t, []string{"hub", "varna"}, func(c *chain) {
		varna := c.site("varna")
		c.cut(varna) // its link is gone in the middle of a large transfer, and its process too
		c.exec("hub", "UPDATE item SET b=randomblob(1000000) WHERE id=3")
		time.Sleep(time.Second)
		c.crash(varna)
		c.heal(varna)
		if c.red("hub", "varna", status.NoLink) {
			c.t.Fatalf("the hub knows already; this story is about when it does not")
		}
		c.run(varna)
		c.exec("varna", "UPDATE item SET a='back' WHERE id=1")
		took := c.eventually("the new link carries", 2*time.Second, func() bool {
			return c.has("hub", "SELECT a FROM item WHERE id=1", "back")
		})
		c.t.Logf("back after %s", took)
		c.settle(nil)
		c.eventually("green", 5*time.Second, c.allGreen)
	})
}

func TestStuckNodeCostsOthersNothing(t *testing.T) {
	lines := map[string]func(c *chain, stuck *site){
		"it hears nothing":       func(c *chain, stuck *site) { c.net.CutOneWay(c.sites[0].host, stuck.host) },
		"it is not heard":        func(c *chain, stuck *site) { c.net.CutOneWay(stuck.host, c.sites[0].host) },
		"large packets are lost": func(c *chain, stuck *site) { c.net.SetFate(toward(stuck, 600, nil)) },
		"its link is very slow": func(c *chain, stuck *site) {
			c.net.SetFate(toward(stuck, 0, []time.Duration{3 * time.Second}))
		},
	}
	for name, spoil := range lines {
		t.Run(name, func(t *testing.T) {
			story(t, []string{"hub", "varna", "burgas", "ruse"}, func(c *chain) {
				spoil(c, c.site("varna"))
				var slowest time.Duration
				for i := range 12 {
					value := fmt.Sprint("sale ", i)
					// More than any window of the stuck link, so that a server that waits for it is noticed.
					c.exec("burgas", "UPDATE item SET a='"+value+"', b=randomblob(400000) WHERE id=1")
					took := c.eventually(value+" of burgas is at ruse", 2*time.Second, func() bool {
						return c.has("ruse", "SELECT a FROM item WHERE id=1", value)
					})
					slowest = max(slowest, took)
					time.Sleep(time.Second - took%time.Second)
				}
				t.Logf("slowest of 12: %s", slowest)
				c.exec("burgas", "UPDATE item SET b='small again' WHERE id=1")
				c.settle(nil)
			})
		})
	}
}

// toward loses or delays what is larger than size and goes to a site.
func toward(s *site, size int, delays []time.Duration) simlink.Fate {
	return func(p simlink.Packet) []time.Duration {
		if p.To.Addr() == s.host && p.Size > size {
			return delays
		}
		return []time.Duration{0}
	}
}

// A second link of one identity replaces the first at once.
func TestSecondLinkReplacesTheFirst(t *testing.T) {
	story(t, []string{"hub", "varna"}, func(c *chain) {
		varna := c.site("varna")
		own, err := identity.Load(varna.db + ".ravno")
		c.must(err)
		socket, err := c.net.Endpoint(netip.AddrPortFrom(simlink.Host(9), 0))
		c.must(err)
		endpoint := quiclink.NewEndpoint(socket)
		defer endpoint.Close()
		hub, err := resolve(context.Background(), netip.AddrPortFrom(c.sites[0].host, hubPort).String())
		c.must(err)
		self, err := varna.daemon.store.Self()
		c.must(err)

		began := time.Now()
		link, err := endpoint.Dial(context.Background(), hub, own.ClientTLS(c.clock(varna)))
		c.must(err)
		c.must(wire.Write(link.Control(), wire.Hello{
			ProtocolMin: wire.Protocol, ProtocolMax: wire.Protocol, Incarnation: self.Incarnation,
			Position: self.Position, Seen: self.Seen, HubIncarnation: self.HubIncarnation, ClockMillis: time.Now().UnixMilli(),
			Floor: self.Floor}))
		answer, err := wire.Read(link.Control(), wire.MaxControl)
		c.must(err)
		if took := time.Since(began); answer.Kind() != wire.KindWelcome || took > 10*latency {
			c.t.Fatalf("the hub answered with %s after %s, want a welcome at once", answer.Kind(), took)
		}
		// The daemon, let go, dials again: now it is the newer one.
		c.eventually("the daemon's next link replaces ours", 5*time.Second, func() bool { return link.Err() != nil })
		var ended *quiclink.LinkError
		if !errors.As(link.Err(), &ended) || !ended.Remote || session.CodeOf(ended.Code) != session.CodeReplaced {
			c.t.Fatalf("our link ended with %v, want that it was replaced", link.Err())
		}
		c.exec("varna", "UPDATE item SET a='still here' WHERE id=1")
		c.settle(nil)
		c.eventually("green", 5*time.Second, c.allGreen)
	})
}
