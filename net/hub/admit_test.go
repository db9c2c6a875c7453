package hub

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"ravno/crdt/causal"
	"ravno/store"
)

// The handshake admits a node only if it is enrolled, not removed, and shows its newest
// certificate. The store refuses a removed node too, so only this test sees the handshake itself.
func TestAdmitOnlyCurrentNodes(t *testing.T) {
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(t.TempDir(), "hub.db")
	must(os.WriteFile(path, nil, 0o600)) // a database without a table
	_, err := store.InitHub(path, store.HubOptions{Name: "hub", Organisation: "chain", Incarnation: causal.Incarnation{1}},
		time.Now)
	must(err)
	db, err := store.Open(path, time.Now)
	must(err)
	defer db.Close()
	enrol := func(name, serial string, token byte) causal.Site {
		must(db.AddToken(name, [32]byte{token}, time.Now().Add(time.Hour)))
		site, _, err := db.Enrol([32]byte{token}, causal.Incarnation{token},
			func(causal.Site, string) (string, error) { return serial, nil })
		must(err)
		return site
	}
	varna, burgas := enrol("varna", "of varna", 2), enrol("burgas", "of burgas", 3)
	must(db.RemoveSite("burgas"))
	h := New(Config{Store: db, Clock: time.Now})
	for _, c := range []struct {
		who    string
		site   causal.Site
		serial string
		enters bool
	}{
		{"varna", varna, "of varna", true},
		{"varna with a certificate that was replaced", varna, "an older one", false},
		{"burgas, which was removed", burgas, "of burgas", false},
		{"somebody with varna's certificate", 99, "of varna", false},
	} {
		if err := h.admit(c.site, c.serial); (err == nil) != c.enters {
			t.Errorf("%s is admitted with %v", c.who, err)
		}
	}
}
