package sim

import (
	"context"
	"database/sql/driver"
	"fmt"
	"net/netip"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ravno/store"
)

const (
	// between is what passes between two transactions of one step that runs many times, so
	// that folds and batches come amid them.
	between = 2 * time.Millisecond
	// joinAtMost is how long a first load may take, in false time.
	joinAtMost = 10 * time.Minute
	// batchPacket is the least size of a packet that is part of a batch, in bytes.
	batchPacket = 600
)

// verdict is what is wrong with the outcome of a scenario.
type verdict struct {
	kind string // one word: stuck, different, lost, half, orphan, ...
	text string
	step int
}

func (v *verdict) String() string { return fmt.Sprintf("%s, at step %d: %s", v.kind, v.step, v.text) }

// figures count the events of a trial.
type figures struct {
	Schedules    int     `json:"schedules"`
	Partitions   int     `json:"partitions"`
	Transactions int     `json:"transactions"`
	Refused      int     `json:"refused"`
	Crashes      int     `json:"crashes"`
	Joins        int     `json:"joins"`
	Looks        int     `json:"looks"`
	Conflicts    int     `json:"conflicts"`
	Resolved     int     `json:"resolved"`
	Held         int     `json:"held"`
	Renumbered   int     `json:"renumbered"`
	Settled      int     `json:"settled"` // schedules in which the hub found something settled
	Lost         int     `json:"lost"`
	Stuck        int     `json:"stuck"`
	Halves       int     `json:"halves"`
	Orphans      int     `json:"orphans"`
	Different    int     `json:"different"`
	Miscounted   int     `json:"miscounted"`
	Failed       int     `json:"failed"` // schedules, for any reason
	Schemas      int     `json:"schemas"`
	Seconds      float64 `json:"seconds"`
}

// trial is one scenario on its way.
type trial struct {
	*chain
	scenario  scenario
	dir       string
	at        int // number of the step, from 1
	ledger    *ledger
	relations []*relation
	links     links
	figures   figures
}

// Helper, Logf and Fatalf make a trial what the chain reports to. Fatalf ends the trial; only
// the goroutine that plays may call it.
func (r *trial) Helper()                           {}
func (r *trial) Logf(format string, values ...any) {}
func (r *trial) Fatalf(format string, values ...any) {
	r.fail("error", format, values...)
}

func (r *trial) fail(kind, format string, values ...any) {
	panic(&verdict{kind, fmt.Sprintf(format, values...), r.at})
}

// play plays a scenario on a copy of its template, and judges it. A nil verdict is a good one.
func play(t *testing.T, tpl *template, sc scenario) (f figures, v *verdict) {
	dir, err := scratchDir()
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	synctest.Test(t, func(t *testing.T) {
		r := &trial{scenario: sc, dir: dir, ledger: newLedger()}
		defer func() {
			f = r.figures
			switch p := recover().(type) {
			case nil:
			case *verdict:
				v = p
			default:
				v = &verdict{"panic", fmt.Sprintf("%v\n%s", p, debug.Stack()), r.at}
			}
			if r.chain != nil {
				for _, s := range r.sites {
					if s.reader != nil {
						_, looks := s.reader.seen()
						f.Looks += looks
					}
				}
				r.stop()
			}
		}()
		r.begin(tpl)
		for i, s := range sc.steps {
			r.at = i + 1
			r.step(s)
			r.whole()
		}
		r.at = len(sc.steps) + 1
		r.level()
		r.count()
	})
	return f, v
}

// begin starts the chain. Clocks that the first steps set are wrong from the start.
func (r *trial) begin(tpl *template) {
	r.chain = tpl.copy(r, r.dir, len(r.scenario.sites))
	r.slices = r.scenario.slices
	for i, s := range r.sites {
		r.equip(s)
		if i == 0 {
			var err error
			r.relations, err = s.conn.relations(r.scenario.settings)
			r.must(err)
			r.ledger.seed(r, s)
		}
		r.must(s.conn.watch(r.relations))
	}
	for _, s := range r.scenario.steps {
		if s.do != "clock" {
			break
		}
		r.site(s.site).skew.Store(int64(s.span))
	}
	r.links.hosts = map[netip.Addr]*condition{}
	r.net.SetFate(r.links.fate)
	r.startAll()
}

// equip gives a site its application.
func (r *trial) equip(s *site) {
	var err error
	s.conn, err = connect(s.db)
	r.must(err)
	if s.reader == nil {
		s.reader = &reader{path: s.db, questions: r.scenario.always}
	}
}

// seed enters the rows that were there before anything was written.
func (l *ledger) seed(r *trial, s *site) {
	for _, table := range r.relations {
		rows, err := s.conn.snapshot(table)
		r.must(err)
		for _, row := range rows {
			l.inserted(table, row, lineage{s.name, 0})
		}
	}
}

func (r *trial) step(s step) {
	switch s.do {
	case "at", "try":
		r.write(r.site(s.site), s)
	case "tamper":
		for _, x := range r.sitesOf(s.site) {
			r.must(x.conn.exec("PRAGMA foreign_keys=OFF"))
			r.write(x, s)
			r.must(x.conn.exec("PRAGMA foreign_keys=ON"))
		}
	case "crash":
		r.figures.Crashes++
		r.crash(r.site(s.site))
	case "restart":
		r.crash(r.site(s.site))
		r.run(r.site(s.site))
	case "copy":
		r.copyBatch(r.site(s.site))
	case "deliver":
		r.deliverCopy(s.n - 1)
	case "clock":
		r.site(s.site).skew.Store(int64(s.span))
	case "wait":
		time.Sleep(s.span)
	case "join":
		r.join(s.site)
	case "resolve":
		r.resolve(r.site(s.site), s.word)
	case "level":
		r.level()
	case "same":
		if d := r.difference(); d != "" {
			r.fail("different", "%s", d)
		}
	case "expect":
		r.expect(s)
	case "conflicts":
		r.expectConflicts(s)
	case "red", "green", "sees":
		r.expectStatus(s)
	default:
		r.stepOfLink(s)
	}
}

// sitesOf are the sites that a word means.
func (r *trial) sitesOf(word string) []*site {
	if word == "everywhere" {
		return r.sites
	}
	return []*site{r.site(word)}
}

// write runs the transactions of a step, and enters their writes into the ledger.
func (r *trial) write(s *site, st step) {
	texts := statements(st.sql)
	var removed []*victims
	for i := range max(st.times, 1) {
		more, err := r.transaction(s, texts, int64(i+1), st.do == "tamper")
		switch {
		case err == nil:
			r.figures.Transactions++
			removed = append(removed, more...)
		case st.do == "try" && refused(err):
			r.figures.Refused++
		default:
			r.Fatalf("%s: %v", s.name, err)
		}
		if s.daemon != nil {
			select {
			case s.wake <- struct{}{}:
			default:
			}
		}
		if st.times > 0 {
			time.Sleep(between)
		}
	}
	r.must(r.ledger.note(s.conn, r.relations, lineage{s.name, r.at}, removed))
}

// transaction runs statements in one transaction, at the time the site's clock shows.
func (r *trial) transaction(s *site, texts []string, count int64, secretly bool) (removed []*victims, err error) {
	if err := s.conn.exec("BEGIN IMMEDIATE"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil && !s.conn.AutoCommit() {
			r.must(s.conn.exec("ROLLBACK"))
		}
	}()
	logged, err := s.conn.number("SELECT coalesce(max(id), 0) FROM ravno_log")
	if err != nil {
		return nil, err
	}
	for _, text := range texts {
		v, err := s.conn.beforeReplace(r.relations, text)
		if err != nil {
			return nil, err
		}
		if err := s.conn.exec(text, count); err != nil {
			return nil, err
		}
		if v != nil {
			if err := s.conn.afterReplace(v); err != nil {
				return nil, err
			}
			removed = append(removed, v)
		}
	}
	if secretly {
		removed = nil
		if err := s.conn.exec("DELETE FROM ravno_log WHERE id>?1", logged); err != nil {
			return nil, err
		}
		if err := s.conn.exec("DELETE FROM noted"); err != nil {
			return nil, err
		}
	} else if err := s.conn.exec("UPDATE ravno_log SET ms=?1 WHERE id>?2", s.now().UnixMilli(), logged); err != nil {
		return nil, err
	}
	return removed, s.conn.exec("COMMIT")
}

// whole says so if a reader has seen half of something.
func (r *trial) whole() {
	for _, s := range r.sites {
		s.reader.look()
		if wrong, _ := s.reader.seen(); wrong != "" {
			r.fail("half", "a reader at %s: %s", s.name, wrong)
		}
	}
}

// join lets a new server join.
func (r *trial) join(name string) {
	if r.sites[0].daemon == nil {
		r.run(r.sites[0])
	}
	j := r.invite(name, r.dir)
	j.site.reader = &reader{path: j.site.db, questions: r.scenario.always}
	ctx, cancel := context.WithTimeout(context.Background(), joinAtMost)
	defer cancel()
	if err := j.run(ctx); err != nil {
		r.fail("join", "%s: %v", name, err)
	}
	var err error
	j.site.app, err = openApp(j.site.db)
	r.must(err)
	r.sites = append(r.sites, j.site)
	r.equip(j.site)
	r.must(j.site.conn.watch(r.relations))
	r.run(j.site)
	r.figures.Joins++
}

// resolve resolves all open conflicts at a site, as far as the schema takes the kept values. It decides
// for the named site, or for each conflict's nth. A decision has seen the values it replaces.
func (r *trial) resolve(s *site, word string) {
	if s.daemon == nil {
		return
	}
	synctest.Wait() // so that nothing but the decision changes the tables meanwhile
	open, err := s.daemon.store.Conflicts(false)
	r.must(err)
	if len(open) == 0 {
		return
	}
	before := r.snapshots(s)
	for i, x := range open {
		keep := word
		if n, err := strconv.Atoi(word); err == nil {
			keep = x.Sites[(n+i)%len(x.Sites)]
		} else if !slices.Contains(x.Sites, word) {
			continue
		}
		if _, err := s.daemon.store.Resolve(x.ID, store.Resolution{Keep: keep, By: "admin"}); err == nil {
			r.figures.Resolved++
		}
	}
	after := r.snapshots(s)
	for i, table := range r.relations {
		for _, m := range table.vanished(before[i], after[i]) {
			delete(r.ledger.pending, m)
		}
		r.ledger.exemptChanged(table, before[i], after[i])
	}
	s.poke()
}

// exemptChanged takes counters out of the count that something else than an application has
// set or removed.
func (l *ledger) exemptChanged(table *relation, before, after map[string][]driver.Value) {
	for key, old := range before {
		for i, col := range table.columns {
			if now := after[key]; col.counter && (now == nil || now[i] != old[i]) {
				l.exempt[mark{table.name, col.name, key}] = true
			}
		}
	}
}

func (s *site) poke() {
	if s.daemon.hub != nil {
		s.daemon.hub.Poke()
	} else {
		s.daemon.node.Poke()
	}
}

func (r *trial) snapshots(s *site) (all []map[string][]driver.Value) {
	for _, table := range r.relations {
		rows, err := s.conn.snapshot(table)
		r.must(err)
		all = append(all, rows)
	}
	return all
}

// templateOf makes the template of a scenario's schema and first sites.
func templateOf(t *testing.T, sc scenario, dir string) (tpl *template, err error) {
	synctest.Test(t, func(t *testing.T) {
		defer func() {
			if p := recover(); p != nil {
				err = fmt.Errorf("%v", p)
			}
		}()
		tpl = newTemplate(&trial{}, dir, strings.Join(sc.schema, "\n"), sc.settings, sc.sites...)
	})
	return tpl, err
}
