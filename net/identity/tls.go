package identity

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"ravno/crdt/causal"
)

// The application protocols. They carry the version: two servers that share none cannot talk,
// and TLS says so (alert no_application_protocol) before anything else is exchanged.
const (
	// ProtocolLink is the link of an enrolled node. Both ends are authenticated.
	ProtocolLink = "ravno/1"
	// ProtocolEnrol is the single exchange of a joining node, which has no certificate yet. The CA
	// pinned in the join token authenticates the hub, and the token's secret the node.
	ProtocolEnrol = "ravno-enrol/1"
)

// Refusals of a handshake, for errors.Is at the end that refused.
var (
	// ErrOtherAuthority says that the certificate comes from another CA than ours or the pinned one.
	ErrOtherAuthority = errors.New("not this organisation's CA")
	// ErrWrongRole says that a good certificate is in the wrong place: a node answers as a hub, say.
	ErrWrongRole = errors.New("certificate is for another role")
	// ErrRefused says that the hub's own check (revocation) failed. It wraps the reason.
	ErrRefused = errors.New("certificate refused")
)

// ServerTLS is the hub's configuration. A client that asks for ProtocolLink must show a node's
// certificate from this CA. Then every handshake asks check whether the site with this serial may
// enter. check must answer from the hub's own records (revocation, enrolment) and be safe for
// concurrent use. A client that asks for ProtocolEnrol alone needs no certificate. The caller learns
// from NegotiatedProtocol which of the two it has before it.
//
// There are no session tickets. A resumed session skips the verification of certificates, so a
// revoked node would come back through it. now is the hub's clock, used for expiry only.
func (i *Identity) ServerTLS(now func() time.Time, check func(site causal.Site, serial string) error) *tls.Config {
	link := i.serverBase(now, ProtocolLink)
	link.ClientAuth = tls.RequireAndVerifyClientCert
	link.ClientCAs = i.roots
	link.VerifyConnection = func(state tls.ConnectionState) error {
		if err := checkState(state, ProtocolLink); err != nil {
			return err
		}
		site, err := i.verifyPeer(state, RoleNode)
		if err != nil {
			return err
		}
		serial := SerialText(state.PeerCertificates[0].SerialNumber)
		if err := check(site, serial); err != nil {
			return fmt.Errorf("identity: site %s, certificate %s: %w: %w", site, serial, ErrRefused, err)
		}
		return nil
	}
	enrol := i.serverBase(now, ProtocolEnrol)
	enrol.ClientAuth = tls.NoClientCert
	enrol.VerifyConnection = func(state tls.ConnectionState) error { return checkState(state, ProtocolEnrol) }

	// A client that offers both protocols gets the one that demands a certificate.
	link.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		offered := hello.SupportedProtos
		if slices.Contains(offered, ProtocolEnrol) && !slices.Contains(offered, ProtocolLink) {
			return enrol, nil
		}
		return nil, nil // nil means link itself
	}
	return link
}

func (i *Identity) serverBase(now func() time.Time, protocol string) *tls.Config {
	return &tls.Config{
		Time:                   now,
		MinVersion:             tls.VersionTLS13,
		Certificates:           []tls.Certificate{i.certificate},
		NextProtos:             []string{protocol},
		SessionTicketsDisabled: true,
	}
}

// ClientTLS is a node's configuration for its link to the hub, at any address.
//
// now is the node's clock. A reading outside the lifetime of the node's own certificate is moved to
// its nearer end. The hub's certificate outlives every node's, so a node with a clock of 2099 still
// reaches the hub and learns the time there. The hub decides by its own clock whether the node's
// certificate has really expired.
func (i *Identity) ClientTLS(now func() time.Time) *tls.Config {
	return &tls.Config{
		Time:                   within(i.leaf, now),
		MinVersion:             tls.VersionTLS13,
		RootCAs:                i.roots,
		ServerName:             HubName,
		NextProtos:             []string{ProtocolLink},
		SessionTicketsDisabled: true,
		// Show this certificate even to a server that did not name our CA. A hub that does not know
		// it then says so, instead of complaining that none was shown.
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return &i.certificate, nil
		},
		VerifyConnection: func(state tls.ConnectionState) error {
			if err := checkState(state, ProtocolLink); err != nil {
				return err
			}
			_, err := i.verifyPeer(state, RoleHub)
			return err
		},
	}
}

// EnrolTLS is a joining node's configuration. It has no certificate and no CA file, only the
// fingerprint in its join token: the hub must present a chain with the CA of that fingerprint,
// and a hub's certificate signed by it. The clock is bounded by that CA's lifetime.
func EnrolTLS(pinned [sha256.Size]byte, now func() time.Time) *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		ServerName:             HubName,
		NextProtos:             []string{ProtocolEnrol},
		SessionTicketsDisabled: true,
		// The standard verification knows no fingerprints. VerifyConnection below does all of it,
		// on every handshake, resumed ones included.
		InsecureSkipVerify: true,
		VerifyConnection: func(state tls.ConnectionState) error {
			if err := checkState(state, ProtocolEnrol); err != nil {
				return err
			}
			return verifyPinned(state.PeerCertificates, pinned, now)
		},
	}
}

func verifyPinned(chain []*x509.Certificate, pinned [sha256.Size]byte, now func() time.Time) error {
	at := slices.IndexFunc(chain, func(c *x509.Certificate) bool { return sha256.Sum256(c.Raw) == pinned })
	if at < 1 || !chain[at].IsCA {
		return fmt.Errorf("identity: the server's chain does not hold the CA pinned in the join token: %w", ErrOtherAuthority)
	}
	authority, leaf := chain[at], chain[0]
	roots := x509.NewCertPool()
	roots.AddCert(authority)
	_, err := leaf.Verify(x509.VerifyOptions{
		Roots:       roots,
		DNSName:     HubName,
		CurrentTime: within(authority, now)(),
		KeyUsages:   []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	if err != nil {
		return fmt.Errorf("identity: the hub's certificate: %w", err)
	}
	_, err = checkRole(leaf, authority, RoleHub)
	return err
}

// verifyPeer goes on after the chain verification of crypto/tls. The certificate is from our CA. This
// checks that it is one of ours by its URI, and in the right role.
func (i *Identity) verifyPeer(state tls.ConnectionState, role Role) (causal.Site, error) {
	if len(state.PeerCertificates) == 0 || len(state.VerifiedChains) == 0 {
		return 0, errors.New("identity: handshake without a verified certificate")
	}
	return checkRole(state.PeerCertificates[0], i.authority, role)
}

func checkRole(leaf, authority *x509.Certificate, role Role) (causal.Site, error) {
	site, has, err := SiteOf(leaf)
	if err != nil {
		return 0, fmt.Errorf("identity: %w", err)
	}
	if has != role {
		return 0, fmt.Errorf("identity: site %s is a %s, wanted a %s: %w", site, has, role, ErrWrongRole)
	}
	if err := issuedBy(leaf, authority, site, role); err != nil {
		return 0, fmt.Errorf("identity: %w", err)
	}
	return site, nil
}

func checkState(state tls.ConnectionState, protocol string) error {
	if state.DidResume {
		return errors.New("identity: resumed session: ravno offers none")
	}
	if state.NegotiatedProtocol != protocol {
		return fmt.Errorf("identity: the peer speaks %q, wanted %q", state.NegotiatedProtocol, protocol)
	}
	return nil
}

// within bounds a clock by the lifetime of a certificate that is trusted already.
func within(certificate *x509.Certificate, now func() time.Time) func() time.Time {
	return func() time.Time {
		at := now()
		if at.Before(certificate.NotBefore) {
			return certificate.NotBefore
		}
		if at.After(certificate.NotAfter) {
			return certificate.NotAfter
		}
		return at
	}
}
