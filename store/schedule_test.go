package store

// Random schedules: whatever the applications write, in whatever order it travels, and
// however the admins decide, all files end up the same. A schedule is drawn as data before
// it is played, so that what fails shrinks to the few steps that matter.

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"ravno/store/internal/catalog"
	"ravno/store/internal/resolve"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"ravno/crdt/causal"
)

// schedules is how many cases of each law an ordinary test run goes through, unless
// -rapid.checks or RAPID_CHECKS says otherwise: enough to find what breaks often, in a few seconds.
const schedules = "15"

func TestMain(m *testing.M) {
	flag.Parse()
	_, chosen := os.LookupEnv("RAPID_CHECKS")
	flag.Visit(func(f *flag.Flag) { chosen = chosen || f.Name == "rapid.checks" })
	if !chosen {
		if err := flag.Set("rapid.checks", schedules); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

// template is a chain at rest, made once and copied for every case.
type template struct {
	dir   string
	names []string // of the nodes
}

func newTemplate(t *testing.T, schema string, settings []catalog.Setting, nodes ...string) *template {
	t.Helper()
	c := newChain(t, schema, settings, nodes...)
	c.must(c.hub.Close())
	for _, node := range c.nodes {
		c.must(node.Close())
	}
	return &template{dir: c.dir, names: nodes}
}

// start opens a copy of the template, which is gone when the case is over.
func (tpl *template) start(t *rapid.T) *chain {
	t.Helper()
	dir, err := os.MkdirTemp(tpl.dir, "case")
	c := emptyChain(t, dir)
	c.must(err)
	t.Cleanup(func() { c.must(os.RemoveAll(dir)) })
	open := func(name string) *Store {
		path := filepath.Join(dir, name+".db")
		for _, suffix := range []string{"", "-wal"} { // a store leaves its last commits in the WAL
			data, err := os.ReadFile(filepath.Join(tpl.dir, name+".db"+suffix))
			if err == nil {
				err = os.WriteFile(path+suffix, data, 0o600)
			}
			c.must(err)
		}
		s, err := Open(path, c.clock)
		c.must(err)
		t.Cleanup(func() { s.Close() })
		return s
	}
	c.hub = open("hub")
	for _, name := range tpl.names {
		c.nodes[name] = open(name)
	}
	return c
}

// application is a schema and what is written to it.
type application struct {
	does       string
	schema     string
	statements []string            // with {places} that are filled from values
	values     map[string][]string // of a place; one with a digit after it is another of the same
}

var place = regexp.MustCompile(`\{([a-z]+)([0-9]?)\}`)

// transaction draws one to three statements. A place has one value in a whole statement.
func (a *application) transaction() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		var statements []string
		for range rapid.SampledFrom([]int{1, 1, 1, 2, 3}).Draw(t, "statements") {
			filled := map[string]string{}
			statements = append(statements, place.ReplaceAllStringFunc(
				rapid.SampledFrom(a.statements).Draw(t, "statement"), func(at string) string {
					if _, known := filled[at]; !known {
						filled[at] = rapid.SampledFrom(a.values[place.FindStringSubmatch(at)[1]]).Draw(t, at)
					}
					return filled[at]
				}))
		}
		return strings.Join(statements, "; ")
	})
}

// step is one thing that happens at one site.
type step struct {
	do      string // write, up, down, resolve, forget or quiet, which is all of up and down, and forget
	site    string
	sql     string        // of a write
	elapsed time.Duration // on the clock before a write; below zero it has been set back
	choice  int           // which side a resolution keeps; which sites forget
}

func (a *application) steps(nodes ...string) *rapid.Generator[[]step] {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) step {
		s := step{do: rapid.SampledFrom([]string{"up", "up", "up", "down", "down", "down", "resolve", "forget", "quiet",
			"write", "write", "write", "write", "write", "write", "write", "write", "write", "write", "write", "write"}).Draw(
			t, "do")}
		if s.do == "up" || s.do == "down" {
			s.site = rapid.SampledFrom(nodes).Draw(t, "node")
			return s
		}
		s.site = rapid.SampledFrom(append([]string{"hub"}, nodes...)).Draw(t, "site")
		if s.do == "forget" || s.do == "quiet" {
			s.choice = rapid.IntRange(0, 15).Draw(t, "who forgets")
			return s
		}
		if s.do == "resolve" {
			s.choice = rapid.IntRange(0, 2).Draw(t, "choice")
			return s
		}
		s.sql = a.transaction().Draw(t, "sql")
		s.elapsed = time.Duration(rapid.SampledFrom([]int{1, 1, 1, 1, -4}).Draw(t, "seconds")) * time.Second
		return s
	}), 1, 20)
}

// play carries a step out. A write that the schema refuses and a decision that cannot be
// carried out are part of life.
func (c *chain) play(t *rapid.T, s step) {
	t.Helper()
	switch s.do {
	case "write":
		c.now = c.now.Add(s.elapsed)
		err := c.try(s.site, "BEGIN; "+s.sql+"; COMMIT")
		t.Logf("%v, at %s: %s; error: %v", s.elapsed, s.site, s.sql, err)
	case "up":
		t.Logf("up %s", s.site)
		c.up(s.site)
	case "down":
		t.Logf("down %s", s.site)
		c.down(s.site)
	case "resolve":
		c.decide(t, s.site, s.choice)
	case "quiet":
		t.Logf("everything is exchanged, then %04b forget", s.choice)
		c.settle()
		c.forget(s.choice)
	case "forget":
		t.Logf("%04b forget", s.choice)
		c.forget(s.choice)
	}
}

// decide resolves all that is open at a site, as far as the schema takes what was kept.
func (c *chain) decide(t *rapid.T, site string, choice int) {
	t.Helper()
	for i, x := range c.open(site) {
		keep := x.Sites[(choice+i)%len(x.Sites)]
		_, err := c.store(site).Resolve(x.ID, resolve.Resolution{Keep: keep, By: "admin"})
		t.Logf("at %s, %s %s: keep %s; error: %v", site, x.Kind, x.ID[:8], keep, err)
	}
}

// agree exchanges everything and then wants all sites to say the same: rows by typed bytes,
// rows that are held, conflicts; and every file to be whole, its foreign keys too.
func (c *chain) agree(t *rapid.T) {
	t.Helper()
	c.settle()
	c.level()
	const held = "SELECT tab, hex(key) FROM ravno_image WHERE state='held' ORDER BY 1, 2"
	heldAtHub, conflictsAtHub := c.rows("hub", held), c.conflicts("hub")
	for _, site := range append([]string{"hub"}, c.names()...) {
		c.expect(site, "SELECT count(*) FROM ravno_image WHERE state='incomplete'", "0")
		c.expect(site, held, heldAtHub)
		c.expect(site, "PRAGMA foreign_key_check", "")
		if got := c.conflicts(site); got != conflictsAtHub {
			t.Errorf("conflicts at %s\n%s\nat the hub\n%s", site, got, conflictsAtHub)
		}
	}
}

// conflicts is the list an admin sees at a site, all of it.
func (c *chain) conflicts(site string) string {
	c.t.Helper()
	list, err := c.store(site).Conflicts(true)
	c.must(err)
	var lines []string
	for _, x := range list {
		line := fmt.Sprintf("%s %s %s %v of %v, open %t", x.ID, x.Kind, x.Table, x.Key, x.Sites, x.Open)
		for _, column := range x.Columns {
			line += fmt.Sprintf("\n\t%s %v %s:", column.Table, column.Key, column.Name)
			for _, name := range x.Sites {
				line += fmt.Sprintf(" %s %v %v,", name, column.Values[name], column.Earlier[name])
			}
			line += fmt.Sprintf(" in force %v", column.InForce)
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

// Whatever is written wherever all files end up the same.
func TestSchedulesLevel(t *testing.T) {
	for _, a := range applications() {
		t.Run(a.does, func(t *testing.T) {
			t.Parallel() // a case waits for the disk most of its time
			tpl := newTemplate(t, a.schema, nil, "a", "b")
			rapid.Check(t, func(t *rapid.T) {
				early := a.steps(tpl.names...).Draw(t, "early")
				joins := rapid.IntRange(0, 3).Draw(t, "a third joins if 3") == 3
				nodes := tpl.names
				if joins {
					nodes = append([]string{"late"}, nodes...)
				}
				late := a.steps(nodes...).Draw(t, "late")
				choice := rapid.IntRange(0, 2).Draw(t, "choice at the end")

				c := tpl.start(t)
				for _, s := range early {
					c.play(t, s)
				}
				if joins {
					t.Logf("late joins")
					c.join("late", causal.Incarnation{99})
				}
				for _, s := range late {
					c.play(t, s)
				}
				c.agree(t)
				for range 3 { // a decision can bring to light what another one hid
					c.decide(t, "hub", choice)
					c.agree(t)
				}
			})
		})
	}
}

func numbers(from, to int) []string {
	var list []string
	for n := from; n <= to; n++ {
		list = append(list, strconv.Itoa(n))
	}
	return list
}
