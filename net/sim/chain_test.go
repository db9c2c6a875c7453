// Package sim runs whole chains under false time. It has real daemons, real QUIC over a network in
// memory, real SQLite files, and an application at every site.
package sim

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	_ "github.com/mattn/go-sqlite3" // the application's own SQLite
	"github.com/rs/zerolog"

	"ravno/crdt/causal"
	"ravno/net/hub"
	"ravno/net/identity"
	"ravno/net/node"
	"ravno/net/quiclink"
	"ravno/net/quiclink/simlink"
	"ravno/store"
)

const (
	hubPort = 4433
	latency = 15 * time.Millisecond
)

// checker is what a test or a generated case can fail with.
type checker interface {
	Helper()
	Fatalf(format string, args ...any)
	Logf(format string, args ...any)
}

// template is an enrolled chain at rest, made once and copied for every case.
type template struct {
	dir   string
	names []string // the hub first
}

// newTemplate enrols a hub and nodes over a schema. It does so under false time, because its stamps
// must be older than all that follow.
func newTemplate(t checker, dir, schema string, settings []store.Setting, names ...string) *template {
	t.Helper()
	tpl := &template{dir: dir, names: names}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%v", err)
		}
	}
	at := func(i int) (db, state string) {
		db = filepath.Join(tpl.dir, names[i]+".db")
		return db, db + ".ravno"
	}
	db, state := at(0)
	must(os.WriteFile(db, nil, 0o600))
	_, err := store.StaleIndexes(db, nil) // ravno opens a file first, as in a daemon: it sets SQLite up for the process
	must(err)
	app, err := sql.Open("sqlite3", "file:"+db)
	must(err)
	_, err = app.Exec(schema)
	must(err)
	must(app.Close())
	must(os.Mkdir(state, 0o700))
	authority, _, err := identity.CreateHub(state, "sim", time.Now())
	must(err)
	incarnation := func() (i causal.Incarnation) {
		rand.Read(i[:])
		return i
	}
	_, err = store.InitHub(db, store.HubOptions{Name: names[0], Incarnation: incarnation(), Settings: settings}, time.Now)
	must(err)
	s, err := store.Open(db, time.Now)
	must(err)
	defer s.Close()
	for i := 1; i < len(names); i++ {
		nodeDB, nodeState := at(i)
		must(os.Mkdir(nodeState, 0o700))
		key, err := identity.NewKey(nodeState)
		must(err)
		request, err := identity.Request(key, names[i])
		must(err)
		hash, own := [32]byte{byte(i)}, incarnation()
		must(s.AddToken(names[i], hash, time.Now().Add(time.Hour)))
		site, _, err := s.Enrol(hash, own, func(site causal.Site, _ string) (string, error) {
			issued, err := authority.Issue(request, site, identity.RoleNode, time.Now())
			if err != nil {
				return "", err
			}
			_, err = identity.Install(nodeState, authority.Fingerprint(), authority.PEM(), issued.PEM)
			return issued.Serial, err
		})
		must(err)
		load := filepath.Join(tpl.dir, "load")
		_, err = s.WriteLoad(load)
		must(err)
		_, _, err = store.InstallLoad(load, nodeDB, store.NodeOptions{Site: site, Incarnation: own,
			Addresses: []string{netip.AddrPortFrom(simlink.Host(1), hubPort).String()}}, store.RefuseLocal, time.Now)
		must(err)
		must(os.Remove(load))
	}
	return tpl
}

// chain is a running copy of a template.
type chain struct {
	t      checker
	net    *simlink.Network
	sites  []*site // the hub first
	strays []stray // batches that were copied on their way
	slices int     // how many rows are folded and sent at a time; 0: as many as usual
}

type site struct {
	name   string
	db     string
	host   netip.Addr
	app    *sql.DB
	skew   atomic.Int64 // of its wall clock, a time.Duration
	wake   chan struct{}
	daemon *daemon     // nil while it is down
	conn   *connection // of the application, in scenarios
	reader *reader     // of the application, in scenarios
}

// daemon is one run of a site's daemon.
type daemon struct {
	store  *store.Store
	hub    *hub.Hub
	node   *node.Node
	cancel context.CancelFunc
	over   sync.WaitGroup
	end    func()
}

// start copies the first n sites of a template into dir and starts their daemons.
func (tpl *template) start(t checker, dir string, n int) *chain {
	t.Helper()
	return tpl.copy(t, dir, n).startAll()
}

// copy copies the first n sites of a template into dir.
func (tpl *template) copy(t checker, dir string, n int) *chain {
	t.Helper()
	c := &chain{t: t, net: simlink.New(latency)}
	for i, name := range tpl.names[:n] {
		db := filepath.Join(dir, name+".db")
		c.must(copyTree(filepath.Join(tpl.dir, name+".db.ravno"), db+".ravno"))
		for _, suffix := range []string{"", "-wal"} {
			data, err := os.ReadFile(filepath.Join(tpl.dir, name+".db"+suffix))
			if err == nil {
				c.must(os.WriteFile(db+suffix, data, 0o600))
			} else if suffix == "" {
				c.must(err)
			}
		}
		app, err := sql.Open("sqlite3", "file:"+db+"?_busy_timeout=1000&_synchronous=NORMAL&_txlock=immediate")
		c.must(err)
		app.SetMaxOpenConns(1)
		s := &site{name: name, db: db, host: simlink.Host(byte(i + 1)), app: app, wake: make(chan struct{}, 1)}
		c.sites = append(c.sites, s)
	}
	return c
}

// startAll starts the daemons of all sites.
func (c *chain) startAll() *chain {
	for _, s := range c.sites {
		c.run(s)
	}
	return c
}

func copyTree(from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		target := to + strings.TrimPrefix(path, from)
		if d.IsDir() {
			return os.MkdirAll(target, 0o700)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(target, data, 0o600)
	})
}

func (c *chain) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatalf("%v", err)
	}
}

// run starts a site's daemon.
func (c *chain) run(s *site) {
	c.t.Helper()
	port := uint16(0)
	if s == c.sites[0] {
		port = hubPort
	}
	socket, err := c.net.Endpoint(netip.AddrPortFrom(s.host, port))
	c.must(err)
	db, err := store.Open(s.db, c.clock(s))
	c.must(err)
	if c.slices > 0 {
		db.SetSliceRows(c.slices)
	}
	own, err := identity.Load(s.db + ".ravno")
	c.must(err)
	endpoint := quiclink.NewEndpoint(socket)
	ctx, cancel := context.WithCancel(context.Background())
	d := &daemon{store: db, cancel: cancel}
	log := zerolog.Nop()
	if os.Getenv("RAVNO_SIM_LOG") != "" {
		log = zerolog.New(zerolog.ConsoleWriter{Out: os.Stderr}).With().Str("site", s.name).Logger()
	}
	if s == c.sites[0] {
		authority, err := identity.LoadAuthority(s.db + ".ravno")
		c.must(err)
		d.hub = hub.New(hub.Config{Store: db, Identity: own, Authority: authority, Endpoint: endpoint, Version: "sim",
			StateDir: s.db + ".ravno", Clock: c.clock(s), NewID: func() string { return "load" }, SettleEvery: time.Second,
			Wake: s.wake, Log: log})
		d.over.Go(func() { _ = d.hub.Run(ctx) })
	} else {
		d.node = node.New(node.Config{Store: db, Identity: own, Endpoint: endpoint, Resolve: resolve, Version: "sim",
			SpoolDir: s.db + ".ravno", Clock: c.clock(s), Random: func() float64 { return 0.5 }, Wake: s.wake, Log: log})
		d.over.Go(func() { _ = d.node.Run(ctx) })
	}
	d.end = func() {
		cancel()
		endpoint.Close()
		d.over.Wait()
		db.Close()
	}
	s.daemon = d
}

func resolve(_ context.Context, address string) (net.Addr, error) {
	at, err := netip.ParseAddrPort(address)
	return net.UDPAddrFromAddrPort(at), err
}

// clock is a site's wall clock, false time and its error. In a scenario a reader looks at the tables
// whenever a daemon reads this clock. So it looks in the middle of all the daemon's work, and at the
// same moments each time.
func (c *chain) clock(s *site) store.Clock {
	return func() time.Time {
		if s.reader != nil {
			s.reader.look()
		}
		return s.now()
	}
}

func (s *site) now() time.Time { return time.Now().Add(time.Duration(s.skew.Load())) }

func (c *chain) site(name string) *site {
	for _, s := range c.sites {
		if s.name == name {
			return s
		}
	}
	c.t.Fatalf("no site %s", name)
	return nil
}

// crash ends a site's daemon in the middle of its work.
func (c *chain) crash(s *site) {
	if s.daemon != nil {
		s.daemon.end()
		s.daemon = nil
	}
}

func (c *chain) stop() {
	for _, s := range c.sites {
		c.crash(s)
		s.app.Close()
		if s.reader != nil {
			s.reader.close()
		}
		if s.conn != nil {
			s.conn.close()
		}
	}
	c.net.Close()
}

// write runs statements in one transaction of the application, with the site's wall clock.
func (c *chain) write(s *site, statements func(tx *sql.Tx) error) error {
	tx, err := s.app.Begin()
	if err != nil {
		return err
	}
	defer tx.Rollback()
	var before int64
	if err := tx.QueryRow("SELECT coalesce(max(id), 0) FROM ravno_log").Scan(&before); err != nil {
		return err
	}
	if err := statements(tx); err != nil {
		return err
	}
	if _, err := tx.Exec("UPDATE ravno_log SET ms=? WHERE id>?", s.now().UnixMilli(), before); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
	return nil
}

// exec is write for one text of SQL.
func (c *chain) exec(name, statements string) {
	c.t.Helper()
	c.must(c.write(c.site(name), func(tx *sql.Tx) error {
		_, err := tx.Exec(statements)
		return err
	}))
}

func (c *chain) cut(s *site)  { c.net.Cut(c.sites[0].host, s.host) }
func (c *chain) heal(s *site) { c.net.Heal(c.sites[0].host, s.host) }

// dump is every row of every replicated table of a site, by storage class and bytes.
func (c *chain) dump(s *site) string {
	c.t.Helper()
	var tables []string
	rows, err := s.app.Query(`SELECT name FROM sqlite_master WHERE type='table' AND (name NOT LIKE 'ravno\_%' ESCAPE '\'
		AND name NOT LIKE 'sqlite\_%' ESCAPE '\'
		AND name NOT IN (SELECT tab FROM ravno_setting WHERE class<>'synced') OR name IN ('ravno_conflict', 'ravno_site'))
		ORDER BY name`)
	c.must(err)
	for rows.Next() {
		var name string
		c.must(rows.Scan(&name))
		tables = append(tables, name)
	}
	c.must(rows.Err())
	var lines []string
	for _, table := range tables {
		lines = append(lines, c.dumpTable(s, table)...)
	}
	return strings.Join(lines, "\n")
}

func (c *chain) dumpTable(s *site, table string) []string {
	c.t.Helper()
	rows, err := s.app.Query(`SELECT * FROM "` + table + `"`)
	c.must(err)
	defer rows.Close()
	columns, err := rows.Columns()
	c.must(err)
	var lines []string
	for rows.Next() {
		cells := make([]any, len(columns))
		for i := range cells {
			cells[i] = new(any)
		}
		c.must(rows.Scan(cells...))
		line := table
		for _, cell := range cells {
			line += fmt.Sprintf("|%T %q", *cell.(*any), fmt.Sprint(*cell.(*any)))
		}
		lines = append(lines, line)
	}
	c.must(rows.Err())
	sort.Strings(lines)
	return lines
}

// integrity checks a file from the outside.
func (c *chain) integrity(s *site) {
	c.t.Helper()
	var answer string
	c.must(s.app.QueryRow("PRAGMA integrity_check").Scan(&answer))
	if answer != "ok" {
		c.t.Fatalf("%s: integrity_check: %s", s.name, answer)
	}
}

// settle heals everything and waits, in false time, until all files are the same and
// nobody has anything to send. It fails after a simulated minute.
func (c *chain) settle(look func()) {
	c.t.Helper()
	c.net.HealAll()
	c.net.SetFate(nil)
	for _, s := range c.sites {
		if s.daemon == nil {
			c.run(s)
		}
	}
	const limit = 60 * time.Second
	for waited := time.Duration(0); waited < limit; waited += 250 * time.Millisecond {
		time.Sleep(250 * time.Millisecond)
		if look != nil {
			look()
		}
		if c.isLevel() {
			for _, s := range c.sites {
				c.integrity(s)
			}
			return
		}
	}
	c.t.Fatalf("not level %s after healing:\n%s\n%s", limit, c.difference(), c.positions())
}

// positions is how far every site has come, for a failure's message.
func (c *chain) positions() string {
	var b strings.Builder
	for _, s := range c.sites {
		self, err := s.daemon.store.Self()
		c.must(err)
		fmt.Fprintf(&b, "%s: position %d, seen %d, hub has %d, floor %d\n", s.name, self.Position, self.Seen, self.HubHave,
			self.Floor)
	}
	for _, s := range c.sites {
		var events sql.NullString
		c.must(s.app.QueryRow(
			"SELECT group_concat(kind || ': ' || text, x'0a') FROM (SELECT * FROM ravno_event ORDER BY id DESC LIMIT 4)").Scan(
			&events))
		fmt.Fprintf(&b, "last events at %s:\n%s\n", s.name, events.String)
	}
	peers, err := c.sites[0].daemon.store.Peers()
	c.must(err)
	for _, p := range peers {
		fmt.Fprintf(&b, "hub of site %d: have %d, acked %d\n", p.Site, p.Have, p.Acked)
	}
	snapshot, err := c.sites[0].daemon.hub.Status()
	c.must(err)
	for _, server := range snapshot.Servers {
		fmt.Fprintf(&b, "status of %s: %s %s\n", server.Name, server.State, server.CauseText)
	}
	return b.String()
}

func (c *chain) isLevel() bool {
	self, err := c.sites[0].daemon.store.Self()
	c.must(err)
	for _, s := range c.sites[1:] {
		n, err := s.daemon.store.Self()
		c.must(err)
		out, err := s.daemon.store.Pending(0, n.HubHave)
		c.must(err)
		if out > 0 || n.Seen != self.Position {
			return false
		}
	}
	for _, s := range c.sites { // nothing written and not folded yet
		var waiting int
		c.must(s.app.QueryRow("SELECT count(*) FROM ravno_log WHERE id>(SELECT folded FROM ravno_state)").Scan(&waiting))
		if waiting > 0 {
			return false
		}
	}
	return c.difference() == ""
}

// difference names the first lines in which a site differs from the hub.
func (c *chain) difference() string {
	want := strings.Split(c.dump(c.sites[0]), "\n")
	for _, s := range c.sites[1:] {
		got := strings.Split(c.dump(s), "\n")
		for i := range max(len(want), len(got)) {
			var a, b string
			if i < len(want) {
				a = want[i]
			}
			if i < len(got) {
				b = got[i]
			}
			if a != b {
				return fmt.Sprintf("hub:  %s\n%s: %s", a, s.name, b)
			}
		}
	}
	return ""
}
