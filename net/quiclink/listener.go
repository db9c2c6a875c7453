package quiclink

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/quic-go/quic-go"

	"ravno/net/identity"
)

// acceptPause is how long Accept waits before it repeats the error that ended a listener. So a caller's
// loop that does not stop on the error turns once a second only.
const acceptPause = time.Second

// Listener yields the links of nodes that were let in. Accept and Close may be called at any
// time, from any goroutine.
type Listener struct {
	endpoint   *Endpoint
	inner      *quic.Listener
	ready      chan *Link
	enrolments chan struct{} // one token for each enrolment under way
	greeters   sync.WaitGroup
	stop       context.CancelFunc

	ended  chan struct{} // closed when reason is set
	reason error
	told   sync.Once
}

// Listen begins to accept links, with the configuration of Identity.ServerTLS. An endpoint has
// one listener at a time.
func (e *Endpoint) Listen(tlsConf *tls.Config) (*Listener, error) {
	inner, err := e.transport.Listen(tlsConf, hubConfig())
	if err != nil {
		return nil, fmt.Errorf("quiclink: listening on %s: %w", e.Addr(), err)
	}
	ctx, stop := context.WithCancel(context.Background())
	listener := &Listener{
		endpoint:   e,
		inner:      inner,
		ready:      make(chan *Link),
		enrolments: make(chan struct{}, MaxEnrolments),
		stop:       stop,
		ended:      make(chan struct{}),
	}
	go listener.run(ctx)
	return listener, nil
}

// Accept waits for the next link. It yields only peers that have passed the handshake and have
// greeted. Its errors are those of ctx, and a final one (net.ErrClosed) when the listener was closed
// or its socket died. After no error does it help to call it again.
func (l *Listener) Accept(ctx context.Context) (*Link, error) {
	select {
	case link := <-l.ready:
		return link, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-l.ended:
	}
	first := false
	l.told.Do(func() { first = true })
	if !first {
		pause := time.NewTimer(acceptPause)
		defer pause.Stop()
		select {
		case <-pause.C:
		case <-ctx.Done():
		}
	}
	return nil, fmt.Errorf("quiclink: listening on %s: %w", l.endpoint.Addr(), l.reason)
}

// Close ends listening. Links that Accept has yielded go on.
func (l *Listener) Close() error {
	err := l.inner.Close()
	<-l.ended
	return err
}

// run hands each connection to a goroutine of its own, so that a slow greeting keeps no other peer out.
// The number of goroutines needs no bound, because each belongs to an enrolled node or to one of
// MaxEnrolments strangers, and ends within GreetingTimeout.
func (l *Listener) run(ctx context.Context) {
	for {
		conn, err := l.inner.Accept(ctx)
		if err != nil {
			// quic-go's Accept fails only when the listener or its socket is closed, for good.
			l.stop()
			l.greeters.Wait()
			l.reason = err
			close(l.ended)
			return
		}
		l.greeters.Go(func() { l.admit(ctx, conn) })
	}
}

func (l *Listener) admit(ctx context.Context, conn *quic.Conn) {
	if conn.ConnectionState().TLS.NegotiatedProtocol == identity.ProtocolEnrol && !l.admitEnrolment(conn) {
		_ = conn.CloseWithError(quic.ApplicationErrorCode(CodeBusy), "too many enrolments at once, try again")
		return
	}
	link, err := l.greetNode(ctx, conn)
	if err != nil {
		_ = giveUp(conn, err) // the reason is for who dials
		return
	}
	select {
	case l.ready <- link:
	case <-link.Done():
	case <-ctx.Done():
		link.CloseWith(CodeStopped, "the daemon is stopping")
	}
}

// admitEnrolment takes a place for as long as the connection lasts, and bounds how long it
// can last. It reports false when there is no place.
func (l *Listener) admitEnrolment(conn *quic.Conn) bool {
	select {
	case l.enrolments <- struct{}{}:
	default:
		return false
	}
	limit := time.AfterFunc(EnrolmentTime, func() {
		_ = conn.CloseWithError(quic.ApplicationErrorCode(CodeEnrolmentOver), "the enrolment took too long")
	})
	context.AfterFunc(conn.Context(), func() {
		limit.Stop()
		<-l.enrolments
	})
	return true
}

func (l *Listener) greetNode(ctx context.Context, conn *quic.Conn) (*Link, error) {
	ctx, cancel := context.WithTimeout(ctx, GreetingTimeout)
	defer cancel()
	stream, err := conn.AcceptStream(ctx)
	if err != nil {
		return nil, err
	}
	if err := exchangeGreetings(ctx, stream); err != nil {
		return nil, err
	}
	link, err := newLink(conn, stream)
	if err != nil {
		return nil, err
	}
	return link, l.endpoint.keep(link)
}

// Addr is the address listened on.
func (l *Listener) Addr() net.Addr { return l.inner.Addr() }
