package identity

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"ravno/crdt/causal"
)

// Role is the role that a certificate gives its holder.
type Role string

const (
	// RoleHub may answer. Its certificate is good for a TLS server only.
	RoleHub Role = "hub"
	// RoleNode may call. Its certificate is good for a TLS client only.
	RoleNode Role = "node"
)

const (
	// authorityYears is how long the CA lives. It outlives the machines and the application.
	authorityYears = 20
	// nodeYears is how long a node's certificate lives. A node is taken out by revocation. Expiry
	// only ends certificates that everybody forgot.
	nodeYears = 10

	// serialBits is the length of random serials. With 128 bits two never meet, and they tell
	// nothing (CA/B Forum asks 64).
	serialBits = 128
	// maxRequestBytes bounds a certificate request. An Ed25519 one has about 200 bytes.
	maxRequestBytes = 4 << 10
	// maxNameBytes is the limit of RFC 5280 for an organisation name, and ours for a server's.
	maxNameBytes = 64
	// fingerprintDigits is how many digits of the CA's fingerprint a certificate's URI carries, for
	// people who compare two of them. The signature is the proof.
	fingerprintDigits = 16

	// HubName is the DNS name in every hub's certificate. Nodes check this fixed name, not the
	// address they dialled, so a hub may move to any address without a new certificate.
	HubName = "hub.ravno"

	uriScheme = "ravno"
)

// validFrom is when every certificate becomes valid, a day before 1970. A server whose battery is dead
// wakes up in 1970, or some hours before if its hardware clock holds local time. It must still be let
// in, because it learns the time only from the handshake. To refuse a certificate before its issue
// would add no safety.
func validFrom() time.Time { return time.Date(1969, time.December, 31, 0, 0, 0, 0, time.UTC) }

// Authority is the organisation's CA. It signs the hub's certificate once and a node's at each
// enrolment. It is safe for concurrent use.
//
// All keys are Ed25519. Signing draws no randomness, so a small machine that has just booted cannot
// give its key away through a repeated nonce as with ECDSA. Keys and certificates are smaller, which
// keeps the hub's answer with its chain within two packets. No foreign client has to understand them.
type Authority struct {
	certificate *x509.Certificate
	key         ed25519.PrivateKey
}

// Issued is a certificate fresh from the authority. The hub must record Serial with the site before
// the certificate leaves, because it can revoke only recorded ones.
type Issued struct {
	PEM      []byte
	Serial   string    // as Identity.ServerTLS hands it to check: lower-case hex
	NotAfter time.Time // to the second, UTC
}

// CreateCA makes the state directory with a new CA, valid for 20 years from now. It refuses
// to replace an existing CA (fs.ErrExist), because that would lock out every node.
func CreateCA(dir, organisation string, now time.Time) (*Authority, error) {
	if organisation == "" || len(organisation) > maxNameBytes {
		return nil, fmt.Errorf("identity: organisation name %q: want 1 to %d bytes", organisation, maxNameBytes)
	}
	if err := makeDir(dir); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, caFile)
	if _, err := os.Lstat(path); err == nil {
		return nil, fmt.Errorf("identity: %s: a CA %w and replacing it would lock every node out", path, fs.ErrExist)
	}
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("identity: making the CA key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber:          newSerial(),
		Subject:               pkix.Name{Organization: []string{organisation}, CommonName: "ravno authority"},
		NotBefore:             validFrom(),
		NotAfter:              now.UTC().AddDate(authorityYears, 0, 0),
		KeyUsage:              x509.KeyUsageCertSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true, // signs servers, never another authority
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, key)
	if err != nil {
		return nil, fmt.Errorf("identity: signing the CA certificate: %w", err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("identity: reading back the CA certificate: %w", err)
	}
	// The key goes first. A crash between the two leaves a key without a CA, which the next
	// attempt overwrites, and never a CA without its key.
	if err := writeKey(dir, caKeyFile, key); err != nil {
		return nil, err
	}
	if err := write(dir, caFile, encodeCertificate(der)); err != nil {
		return nil, err
	}
	return &Authority{certificate: certificate, key: key}, nil
}

// LoadAuthority opens the CA of a hub's state directory.
func LoadAuthority(dir string) (*Authority, error) {
	key, err := readKey(dir, caKeyFile)
	if err != nil {
		return nil, err
	}
	certificate, err := readCertificate(dir, caFile)
	if err != nil {
		return nil, err
	}
	if !certificate.IsCA || !key.Public().(ed25519.PublicKey).Equal(certificate.PublicKey) {
		return nil, fmt.Errorf("identity: %s and %s in %s do not belong together. Try: restore both from the same backup",
			caFile, caKeyFile, dir)
	}
	return &Authority{certificate: certificate, key: key}, nil
}

// Fingerprint is the SHA-256 of the CA certificate, which join tokens pin.
func (a *Authority) Fingerprint() [sha256.Size]byte { return sha256.Sum256(a.certificate.Raw) }

// PEM is the CA certificate, for the answer to an enrolment.
func (a *Authority) PEM() []byte { return encodeCertificate(a.certificate.Raw) }

// Issue signs a certificate for the key of a request (DER, PKCS #10; see Request). The request only
// proves possession of its key. The hub decides site and role. A hub's certificate lives as long as
// the CA, whose key lies beside it. A node's lives 10 years, and never longer than the CA.
func (a *Authority) Issue(request []byte, site causal.Site, role Role, now time.Time) (*Issued, error) {
	public, err := requestedKey(request)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: newSerial(),
		Subject: pkix.Name{Organization: a.certificate.Subject.Organization, CommonName: "ravno site " +
			site.String()},
		NotBefore:             validFrom(),
		NotAfter:              a.certificate.NotAfter,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
		URIs:                  []*url.URL{siteURI(a.Fingerprint(), site, role)},
	}
	switch {
	case role == RoleHub && site == causal.Hub:
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		template.DNSNames = []string{HubName}
	case role == RoleNode && site > causal.Hub:
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		if end := now.UTC().AddDate(nodeYears, 0, 0); end.Before(template.NotAfter) {
			template.NotAfter = end
		}
	default:
		return nil, fmt.Errorf("identity: no certificate for site %s as %q: the hub is site %s, nodes come after it", site,
			role, causal.Hub)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, public, a.key)
	if err != nil {
		return nil, fmt.Errorf("identity: signing the certificate of site %s: %w", site, err)
	}
	return &Issued{
		PEM:      encodeCertificate(der),
		Serial:   SerialText(template.SerialNumber),
		NotAfter: template.NotAfter.Truncate(time.Second),
	}, nil
}

func requestedKey(der []byte) (ed25519.PublicKey, error) {
	if len(der) > maxRequestBytes {
		return nil, fmt.Errorf("identity: certificate request of %d bytes: the limit is %d", len(der), maxRequestBytes)
	}
	request, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, fmt.Errorf("identity: certificate request: %w", err)
	}
	if err := request.CheckSignature(); err != nil {
		return nil, fmt.Errorf("identity: certificate request is not signed by its own key: %w", err)
	}
	public, ok := request.PublicKey.(ed25519.PublicKey)
	if !ok {
		return nil, fmt.Errorf("identity: certificate request for a key of kind %T: only Ed25519 is accepted",
			request.PublicKey)
	}
	return public, nil
}

// NewKey returns the server's private key, making it (and the state directory) on first use.
// A join which was interrupted and starts again gets the same key, and so the same identity.
func NewKey(dir string) (ed25519.PrivateKey, error) {
	if err := makeDir(dir); err != nil {
		return nil, err
	}
	key, err := readKey(dir, keyFile)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	_, key, err = ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("identity: making the key: %w", err)
	}
	if err := writeKey(dir, keyFile, key); err != nil {
		return nil, err
	}
	return key, nil
}

// Request makes a PKCS #10 request in DER for a certificate for key. The name is a label for readers of
// the request. It does not get into the certificate, because names may change.
func Request(key ed25519.PrivateKey, name string) ([]byte, error) {
	if len(name) > maxNameBytes {
		return nil, fmt.Errorf("identity: name %q has %d bytes: the limit is %d", name, len(name), maxNameBytes)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: name}},
		key)
	if err != nil {
		return nil, fmt.Errorf("identity: making the certificate request: %w", err)
	}
	return der, nil
}

// SerialText writes a serial number the one way in which ravno stores and compares it.
func SerialText(serial *big.Int) string { return serial.Text(16) }

func newSerial() *big.Int {
	var random [serialBits / 8]byte
	rand.Read(random[:]) // never fails: crypto/rand ends the process instead
	return new(big.Int).SetBytes(random[:])
}

func writeKey(dir, name string, key ed25519.PrivateKey) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("identity: encoding %s: %w", name, err)
	}
	return write(dir, name, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func readKey(dir, name string) (ed25519.PrivateKey, error) {
	content, err := readPrivate(dir, name)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, name)
	block, _ := pem.Decode(content)
	if block == nil || block.Type != "PRIVATE KEY" {
		return nil, fmt.Errorf("identity: %s holds no PEM private key", path)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("identity: %s: %w", path, err)
	}
	private, ok := key.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("identity: %s holds a key of kind %T: ravno's keys are Ed25519", path, key)
	}
	return private, nil
}

func readCertificate(dir, name string) (*x509.Certificate, error) {
	content, err := read(dir, name)
	if err != nil {
		return nil, err
	}
	certificate, err := parseCertificate(content)
	if err != nil {
		return nil, fmt.Errorf("identity: %s: %w", filepath.Join(dir, name), err)
	}
	return certificate, nil
}

func parseCertificate(content []byte) (*x509.Certificate, error) {
	block, rest := pem.Decode(content)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, errors.New("no PEM certificate")
	}
	if next, _ := pem.Decode(rest); next != nil {
		return nil, errors.New("more than one certificate")
	}
	return x509.ParseCertificate(block.Bytes)
}

func encodeCertificate(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func fingerprintPrefix(fingerprint [sha256.Size]byte) string {
	return hex.EncodeToString(fingerprint[:])[:fingerprintDigits]
}
