package exchange

import (
	"database/sql"
	"path/filepath"
	"testing"
	"time"

	_ "github.com/mattn/go-sqlite3" // the application's own SQLite

	"ravno/crdt/causal"
	"ravno/store"
)

// newStores makes a hub's database of a schema and a node's of its first load.
func newStores(t *testing.T, schema string) (hub, node *store.Store) {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "hub.db")
	write(t, path, schema)
	_, err := store.InitHub(path, store.HubOptions{Name: "hub", Incarnation: causal.Incarnation{1}}, time.Now)
	must(t, err)
	hub = open(t, path)
	hash := [32]byte{1}
	must(t, hub.AddToken("node", hash, time.Now().Add(time.Hour)))
	site, _, err := hub.Enrol(hash, causal.Incarnation{2},
		func(causal.Site, string) (string, error) { return "serial", nil })
	must(t, err)
	load, nodePath := filepath.Join(dir, "load"), filepath.Join(dir, "node.db")
	_, err = hub.WriteLoad(load)
	must(t, err)
	_, _, err = store.InstallLoad(load, nodePath, store.NodeOptions{Site: site, Incarnation: causal.Incarnation{2}},
		store.RefuseLocal, time.Now)
	must(t, err)
	return hub, open(t, nodePath)
}

func open(t *testing.T, path string) *store.Store {
	t.Helper()
	s, err := store.Open(path, time.Now)
	must(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

// write writes as the application does, on a connection of its own.
func write(t *testing.T, path, statements string) {
	t.Helper()
	app, err := sql.Open("sqlite3", "file:"+path)
	must(t, err)
	defer app.Close()
	_, err = app.Exec(statements)
	must(t, err)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
