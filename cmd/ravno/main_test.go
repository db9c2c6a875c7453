package main

import (
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	_ "github.com/mattn/go-sqlite3" // the application's own SQLite, in the scripts
	"github.com/rogpeppe/go-internal/testscript"

	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/store"
)

// The scripts read like a terminal. Besides ravno they have:
//
//	sql DB STATEMENT     as an application runs it; prints rows, values separated by |
//	enrol HUB NODE NAME  makes NODE a node of HUB, without a network
//	carry HUB NODE       brings NODE's work to HUB and HUB's to NODE, without a network
//	setbyte FILE AT N    overwrites one byte
//	usage WORDS ravno..  runs a command that must be refused as wrong usage, with these words
//	notlevel ravno ...   runs a command that must end with the code for not level
//	id DB                sets $ID to the beginning of the first open conflict's identifier
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"ravno":   main,
		"sql":     program(runSQL),
		"enrol":   program(runEnrol),
		"carry":   program(runCarry),
		"setbyte": program(runSetByte),
	})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/script", RequireUniqueNames: true,
		Condition: func(name string) (bool, error) {
			if name != "fts5" { // built with -tags sqlite_fts5
				return false, fmt.Errorf("there is no condition %s", name)
			}
			return store.HasFTS5(), nil
		}, Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"usage": func(ts *testscript.TestScript, _ bool, args []string) {
				expectCode(ts, codeUsage, args[1:])
				text := ts.ReadFile("stderr")
				if !strings.Contains(text, args[0]) || strings.Count(text, "\n") != 1 || !strings.Contains(text, "Try: ") {
					ts.Fatalf("want one line with %q and Try:, got %q", args[0], text)
				}
				if out := ts.ReadFile("stdout"); out != "" {
					ts.Fatalf("stdout of wrong usage: %q", out)
				}
			},
			"notlevel": func(ts *testscript.TestScript, _ bool, args []string) { expectCode(ts, codeNotLevel, args) },
			"id": func(ts *testscript.TestScript, _ bool, args []string) {
				s, err := openAt(ts.MkAbs(args[0]))
				ts.Check(err)
				conflicts, err := s.Conflicts(false)
				ts.Check(errors.Join(err, s.Close()))
				if len(conflicts) != 1 {
					ts.Fatalf("%d conflicts are open, want 1", len(conflicts))
				}
				ts.Setenv("ID", shortID(conflicts[0].ID))
			},
		}})
}

// expectCode runs a command that must end with a code.
func expectCode(ts *testscript.TestScript, want int, args []string) {
	var exit *exec.ExitError
	if err := ts.Exec(args[0], args[1:]...); !errors.As(err, &exit) || exit.ExitCode() != want {
		ts.Fatalf("%s: %v; want exit code %d", strings.Join(args, " "), err, want)
	}
}

func program(run func(args []string) error) func() {
	return func() {
		if err := run(os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

func runSQL(args []string) error {
	db, err := sql.Open("sqlite3", "file:"+args[0]+"?_foreign_keys=on&_busy_timeout=5000")
	if err != nil {
		return err
	}
	defer db.Close()
	rows, err := db.Query(strings.Join(args[1:], " "))
	if err != nil {
		return err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return err
	}
	for rows.Next() {
		values := make([]any, len(columns))
		for i := range values {
			values[i] = new(sql.NullString)
		}
		if err := rows.Scan(values...); err != nil {
			return err
		}
		var shown []string
		for _, v := range values {
			shown = append(shown, v.(*sql.NullString).String)
		}
		fmt.Println(strings.Join(shown, "|"))
	}
	return rows.Err()
}

func runSetByte(args []string) error {
	at, err := strconv.ParseInt(args[1], 10, 64)
	if err != nil {
		return err
	}
	value, err := strconv.ParseUint(args[2], 10, 8)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(args[0], os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = file.WriteAt([]byte{byte(value)}, at)
	return errors.Join(err, file.Close())
}

func runEnrol(args []string) error {
	hub, err := openAt(args[0])
	if err != nil {
		return err
	}
	defer hub.Close()
	name, incarnation := args[2], causal.Incarnation{}
	copy(incarnation[:], name)
	var hash [32]byte
	copy(hash[:], name)
	if err := hub.AddToken(name, hash, time.Now().Add(time.Hour)); err != nil {
		return err
	}
	site, _, err := hub.Enrol(hash, incarnation, func(causal.Site, string) (string, error) { return "serial", nil })
	if err != nil {
		return err
	}
	load := args[1] + ".load"
	if _, err := hub.WriteLoad(load); err != nil {
		return err
	}
	path, err := store.RealPath(args[1])
	if err != nil {
		return err
	}
	_, _, err = store.InstallLoad(load, path, store.NodeOptions{Site: site, Incarnation: incarnation}, store.RefuseLocal,
		time.Now)
	return errors.Join(err, os.Remove(load))
}

func runCarry(args []string) error {
	hub, err := openAt(args[0])
	if err != nil {
		return err
	}
	defer hub.Close()
	node, err := openAt(args[1])
	if err != nil {
		return err
	}
	defer node.Close()
	if err := errors.Join(carryUp(hub, node), carryDown(hub, node)); err != nil {
		return err
	}
	self, err := node.Self()
	if err != nil {
		return err
	}
	return hub.AckedByNode(self.Site, causal.Reached{Position: self.Seen}, self.Floor, true)
}

func carryUp(hub, node *store.Store) error {
	if _, err := node.Fold(); err != nil {
		return err
	}
	self, err := node.Self()
	if err != nil {
		return err
	}
	delta, changes, err := collect(node, 0, self.HubHave)
	if err != nil || changes == 0 {
		return err
	}
	if _, err := hub.ApplyFromNode(self.Site, delta, self.Floor); err != nil {
		return err
	}
	return node.Acknowledged(causal.Reached{Position: delta.To})
}

func carryDown(hub, node *store.Store) error {
	if _, err := hub.Fold(); err != nil {
		return err
	}
	self, err := node.Self()
	if err != nil {
		return err
	}
	delta, _, err := collect(hub, self.Site, self.Seen)
	if err != nil {
		return err
	}
	_, err = node.ApplyFromHub(delta)
	return err
}

func openAt(path string) (*store.Store, error) {
	resolved, err := store.RealPath(path)
	if err != nil {
		return nil, err
	}
	return store.Open(resolved, time.Now)
}

func collect(from *store.Store, node causal.Site, above causal.Position) (store.Delta, int, error) {
	var sections []*crdt.Section
	span, changes, err := from.Outgoing(node, above, 0, func(_ store.Span, section *crdt.Section) error {
		sections = append(sections, section)
		return nil
	})
	return store.Delta{Span: span, Open: func() (func() (*crdt.Section, error), error) {
		left := sections
		return func() (*crdt.Section, error) {
			if len(left) == 0 {
				return nil, io.EOF
			}
			next := left[0]
			left = left[1:]
			return next, nil
		}, nil
	}}, changes, err
}
