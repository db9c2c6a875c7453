package identity_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ravno/crdt/causal"
	"ravno/net/identity"
)

// today is the false present of all tests in this package.
func today() time.Time { return time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC) }

// organisation is a hub and the means to enrol nodes, each with a state directory of its own.
type organisation struct {
	t         *testing.T
	dir       string
	authority *identity.Authority
	hub       *identity.Identity
}

func newOrganisation(t *testing.T, name string) *organisation {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "hub.ravno")
	authority, hub, err := identity.CreateHub(dir, name, today())
	if err != nil {
		t.Fatal(err)
	}
	return &organisation{t: t, dir: dir, authority: authority, hub: hub}
}

// enrol does what a join does, and returns the node's identity and its directory.
func (o *organisation) enrol(site causal.Site) (*identity.Identity, string) {
	o.t.Helper()
	dir := filepath.Join(o.t.TempDir(), "node.ravno")
	issued, err := o.authority.Issue(request(o.t, dir), site, identity.RoleNode, today())
	if err != nil {
		o.t.Fatal(err)
	}
	node, err := identity.Install(dir, o.authority.Fingerprint(), o.authority.PEM(), issued.PEM)
	if err != nil {
		o.t.Fatal(err)
	}
	if node.Serial() != issued.Serial || !node.NotAfter().Equal(issued.NotAfter) {
		o.t.Fatalf("issued %s until %s, installed %s until %s", issued.Serial, issued.NotAfter, node.Serial(),
			node.NotAfter())
	}
	return node, dir
}

func request(t *testing.T, dir string) []byte {
	t.Helper()
	key, err := identity.NewKey(dir)
	if err != nil {
		t.Fatal(err)
	}
	der, err := identity.Request(key, "shop")
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestIdentityIsTheSameAfterLoading(t *testing.T) {
	org := newOrganisation(t, "Bakery")
	node, dir := org.enrol(7)

	again, err := identity.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if again.Site() != 7 || again.Role() != identity.RoleNode || again.Serial() != node.Serial() {
		t.Errorf("loaded site %s, %s, %s", again.Site(), again.Role(), again.Serial())
	}
	if again.Fingerprint() != org.authority.Fingerprint() || again.Organisation() != "Bakery" {
		t.Errorf("loaded another organisation: %q", again.Organisation())
	}
	authority, err := identity.LoadAuthority(org.dir)
	if err != nil {
		t.Fatal(err)
	}
	if authority.Fingerprint() != org.authority.Fingerprint() {
		t.Error("the authority changed while on disk")
	}
	hub, err := identity.Load(org.dir)
	if err != nil || hub.Site() != causal.Hub || hub.Role() != identity.RoleHub {
		t.Errorf("hub: %v, %v", hub, err)
	}
}

func TestStateFilesForOwnerOnly(t *testing.T) {
	org := newOrganisation(t, "Bakery")
	if err := identity.SaveMarks(org.dir, identity.Marks{}); err != nil {
		t.Fatal(err)
	}
	if info, _ := os.Stat(org.dir); info.Mode().Perm() != 0o700 {
		t.Errorf("directory has mode %o", info.Mode().Perm())
	}
	var names []string
	entries, err := os.ReadDir(org.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		names = append(names, entry.Name())
		if info, _ := entry.Info(); info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %o", entry.Name(), info.Mode().Perm())
		}
	}
	if got, want := strings.Join(names, " "), "ca-key.pem ca.pem cert.pem key.pem marks.json"; got != want {
		t.Errorf("files %s, want %s", got, want)
	}
}

func TestKeyReadableByOthersRefused(t *testing.T) {
	org := newOrganisation(t, "Bakery")
	for _, mode := range []fs.FileMode{0o640, 0o604, 0o620, 0o644} {
		for _, name := range []string{"key.pem", "ca-key.pem"} {
			path := filepath.Join(org.dir, name)
			if err := os.Chmod(path, mode); err != nil {
				t.Fatal(err)
			}
			_, err := identity.Load(org.dir)
			if name == "ca-key.pem" {
				_, err = identity.LoadAuthority(org.dir)
			}
			if err == nil || !strings.Contains(err.Error(), "Try: chmod 600 "+path) {
				t.Errorf("%s with mode %o: %v", name, mode, err)
			}
			if err := os.Chmod(path, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestDirWritableByOthersRefused(t *testing.T) {
	org := newOrganisation(t, "Bakery")
	if err := os.Chmod(org.dir, 0o770); err != nil {
		t.Fatal(err)
	}
	if _, err := identity.Load(org.dir); err == nil || !strings.Contains(err.Error(), "chmod 700") {
		t.Errorf("loaded from a directory of mode 0770: %v", err)
	}
}

// What a crash left behind does not lend its file mode to a key.
func TestKeyModeIgnoresCrashLeftover(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "key.pem.tmp"), []byte("half a key"), 0o644); err != nil {
		t.Fatal(err)
	}
	key, err := identity.NewKey(dir)
	if err != nil {
		t.Fatal(err)
	}
	again, err := identity.NewKey(dir)
	if err != nil || !again.Equal(key) {
		t.Errorf("an interrupted join did not get its key back: %v", err)
	}
}

func TestInitInterruptedIsContinued(t *testing.T) {
	for _, lost := range [][]string{{"cert.pem"}, {"cert.pem", "key.pem"}, {"cert.pem", "key.pem", "ca.pem"}} {
		org := newOrganisation(t, "Bakery")
		for _, name := range lost {
			if err := os.Remove(filepath.Join(org.dir, name)); err != nil {
				t.Fatal(err)
			}
		}
		authority, hub, err := identity.CreateHub(org.dir, "Bakery", today())
		if err != nil {
			t.Fatalf("after the loss of %v: %v", lost, err)
		}
		if hub.Fingerprint() != authority.Fingerprint() {
			t.Errorf("after the loss of %v the hub is not of its own CA", lost)
		}
		if keptCA := len(lost) < 3; keptCA != (authority.Fingerprint() == org.authority.Fingerprint()) {
			t.Errorf("after the loss of %v: CA kept %t", lost, keptCA)
		}
	}
}

func TestInitKeepsExistingHub(t *testing.T) {
	org := newOrganisation(t, "Bakery")
	if _, _, err := identity.CreateHub(org.dir, "Bakery", today()); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a second hub in one directory: %v", err)
	}
	if _, err := identity.CreateCA(org.dir, "Bakery", today()); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a second CA in one directory: %v", err)
	}
}

func TestDirWithoutIdentitySaysSo(t *testing.T) {
	_, dir := newOrganisation(t, "Bakery").enrol(2)
	for _, name := range []string{"cert.pem", "ca.pem", "key.pem"} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		if _, err := identity.Load(dir); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("without %s: %v", name, err)
		}
	}
}

func TestFilesOfTwoServersAreNotMixed(t *testing.T) {
	bakery, butcher := newOrganisation(t, "Bakery"), newOrganisation(t, "Butcher")
	for _, name := range []string{"key.pem", "cert.pem", "ca.pem"} {
		_, dir := bakery.enrol(2)
		_, other := butcher.enrol(2)
		content, err := os.ReadFile(filepath.Join(other, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := identity.Load(dir); err == nil {
			t.Errorf("loaded with %s of another server", name)
		}
	}
}

func TestInstallOnlyAnswerToOwnRequest(t *testing.T) {
	bakery, butcher := newOrganisation(t, "Bakery"), newOrganisation(t, "Butcher")
	dir := filepath.Join(t.TempDir(), "node.ravno")
	own := request(t, dir)
	foreign := request(t, filepath.Join(t.TempDir(), "other.ravno"))
	issue := func(o *organisation, der []byte) []byte {
		issued, err := o.authority.Issue(der, 3, identity.RoleNode, today())
		if err != nil {
			t.Fatal(err)
		}
		return issued.PEM
	}
	pinned := bakery.authority.Fingerprint()
	cases := map[string]struct{ authority, certificate []byte }{
		"another CA, its own certificate":    {butcher.authority.PEM(), issue(butcher, own)},
		"the right CA, a foreign signature":  {bakery.authority.PEM(), issue(butcher, own)},
		"a certificate for another key":      {bakery.authority.PEM(), issue(bakery, foreign)},
		"no certificate":                     {bakery.authority.PEM(), nil},
		"a chain where one certificate goes": {bakery.authority.PEM(), append(issue(bakery, own), bakery.authority.PEM()...)},
	}
	for name, c := range cases {
		if _, err := identity.Install(dir, pinned, c.authority, c.certificate); err == nil {
			t.Errorf("installed %s", name)
		}
	}
	if _, err := identity.Load(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a refused answer left something behind: %v", err)
	}
	if _, err := identity.Install(dir, pinned, bakery.authority.PEM(), issue(bakery, own)); err != nil {
		t.Errorf("the right answer: %v", err)
	}
}

func TestAuthorityIssuesByRole(t *testing.T) {
	org := newOrganisation(t, "Bakery")
	der := request(t, filepath.Join(t.TempDir(), "node.ravno"))
	cases := []struct {
		site causal.Site
		role identity.Role
		want bool
	}{
		{causal.Hub, identity.RoleHub, true},
		{2, identity.RoleNode, true},
		{1<<32 - 1, identity.RoleNode, true},
		{causal.Hub, identity.RoleNode, false},
		{2, identity.RoleHub, false},
		{0, identity.RoleNode, false},
		{0, identity.RoleHub, false},
		{2, "admin", false},
	}
	for _, c := range cases {
		if _, err := org.authority.Issue(der, c.site, c.role, today()); (err == nil) != c.want {
			t.Errorf("site %s as %s: %v", c.site, c.role, err)
		}
	}
	broken := append([]byte(nil), der...)
	broken[len(broken)-1] ^= 1
	for name, der := range map[string][]byte{"a broken signature": broken, "nothing": nil,
		"too much": make([]byte, 5<<10)} {
		if _, err := org.authority.Issue(der, 2, identity.RoleNode, today()); err == nil {
			t.Errorf("issued for %s", name)
		}
	}
}

// Certificates are valid from before 1970, and no longer than the CA.
func TestCertificateValidity(t *testing.T) {
	org := newOrganisation(t, "Bakery")
	der := request(t, filepath.Join(t.TempDir(), "node.ravno"))
	late := today().AddDate(15, 0, 0)
	issued, err := org.authority.Issue(der, 2, identity.RoleNode, late)
	if err != nil {
		t.Fatal(err)
	}
	if end := today().AddDate(20, 0, 0); !issued.NotAfter.Equal(end) {
		t.Errorf("a node of year 15 has a certificate until %s, the CA until %s", issued.NotAfter, end)
	}
	node, _ := org.enrol(3)
	if end := today().AddDate(10, 0, 0); !node.NotAfter().Equal(end) {
		t.Errorf("node until %s, want %s", node.NotAfter(), end)
	}
	if end := today().AddDate(20, 0, 0); !org.hub.NotAfter().Equal(end) {
		t.Errorf("hub until %s, want %s", org.hub.NotAfter(), end)
	}
}

func TestSiteOfReadsOnlyOwnNames(t *testing.T) {
	client, server := x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth
	cases := []struct {
		uri   string
		usage x509.ExtKeyUsage
		want  causal.Site
	}{
		{"ravno://0123456789abcdef/site/1?role=hub", server, 1},
		{"ravno://0123456789abcdef/site/4294967295?role=node", client, 1<<32 - 1},
		{"ravno://0123456789abcdef/site/2?role=node", server, 0},
		{"ravno://0123456789abcdef/site/1?role=hub", client, 0},
		{"ravno://0123456789abcdef/site/4294967296?role=node", client, 0},
		{"ravno://0123456789abcdef/site/-2?role=node", client, 0},
		{"ravno://0123456789abcdef/site/0?role=node", client, 0},
		{"ravno://0123456789abcdef/site/1?role=node", client, 0},
		{"ravno://0123456789abcdef/site/2?role=hub", server, 0},
		{"ravno://0123456789abcdef/site/2", client, 0},
		{"ravno://0123456789abcdef/2?role=node", client, 0},
		{"ravno://0123/site/2?role=node", client, 0},
		{"https://0123456789abcdef/site/2?role=node", client, 0},
	}
	for _, c := range cases {
		uri, err := url.Parse(c.uri)
		if err != nil {
			t.Fatal(err)
		}
		site, _, err := identity.SiteOf(&x509.Certificate{URIs: []*url.URL{uri}, ExtKeyUsage: []x509.ExtKeyUsage{c.usage}})
		if site != c.want || (err == nil) != (c.want != 0) {
			t.Errorf("%s: site %s, %v", c.uri, site, err)
		}
	}
	if _, _, err := identity.SiteOf(&x509.Certificate{}); err == nil {
		t.Error("a certificate without a URI was given a site")
	}
}

// handmade signs any template, for certificates that ravno itself never issues.
func handmade(t *testing.T, template, parent *x509.Certificate, signer ed25519.PrivateKey) (
	*x509.Certificate, ed25519.PrivateKey) {
	t.Helper()
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.PublicKey = public
	template.Subject = pkix.Name{CommonName: "handmade"}
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, signer)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return certificate, key
}
