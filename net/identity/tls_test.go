package identity_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"ravno/crdt/causal"
	"ravno/net/identity"
)

// handshake runs both ends over a pipe and then one byte each way: with TLS 1.3 a client's
// own handshake is over before the server has judged its certificate.
func handshake(client, server *tls.Config) (clientState tls.ConnectionState, clientErr, serverErr error) {
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	answer := make(chan error, 1)
	go func() {
		conn := withQueue(far)
		defer conn.Close()
		answer <- exchange(tls.Server(conn, server))
	}()
	queued := withQueue(near)
	conn := tls.Client(queued, client)
	clientErr = exchange(conn)
	queued.Close()
	return conn.ConnectionState(), clientErr, <-answer
}

// queuedConn lends a pipe the buffer of a socket: two ends which refuse each other at the same
// moment both write an alert, and on a bare pipe each would wait for the other to read.
type queuedConn struct {
	net.Conn
	out chan []byte
}

func withQueue(conn net.Conn) queuedConn {
	queued := queuedConn{Conn: conn, out: make(chan []byte, 64)}
	go func() {
		defer conn.Close()
		for part := range queued.out {
			if _, err := conn.Write(part); err != nil {
				return
			}
		}
	}()
	return queued
}

func (q queuedConn) Write(part []byte) (int, error) {
	q.out <- bytes.Clone(part)
	return len(part), nil
}

// Close lets what is queued go out first.
func (q queuedConn) Close() error {
	close(q.out)
	return nil
}

func exchange(conn *tls.Conn) error {
	if err := conn.Handshake(); err != nil {
		return err
	}
	sent := make(chan error, 1)
	go func() {
		_, err := conn.Write([]byte{1})
		sent <- err
	}()
	_, err := io.ReadFull(conn, make([]byte, 1))
	return errors.Join(err, <-sent)
}

func welcome(causal.Site, string) error { return nil }

// authorityKey reads what only the hub has, to sign what the hub never would.
func (o *organisation) authorityKey() (*x509.Certificate, ed25519.PrivateKey) {
	o.t.Helper()
	parse := func(name string) []byte {
		content, err := os.ReadFile(filepath.Join(o.dir, name))
		if err != nil {
			o.t.Fatal(err)
		}
		block, _ := pem.Decode(content)
		return block.Bytes
	}
	certificate, err := x509.ParseCertificate(parse("ca.pem"))
	if err != nil {
		o.t.Fatal(err)
	}
	key, err := x509.ParsePKCS8PrivateKey(parse("ca-key.pem"))
	if err != nil {
		o.t.Fatal(err)
	}
	return certificate, key.(ed25519.PrivateKey)
}

// forged is the certificate of an enrolled server with another lifetime, name or signature.
func (o *organisation) forged(model *x509.Certificate, change func(*x509.Certificate),
	selfSigned bool) tls.Certificate {
	o.t.Helper()
	template := *model
	template.SerialNumber = big.NewInt(99)
	change(&template)
	parent, signer := o.authorityKey()
	if selfSigned {
		parent, signer = nil, nil
	}
	certificate, key := handmade(o.t, &template, parent, signer)
	return tls.Certificate{Certificate: [][]byte{certificate.Raw}, PrivateKey: key, Leaf: certificate}
}

func modelOf(id *identity.Identity) *x509.Certificate {
	certificate, err := id.ClientTLS(today).GetClientCertificate(nil)
	if err != nil {
		panic(err)
	}
	return certificate.Leaf
}

func nothing(*x509.Certificate) {}

// The hub lets in only the right certificates.
func TestHubAdmitsRightCertificates(t *testing.T) {
	org, other := newOrganisation(t, "Bakery"), newOrganisation(t, "Bakery")
	node, _ := org.enrol(2)
	stranger, _ := other.enrol(2)
	model := modelOf(node)

	show := func(certificate tls.Certificate) func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		return func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &certificate, nil }
	}
	own, _ := node.ClientTLS(today).GetClientCertificate(nil)
	foreign, _ := stranger.ClientTLS(today).GetClientCertificate(nil)
	hubs, _ := org.hub.ClientTLS(today).GetClientCertificate(nil)
	cases := []struct {
		name        string
		certificate tls.Certificate
		want        bool
	}{
		{"its own", *own, true},
		{"none", tls.Certificate{}, false},
		{"self-signed", org.forged(model, nothing, true), false},
		{"other CA of the same name", *foreign, false},
		{"expired", org.forged(model, func(c *x509.Certificate) { c.NotAfter = today().Add(-time.Second) }, false), false},
		{"not yet valid", org.forged(model, func(c *x509.Certificate) { c.NotBefore = today().Add(time.Minute) }, false),
			false},
		{"the hub's own, used as client", *hubs, false},
		{"server usage only",
			org.forged(model, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} },
				false), false},
		{"both usages", org.forged(model, func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}
		}, false), false},
		{"no site", org.forged(model, func(c *x509.Certificate) { c.URIs = nil }, false), false},
		{"a site under another CA's name", org.forged(model, func(c *x509.Certificate) { c.URIs = modelOf(stranger).URIs },
			false), false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			asked := 0
			server := org.hub.ServerTLS(today, func(site causal.Site, serial string) error {
				asked++
				if site != 2 || serial != node.Serial() {
					t.Errorf("asked about site %s, certificate %s", site, serial)
				}
				return nil
			})
			client := node.ClientTLS(today)
			client.GetClientCertificate = show(c.certificate)
			state, clientErr, serverErr := handshake(client, server)
			if (clientErr == nil) != c.want || (serverErr == nil) != c.want {
				t.Errorf("client: %v; server: %v", clientErr, serverErr)
			}
			if (asked == 1) != c.want {
				t.Errorf("the hub's records were asked %d times", asked)
			}
			if c.want && (state.Version != tls.VersionTLS13 || state.NegotiatedProtocol != identity.ProtocolLink) {
				t.Errorf("version %x, protocol %q", state.Version, state.NegotiatedProtocol)
			}
		})
	}
}

func TestNodeTalksOnlyToItsHub(t *testing.T) {
	org, other := newOrganisation(t, "Bakery"), newOrganisation(t, "Bakery")
	node, _ := org.enrol(2)
	model := org.hub.ServerTLS(today, welcome).Certificates[0].Leaf
	second, _ := org.enrol(3)
	fromNode, _ := second.ClientTLS(today).GetClientCertificate(nil)
	cases := []struct {
		name        string
		certificate tls.Certificate
		want        bool
	}{
		{"the hub", org.hub.ServerTLS(today, welcome).Certificates[0], true},
		{"self-signed", org.forged(model, nothing, true), false},
		{"hub of another CA", other.hub.ServerTLS(today, welcome).Certificates[0], false},
		{"expired", org.forged(model, func(c *x509.Certificate) { c.NotAfter = today().Add(-time.Second) }, false), false},
		{"not yet valid", org.forged(model, func(c *x509.Certificate) { c.NotBefore = today().Add(time.Minute) }, false),
			false},
		{"another node's, used as server", *fromNode, false},
		{"a node's with a hub's usage and name", org.forged(
			model, func(c *x509.Certificate) { c.URIs = modelOf(second).URIs }, false), false},
		{"another DNS name", org.forged(model, func(c *x509.Certificate) { c.DNSNames = []string{"hub.example"} }, false),
			false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			server := org.hub.ServerTLS(today, welcome)
			server.Certificates = []tls.Certificate{c.certificate}
			_, clientErr, serverErr := handshake(node.ClientTLS(today), server)
			if (clientErr == nil) != c.want || (serverErr == nil) != c.want {
				t.Errorf("client: %v; server: %v", clientErr, serverErr)
			}
		})
	}
}

func TestJoinPinsTheCA(t *testing.T) {
	org, other := newOrganisation(t, "Bakery"), newOrganisation(t, "Bakery")
	right, wrong := org.authority.Fingerprint(), other.authority.Fingerprint()
	config := org.hub.ServerTLS(today, welcome)
	chain := config.Certificates[0]
	model := chain.Leaf
	node, _ := org.enrol(2)
	nodes, _ := node.ClientTLS(today).GetClientCertificate(nil)
	withCA := func(certificate tls.Certificate) tls.Certificate {
		certificate.Certificate = append(certificate.Certificate[:1:1], chain.Certificate[1])
		return certificate
	}
	cases := []struct {
		name        string
		pinned      [32]byte
		certificate tls.Certificate
		want        bool
	}{
		{"the hub", right, chain, true},
		{"a hub of another CA", wrong, chain, false},
		{"the hub without its CA", right, tls.Certificate{Certificate: chain.Certificate[:1], PrivateKey: chain.PrivateKey},
			false},
		{"self-signed, the CA attached", right, withCA(org.forged(model, nothing, true)), false},
		{"a node's, the CA attached", right, withCA(*nodes), false},
		{"expired, the CA attached", right, withCA(
			org.forged(model, func(c *x509.Certificate) { c.NotAfter = today().Add(-time.Hour) }, false)), false},
		{"another name, the CA attached", right, withCA(
			org.forged(model, func(c *x509.Certificate) { c.DNSNames = nil }, false)), false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			server := config.Clone()
			server.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
				chosen, err := config.GetConfigForClient(hello)
				if chosen == nil {
					t.Fatal("an enrolment was asked for a certificate")
				}
				changed := chosen.Clone()
				changed.Certificates = []tls.Certificate{c.certificate}
				return changed, err
			}
			state, clientErr, serverErr := handshake(identity.EnrolTLS(c.pinned, today), server)
			if (clientErr == nil) != c.want || (serverErr == nil) != c.want {
				t.Errorf("client: %v; server: %v", clientErr, serverErr)
			}
			if c.want && state.NegotiatedProtocol != identity.ProtocolEnrol {
				t.Errorf("negotiated %q", state.NegotiatedProtocol)
			}
		})
	}
}

func TestEnrolmentAloneNeedsNoCertificate(t *testing.T) {
	org := newOrganisation(t, "Bakery")
	for name, protocols := range map[string][]string{
		"link":            {identity.ProtocolLink},
		"both, link last": {identity.ProtocolEnrol, identity.ProtocolLink},
		"neither":         {"h3"},
		"none":            nil,
	} {
		client := identity.EnrolTLS(org.authority.Fingerprint(), today)
		client.NextProtos, client.VerifyConnection = protocols, nil
		if _, clientErr, serverErr := handshake(client, org.hub.ServerTLS(today, welcome)); clientErr == nil ||
			serverErr == nil {
			t.Errorf("%s: client: %v; server: %v", name, clientErr, serverErr)
		}
	}
}

// A revoked certificate is refused, with the reason.
func TestRevokedCertificateGetsReason(t *testing.T) {
	org := newOrganisation(t, "Bakery")
	node, _ := org.enrol(2)
	removed := errors.New("removed on Monday")
	server := org.hub.ServerTLS(today, func(causal.Site, string) error { return removed })
	_, clientErr, serverErr := handshake(node.ClientTLS(today), server)
	if clientErr == nil || !errors.Is(serverErr, identity.ErrRefused) || !errors.Is(serverErr, removed) {
		t.Errorf("client: %v; server: %v", clientErr, serverErr)
	}
}

func TestSessionNeverResumed(t *testing.T) {
	org := newOrganisation(t, "Bakery")
	node, _ := org.enrol(2)
	client, server := node.ClientTLS(today), org.hub.ServerTLS(today, welcome)
	client.SessionTicketsDisabled = false
	client.ClientSessionCache = tls.NewLRUClientSessionCache(4)
	for range 3 {
		state, clientErr, serverErr := handshake(client, server)
		if clientErr != nil || serverErr != nil || state.DidResume {
			t.Fatalf("client: %v; server: %v; resumed: %t", clientErr, serverErr, state.DidResume)
		}
	}
}

func TestNodeWithAnyClockReachesHub(t *testing.T) {
	org := newOrganisation(t, "Bakery")
	node, _ := org.enrol(2)
	for _, clock := range []time.Time{
		time.Unix(0, 0).Add(-12 * time.Hour),
		time.Unix(0, 0),
		today().AddDate(-50, 0, 0),
		today().Add(-time.Hour),
		today().AddDate(50, 0, 0),
		time.Date(2262, 1, 1, 0, 0, 0, 0, time.UTC),
	} {
		now := func() time.Time { return clock }
		server := org.hub.ServerTLS(today, welcome)
		if _, clientErr, serverErr := handshake(node.ClientTLS(now), server); clientErr != nil || serverErr != nil {
			t.Errorf("node's clock at %s: client: %v; server: %v", clock, clientErr, serverErr)
		}
		enrol := identity.EnrolTLS(org.authority.Fingerprint(), now)
		if _, clientErr, serverErr := handshake(enrol, server); clientErr != nil || serverErr != nil {
			t.Errorf("joining with a clock at %s: client: %v; server: %v", clock, clientErr, serverErr)
		}
	}
	after := node.NotAfter().Add(time.Second)
	late := org.hub.ServerTLS(func() time.Time { return after }, welcome)
	if _, clientErr, serverErr := handshake(node.ClientTLS(today), late); clientErr == nil || serverErr == nil {
		t.Errorf("an expired node came in by its own slow clock: client: %v; server: %v", clientErr, serverErr)
	}
}
