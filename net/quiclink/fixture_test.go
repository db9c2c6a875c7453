package quiclink_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ravno/crdt/causal"
	"ravno/net/identity"
	"ravno/net/quiclink"
	"ravno/net/quiclink/simlink"
)

const (
	hubHost   = 1
	nodeHost  = 2
	oneWay    = 20 * time.Millisecond
	codeEnded = 7 // any code that is not quiclink's own
)

// scene is a hub that listens and the means to bring nodes to it, in a false network at false
// time. Everything in it ends with the test.
type scene struct {
	t         *testing.T
	network   *simlink.Network
	authority *identity.Authority
	hub       *identity.Identity
	endpoint  *quiclink.Endpoint
	listener  *quiclink.Listener

	mu      sync.Mutex
	revoked map[string]bool
}

func play(t *testing.T, story func(t *testing.T, s *scene)) {
	synctest.Test(t, func(t *testing.T) {
		s := &scene{t: t, network: simlink.New(oneWay), revoked: map[string]bool{}}
		s.authority, s.hub = organisation(t)
		s.endpoint = s.open(hubHost, 4433)
		var err error
		if s.listener, err = s.endpoint.Listen(s.hub.ServerTLS(time.Now, s.check)); err != nil {
			t.Fatal(err)
		}
		story(t, s)
	})
}

func organisation(t *testing.T) (*identity.Authority, *identity.Identity) {
	t.Helper()
	authority, hub, err := identity.CreateHub(filepath.Join(t.TempDir(), "hub.ravno"), "Bakery", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return authority, hub
}

func enrol(t *testing.T, authority *identity.Authority, site causal.Site) *identity.Identity {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "node.ravno")
	key, err := identity.NewKey(dir)
	if err != nil {
		t.Fatal(err)
	}
	request, err := identity.Request(key, "shop")
	if err != nil {
		t.Fatal(err)
	}
	issued, err := authority.Issue(request, site, identity.RoleNode, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	node, err := identity.Install(dir, authority.Fingerprint(), authority.PEM(), issued.PEM)
	if err != nil {
		t.Fatal(err)
	}
	return node
}

var errRevoked = errors.New("revoked")

func (s *scene) check(_ causal.Site, serial string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.revoked[serial] {
		return errRevoked
	}
	return nil
}

func (s *scene) revoke(node *identity.Identity) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.revoked[node.Serial()] = true
}

func (s *scene) open(host byte, port uint16) *quiclink.Endpoint {
	s.t.Helper()
	socket, err := s.network.Endpoint(netip.AddrPortFrom(simlink.Host(host), port))
	if err != nil {
		s.t.Fatal(err)
	}
	endpoint := quiclink.NewEndpoint(socket)
	s.t.Cleanup(func() {
		if err := endpoint.Close(); err != nil {
			s.t.Error(err)
		}
	})
	return endpoint
}

// dial is a node's attempt, as a daemon would make it.
func (s *scene) dial(from *quiclink.Endpoint, config *tls.Config) (*quiclink.Link, error) {
	return from.Dial(context.Background(), s.endpoint.Addr(), config)
}

// link brings node and hub together and returns both ends.
func (s *scene) link(from *quiclink.Endpoint, config *tls.Config) (atNode, atHub *quiclink.Link) {
	s.t.Helper()
	atNode, err := s.dial(from, config)
	if err != nil {
		s.t.Fatal(err)
	}
	if atHub, err = s.listener.Accept(context.Background()); err != nil {
		s.t.Fatal(err)
	}
	return atNode, atHub
}

// linked is the usual beginning: node 2 linked to the hub.
func (s *scene) linked() (atNode, atHub *quiclink.Link) {
	s.t.Helper()
	node := enrol(s.t, s.authority, 2)
	return s.link(s.open(nodeHost, 0), node.ClientTLS(time.Now))
}

// nobodyComes fails the test if the hub gets a link within a minute.
func (s *scene) nobodyComes() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if link, err := s.listener.Accept(ctx); !errors.Is(err, context.DeadlineExceeded) {
		s.t.Errorf("the hub got a link %v, %v", link, err)
	}
}

func linkError(t *testing.T, err error) *quiclink.LinkError {
	t.Helper()
	link, ok := errors.AsType[*quiclink.LinkError](err)
	if !ok {
		t.Fatalf("%v (%T) is no LinkError", err, err)
	}
	return link
}

func addrOf(t *testing.T, text string) net.Addr {
	t.Helper()
	addr, err := net.ResolveUDPAddr("udp", text)
	if err != nil {
		t.Fatal(err)
	}
	return addr
}
