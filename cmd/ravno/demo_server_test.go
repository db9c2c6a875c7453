package main

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestReadyLineSaysWhereDaemonListens(t *testing.T) {
	for _, c := range []struct {
		line string
		want demoReady
		ok   bool
	}{
		{"ravno: sofia (hub) ready: listening on udp 127.0.0.1:40123, status on http://127.0.0.1:8433",
			demoReady{listen: "127.0.0.1:40123", page: "http://127.0.0.1:8433"}, true},
		{"ravno: varna (node) ready: hub 127.0.0.1:40123, status on http://127.0.0.1:33001",
			demoReady{page: "http://127.0.0.1:33001"}, true},
		{"ravno: varna (node) ready: hub 127.0.0.1:40123, status off", demoReady{}, true},
		{"ravno: sofia (hub) ready: listening on udp [::1]:4433, status off", demoReady{listen: "[::1]:4433"}, true},
		{`{"level":"info","message":"ravno: sofia (hub) ready: no"}`, demoReady{}, false},
		{"ravno: the database is locked", demoReady{}, false},
		{"", demoReady{}, false},
	} {
		if got, ok := parseDemoReady(c.line); got != c.want || ok != c.ok {
			t.Errorf("%q: read as %+v, %v; want %+v, %v", c.line, got, ok, c.want, c.ok)
		}
	}
}

func TestJoinTokenNeverShown(t *testing.T) {
	got := demoShown([]string{"join", "--db", "a b.db", "ravno1.secret", "--note", "it's"})
	want := []string{"join", "--db", "'a b.db'", "TOKEN", "--note", `'it'\''s'`}
	if !slices.Equal(got, want) {
		t.Fatalf("shown as %q, want %q", got, want)
	}
}

// A RAVNO_DB in the environment does not point the demo at another file.
func TestDemoIgnoresEnvironment(t *testing.T) {
	got := demoEnvironment([]string{"HOME=/root", "RAVNO_DB=/srv/pos/sales.db", "PATH=/bin"})
	if want := []string{"HOME=/root", "PATH=/bin", "NO_COLOR=1"}; !slices.Equal(got, want) {
		t.Fatalf("environment %q, want %q", got, want)
	}
}

// The demo does not play over the files of an earlier one.
func TestDemoKeepsAnEarlierOne(t *testing.T) {
	dir := t.TempDir()
	if _, temporary, err := demoDirectory(filepath.Join(dir, "new", "place")); err != nil || temporary {
		t.Fatalf("a directory of its own: %v", err)
	}
	if err := os.Mkdir(filepath.Join(dir, demoRestaurants[1]), 0o700); err != nil {
		t.Fatal(err)
	}
	var wrong *misuse
	if _, _, err := demoDirectory(dir); !errors.As(err, &wrong) {
		t.Fatalf("an earlier demo's directory: %v", err)
	}
}
