package e2e

import (
	"crypto/sha256"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// sumOf is of a file as it lies on the disk.
func sumOf(t *testing.T, path string) [sha256.Size]byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return sha256.Sum256(content)
}

func TestUnservableIsRefusedAndLeftAlone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	letter, plain := filepath.Join(dir, "letter.txt"), filepath.Join(dir, "plain.db")
	for path, content := range map[string][]byte{letter: []byte(strings.Repeat("Dear friend, this is no database. ", 200)),
		plain: testdata(t, "chinook.sqlite")} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	before := map[string][sha256.Size]byte{letter: sumOf(t, letter), plain: sumOf(t, plain)}
	missing := filepath.Join(dir, "missing.db")
	for _, path := range []string{letter, dir, missing} {
		for _, verb := range []string{"init", "run", "status", "wait", "verify", "leave"} {
			args := []string{verb, "--db", path}
			if verb == "init" {
				args = append(args, "--name", "sofia")
			}
			if line := refused(t, args...); !strings.Contains(line, path) {
				t.Errorf("ravno %s says %q, and not which file", verb, line)
			}
		}
	}
	for _, verb := range []string{"run", "status", "wait", "verify", "leave"} {
		refused(t, verb, "--db", plain) // a database, and nobody's yet
	}
	for path, sum := range before {
		if sumOf(t, path) != sum {
			t.Errorf("%s was changed", path)
		}
	}
	if _, err := os.Stat(missing); err == nil {
		t.Errorf("%s was made", missing)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 2 {
		t.Errorf("something was left behind: %v", entries)
	}
}

// Not even the journal mode changes, because an application may count on it.
func TestInitRefusedChangesNothing(t *testing.T) {
	t.Parallel()
	for _, flags := range [][]string{
		{"--local", "NoSuchTable"}, {"--journal", "NoSuchTable"}, {"--document", "InvoiceLine=NoSuchTable"},
		{"--counter", "Invoice.NoSuchColumn"},
	} {
		path := filepath.Join(t.TempDir(), "shop.db")
		if err := os.WriteFile(path, testdata(t, "chinook.sqlite"), 0o600); err != nil {
			t.Fatal(err)
		}
		before := sumOf(t, path)
		line := refused(t, append([]string{"init", "--db", path, "--name", "sofia"}, flags...)...)
		if !strings.Contains(line, "NoSuch") {
			t.Errorf("%s: said %q", flags, line)
		}
		if sumOf(t, path) != before {
			t.Errorf("%s: the file was changed", flags)
		}
		if files, _ := filepath.Glob(path + "*"); len(files) > 1 {
			t.Errorf("%s: left %s", flags, files)
		}
	}
}

func TestFileHasOneDaemon(t *testing.T) {
	t.Parallel()
	c := newHub(t, "chinook.sqlite", "")
	line := refused(t, "run", "--db", c.hub.db, "--http", "off")
	if !strings.Contains(line, c.hub.db) {
		t.Errorf("said %q, and not which file", line)
	}
	t.Log(line)
	c.hub.sees(map[string]string{"sofia": "green"}) // the first goes on
	refused(t, "init", "--db", c.hub.db, "--name", "again")

	began := time.Now()
	if err := c.hub.process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	<-c.hub.ended
	if took := time.Since(began); c.hub.failure != nil || took > stopLimit {
		t.Errorf("Ctrl-C: ended after %s with %v", took, c.hub.failure)
	}
	line = refused(t, "wait", "--db", c.hub.db, "--timeout", "5s")
	if !strings.Contains(line, "ravno run --db "+c.hub.db) {
		t.Errorf("wait without a daemon says %q", line)
	}
	c.hub.start()
	c.hub.sees(map[string]string{"sofia": "green"})
}

func TestHubSilentIsReportedInTime(t *testing.T) {
	t.Parallel()
	silent, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	c := newHub(t, "", `CREATE TABLE t(id INTEGER PRIMARY KEY, v)`)
	token, _ := c.token("burgas")
	began := time.Now()
	line := refused(t, "join", "--db", filepath.Join(c.dir, "burgas.db"),
		redirected(t, token, silent.LocalAddr().String()))
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("join gave up only after %s", took)
	} else {
		t.Logf("after %s: %s", took, line)
	}
	if !strings.Contains(line, silent.LocalAddr().String()) {
		t.Errorf("said %q, and not where it looked", line)
	}
	expect(t, 0, "join", "--db", filepath.Join(c.dir, "burgas.db"), token) // nothing was used up
}

// A table without a key is named, and all else goes on.
func TestTableWithoutKeyIsNamed(t *testing.T) {
	t.Parallel()
	c := &chain{t: t, dir: t.TempDir()}
	c.hub = c.newServer("sofia")
	c.hub.open("rwc")
	c.hub.sql(`CREATE TABLE loose(a, b)`, `INSERT INTO loose VALUES(1, 2)`,
		`CREATE TABLE good(id INTEGER PRIMARY KEY, v TEXT)`, `INSERT INTO good VALUES(1, 'one')`)
	r := ravno(t, "init", "--db", c.hub.db, "--name", "sofia", "--listen", "127.0.0.1:0")
	if r.exit != 0 || !containsAll(r.err, "loose", "Try: ") {
		t.Fatalf("init: exit code %d: %s%s", r.exit, r.out, r.err)
	}
	c.private = []string{"loose"}
	c.hub.start()
	plovdiv := c.join("plovdiv")
	c.hub.sql(`INSERT INTO loose VALUES(3, 4)`, `INSERT INTO good VALUES(2, 'two')`)
	plovdiv.sql(`INSERT INTO good VALUES(3, 'three')`)
	c.identical()
	c.everywhere("onetwothree", `SELECT group_concat(v, '') FROM (SELECT v FROM good ORDER BY id)`)
	if got := c.hub.value(`SELECT count(*) FROM loose`); got != "2" {
		t.Errorf("the hub's loose table has %s rows", got)
	}
}
