package main

import (
	"slices"
	"testing"

	"ravno/store"
)

func TestTokenSaysWhereTheHubIs(t *testing.T) {
	machine := func() ([]string, error) { return []string{"192.0.2.7", "fd00::7", "office"}, nil }
	for name, c := range map[string]struct {
		self store.Self
		want []string
	}{
		"what the admin advertises": {store.Self{Advertise: "hub.example.com:443", Listening: "192.0.2.1:4433"},
			[]string{"hub.example.com:443"}},
		"where the daemon listens": {store.Self{Listen: ":4433", Listening: "192.0.2.1:5000"}, []string{"192.0.2.1:5000"}},
		"where it is to listen":    {store.Self{Listen: "192.0.2.1:4433"}, []string{"192.0.2.1:4433"}},
		"every address of this host": {store.Self{Listen: ":4433"},
			[]string{"192.0.2.7:4433", "[fd00::7]:4433", "office:4433"}},
		"the same, as IPv4 writes it": {store.Self{Listening: "0.0.0.0:4433"},
			[]string{"192.0.2.7:4433", "[fd00::7]:4433", "office:4433"}},
		"the same, as IPv6 writes it": {store.Self{Listening: "[::]:4433"},
			[]string{"192.0.2.7:4433", "[fd00::7]:4433", "office:4433"}},
		"a name": {store.Self{Listen: "office.lan:4433"}, []string{"office.lan:4433"}},
	} {
		got, err := hubAddresses(c.self, machine)
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, %v; want %q", name, got, err, c.want)
		}
	}
	if got, err := hubAddresses(store.Self{Listen: ":0"}, machine); err == nil {
		t.Errorf("a port that is not known yet: %q", got)
	}
}

func TestMachineHasAnAddress(t *testing.T) {
	hosts, err := machineAddresses()
	if err != nil || len(hosts) == 0 || len(hosts) > maxTokenAddresses {
		t.Errorf("%q, %v; want 1 to %d", hosts, err, maxTokenAddresses)
	}
}
