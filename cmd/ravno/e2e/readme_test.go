//go:build unix

package e2e

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	// readmeAddress is where the hub of README.md listens. The test puts a free one in its place.
	readmeAddress = "127.0.0.1:4433"
	// readmeLimit bounds the whole session, which takes seconds.
	readmeLimit = 4 * patience
	// sqliteShell is the program that plays the application in README.md.
	sqliteShell = "sqlite3"
)

// readmeComplaint is a line that ravno, the shell or SQLite prints when a command fails.
var readmeComplaint = regexp.MustCompile(`(?m)^.*(not found|Error:|Try: ).*$`)

// A machine may lack the shell of SQLite. This program stands in for it, when it is called by its name.
func init() {
	if filepath.Base(os.Args[0]) != sqliteShell {
		return
	}
	if err := standIn(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "Error:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// standIn does what the shell of SQLite does with a file and one text of SQL.
func standIn(file, text string) error {
	db, err := sql.Open("sqlite3", "file:"+file)
	if err != nil {
		return err
	}
	defer db.Close()
	if !strings.HasPrefix(strings.TrimSpace(text), "SELECT") {
		_, err = db.Exec(text)
		return err
	}
	rows, err := db.Query(text)
	if err != nil {
		return err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return err
	}
	values, places := make([]string, len(columns)), make([]any, len(columns))
	for i := range values {
		places[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(places...); err != nil {
			return err
		}
		fmt.Println(strings.Join(values, "|"))
	}
	return rows.Err()
}

// readmeBlock is a fenced block of a section of README.md.
func readmeBlock(t *testing.T, section, language string) string {
	t.Helper()
	readme, err := os.ReadFile(filepath.Join("..", "..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(readme), "\n## "+section+"\n")
	rest, _, _ = strings.Cut(rest, "\n## ")
	_, rest, begins := strings.Cut(rest, "\n```"+language+"\n")
	block, _, ends := strings.Cut(rest, "\n```\n")
	if !found || !begins || !ends {
		t.Fatalf("README.md has no block of %s in its section %q", language, section)
	}
	return block + "\n"
}

// freeAddress is an address at which nobody listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	return socket.LocalAddr().String()
}

// pathWithPrograms is a PATH in which the shell finds ravno, and SQLite's shell or its stand-in.
func pathWithPrograms(t *testing.T) string {
	t.Helper()
	path := filepath.Dir(program)
	if _, err := exec.LookPath(sqliteShell); err != nil {
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		if err := os.Symlink(self, filepath.Join(dir, sqliteShell)); err != nil {
			t.Fatal(err)
		}
		path += string(os.PathListSeparator) + dir
	}
	return path + string(os.PathListSeparator) + os.Getenv("PATH")
}

func TestReadmeSessionRunsAsPasted(t *testing.T) {
	session := readmeBlock(t, "A session", "sh")
	if strings.Count(session, readmeAddress) != 1 {
		t.Fatalf("the session does not name %s once", readmeAddress)
	}
	ctx, cancel := context.WithTimeout(t.Context(), readmeLimit)
	defer cancel()
	shell := exec.CommandContext(ctx, "sh", "-c", strings.Replace(session, readmeAddress, freeAddress(t), 1))
	shell.Env = append(environment(), "PATH="+pathWithPrograms(t), "TMPDIR="+t.TempDir())
	var out, problems bytes.Buffer
	shell.Stdout, shell.Stderr = &out, &problems
	if shell.SysProcAttr = child(); shell.SysProcAttr == nil {
		shell.SysProcAttr = &syscall.SysProcAttr{}
	}
	shell.SysProcAttr.Setpgid = true // the daemons end with the shell
	shell.Cancel = func() error { return syscall.Kill(-shell.Process.Pid, syscall.SIGKILL) }
	shell.WaitDelay = 5 * time.Second
	err := shell.Run()
	if err != nil || ctx.Err() != nil {
		t.Fatalf("%v %v\n%s%s", err, ctx.Err(), out.String(), problems.String())
	}
	if complaint := readmeComplaint.FindString(problems.String()); complaint != "" {
		t.Errorf("the session complains: %s", complaint)
	}
	rest := out.String()
	for line := range strings.Lines(readmeBlock(t, "A session", "text")) {
		_, after, found := strings.Cut(rest, strings.TrimSuffix(line, "\n"))
		if !found {
			t.Fatalf("README.md promises %q, in this order; the session printed\n%s%s",
				line, out.String(), problems.String())
		}
		rest = after
	}
}
