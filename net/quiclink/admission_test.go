package quiclink_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"ravno/net/identity"
	"ravno/net/quiclink"
	"ravno/net/quiclink/simlink"
)

// carefree is a client that shows any certificate and trusts every server.
func carefree(node *identity.Identity, protocol string) *tls.Config {
	config := &tls.Config{InsecureSkipVerify: true, ServerName: identity.HubName, NextProtos: []string{protocol}}
	if node != nil {
		config.GetClientCertificate = node.ClientTLS(time.Now).GetClientCertificate
	}
	return config
}

func TestStrangerGetsNothing(t *testing.T) {
	play(t, func(t *testing.T, s *scene) {
		other, _ := organisation(t)
		cases := map[string]struct {
			config  *tls.Config
			explain string
		}{
			"no certificate": {carefree(nil, identity.ProtocolLink), "does not know this server's organisation"},
			"another CA's": {carefree(enrol(t, other, 2), identity.ProtocolLink),
				"does not know this server's organisation"},
			"the hub's own":             {carefree(s.hub, identity.ProtocolLink), "refused this server's certificate"},
			"another protocol":          {carefree(enrol(t, s.authority, 2), "ravno/2"), "ravno version on both servers"},
			"a node of another hub":     {enrol(t, other, 2).ClientTLS(time.Now), "belongs to another organisation"},
			"a token of another hub":    {identity.EnrolTLS(other.Fingerprint(), time.Now), "belongs to another organisation"},
			"a node past its last hour": {tooLate(enrol(t, s.authority, 2)), "not valid at this hour"},
		}
		endpoint := s.open(nodeHost, 0)
		for name, c := range cases {
			link, err := s.dial(endpoint, c.config)
			if err == nil {
				t.Errorf("%s: linked to %+v", name, link.Peer())
				continue
			}
			if got := linkError(t, err); got.Cause != quiclink.Refused {
				t.Errorf("%s: %v", name, err)
			}
			if line := quiclink.ExplainDialError(err, "hub:4433"); !strings.Contains(line, c.explain) ||
				strings.Contains(line, "\n") || !strings.Contains(line, "Try: ") {
				t.Errorf("%s: explained as %q", name, line)
			}
		}
		s.nobodyComes()
	})
}

// tooLate takes away the mercy which ClientTLS has for wrong clocks.
func tooLate(node *identity.Identity) *tls.Config {
	config := node.ClientTLS(time.Now)
	config.Time = func() time.Time { return time.Now().AddDate(100, 0, 0) }
	return config
}

func TestRevokedNodeRefusedAtHandshake(t *testing.T) {
	play(t, func(t *testing.T, s *scene) {
		node, endpoint := enrol(t, s.authority, 2), s.open(nodeHost, 0)
		_, atHub := s.link(endpoint, node.ClientTLS(time.Now))
		s.revoke(node)
		atHub.CloseWith(codeEnded, "removed")

		_, err := s.dial(endpoint, node.ClientTLS(time.Now))
		if got := linkError(t, err); got.Cause != quiclink.Refused || !got.Remote {
			t.Errorf("dialled again: %v", err)
		}
		if line := quiclink.ExplainDialError(err, "hub:4433"); !strings.Contains(line, "revoked") {
			t.Errorf("explained as %q", line)
		}
		s.nobodyComes()
	})
}

func TestJoiningNodeGetsOnlyEnrolment(t *testing.T) {
	play(t, func(t *testing.T, s *scene) {
		atNode, atHub := s.link(s.open(nodeHost, 0), identity.EnrolTLS(s.authority.Fingerprint(), time.Now))
		if atHub.Protocol() != identity.ProtocolEnrol || atHub.Peer() != (quiclink.Peer{}) {
			t.Errorf("the hub sees %q, %+v", atHub.Protocol(), atHub.Peer())
		}
		if atNode.Peer().Role != identity.RoleHub {
			t.Errorf("the node sees %+v", atNode.Peer())
		}
		say(t, atNode, atHub, "token and request")
		say(t, atHub, atNode, "certificate")

		start := time.Now()
		<-atNode.Done()
		if got := linkError(t, atNode.Err()); got.Code != quiclink.CodeEnrolmentOver || !got.Remote {
			t.Errorf("ended with %v", got)
		}
		if took := time.Since(start); took > quiclink.EnrolmentTime {
			t.Errorf("an enrolment could stay for %s", took)
		}
	})
}

func TestLimitCountsOnlyEnrolments(t *testing.T) {
	play(t, func(t *testing.T, s *scene) {
		endpoint, config := s.open(nodeHost, 0), identity.EnrolTLS(s.authority.Fingerprint(), time.Now)
		for range quiclink.MaxEnrolments {
			s.link(endpoint, config)
		}
		_, err := s.dial(endpoint, config)
		if got := linkError(t, err); got.Code != quiclink.CodeBusy {
			t.Errorf("one too many: %v", err)
		}
		if line := quiclink.ExplainDialError(err, "hub:4433"); !strings.Contains(line, "too many enrolments") {
			t.Errorf("explained as %q", line)
		}
		s.linked()
		<-time.After(quiclink.EnrolmentTime)
		s.link(endpoint, config)
	})
}

// rawDial is the handshake without the greeting.
func (s *scene) rawDial(t *testing.T, host byte, config *tls.Config) *quic.Conn {
	t.Helper()
	socket, err := s.network.Endpoint(netip.AddrPortFrom(simlink.Host(host), 0))
	if err != nil {
		t.Fatal(err)
	}
	transport := &quic.Transport{Conn: socket}
	t.Cleanup(func() {
		transport.Close()
		socket.Close()
	})
	conn, err := transport.Dial(context.Background(), s.endpoint.Addr(), config,
		&quic.Config{KeepAlivePeriod: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func TestSilentDialerKeepsNobodyOut(t *testing.T) {
	play(t, func(t *testing.T, s *scene) {
		mute := s.rawDial(t, 9, enrol(t, s.authority, 9).ClientTLS(time.Now))
		start := time.Now()
		s.linked()
		if took := time.Since(start); took > time.Second {
			t.Errorf("the next node waited %s", took)
		}
		<-mute.Context().Done()
		if closed, ok := errors.AsType[*quic.ApplicationError](context.Cause(mute.Context())); !ok ||
			uint64(closed.ErrorCode) != quiclink.CodeGreeting {
			t.Errorf("the mute peer was let go with %v", context.Cause(mute.Context()))
		}
		s.nobodyComes()
	})
}

func TestOtherLinkVersionIsRefused(t *testing.T) {
	play(t, func(t *testing.T, s *scene) {
		conn := s.rawDial(t, 9, enrol(t, s.authority, 9).ClientTLS(time.Now))
		stream, err := conn.OpenStream()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := stream.Write([]byte{99}); err != nil {
			t.Fatal(err)
		}
		<-conn.Context().Done()
		if cause := context.Cause(conn.Context()); !strings.Contains(cause.Error(), "version 99") {
			t.Errorf("told %v", cause)
		}
		s.nobodyComes()
	})
}

// An error of the listener is final, and Accept does not spin on it.
func TestListenerErrorIsFinal(t *testing.T) {
	play(t, func(t *testing.T, s *scene) {
		if err := s.listener.Close(); err != nil {
			t.Fatal(err)
		}
		start, turns := time.Now(), 0
		for time.Since(start) < time.Minute {
			if _, err := s.listener.Accept(context.Background()); !errors.Is(err, net.ErrClosed) {
				t.Fatalf("accepted %v", err)
			}
			turns++
		}
		if turns > 61 {
			t.Errorf("a careless loop turned %d times in a minute", turns)
		}
		again, err := s.endpoint.Listen(s.hub.ServerTLS(time.Now, s.check))
		if err != nil {
			t.Fatal(err)
		}
		s.listener = again
		s.linked()
	})
}

func TestAbsentHubIsExplained(t *testing.T) {
	play(t, func(t *testing.T, s *scene) {
		node, endpoint := enrol(t, s.authority, 2), s.open(nodeHost, 0)
		start := time.Now()
		_, err := endpoint.Dial(context.Background(), addrOf(t, "10.0.0.77:4433"), node.ClientTLS(time.Now))
		if err == nil {
			t.Fatal("linked to nobody")
		}
		if took := time.Since(start); took > 2*quiclink.HandshakeTimeout+quiclink.GreetingTimeout {
			t.Errorf("said so after %s", took)
		}
		if line := quiclink.ExplainDialError(err, "10.0.0.77:4433"); !strings.Contains(
			line, "no answer on UDP 10.0.0.77:4433") {
			t.Errorf("explained as %q", line)
		}

		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_, err = endpoint.Dial(ctx, addrOf(t, "10.0.0.77:4433"), node.ClientTLS(time.Now))
		if line := quiclink.ExplainDialError(err, "hub:4433"); !strings.Contains(line, "no answer on UDP hub:4433") {
			t.Errorf("explained as %q", line)
		}
	})
}

func TestDialErrorBecomesOneLine(t *testing.T) {
	cases := map[string]error{
		"called off":                &net.OpError{Op: "dial", Err: context.Canceled},
		"the name in hub:4433":      &net.DNSError{Err: "no such host", Name: "hub", IsNotFound: true},
		"another version":           &quic.VersionNegotiationError{},
		"no link to hub:4433: why?": errors.New("why?"),
	}
	for want, err := range cases {
		if line := quiclink.ExplainDialError(err, "hub:4433"); !strings.Contains(line, want) || strings.Contains(line, "\n") {
			t.Errorf("%v: explained as %q", err, line)
		}
	}
}
