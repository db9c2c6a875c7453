// Package quiclink is the link between a node and the hub. It is one QUIC connection, authenticated
// at both ends, with one control stream that the node opens and one unidirectional stream for each
// batch in either direction. An enrolment is a link too, of a node without a certificate. It has
// only its control stream.
//
// The package knows nothing of the traffic on a link: no frames, no positions, no retries. It
// decides how long silence may last, how much memory a peer may pin, and why a link ended. The
// caller decides everything else. It is the only importer of quic-go.
//
// After the TLS handshake each side sends one byte, the version of the link, on the control
// stream. With TLS 1.3 a client is done before the server has judged its certificate, and QUIC
// shows a stream to the peer only with its first byte. The greeting settles both: Dial fails when
// the hub refuses, and Accept yields a link whose control stream exists.
//
// Sources: RFC 9000 (QUIC), RFC 9001 (its use of TLS).
package quiclink

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/quic-go/quic-go"
)

// greeting is the version of the link, the first byte each way on the control stream.
const greeting byte = 1

// Endpoint is one UDP socket with all links over it. All methods are safe for concurrent use.
type Endpoint struct {
	socket    net.PacketConn
	transport *quic.Transport

	mu     sync.Mutex
	links  map[*Link]struct{} // those alive, to be closed with the endpoint
	closed bool
}

// NewEndpoint takes over a socket, a *net.UDPConn or one of package simlink. Close closes it.
//
// A Retry verifies every caller's address before any work is done for it. A link lives for days, so
// a round trip at its birth is free, and no forged address can make a hub sign, remember or answer
// at length. There are no stateless resets, because their key would be one more secret to keep, and
// silence ends a link of a crashed hub within IdleTimeout anyway.
func NewEndpoint(socket net.PacketConn) *Endpoint {
	return &Endpoint{
		socket: socket,
		transport: &quic.Transport{
			Conn:                socket,
			VerifySourceAddress: func(net.Addr) bool { return true },
		},
		links: map[*Link]struct{}{},
	}
}

// Addr is the local address of the socket.
func (e *Endpoint) Addr() net.Addr { return e.socket.LocalAddr() }

// Dial links a node to the hub at addr and opens the control stream. It returns once the hub
// has accepted this node, or with an error for ExplainDialError after 15 seconds at the latest
// (2 HandshakeTimeout + GreetingTimeout). ctx bounds dialling, not the link.
func (e *Endpoint) Dial(ctx context.Context, addr net.Addr, tlsConf *tls.Config) (*Link, error) {
	conn, err := e.transport.Dial(ctx, addr, tlsConf, nodeConfig())
	if err != nil {
		return nil, fmt.Errorf("quiclink: dialling %s: %w", addr, translate(err))
	}
	link, err := e.greetHub(ctx, conn)
	if err != nil {
		return nil, fmt.Errorf("quiclink: dialling %s: %w", addr, err)
	}
	return link, nil
}

// greetHub ends the connection if it fails.
func (e *Endpoint) greetHub(ctx context.Context, conn *quic.Conn) (*Link, error) {
	ctx, cancel := context.WithTimeout(ctx, GreetingTimeout)
	defer cancel()
	stream, err := conn.OpenStreamSync(ctx)
	if err == nil {
		err = exchangeGreetings(ctx, stream)
	}
	var link *Link
	if err == nil {
		link, err = newLink(conn, stream)
	}
	if err == nil {
		err = e.keep(link)
	}
	if err != nil {
		return nil, giveUp(conn, err)
	}
	return link, nil
}

// exchangeGreetings is the same for both sides, and neither waits for the other to begin.
func exchangeGreetings(ctx context.Context, stream *quic.Stream) error {
	stop := context.AfterFunc(ctx, func() { _ = stream.SetDeadline(time.Unix(1, 0)) })
	answer, err := sendAndReceive(stream, greeting)
	if !stop() {
		return ctx.Err() // the stream has a deadline in the past: of no use any more
	}
	if err != nil {
		return err
	}
	if answer != greeting {
		return &LinkError{Cause: Closed, Code: CodeGreeting,
			Text: fmt.Sprintf("the peer speaks version %d of the link, this server %d", answer, greeting)}
	}
	return nil
}

func sendAndReceive(stream *quic.Stream, sent byte) (byte, error) {
	if _, err := stream.Write([]byte{sent}); err != nil {
		return 0, err
	}
	var received [1]byte
	_, err := io.ReadFull(stream, received[:])
	return received[0], err
}

// giveUp closes a connection that did not become a link and returns why.
func giveUp(conn *quic.Conn, err error) error {
	reason := translate(err)
	code, text := CodeGreeting, "no greeting in time"
	if link, ok := errors.AsType[*LinkError](reason); ok && link.Cause == Closed && !link.Remote {
		code, text = link.Code, link.Text
	}
	_ = conn.CloseWithError(quic.ApplicationErrorCode(code), text)
	return reason
}

var errEndpointClosed = fmt.Errorf("quiclink: endpoint %w", net.ErrClosed)

// keep remembers a link until it ends.
func (e *Endpoint) keep(link *Link) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return errEndpointClosed
	}
	e.links[link] = struct{}{}
	context.AfterFunc(link.conn.Context(), func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		delete(e.links, link)
	})
	return nil
}

// Close tells every peer (CodeStopped), so that nobody waits for silence to be noticed, and
// closes the socket. Listeners end too.
func (e *Endpoint) Close() error {
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return nil
	}
	e.closed = true
	links := make([]*Link, 0, len(e.links))
	for link := range e.links {
		links = append(links, link)
	}
	e.mu.Unlock()

	var closing sync.WaitGroup
	for _, link := range links {
		closing.Go(func() { link.CloseWith(CodeStopped, "the daemon is stopping") })
	}
	closing.Wait()
	return errors.Join(e.transport.Close(), e.socket.Close())
}
