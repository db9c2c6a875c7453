package quiclink

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"unicode"

	"github.com/quic-go/quic-go"

	"ravno/net/identity"
)

// Codes with which quiclink itself closes a link. Callers of CloseWith use codes below FirstOwnCode,
// and agree on their meaning with their peers.
const (
	// CodeStopped is the close of a daemon that stops in good order.
	CodeStopped uint64 = 0

	// FirstOwnCode is where the codes of quiclink begin.
	FirstOwnCode uint64 = 1 << 32
	// CodeGreeting: the peer did not greet, or greeted as another version of the link.
	CodeGreeting = FirstOwnCode + 1
	// CodeBusy: too many enrolments at once; try again.
	CodeBusy = FirstOwnCode + 2
	// CodeEnrolmentOver: an enrolment took longer than EnrolmentTime.
	CodeEnrolmentOver = FirstOwnCode + 3
)

// maxReasonBytes bounds the text that goes with a close, because it must fit into one packet.
const maxReasonBytes = 512

// Cause is why a link ended.
type Cause uint8

const (
	// Closed: one side closed it with a code and a text.
	Closed Cause = iota + 1
	// Silent: nothing was heard for too long. The network is cut or the peer is gone.
	Silent
	// Refused: one side did not accept the other in the TLS handshake.
	Refused
	// Broken: a violation of QUIC, a reset, or a dead socket.
	Broken
)

func (c Cause) String() string {
	switch c {
	case Closed:
		return "closed"
	case Silent:
		return "silent"
	case Refused:
		return "refused"
	case Broken:
		return "broken"
	}
	return fmt.Sprintf("Cause(%d)", uint8(c))
}

// LinkError is the end of a link, as every operation on it reports from then on.
type LinkError struct {
	Cause  Cause
	Remote bool   // the peer ended it
	Code   uint64 // Closed: the code of CloseWith. Refused: the TLS alert (RFC 8446, 6)
	Text   string // the peer's or our own words; printable, one line
	err    error
}

func (e *LinkError) Error() string {
	by := "here"
	if e.Remote {
		by = "by the peer"
	}
	switch e.Cause {
	case Closed:
		return fmt.Sprintf("link closed %s (code %d): %s", by, e.Code, e.Text)
	case Silent:
		return "link silent: nothing heard for too long"
	case Refused:
		return fmt.Sprintf("link refused %s (TLS alert %d): %s", by, e.Code, e.Text)
	case Broken:
	}
	return fmt.Sprintf("link broken %s: %s", by, e.Text)
}

// Unwrap leads to the x509 or identity error with which this side refused the peer.
func (e *LinkError) Unwrap() error { return e.err }

// StreamError is one stream given up with a code, the link itself going on.
type StreamError struct {
	Remote bool // the peer gave it up
	Code   uint64
}

func (e *StreamError) Error() string {
	if e.Remote {
		return fmt.Sprintf("stream cancelled by the peer (code %d)", e.Code)
	}
	return fmt.Sprintf("stream cancelled here (code %d)", e.Code)
}

// translate turns errors of QUIC into ours. What is not QUIC's (io.EOF, deadlines, contexts)
// stays as it is.
func translate(err error) error {
	if err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	if stream, ok := errors.AsType[*quic.StreamError](err); ok {
		return &StreamError{Remote: stream.Remote, Code: uint64(stream.ErrorCode)}
	}
	if closed, ok := errors.AsType[*quic.ApplicationError](err); ok {
		return &LinkError{Cause: Closed, Remote: closed.Remote, Code: uint64(closed.ErrorCode),
			Text: oneLine(closed.ErrorMessage), err: err}
	}
	if transport, ok := errors.AsType[*quic.TransportError](err); ok {
		if transport.ErrorCode.IsCryptoError() {
			alert := uint64(transport.ErrorCode & 0xff)
			return &LinkError{Cause: Refused, Remote: transport.Remote, Code: alert, Text: oneLine(transport.Error()), err: err}
		}
		return &LinkError{Cause: Broken, Remote: transport.Remote, Code: uint64(transport.ErrorCode),
			Text: oneLine(transport.Error()), err: err}
	}
	if isSilence(err) {
		return &LinkError{Cause: Silent, err: err}
	}
	if _, ok := errors.AsType[*quic.StatelessResetError](err); ok {
		return &LinkError{Cause: Broken, Remote: true, Text: "the peer does not know this link", err: err}
	}
	if errors.Is(err, quic.ErrTransportClosed) {
		return &LinkError{Cause: Broken, Text: oneLine(err.Error()), err: err}
	}
	return err
}

func isSilence(err error) bool {
	if _, ok := errors.AsType[*quic.IdleTimeoutError](err); ok {
		return true
	}
	_, ok := errors.AsType[*quic.HandshakeTimeoutError](err)
	return ok
}

// oneLine makes a text from outside safe to print, and bounds it.
func oneLine(text string) string {
	text = strings.ToValidUTF8(text, "?")
	text = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, text)
	if len(text) > maxReasonBytes {
		text = strings.ToValidUTF8(text[:maxReasonBytes], "")
	}
	return text
}

// TLS alerts by which a peer gives its reason to refuse (RFC 8446, 6.2).
const (
	alertBadCertificate     = 42
	alertUnsupported        = 43
	alertCertificateExpired = 45
	alertUnknownAuthority   = 48
	alertCertificateMissing = 116
	alertNoProtocol         = 120
)

// ExplainDialError explains in one line for a person why Dial failed, and gives advice. addr is the
// address as the person knows it.
func ExplainDialError(err error, addr string) string {
	link, isLink := errors.AsType[*LinkError](err)
	_, isVersion := errors.AsType[*quic.VersionNegotiationError](err)
	_, isName := errors.AsType[*net.DNSError](err)
	switch {
	case errors.Is(err, context.Canceled):
		return fmt.Sprintf("dialling %s was called off", addr)
	case isVersion:
		return explainVersion(addr)
	case isName:
		return fmt.Sprintf("the name in %s is not known: %v. Try: check the spelling, or use the hub's IP address", addr, err)
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Sprintf("no way to %s from here: %v. Try: check the network cable, Wi-Fi or VPN of this server", addr, err)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), isLink && link.Cause == Silent:
		return fmt.Sprintf("no answer on UDP %s: the hub is not running, the address is wrong, or UDP is blocked by a "+
			"firewall. Try: ravno status at the hub, then open UDP to this port on the way", addr)
	case isLink && link.Cause == Refused && link.Remote:
		return explainAlert(link, addr)
	case isLink && link.Cause == Refused:
		return explainRefusal(err, addr)
	case isLink && link.Cause == Closed && link.Remote && link.Code == CodeGreeting:
		return explainVersion(addr)
	case isLink && link.Cause == Closed && link.Remote:
		return fmt.Sprintf("the hub at %s closed the link: %s", addr, link.Text)
	case isLink && link.Remote && link.Code == uint64(quic.ConnectionRefused):
		return fmt.Sprintf(
			"the hub at %s takes no more links right now: it is stopping or overloaded. Try: wait, dialling goes on by itself",
			addr)
	}
	return fmt.Sprintf("no link to %s: %v", addr, err)
}

func explainVersion(addr string) string {
	return fmt.Sprintf("the server at %s speaks another version of the protocol, or is not ravno. Try: ravno version on "+
		"both servers, and upgrade the older one", addr)
}

// explainAlert explains a refusal by the hub.
func explainAlert(link *LinkError, addr string) string {
	switch link.Code {
	case alertBadCertificate, alertUnsupported:
		return fmt.Sprintf("the hub at %s refused this server's certificate: the server was removed there (revoked). Try: "+
			"ravno node list at the hub; to return, ravno node add there and ravno join here", addr)
	case alertCertificateExpired:
		return fmt.Sprintf("the hub at %s says this server's certificate has expired. Try: check the date at the hub; if "+
			"it is right, enrol this server again", addr)
	case alertUnknownAuthority, alertCertificateMissing:
		return fmt.Sprintf("the hub at %s does not know this server's organisation: it has another CA. Try: check the "+
			"address; if the hub was made anew, enrol this server again", addr)
	case alertNoProtocol:
		return explainVersion(addr)
	}
	return fmt.Sprintf("the hub at %s refused the handshake: %s", addr, link.Text)
}

// explainRefusal explains why this side refused the server that answered.
func explainRefusal(err error, addr string) string {
	_, isOther := errors.AsType[x509.UnknownAuthorityError](err)
	invalid, isInvalid := errors.AsType[x509.CertificateInvalidError](err)
	switch {
	case isOther, errors.Is(err, identity.ErrOtherAuthority):
		return fmt.Sprintf("the server at %s belongs to another organisation: its certificate is not from the CA this "+
			"server trusts. Try: check the address, or make a new token at the right hub", addr)
	case isInvalid && invalid.Reason == x509.Expired:
		return fmt.Sprintf(
			"the certificate of the hub at %s is not valid at this hour: %v. Try: check the date on both servers", addr, invalid)
	}
	return fmt.Sprintf("the server at %s is not the hub: %v. Try: check the address", addr, err)
}
