package main

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ravno/net/status"
)

// serveControl answers like a daemon of the database at path.
func serveControl(t *testing.T, path string, handler http.Handler) {
	t.Helper()
	if _, err := makeStateDir(stateDir(path)); err != nil {
		t.Fatal(err)
	}
	listener, err := listenControl(stateDir(path))
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: handler}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener) // ends with Close
	}()
	t.Cleanup(func() {
		server.Close()
		<-done
		if _, err := os.Lstat(filepath.Join(stateDir(path), socketName)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the socket is still there: %v", err)
		}
	})
}

func testedDaemon() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) {
		_ = status.Encode(
			w, status.Snapshot{Site: "central", Daemon: true, Servers: []status.Server{{Name: "central", State: status.Green}}})
	})
	mux.HandleFunc("POST /poke", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	mux.HandleFunc("POST /wait", func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "not level after "+r.URL.Query().Get("timeout")+". Try: ravno status", http.StatusGatewayTimeout)
	})
	mux.HandleFunc("GET /verify", func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(`{"level":false,"tables":[{"table":"` + r.URL.Query().Get("table") +
			`","rows":3,"digest":"ab","level":false,"differing":1,"keys":["id=2"]}],"servers":[]}`))
	})
	return mux
}

// Commands reach the daemon however long the path of the database is.
func TestControlSocketForAnyPathLength(t *testing.T) {
	for name, dir := range map[string]string{"short": "s", "longer than a socket's address": strings.Repeat("long", 40)} {
		t.Run(name, func(t *testing.T) {
			home, err := os.MkdirTemp("", "r") // short: TempDir has the test's name in it
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.RemoveAll(home) })
			path := filepath.Join(home, dir, "shop.db")
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			serveControl(t, path, testedDaemon())
			askEverything(t, path)
		})
	}
}

func askEverything(t *testing.T, path string) {
	t.Helper()
	ctx, daemon := context.Background(), newControl(path)
	if info, err := os.Lstat(filepath.Join(stateDir(path), socketName)); err != nil || info.Mode().Perm() != socketMode {
		t.Errorf("the socket: %v, %v; want one for its owner alone", info, err)
	}
	if snapshot, err := daemon.status(ctx); err != nil || !snapshot.Level || snapshot.Site != "central" {
		t.Errorf("status: %+v, %v", snapshot, err)
	}
	if err := daemon.poke(ctx); err != nil {
		t.Errorf("poke: %v", err)
	}
	if err := daemon.wait(ctx, time.Minute); err == nil ||
		!strings.Contains(err.Error(), "shop.db: not level after 1m0s. Try: ravno status") {
		t.Errorf("wait that runs out: %v", err)
	}
	result, err := daemon.verify(ctx, "order lines&more")
	if err != nil || result.Level || len(result.Tables) != 1 || result.Tables[0].Table != "order lines&more" {
		t.Errorf("verify: %+v, %v", result, err)
	}
}

func TestCommandWithoutDaemonSaysHowToStart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "shop.db")
	daemon := newControl(path)
	if _, err := daemon.status(context.Background()); !errors.Is(err, errNoDaemon) ||
		!strings.Contains(err.Error(), "Try: ravno run --db "+path) {
		t.Errorf("status: %v", err)
	}
	if err := daemon.poke(context.Background()); err != nil {
		t.Errorf("there is nobody to poke, which is fine: %v", err)
	}
}

func TestSocketOfKilledDaemonReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "shop.db")
	if _, err := makeStateDir(stateDir(path)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(stateDir(path), socketName), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := newControl(path).status(context.Background()); !errors.Is(err, errNoDaemon) {
		t.Errorf("a socket nobody listens on: %v", err)
	}
	serveControl(t, path, testedDaemon())
	if _, err := newControl(path).status(context.Background()); err != nil {
		t.Errorf("after it was replaced: %v", err)
	}
}
