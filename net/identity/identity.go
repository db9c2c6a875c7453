// Package identity says who a server is and proves it. It has the organisation's CA, certificates,
// TLS configurations and join tokens. It also has the marks by which a server recognises that its
// database is not the one it left. A certificate carries a site number and a role. Names are
// labels and appear nowhere in it.
//
// It knows no sockets and no SQL. The hub's database knows which certificates are revoked and
// which tokens are used up. ServerTLS takes that question as a function, and of a token only the
// hash is ever stored.
//
// Sources: RFC 8446 (TLS 1.3), RFC 5280 (certificates), RFC 2986 (requests).
package identity

import (
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"strconv"
	"strings"
	"time"

	"ravno/crdt/causal"
)

// Identity is a server's own certificate, with the means to check those of others.
// It does not change and is safe for concurrent use.
type Identity struct {
	site        causal.Site
	role        Role
	certificate tls.Certificate // the hub's chain includes the CA, so that joining nodes can pin it
	leaf        *x509.Certificate
	authority   *x509.Certificate
	roots       *x509.CertPool
}

// Site is the number in the certificate.
func (i *Identity) Site() causal.Site { return i.site }

// Role is the role in the certificate.
func (i *Identity) Role() Role { return i.role }

// Serial is the certificate's serial number as SerialText writes it.
func (i *Identity) Serial() string { return SerialText(i.leaf.SerialNumber) }

// NotAfter is when the certificate expires, in UTC.
func (i *Identity) NotAfter() time.Time { return i.leaf.NotAfter }

// Fingerprint is the SHA-256 of the organisation's CA certificate.
func (i *Identity) Fingerprint() [sha256.Size]byte { return sha256.Sum256(i.authority.Raw) }

// Organisation is the name the CA was made for.
func (i *Identity) Organisation() string {
	if names := i.authority.Subject.Organization; len(names) > 0 {
		return names[0]
	}
	return ""
}

// Load opens the identity of a state directory. A directory without one (not enrolled, or a
// join that was interrupted) gives an error that is fs.ErrNotExist.
func Load(dir string) (*Identity, error) {
	key, err := readKey(dir, keyFile)
	if err != nil {
		return nil, err
	}
	authority, err := readCertificate(dir, caFile)
	if err != nil {
		return nil, err
	}
	leaf, err := readCertificate(dir, certFile)
	if err != nil {
		return nil, err
	}
	identity, err := newIdentity(key, authority, leaf)
	if err != nil {
		return nil,
			fmt.Errorf("identity: state directory %s: %w. Try: restore it whole from one backup, or enrol this server again",
				dir, err)
	}
	return identity, nil
}

// Install puts the answer to an enrolment into a state directory which already holds the key
// (NewKey), after checking that the CA is the pinned one and that it signed this very key.
// The certificate is written last, so a directory that has it is complete.
func Install(dir string, pinned [sha256.Size]byte, authorityPEM, certificatePEM []byte) (*Identity, error) {
	key, err := readKey(dir, keyFile)
	if err != nil {
		return nil, err
	}
	authority, err := parseCertificate(authorityPEM)
	if err != nil {
		return nil, fmt.Errorf("identity: CA from the hub: %w", err)
	}
	if sha256.Sum256(authority.Raw) != pinned {
		return nil, fmt.Errorf("identity: CA from the hub: %w", ErrOtherAuthority)
	}
	leaf, err := parseCertificate(certificatePEM)
	if err != nil {
		return nil, fmt.Errorf("identity: certificate from the hub: %w", err)
	}
	identity, err := newIdentity(key, authority, leaf)
	if err != nil {
		return nil, fmt.Errorf("identity: certificate from the hub: %w", err)
	}
	if err := write(dir, caFile, encodeCertificate(authority.Raw)); err != nil {
		return nil, err
	}
	if err := write(dir, certFile, encodeCertificate(leaf.Raw)); err != nil {
		return nil, err
	}
	return identity, nil
}

// CreateHub makes the identity of a new organisation, with the CA and the hub's own key and certificate,
// in one state directory. An interrupted attempt may be repeated, and goes on with the CA it finds. It
// refuses a complete hub with fs.ErrExist.
func CreateHub(dir, organisation string, now time.Time) (*Authority, *Identity, error) {
	if _, err := Load(dir); err == nil {
		return nil, nil, fmt.Errorf("identity: %s: a hub's identity %w", dir, fs.ErrExist)
	}
	authority, err := LoadAuthority(dir)
	if errors.Is(err, fs.ErrNotExist) {
		authority, err = CreateCA(dir, organisation, now)
	}
	if err != nil {
		return nil, nil, err
	}
	key, err := NewKey(dir)
	if err != nil {
		return nil, nil, err
	}
	request, err := Request(key, "hub")
	if err != nil {
		return nil, nil, err
	}
	issued, err := authority.Issue(request, causal.Hub, RoleHub, now)
	if err != nil {
		return nil, nil, err
	}
	identity, err := Install(dir, authority.Fingerprint(), authority.PEM(), issued.PEM)
	if err != nil {
		return nil, nil, err
	}
	return authority, identity, nil
}

// newIdentity checks that key, certificate and CA belong together and that the certificate
// fits its role. Each handshake judges its validity in time.
func newIdentity(key ed25519.PrivateKey, authority, leaf *x509.Certificate) (*Identity, error) {
	site, role, err := SiteOf(leaf)
	if err != nil {
		return nil, err
	}
	if !key.Public().(ed25519.PublicKey).Equal(leaf.PublicKey) {
		return nil, fmt.Errorf("certificate of site %s was issued for another key", site)
	}
	if err := issuedBy(leaf, authority, site, role); err != nil {
		return nil, err
	}
	identity := &Identity{
		site:        site,
		role:        role,
		certificate: tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf},
		leaf:        leaf,
		authority:   authority,
		roots:       x509.NewCertPool(),
	}
	identity.roots.AddCert(authority)
	if role == RoleHub {
		identity.certificate.Certificate = append(identity.certificate.Certificate, authority.Raw)
	}
	return identity, nil
}

// issuedBy checks signature and URI of a certificate against the organisation's CA.
func issuedBy(leaf, authority *x509.Certificate, site causal.Site, role Role) error {
	if err := leaf.CheckSignatureFrom(authority); err != nil {
		return fmt.Errorf("certificate of site %s: %w (%w)", site, ErrOtherAuthority, err)
	}
	if want := siteURI(sha256.Sum256(authority.Raw), site, role); leaf.URIs[0].String() != want.String() {
		return fmt.Errorf("certificate of site %s: its URI is %s, this organisation's would be %s: %w", site, leaf.URIs[0],
			want, ErrOtherAuthority)
	}
	return nil
}

// SiteOf reads site and role from a certificate's URI, ravno://<CA>/site/<n>?role=<role>, and
// checks that the permitted key usage agrees with the role. It does not check the signature.
func SiteOf(certificate *x509.Certificate) (causal.Site, Role, error) {
	if len(certificate.URIs) != 1 {
		return 0, "", fmt.Errorf("certificate %s carries %d URIs, not one: not issued by ravno", certificate.Subject,
			len(certificate.URIs))
	}
	uri := certificate.URIs[0]
	number, found := strings.CutPrefix(uri.Path, "/site/")
	value, err := strconv.ParseUint(number, 10, 32)
	if uri.Scheme != uriScheme || len(uri.Host) != fingerprintDigits || !found || err != nil {
		return 0, "", fmt.Errorf("certificate %s: %q names no ravno site", certificate.Subject, uri)
	}
	site, role := causal.Site(value), Role(uri.Query().Get("role"))
	usage := x509.ExtKeyUsageClientAuth
	switch {
	case role == RoleHub && site == causal.Hub:
		usage = x509.ExtKeyUsageServerAuth
	case role == RoleNode && site > causal.Hub:
	default:
		return 0, "", fmt.Errorf("certificate %s: %q: site %s cannot have role %q", certificate.Subject, uri, site, role)
	}
	if len(certificate.ExtKeyUsage) != 1 || certificate.ExtKeyUsage[0] != usage ||
		len(certificate.UnknownExtKeyUsage) != 0 {
		return 0, "", fmt.Errorf("certificate %s: its key usage is not that of a %s", certificate.Subject, role)
	}
	return site, role, nil
}

func siteURI(fingerprint [sha256.Size]byte, site causal.Site, role Role) *url.URL {
	return &url.URL{
		Scheme:   uriScheme,
		Host:     fingerprintPrefix(fingerprint),
		Path:     "/site/" + site.String(),
		RawQuery: "role=" + url.QueryEscape(string(role)),
	}
}
