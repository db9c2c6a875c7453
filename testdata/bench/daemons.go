package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	// patience bounds every single thing a line waits for: a backlog of the largest size on a
	// slow disk takes less.
	patience = 5 * time.Minute
	// glance is how often a line looks whether rows have come.
	glance = 5 * time.Millisecond
)

// chain is a hub and nodes as real processes on the loopback, over an empty table.
type chain struct {
	b    *bench
	dir  string
	hub  *server
	node []*server
}

// server is a database with its daemon.
type server struct {
	b       *bench
	name    string
	db      string
	listen  string // the hub's address, once it has run
	process *exec.Cmd
}

var readyLine = regexp.MustCompile(`listening on udp (\S+),`)

// newChain enrols and starts a hub and nodes. done stops them and removes their files.
func (b *bench) newChain(s shape, nodes int) (c *chain, done func()) {
	b.build()
	dir, remove := b.fresh()
	c = &chain{b: b, dir: dir}
	done = func() {
		for _, s := range append([]*server{c.hub}, c.node...) {
			s.stop()
		}
		remove()
	}
	c.hub = &server{b: b, name: "hub", db: filepath.Join(dir, "hub.db"), listen: "127.0.0.1:0"}
	defer func() {
		if r := recover(); r != nil { // no daemon is left behind by a line that failed
			done()
			panic(r)
		}
	}()
	p := b.open(c.hub.db, "NORMAL")
	p.run(s.schema())
	p.close()
	b.ravno("init", "--db", c.hub.db, "--name", "hub", "--listen", c.hub.listen)
	c.hub.start()
	for i := range nodes {
		n := &server{b: b, name: fmt.Sprintf("node%d", i+1), db: filepath.Join(dir, fmt.Sprintf("node%d.db", i+1))}
		c.node = append(c.node, n)
		b.ravno("join", "--db", n.db, c.token(n.name))
		n.start()
		b.ravno("wait", "--db", n.db)
	}
	return c, done
}

func (c *chain) token(name string) string {
	var added struct{ Token string }
	c.b.must(json.Unmarshal([]byte(c.b.ravno("node", "add", name, "--db", c.hub.db, "--json")), &added))
	return added.Token
}

// build makes the program from this tree, once.
func (b *bench) build() {
	if b.program != "" {
		return
	}
	program := filepath.Join(b.scratch, "ravno")
	if out, err := exec.Command("go", "build", "-o", program, "ravno/cmd/ravno").CombinedOutput(); err != nil {
		b.must(fmt.Errorf("building ravno: %w: %s. Try: run this in the repository, with go in PATH", err, out))
	}
	b.program = program
}

// ravno runs a command to its end.
func (b *bench) ravno(args ...string) string {
	var problems strings.Builder
	c := exec.Command(b.program, args...)
	c.Stderr = &problems
	out, err := c.Output()
	if err != nil {
		b.must(fmt.Errorf("ravno %s: %w: %s", args[0], err, problems.String()))
	}
	return string(out)
}

// start runs a server's daemon and returns once it is ready.
func (s *server) start() {
	args := []string{"run", "--db", s.db, "--http", "off"}
	if s.listen != "" {
		args = append(args, "--listen", s.listen)
	}
	c := exec.Command(s.b.program, args...)
	log, err := os.OpenFile(s.db+".log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	s.b.must(err)
	defer log.Close() // the process has its own
	c.Stderr = log
	out, err := c.StdoutPipe()
	s.b.must(err)
	s.b.must(c.Start())
	s.process = c
	ready, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		said, _ := os.ReadFile(s.db + ".log") // for the message only
		s.b.must(fmt.Errorf("the daemon of %s ended: %s", s.name, said))
	}
	if at := readyLine.FindStringSubmatch(ready); at != nil {
		s.listen = at[1]
	}
}

// stop ends a server's daemon, if it runs.
func (s *server) stop() {
	if s == nil || s.process == nil {
		return
	}
	_ = s.process.Process.Signal(syscall.SIGTERM) // one that has ended already is waited for all the same
	_ = s.process.Wait()
	s.process = nil
}

// app is the application's connection.
func (s *server) app() *plain { return s.b.open(s.db, "NORMAL") }

// await waits until a table has so many rows, as its application sees it. It looks only
// when something was committed: looking takes time from what is measured.
func (s *server) await(rows int) {
	p := s.app()
	defer p.close()
	deadline, version := time.Now().Add(patience), int64(-1)
	for {
		if now := p.number("PRAGMA data_version"); now != version {
			version = now
			if p.number("SELECT count(*) FROM sale") >= int64(rows) {
				return
			}
		}
		if time.Now().After(deadline) {
			s.b.must(fmt.Errorf("%s has %d of %d rows after %s", s.name, p.number("SELECT count(*) FROM sale"), rows, patience))
		}
		time.Sleep(glance)
	}
}

// usage is what the system says about a process.
type usage struct {
	cpu      time.Duration
	switches int64   // times any thread went to sleep, and was woken again
	memory   float64 // MiB resident
	peak     float64 // MiB resident at most
}

// usage reads /proc; without one the line fails and says so.
func (s *server) usage() (u usage) {
	dir := fmt.Sprintf("/proc/%d", s.process.Process.Pid)
	status, err := os.ReadFile(dir + "/status")
	s.b.must(err)
	u.memory, u.peak = field(status, "VmRSS")/1024, field(status, "VmHWM")/1024
	threads, err := filepath.Glob(dir + "/task/*")
	s.b.must(err)
	for _, thread := range threads {
		spent, err := os.ReadFile(thread + "/schedstat")
		if err != nil {
			continue // the thread has ended
		}
		nanoseconds, err := strconv.ParseInt(strings.Fields(string(spent))[0], 10, 64)
		s.b.must(err)
		u.cpu += time.Duration(nanoseconds)
		if status, err := os.ReadFile(thread + "/status"); err == nil {
			u.switches += int64(field(status, "voluntary_ctxt_switches"))
		}
	}
	return u
}

// field is a number of a status file of /proc; 0 if it is not there.
func field(status []byte, name string) float64 {
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, name+":"); ok {
			number, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64) // always one, in these files
			return number
		}
	}
	return 0
}
