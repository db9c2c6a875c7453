package store

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"ravno/store/internal/catalog"
	"ravno/store/internal/conflict"
	"ravno/store/internal/enrol"
	"ravno/store/internal/history"
	"ravno/store/internal/merge"
	"ravno/store/internal/rows"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/store/internal/sqlite"
)

// checker is what a test or a generated case can fail with.
type checker interface {
	Helper()
	Cleanup(func())
	Errorf(format string, args ...any)
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// chain is a hub and its nodes as files in one directory, with a hand on every transfer.
type chain struct {
	t     checker
	dir   string
	now   time.Time
	hub   *Store
	nodes map[string]*Store
}

func (c *chain) clock() time.Time { return c.now }

func emptyChain(t checker, dir string) *chain {
	return &chain{t: t, dir: dir, now: time.Date(2026, 3, 1, 7, 0, 0, 0, time.UTC), nodes: map[string]*Store{}}
}

// newChain makes a hub of a schema and joins nodes to it.
func newChain(t *testing.T, schema string, settings []catalog.Setting, nodes ...string) *chain {
	t.Helper()
	c := emptyChain(t, t.TempDir())
	path := filepath.Join(c.dir, "hub.db")
	if strings.HasSuffix(schema, ".sqlite") {
		data, err := os.ReadFile(schema)
		c.must(err)
		c.must(os.WriteFile(path, data, 0o600))
	} else {
		conn, err := sqlite.Open(path, sqlite.Create)
		c.must(err)
		c.must(conn.Exec(schema))
		conn.Close()
	}
	_, err := enrol.InitHub(path, enrol.HubOptions{Name: "hub", Incarnation: causal.Incarnation{1}, Settings: settings},
		c.clock)
	c.must(err)
	c.hub, err = Open(path, c.clock)
	c.must(err)
	t.Cleanup(func() { c.hub.Close() })
	for i, name := range nodes {
		c.join(name, causal.Incarnation{byte(i + 2)})
	}
	return c
}

func (c *chain) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *chain) join(name string, incarnation causal.Incarnation) {
	c.t.Helper()
	hash := [32]byte{byte(len(c.nodes) + 1)}
	c.must(c.hub.AddToken(name, hash, c.now.Add(time.Hour)))
	site, _, err := c.hub.Enrol(hash, incarnation, func(causal.Site, string) (string, error) { return "serial", nil })
	c.must(err)
	load, path := filepath.Join(c.dir, name+".load"), filepath.Join(c.dir, name+".db")
	_, err = c.hub.WriteLoad(load)
	c.must(err)
	_, _, err = enrol.InstallLoad(load, path, enrol.NodeOptions{Site: site, Incarnation: incarnation}, enrol.RefuseLocal,
		c.clock)
	c.must(err)
	node, err := Open(path, c.clock)
	c.must(err)
	c.t.Cleanup(func() { node.Close() })
	c.nodes[name] = node
}

func (c *chain) store(name string) *Store {
	if name == "hub" {
		return c.hub
	}
	return c.nodes[name]
}

// at runs SQL as the application of a site would, on a connection of its own, a second later.
func (c *chain) at(site, sql string) {
	c.t.Helper()
	c.now = c.now.Add(time.Second)
	c.must(c.try(site, sql))
}

// try is at for SQL that the schema may refuse.
func (c *chain) try(site, sql string) error {
	c.t.Helper()
	conn, err := sqlite.Open(c.store(site).Path(), sqlite.ReadWrite)
	c.must(err)
	defer conn.Close()
	c.must(conn.Exec("PRAGMA foreign_keys=ON"))
	before, err := conn.Int("SELECT max(id) FROM ravno_log")
	c.must(err)
	refused := conn.Exec(sql)
	// The triggers read the machine's clock; this test has its own.
	c.must(conn.Exec(fmt.Sprintf("UPDATE ravno_log SET ms=%d WHERE id>%d", c.now.UnixMilli(), before)))
	return refused
}

// up brings a node's work to the hub, down the hub's to the node.
func (c *chain) up(name string) merge.Applied {
	c.t.Helper()
	node := c.nodes[name]
	_, err := node.Fold()
	c.must(err)
	self, err := node.Self()
	c.must(err)
	delta, changes := c.collect(node, 0, self.HubHave)
	if changes == 0 && delta.To == delta.From {
		return merge.Applied{}
	}
	applied, err := c.hub.ApplyFromNode(self.Site, delta, self.Floor)
	c.must(err)
	c.must(node.Acknowledged(causal.Reached{Position: delta.To}))
	return applied
}

func (c *chain) down(name string) {
	c.t.Helper()
	node := c.nodes[name]
	_, err := c.hub.Fold()
	c.must(err)
	self, err := node.Self()
	c.must(err)
	delta, _ := c.collect(c.hub, self.Site, self.Seen)
	_, err = node.ApplyFromHub(delta)
	if _, crossed := errors.AsType[*history.CrossingError](err); crossed {
		return // the hub is to have this node's work first
	}
	c.must(err)
	after, err := node.Self()
	c.must(err)
	c.must(c.hub.AckedByNode(self.Site, causal.Reached{Position: after.Seen}, after.Floor, true))
}

func (c *chain) collect(from *Store, node causal.Site, above causal.Position) (merge.Delta, int) {
	c.t.Helper()
	var sections []*crdt.Section
	span, changes, err := from.Outgoing(node, above, 0, func(_ history.Span, s *crdt.Section) error {
		sections = append(sections, s)
		return nil
	})
	c.must(err)
	return deltaOf(span, sections), changes
}

// deltaOf is a delta of sections in memory, which can be read again.
func deltaOf(span history.Span, sections []*crdt.Section) merge.Delta {
	return merge.Delta{Span: span, Open: func() (func() (*crdt.Section, error), error) {
		left := sections
		return func() (*crdt.Section, error) {
			if len(left) == 0 {
				return nil, io.EOF
			}
			next := *left[0]
			next.Changes = slices.Clone(next.Changes)
			for i := range next.Changes {
				next.Changes[i].Registers = slices.Clone(next.Changes[i].Registers)
				next.Changes[i].Parts = slices.Clone(next.Changes[i].Parts)
			}
			left = left[1:]
			return &next, nil
		}, nil
	}}
}

func (c *chain) names() []string {
	var names []string
	for name := range c.nodes {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// level exchanges everything until nobody has anything to send, and then checks that all
// files are the same and valid.
func (c *chain) level() {
	c.t.Helper()
	for round := 0; ; round++ {
		moved := 0
		for _, name := range c.names() {
			moved += c.up(name).Changes
			c.down(name)
		}
		if moved == 0 && round > 2 { // a row that is offered whole takes a round more
			break
		}
		if round > 20 {
			c.t.Fatal("still sending after 20 rounds: the link never falls silent")
		}
	}
	want := c.dump("hub")
	for _, name := range c.names() {
		if got := c.dump(name); got != want {
			c.t.Fatalf("%s differs from the hub:\n%s", name, firstDifference(want, got))
		}
	}
}

func firstDifference(want, got string) string {
	a, b := strings.Split(want, "\n"), strings.Split(got, "\n")
	var out []string
	for i := 0; i < max(len(a), len(b)) && len(out) < 12; i++ {
		x, y := "", ""
		if i < len(a) {
			x = a[i]
		}
		if i < len(b) {
			y = b[i]
		}
		if x != y {
			out = append(out, "hub:  "+x, "node: "+y)
		}
	}
	return strings.Join(out, "\n")
}

// dump is every row of every replicated table, by storage class and bytes, and checks that
// the file is valid.
func (c *chain) dump(site string) string {
	c.t.Helper()
	s := c.store(site)
	var lines []string
	c.must(s.read(func(tx *rows.Tx) error {
		ok, err := tx.SQL.Text("PRAGMA integrity_check")
		if err != nil || ok != "ok" {
			c.t.Errorf("%s: integrity_check: %s %v", site, ok, err)
		}
		for _, t := range tx.Cat.Tables {
			if t.Class != catalog.Synced || t.Name == "ravno_rename" { // which only concerns who made the row
				continue
			}
			err := tx.SQL.Rows("SELECT "+sqlite.QuoteAll("+", t.ColumnNames())+" FROM "+sqlite.Quote(t.Name), nil,
				func(row []crdt.Value) error {
					lines = append(lines, fmt.Sprintf("%s %q", t.Name, string(crdt.NewKey(row...))))
					return nil
				})
			if err != nil {
				return err
			}
		}
		return nil
	}))
	sort.Strings(lines)
	return strings.Join(lines, "\n")
}

// rows reads a query at a site as text, one line a row.
func (c *chain) rows(site, query string) string {
	c.t.Helper()
	var lines []string
	c.must(c.store(site).read(func(tx *rows.Tx) error {
		return tx.SQL.Rows(query, nil, func(row []crdt.Value) error {
			var cells []string
			for _, v := range row {
				cells = append(cells, v.String())
			}
			lines = append(lines, strings.Join(cells, "|"))
			return nil
		})
	}))
	return strings.Join(lines, "\n")
}

func (c *chain) expect(site, query, want string) {
	c.t.Helper()
	if got := c.rows(site, query); got != want {
		c.t.Errorf("at %s, %s\n got %q\nwant %q", site, query, got, want)
	}
}

// open lists the open conflicts of a site.
func (c *chain) open(site string) []conflict.Conflict {
	c.t.Helper()
	list, err := c.store(site).Conflicts(false)
	c.must(err)
	return list
}

const chinook = "../testdata/chinook.sqlite"

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
