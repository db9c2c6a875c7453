package e2e

import (
	"context"
	"crypto/tls"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ravno/crdt/causal"
	"ravno/net/identity"
	"ravno/net/quiclink"
	"ravno/store"
)

// A removed node is out at once and stays out.
func TestRemovedNodeIsOutAtOnce(t *testing.T) {
	t.Parallel()
	c, plovdiv, varna := newChain(t, "")
	c.allGreen()
	began := time.Now()
	expect(t, 0, "node", "remove", "plovdiv", "--db", c.hub.db)
	untilRevoked := func() {
		until(t, "plovdiv knows that it is revoked", func() (bool, string) {
			servers, _, exit, text := plovdiv.status()
			own := servers["plovdiv"]
			return own.State == "red" && own.Cause == "revoked" && exit == 3, text
		})
	}
	untilRevoked()
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("a removed node was linked for another %s", took)
	}

	plovdiv.sql(`INSERT INTO Artist VALUES(7001, 'after the removal')`) // its application goes on
	plovdiv.stop()
	plovdiv.start()
	untilRevoked()

	c.nodes = []*server{varna}
	varna.sql(`INSERT INTO Artist VALUES(7002, 'business as usual')`)
	c.hub.sql(`INSERT INTO Artist VALUES(7003, 'business as usual')`)
	c.identical()
	c.allGreen()
	c.everywhere("2", `SELECT count(*) FROM Artist WHERE ArtistId>7000`)
	if got := plovdiv.value(`SELECT count(*) FROM Artist WHERE ArtistId>7000`); got != "1" {
		t.Errorf("plovdiv has %s of the new artists, want its own only", got)
	}
	if events(c.hub)["node_removed"] != 1 {
		t.Errorf("the hub's journal tells of %v", events(c.hub))
	}
}

// Only a good token lets a node in.
func TestTokenMustBeGood(t *testing.T) {
	t.Parallel()
	c := newHub(t, "", `CREATE TABLE t(id INTEGER PRIMARY KEY, v)`)
	other := newHub(t, "", `CREATE TABLE t(id INTEGER PRIMARY KEY, v)`)
	add := func(of *chain, name string) string {
		token, _ := of.token(name)
		return redirected(t, token, c.hub.address)
	}
	used := add(c, "burgas")
	first := filepath.Join(c.dir, "first.db")
	expect(t, 0, "join", "--db", first, used)

	damaged := []byte(used)
	damaged[len(damaged)/2] ^= 1
	for name, attempt := range map[string]struct{ token, why string }{
		"used":                            {used, "used"},
		"expired":                         {expired(t, c.hub, time.Now().Add(-time.Minute)), "expired"},
		"expired, and the node knows not": {expired(t, c.hub, time.Now().Add(time.Hour)), "expired"},
		"of another hub":                  {add(other, "ruse"), "another organisation"},
		"never given out":                 {unknown(t, add(c, "ruse")), ""},
		"damaged":                         {string(damaged), ""},
		"no token at all":                 {"ravno1.hello", ""},
	} {
		path := filepath.Join(t.TempDir(), "burgas.db")
		if line := refused(t, "join", "--db", path, attempt.token); !strings.Contains(line, attempt.why) {
			t.Errorf("%s: said %q", name, line)
		} else {
			t.Logf("%s: %s", name, line)
		}
		if files, _ := filepath.Glob(path + "*"); len(files) > 1 {
			t.Errorf("%s: left %v", name, files)
		}
	}
	if r := ravno(t, "node", "add", "ruse", "--db", c.hub.db, "--ttl", "5s"); r.exit != 2 {
		t.Errorf("a token for 5 s: exit code %d: %s", r.exit, r.err)
	}
}

// expired is a token that the hub takes for expired, and that itself says it ends at.
func expired(t *testing.T, hub *server, says time.Time) string {
	t.Helper()
	own, err := identity.Load(hub.db + ".ravno")
	if err != nil {
		t.Fatal(err)
	}
	token, err := identity.NewToken("ruse", []string{hub.address}, own.Fingerprint(), says)
	if err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(hub.db, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.AddToken("ruse", identity.HashSecret(token.Secret), time.Now().Add(-time.Second)); err != nil {
		t.Fatal(err)
	}
	return token.String()
}

// unknown is a token with a secret that the hub never gave out.
func unknown(t *testing.T, text string) string {
	t.Helper()
	token, err := identity.ParseToken(text)
	if err != nil {
		t.Fatal(err)
	}
	token.Secret[0] ^= 1
	return token.String()
}

// A stranger knows the hub's address and everything public, but has no certificate, and gets nothing.
func TestStrangerGetsNothing(t *testing.T) {
	t.Parallel()
	c := newHub(t, "", `CREATE TABLE t(id INTEGER PRIMARY KEY, v)`)
	address, err := net.ResolveUDPAddr("udp", c.hub.address)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	authority, otherHub, err := identity.CreateHub(filepath.Join(dir, "other"), "another", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	stranger := filepath.Join(dir, "stranger")
	key, err := identity.NewKey(stranger)
	if err != nil {
		t.Fatal(err)
	}
	request, err := identity.Request(key, "stranger")
	if err != nil {
		t.Fatal(err)
	}
	issued, err := authority.Issue(request, causal.Site(2), identity.RoleNode, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := identity.Install(stranger, authority.Fingerprint(), authority.PEM(), issued.PEM)
	if err != nil {
		t.Fatal(err)
	}
	trusting := func(of *identity.Identity, protocol string) *tls.Config {
		config := &tls.Config{InsecureSkipVerify: true, ServerName: identity.HubName, NextProtos: []string{protocol}}
		if of != nil {
			config.GetClientCertificate = of.ClientTLS(time.Now).GetClientCertificate
		}
		return config
	}
	for name, config := range map[string]*tls.Config{
		"no certificate":                 trusting(nil, identity.ProtocolLink),
		"another authority's":            trusting(foreign, identity.ProtocolLink),
		"another hub's own":              trusting(otherHub, identity.ProtocolLink),
		"another protocol":               trusting(nil, "h3"),
		"another authority's, by itself": foreign.ClientTLS(time.Now),
	} {
		socket, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		endpoint := quiclink.NewEndpoint(socket)
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		if link, err := endpoint.Dial(ctx, address, config); err == nil {
			t.Errorf("%s: linked as %+v", name, link.Peer())
		}
		cancel()
		endpoint.Close()
	}
	servers, _, _, text := c.hub.status()
	if len(servers) != 1 {
		t.Errorf("after the strangers: %s", text)
	}
}
