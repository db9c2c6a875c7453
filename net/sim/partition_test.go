package sim

import (
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/net/quiclink/simlink"
	"ravno/store"
)

// The schema of the generated schedules: free rows, documents of a head and lines, pairs
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

// cell is one value that the schedules write.
type cell struct{ table, key, column string }

// ledger is what the applications know they have committed: each value once, and whether a
// later write had seen it.
type ledger struct {
	next    int
	written map[string]cell // token -> where it was written, still unseen by any later write
	journal map[string]int  // site -> happenings committed
}

func (l *ledger) token(s *site) string {
	l.next++
	return fmt.Sprintf("%s-%d", s.name, l.next)
}

// wrote notes a committed value and forgets the one it had seen.
func (l *ledger) wrote(token string, at cell, seen string) {
	delete(l.written, seen)
	l.written[token] = at
}

// columns are the value columns of the tables that schedules write freely.
var columns = map[string][]string{"item": {"a", "b", "c"}, "tag": {"word"}, "head": {"note"}, "line": {"what"}}

// row is a row as the application sees it inside its transaction; nil if it is not there.
func row(tx *sql.Tx, table, where string) (map[string]string, error) {
	names := columns[table]
	cells := make([]any, len(names))
	for i := range cells {
		cells[i] = new(sql.NullString)
	}
	err := tx.QueryRow(`SELECT ` + strings.Join(names, ", ") + ` FROM ` + table + ` WHERE ` + where).Scan(cells...)
	if err == sql.ErrNoRows {
		return nil, nil
	}
	found := map[string]string{}
	for i, name := range names {
		found[name] = cells[i].(*sql.NullString).String
	}
	return found, err
}

// target is one row a step works on.
type target struct{ table, key, where, insert string }

func drawTarget(t *rapid.T) target {
	switch rapid.IntRange(0, 3).Draw(t, "table") {
	case 0:
		id := rapid.IntRange(1, 5).Draw(t, "id")
		return target{"item", fmt.Sprint(id), fmt.Sprintf("id=%d", id), fmt.Sprintf("INTO item(id, a, b, c) VALUES(%d, ?, ?, ?)", id)}
	case 1:
		name := rapid.SampledFrom([]string{"one", "ONE", "two", "three"}).Draw(t, "name")
		return target{"tag", strings.ToLower(name), fmt.Sprintf("name='%s' AND lang='bg'", name), fmt.Sprintf("INTO tag(name, lang, word) VALUES('%s','bg', ?)", name)}
	case 2:
		id := rapid.IntRange(1, 2).Draw(t, "head")
		return target{"head", fmt.Sprint(id), fmt.Sprintf("id=%d", id), ""}
	default:
		id := rapid.SampledFrom([]string{"x", "y", "z", "w"}).Draw(t, "line")
		return target{"line", id, "id='" + id + "'", "INTO line(id, head, what) VALUES('" + id + "', 1, ?)"}
	}
}

// edit writes one row in one transaction, and enters into the ledger what it wrote over what.
func (c *chain) edit(l *ledger, s *site, at target, kind string, mask int) error {
	var notes []func()
	err := c.write(s, func(tx *sql.Tx) error {
		before, err := row(tx, at.table, at.where)
		if err != nil {
			return err
		}
		note := func(name, token string) {
			seen := before[name]
			notes = append(notes, func() { l.wrote(token, cell{at.table, at.key, name}, seen) })
		}
		switch {
		case kind == "delete" && before != nil && at.insert != "":
			if _, err := tx.Exec("DELETE FROM " + at.table + " WHERE " + at.where); err != nil {
				return err
			}
			for _, token := range before {
				notes = append(notes, func() { delete(l.written, token) })
			}
		case (before == nil || kind == "replace") && at.insert != "":
			var values []any
			for _, name := range columns[at.table] {
				token := l.token(s)
				values = append(values, token)
				note(name, token)
			}
			if _, err := tx.Exec("INSERT OR REPLACE "+at.insert, values...); err != nil {
				return err
			}
		case before != nil:
			for i, name := range columns[at.table] {
				if mask&(1<<i) == 0 && len(columns[at.table]) > 1 {
					continue
				}
				token := l.token(s)
				if _, err := tx.Exec("UPDATE "+at.table+" SET "+name+"=? WHERE "+at.where, token); err != nil {
					return err
				}
				note(name, token)
			}
		}
		return nil
	})
	if err == nil {
		for _, n := range notes {
			n()
		}
	}
	return err
}

// pair writes one token into two tables in one transaction: nobody may ever see one half.
func (c *chain) pair(l *ledger, s *site, key string) error {
	token := l.token(s)
	return c.write(s, func(tx *sql.Tx) error {
		if _, err := tx.Exec("INSERT OR REPLACE INTO left_half VALUES(?,?)", key+s.name, token); err != nil {
			return err
		}
		_, err := tx.Exec("INSERT OR REPLACE INTO right_half VALUES(?,?)", key+s.name, token)
		return err
	})
}

// whole checks at every site that both halves of every pair are there (I4).
func (c *chain) whole() {
	c.t.Helper()
	for _, s := range c.sites {
		var torn int
		c.must(s.app.QueryRow(`SELECT (SELECT count(*) FROM left_half l LEFT JOIN right_half r ON r.id=l.id WHERE r.token IS NOT l.token)
			+ (SELECT count(*) FROM right_half r LEFT JOIN left_half l ON r.id=l.id WHERE r.token IS NOT l.token)`).Scan(&torn))
		if torn > 0 {
			c.t.Fatalf("%s shows %d halves of transactions", s.name, torn)
		}
	}
}

// nothingLost checks that every committed value is in its table, was overwritten by a write
// that had seen it, or is kept in a conflict record (I3).
func (c *chain) nothingLost(l *ledger) {
	c.t.Helper()
	hub := c.sites[0]
	present := map[string]bool{}
	for table := range columns {
		for _, line := range c.dumpTable(hub, table) {
			for _, part := range strings.Split(line, `"`) {
				present[part] = true
			}
		}
	}
	conflicts, err := hub.daemon.store.Conflicts(true)
	c.must(err)
	for _, x := range conflicts {
		for _, column := range x.Columns {
			for _, v := range column.Values {
				if v != nil {
					present[v.Bytes()] = true
				}
			}
			for _, earlier := range column.Earlier {
				for _, v := range earlier {
					present[v.Bytes()] = true
				}
			}
		}
	}
	for token, at := range l.written {
		if !present[token] {
			c.t.Fatalf("lost: %s in %+v is neither in its table nor in a conflict\n%s\n%s", token, at,
				strings.Join(append(c.dumpTable(hub, at.table), c.dumpTable(hub, "ravno_conflict")...), "\n"), c.positions())
		}
	}
	for site, want := range l.journal {
		rows, err := hub.daemon.store.JournalRows(store.JournalFilter{Table: "happening", Site: site})
		c.must(err)
		if len(rows) != want {
			c.t.Fatalf("journal of %s: %d rows at the hub, %d committed", site, len(rows), want)
		}
	}
}

// schedule runs one generated schedule of work, cuts, crashes and bad lines, then heals
// everything and judges the outcome by I1 to I4 and liveness.
func schedule(t *rapid.T, tpl *template) {
	dir, err := os.MkdirTemp("", "ravno-sim-*")
	if err != nil {
		t.Fatalf("%v", err)
	}
	defer os.RemoveAll(dir)
	rapid.SyncTest(t, func(t *rapid.T) {
		skews := make([]time.Duration, rapid.IntRange(3, len(tpl.names)).Draw(t, "sites"))
		for i := range skews {
			skews[i] = time.Duration(rapid.SampledFrom([]int{0, 0, 0, -3600, 40, 86400 * 365}).Draw(t, "skew seconds")) * time.Second
		}
		c := tpl.start(t, dir, len(skews), skews...)
		defer c.stop()
		l := &ledger{written: map[string]cell{}, journal: map[string]int{}}
		for range rapid.IntRange(3, 25).Draw(t, "steps") {
			c.step(t, l)
			c.whole()
		}
		c.settle(c.whole)
		c.nothingLost(l)
	})
}

func (c *chain) step(t *rapid.T, l *ledger) {
	s := c.sites[rapid.IntRange(0, len(c.sites)-1).Draw(t, "site")]
	switch action := rapid.SampledFrom([]string{"edit", "edit", "edit", "edit", "replace", "delete", "pair", "happen", "cut", "heal",
		"crash", "restart", "pause", "pause", "bad line", "good line", "copy batch", "copy batch", "deliver copy"}).Draw(t, "action"); action {
	case "edit", "replace", "delete":
		c.must(c.edit(l, s, drawTarget(t), action, rapid.IntRange(1, 7).Draw(t, "columns")))
	case "pair":
		c.must(c.pair(l, s, rapid.SampledFrom([]string{"p", "q"}).Draw(t, "pair")))
	case "happen":
		if s != c.sites[0] {
			c.must(c.write(s, func(tx *sql.Tx) error {
				_, err := tx.Exec("INSERT INTO happening(what) VALUES('x')")
				return err
			}))
			l.journal[s.name]++
		}
	case "cut":
		c.cut(s)
	case "heal":
		c.heal(s)
	case "crash":
		c.crash(s)
	case "restart":
		c.crash(s)
		c.run(s)
	case "pause":
		time.Sleep(time.Duration(rapid.SampledFrom([]int{1, 20, 200, 3000, 20000}).Draw(t, "milliseconds")) * time.Millisecond)
	case "copy batch":
		c.copyBatch(s)
	case "deliver copy":
		c.deliverCopy(rapid.IntRange(0, 3).Draw(t, "copy"))
	case "bad line":
		c.net.SetFate(badLine)
	case "good line":
		c.net.SetFate(nil)
	}
}

// stray is a copy of a batch that will arrive a second time, or late, or at a server that
// has moved on meanwhile.
type stray struct {
	from, to *site
	delta    func() store.Delta
}

// copyBatch copies what a node would send to the hub now, or the hub to the first node.
func (c *chain) copyBatch(s *site) {
	c.t.Helper()
	hub := c.sites[0]
	if s.daemon == nil || hub.daemon == nil {
		return
	}
	self, err := s.daemon.store.Self()
	c.must(err)
	node, above, to := causal.Site(0), self.HubHave, hub
	if s == hub {
		to = c.sites[1]
		peer, _, err := hub.daemon.store.Peer(2)
		c.must(err)
		node, above = 2, peer.Acked
	}
	var sections []*crdt.Section
	span, _, err := s.daemon.store.Outgoing(node, above, func(_ store.Span, section *crdt.Section) error {
		sections = append(sections, section)
		return nil
	})
	c.must(err)
	c.strays = append(c.strays, stray{from: s, to: to, delta: func() store.Delta {
		return store.Delta{Span: span, Open: func() (func() (*crdt.Section, error), error) {
			left := sections
			return func() (*crdt.Section, error) {
				if len(left) == 0 {
					return nil, io.EOF
				}
				next := *left[0]
				left = left[1:]
				next.Changes = slices.Clone(next.Changes)
				for i := range next.Changes {
					next.Changes[i].Registers = slices.Clone(next.Changes[i].Registers)
					next.Changes[i].Parts = slices.Clone(next.Changes[i].Parts)
				}
				return &next, nil
			}, nil
		}}
	}})
}

// deliverCopy lets a copied batch arrive, behind the back of whatever link there is. It is
// merged if it fits exactly, and refused if it does not.
func (c *chain) deliverCopy(i int) {
	c.t.Helper()
	if i >= len(c.strays) || c.strays[i].to.daemon == nil {
		return
	}
	s := c.strays[i]
	var err error
	if s.to == c.sites[0] {
		number := causal.Site(slices.Index(c.sites, s.from) + 1)
		_, err = s.to.daemon.store.ApplyFromNode(number, s.delta(), 0)
		s.to.daemon.hub.Poke()
	} else {
		_, err = s.to.daemon.store.ApplyFromHub(s.delta())
		s.to.daemon.node.Poke()
	}
	var outdated *store.OutOfOrderError
	if err != nil && !errors.As(err, &outdated) {
		c.t.Fatalf("a stray batch from %s: %v", s.from.name, err)
	}
}

// badLine loses every 7th packet, doubles every 5th and delays every 3rd.
func badLine(p simlink.Packet) []time.Duration {
	switch {
	case p.Number%7 == 0:
		return nil
	case p.Number%5 == 0:
		return []time.Duration{0, 80 * time.Millisecond}
	case p.Number%3 == 0:
		return []time.Duration{60 * time.Millisecond}
	}
	return []time.Duration{0}
}

func TestPartitions(t *testing.T) {
	tpl := newTemplate(t, schema, settings, "hub", "varna", "burgas", "ruse", "pleven")
	rapid.Check(t, func(t *rapid.T) { schedule(t, tpl) })
}
