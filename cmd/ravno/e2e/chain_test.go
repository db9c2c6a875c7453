package e2e

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	_ "github.com/mattn/go-sqlite3" // the application's

	"ravno/net/identity"
)

const (
	// patience bounds every wait of a test. Nothing on loopback should need half of it.
	patience = 30 * time.Second
	// look is how often a test looks while it waits.
	look = 50 * time.Millisecond
	// stopLimit is how long after SIGTERM the daemon promises to have stopped.
	stopLimit = 5 * time.Second
	// appBusyTimeout is how long an application waits for a lock, as an ordinary one sets it.
	appBusyTimeout = time.Second
)

// chain is a hub and its nodes.
type chain struct {
	t       *testing.T
	dir     string
	hub     *server
	nodes   []*server
	private []string // tables that are not the same everywhere
}

// server is one server of a chain, with a file, its application, and the daemon as a process.
type server struct {
	t        *testing.T
	name, db string
	link     *link   // a node's way to the hub
	app      *sql.DB // the application's own
	address  string  // the hub's, once it has run

	process *os.Process
	log     *os.File
	ended   chan struct{} // closed when the daemon has ended
	failure error
}

// result is how a command ended.
type result struct {
	exit     int
	out, err string
	took     time.Duration
}

// environment is the test's, without variables that would point ravno at another file.
func environment() []string {
	own := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "RAVNO_") })
	return append(own, "NO_COLOR=1")
}

// ravno runs a command to its end.
func ravno(t *testing.T, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	c := exec.CommandContext(ctx, program, args...)
	c.Env = environment()
	var out, problems bytes.Buffer
	c.Stdout, c.Stderr = &out, &problems
	began := time.Now()
	err := c.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) || ctx.Err() != nil {
		t.Fatalf("ravno %s: %v %v", args, err, ctx.Err())
	}
	return result{exit: c.ProcessState.ExitCode(), out: out.String(), err: problems.String(), took: time.Since(began)}
}

// expect runs a command that has to end with an exit code, and returns its standard output.
func expect(t *testing.T, exit int, args ...string) string {
	t.Helper()
	r := ravno(t, args...)
	if r.exit != exit {
		t.Fatalf("ravno %s: exit code %d, want %d\n%s%s", args, r.exit, exit, r.out, r.err)
	}
	return r.out
}

// refused runs a command that has to fail with one clear line, and returns the line. Long
// work may have told how far it came before.
func refused(t *testing.T, args ...string) string {
	t.Helper()
	r := ravno(t, args...)
	line := strings.TrimSuffix(r.err, "\n")
	if args[0] == "join" {
		line = line[strings.LastIndexByte(line, '\n')+1:]
	}
	if r.exit != 1 || r.out != "" || strings.Count(line, "\n") > 0 || !strings.HasPrefix(line, "ravno: ") ||
		!strings.Contains(line, "Try: ") {
		t.Errorf("ravno %s: exit code %d, printed %q, said %q; want exit code 1 and one line: ravno: ... Try: ...", args,
			r.exit, r.out, r.err)
	}
	return line
}

// until looks again and again until something holds.
func until(t *testing.T, what string, holds func() (ok bool, found string)) {
	t.Helper()
	deadline, ticker := time.Now().Add(patience), time.NewTicker(look)
	defer ticker.Stop()
	for {
		ok, found := holds()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("waited %s in vain until %s; found: %s", patience, what, found)
		}
		<-ticker.C
	}
}

// testdata is a file of the repository's testdata.
func testdata(t *testing.T, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("..", "..", "..", "testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// newHub makes a file of testdata, with a script of the application run on it, the hub's.
func newHub(t *testing.T, file, script string, flags ...string) *chain {
	t.Helper()
	c := &chain{t: t, dir: t.TempDir()}
	c.hub = c.newServer("sofia")
	if file != "" {
		if err := os.WriteFile(c.hub.db, testdata(t, file), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c.hub.open("rwc")
	c.hub.sql(script)
	expect(t, 0, append([]string{"init", "--db", c.hub.db, "--name", c.hub.name, "--listen", "127.0.0.1:0"}, flags...)...)
	c.hub.start()
	return c
}

// newChain is a hub of chinook with two nodes, all running.
func newChain(t *testing.T, script string, flags ...string) (c *chain, plovdiv, varna *server) {
	t.Helper()
	c = newHub(t, "chinook.sqlite", script, append([]string{"--document", "InvoiceLine=Invoice"}, flags...)...)
	return c, c.join("plovdiv"), c.join("varna")
}

func (c *chain) newServer(name string) *server {
	home := filepath.Join(c.dir, name)
	if err := os.MkdirAll(home, 0o700); err != nil {
		c.t.Fatal(err)
	}
	s := &server{t: c.t, name: name, db: filepath.Join(home, "shop.db")}
	var err error
	if s.log, err = os.Create(filepath.Join(c.dir, name+".log")); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(s.end)
	return s
}

// end is the end of a story for a server.
func (s *server) end() {
	if s.app != nil {
		s.app.Close()
	}
	if s.process != nil {
		s.stop()
	}
	s.log.Close()
	if s.t.Failed() {
		said, _ := os.ReadFile(s.log.Name()) // it is there: this test made it
		s.t.Logf("the end of the log of %s:\n%s", s.name, said[max(0, len(said)-4<<10):])
	}
}

// token asks the hub for a join token, with a link of its own as the way to the hub.
func (c *chain) token(name string) (string, *link) {
	c.t.Helper()
	var added struct{ Token string }
	parse(c.t, expect(c.t, 0, "node", "add", name, "--db", c.hub.db, "--json"), &added)
	way := newLink(c.t, c.hub.address)
	return redirected(c.t, added.Token, way.front.LocalAddr().String()), way
}

// redirected is a join token with another address of the hub. It trusts the same CA as before.
func redirected(t *testing.T, text, address string) string {
	t.Helper()
	token, err := identity.ParseToken(text)
	if err != nil {
		t.Fatal(err)
	}
	token.Addresses = []string{address}
	return token.String()
}

// join adds a node whose file does not exist yet, and starts it.
func (c *chain) join(name string) *server {
	c.t.Helper()
	s := c.newServer(name)
	var token string
	token, s.link = c.token(name)
	expect(c.t, 0, "join", "--db", s.db, token)
	s.open("rw")
	s.start()
	c.nodes = append(c.nodes, s)
	return s
}

func (c *chain) servers() []*server { return append([]*server{c.hub}, c.nodes...) }

// open opens the application's connection.
func (s *server) open(mode string) {
	s.t.Helper()
	var err error
	s.app, err = sql.Open("sqlite3", "file:"+(&url.URL{Path: s.db}).EscapedPath()+"?mode="+mode+
		"&_foreign_keys=on&_txlock=immediate"+
		fmt.Sprintf("&_busy_timeout=%d", appBusyTimeout.Milliseconds()))
	if err != nil {
		s.t.Fatal(err)
	}
}

// sql runs statements as the application, each in a transaction of its own.
func (s *server) sql(statements ...string) {
	s.t.Helper()
	for _, statement := range statements {
		if _, err := s.app.Exec(statement); err != nil {
			s.t.Fatalf("%s: the application: %s: %v", s.name, statement, err)
		}
	}
}

// value is the one value of a query, as text.
func (s *server) value(query string, args ...any) string {
	s.t.Helper()
	var v sql.NullString
	if err := s.app.QueryRow(query, args...).Scan(&v); errors.Is(err, sql.ErrNoRows) {
		return "no row"
	} else if err != nil {
		s.t.Fatalf("%s: %s: %v", s.name, query, err)
	}
	if !v.Valid {
		return "NULL"
	}
	return v.String
}

var readyListening = regexp.MustCompile(`listening on udp (\S+:\d+)`)

// start starts the daemon and returns when it says that it is ready.
func (s *server) start() {
	s.t.Helper()
	if err := s.tryStart(); err != nil {
		s.t.Fatal(err)
	}
}

// tryStart may be called by any goroutine of a test.
func (s *server) tryStart() error {
	args := []string{"run", "--db", s.db, "--http", "off"}
	if s.address != "" {
		args = append(args, "--listen", s.address) // where the nodes know it
	}
	c := exec.Command(program, args...)
	c.Env, c.SysProcAttr = environment(), child()
	said, says, err := os.Pipe()
	if err != nil {
		return err
	}
	c.Stdout, c.Stderr = says, s.log
	err = c.Start()
	says.Close()
	if err != nil {
		said.Close()
		return err
	}
	s.process, s.ended = c.Process, make(chan struct{})
	ready := make(chan string, 1)
	go func() {
		defer close(s.ended)
		defer said.Close()
		lines := bufio.NewReader(said)
		line, _ := lines.ReadString('\n')
		ready <- line
		_, _ = io.Copy(s.log, lines)
		s.failure = c.Wait()
	}()
	select {
	case line := <-ready:
		if !strings.Contains(line, " ready: ") {
			<-s.ended
			return errors.New(s.name + ": the daemon did not get ready: " + line)
		}
		if found := readyListening.FindStringSubmatch(line); found != nil {
			s.address = found[1]
		}
		return nil
	case <-time.After(patience):
		return errors.New(s.name + ": the daemon is not ready in time")
	}
}

// stop stops the daemon as an init system would, and holds it to its promise.
func (s *server) stop() {
	s.t.Helper()
	began := time.Now()
	if err := s.process.Signal(syscall.SIGTERM); err != nil {
		s.t.Errorf("%s: the daemon had ended by itself: %v", s.name, err)
	}
	select {
	case <-s.ended:
		if s.failure != nil {
			s.t.Errorf("%s: the daemon stopped badly: %v", s.name, s.failure)
		}
	case <-time.After(2 * stopLimit):
		_ = s.process.Kill()
		<-s.ended
	}
	if took := time.Since(began); took > stopLimit {
		s.t.Errorf("%s: the daemon took %s to stop", s.name, took)
	}
	s.process = nil
}

// kill ends the daemon as a power cut would.
func (s *server) kill() {
	_ = s.process.Kill()
	<-s.ended
	s.process = nil
}

// level waits until everything written anywhere before it is everywhere. What that leads to in
// its turn, such as a row that comes back, may still be on its way.
func (c *chain) level() {
	c.t.Helper()
	for _, s := range c.nodes {
		expect(c.t, 0, "wait", "--db", s.db, "--timeout", patience.String())
	}
	expect(c.t, 0, "wait", "--db", c.hub.db, "--timeout", patience.String())
}

// atRest waits until all are level at once, which they never are while anybody writes.
func (c *chain) atRest() {
	c.t.Helper()
	until(c.t, "all are level at once", func() (bool, string) {
		c.level()
		for _, s := range c.servers() {
			servers, _, _, text := s.status()
			for _, seen := range servers {
				if seen.PendingOut > 0 || seen.PendingIn > 0 {
					return false, text
				}
			}
		}
		return true, ""
	})
}

// identical waits until all are at rest and compares all files, value by value.
func (c *chain) identical() {
	c.t.Helper()
	c.atRest()
	c.same()
}

// same compares the files as they are.
func (c *chain) same() {
	c.t.Helper()
	hub := read(c.t, c.hub.app, c.private...)
	for _, s := range c.servers() {
		if found := differences(hub, read(c.t, s.app, c.private...)); len(found) > 0 {
			c.t.Errorf("%s and %s differ: %s", c.hub.name, s.name, strings.Join(found, "; "))
		}
		for query, want := range map[string]string{
			"PRAGMA integrity_check": "ok", "SELECT count(*) FROM pragma_foreign_key_check": "0"} {
			if got := s.value(query); got != want {
				c.t.Errorf("%s: %s: %s", s.name, query, got)
			}
		}
	}
}

// everywhere checks one value on all servers.
func (c *chain) everywhere(want, query string, args ...any) {
	c.t.Helper()
	for _, s := range c.servers() {
		if got := s.value(query, args...); got != want {
			c.t.Errorf("%s: %s: %s, want %s", s.name, query, got, want)
		}
	}
}

func parse(t *testing.T, text string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("not the JSON that was promised: %v\n%s", err, text)
	}
}

// serverStatus is one server in ravno status --json.
type serverStatus struct {
	Name, State, Cause string
	CauseText          string `json:"cause_text"`
	PendingOut         int    `json:"pending_out"`
	PendingIn          int    `json:"pending_in"`
	Conflicts          int
}

// status is the status of all servers as one server sees them, and the exit code.
func (s *server) status() (servers map[string]serverStatus, level bool, exit int, text string) {
	s.t.Helper()
	r := ravno(s.t, "status", "--db", s.db, "--json")
	if r.exit != 0 && r.exit != 3 {
		s.t.Fatalf("%s: ravno status: exit code %d: %s", s.name, r.exit, r.err)
	}
	var said struct {
		Level   bool
		Servers []serverStatus
	}
	parse(s.t, r.out, &said)
	servers = map[string]serverStatus{}
	for _, server := range said.Servers {
		servers[server.Name] = server
	}
	return servers, said.Level, r.exit, r.out
}

// sees waits until a server sees all servers as given, by name as "green", "red conflict" and so on,
// with the exit code that goes with it.
func (s *server) sees(want map[string]string) {
	s.t.Helper()
	until(s.t, s.name+" sees what it should", func() (bool, string) {
		servers, level, exit, text := s.status()
		for name, state := range want {
			if got := strings.TrimSpace(servers[name].State + " " + servers[name].Cause); got != state {
				return false, text
			}
		}
		red := slices.ContainsFunc(slices.Collect(maps.Values(want)), func(state string) bool { return state != "green" })
		if level == red || exit == 0 == red {
			return false, text
		}
		return len(servers) == len(want), text
	})
}

// allGreen waits until every server sees every server green.
func (c *chain) allGreen() {
	c.t.Helper()
	want := map[string]string{}
	for _, s := range c.servers() {
		want[s.name] = "green"
	}
	for _, s := range c.servers() {
		s.sees(want)
	}
}

// cut cuts the links of nodes, and mend mends them.
func cut(nodes ...*server) {
	for _, s := range nodes {
		s.link.cut.Store(true)
	}
}

func mend(nodes ...*server) {
	for _, s := range nodes {
		s.link.cut.Store(false)
	}
}
