package quiclink

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/quic-go/quic-go"

	"ravno/crdt/causal"
	"ravno/net/identity"
)

// Peer is the server at the other end, as its certificate names it. The zero Peer is a joining node,
// which has no certificate yet.
type Peer struct {
	Site     causal.Site
	Role     identity.Role
	Serial   string    // as identity.SerialText writes it
	NotAfter time.Time // when the certificate expires; a live link is not ended by it
}

// Link is one connection between a node and the hub. All methods are safe for concurrent use.
type Link struct {
	conn     *quic.Conn
	control  *Control
	peer     Peer
	protocol string
}

func newLink(conn *quic.Conn, control *quic.Stream) (*Link, error) {
	state := conn.ConnectionState().TLS
	link := &Link{conn: conn, control: &Control{stream: control}, protocol: state.NegotiatedProtocol}
	if len(state.PeerCertificates) == 0 {
		return link, nil
	}
	certificate := state.PeerCertificates[0]
	site, role, err := identity.SiteOf(certificate)
	if err != nil {
		return nil, fmt.Errorf("quiclink: %w", err)
	}
	link.peer = Peer{Site: site, Role: role, Serial: identity.SerialText(certificate.SerialNumber),
		NotAfter: certificate.NotAfter}
	return link, nil
}

// Peer is the server at the other end.
func (l *Link) Peer() Peer { return l.peer }

// Protocol is identity.ProtocolLink, or identity.ProtocolEnrol for an enrolment.
func (l *Link) Protocol() string { return l.protocol }

// RemoteAddr is the peer's address as seen from here. It changes when a NAT on the way does.
func (l *Link) RemoteAddr() net.Addr { return l.conn.RemoteAddr() }

// RTT is the smoothed round-trip time, zero before there is a measurement.
func (l *Link) RTT() time.Duration { return l.conn.ConnectionStats().SmoothedRTT }

// Control is the link's control stream, always the same one.
func (l *Link) Control() *Control { return l.control }

// OpenBatch begins a stream to the peer. While MaxBatchStreams of ours are not read to their
// end there, it waits, until ctx ends.
func (l *Link) OpenBatch(ctx context.Context) (*BatchWriter, error) {
	stream, err := l.conn.OpenUniStreamSync(ctx)
	if err != nil {
		return nil, translate(err)
	}
	return &BatchWriter{stream: stream}, nil
}

// AcceptBatch waits for the next stream from the peer. QUIC shows a stream with its first
// byte, so a batch that was opened and not written is not seen.
func (l *Link) AcceptBatch(ctx context.Context) (*BatchReader, error) {
	stream, err := l.conn.AcceptUniStream(ctx)
	if err != nil {
		return nil, translate(err)
	}
	return &BatchReader{stream: stream}, nil
}

// CloseWith ends the link at once, with a code below FirstOwnCode and a text for the peer's
// log, cut to 512 bytes. Data under way is lost, so the data that matters must have been acknowledged
// before. On a link that has ended it does nothing.
func (l *Link) CloseWith(code uint64, text string) {
	_ = l.conn.CloseWithError(quic.ApplicationErrorCode(code), oneLine(text))
}

// Done is closed when the link has ended, at either end.
func (l *Link) Done() <-chan struct{} { return l.conn.Context().Done() }

// Err is why the link has ended, a *LinkError as a rule, and nil while it lives.
func (l *Link) Err() error {
	if l.conn.Context().Err() == nil {
		return nil
	}
	return translate(context.Cause(l.conn.Context()))
}

// Control is the stream for everything but batches. Reading and writing may run in two
// goroutines, but not twice each.
type Control struct{ stream *quic.Stream }

// Read reads what is there. io.EOF is the peer's Close.
func (c *Control) Read(buffer []byte) (int, error) {
	n, err := c.stream.Read(buffer)
	return n, translate(err)
}

// Write waits while the peer's window is full.
func (c *Control) Write(data []byte) (int, error) {
	n, err := c.stream.Write(data)
	return n, translate(err)
}

// Close ends our direction. The peer's messages can still be read.
func (c *Control) Close() error { return translate(c.stream.Close()) }

// SetDeadline bounds present and future Read and Write, which then fail with
// os.ErrDeadlineExceeded and can be repeated; zero lifts it.
func (c *Control) SetDeadline(at time.Time) error { return c.stream.SetDeadline(at) }

// SetReadDeadline is SetDeadline for Read.
func (c *Control) SetReadDeadline(at time.Time) error { return c.stream.SetReadDeadline(at) }

// SetWriteDeadline is SetDeadline for Write.
func (c *Control) SetWriteDeadline(at time.Time) error { return c.stream.SetWriteDeadline(at) }

// BatchWriter is the sending end of one batch, for one goroutine. It ends with Close, or with
// Cancel, which may come from any goroutine.
type BatchWriter struct{ stream *quic.SendStream }

// Write waits while the peer's window is full.
func (w *BatchWriter) Write(data []byte) (int, error) {
	n, err := w.stream.Write(data)
	return n, translate(err)
}

// Close marks the end of the batch. It does not wait for the peer to have it.
func (w *BatchWriter) Close() error { return translate(w.stream.Close()) }

// Cancel gives the batch up. The reader gets a *StreamError with the code.
func (w *BatchWriter) Cancel(code uint64) { w.stream.CancelWrite(quic.StreamErrorCode(code)) }

// SetWriteDeadline is as Control.SetWriteDeadline.
func (w *BatchWriter) SetWriteDeadline(at time.Time) error { return w.stream.SetWriteDeadline(at) }

// BatchReader is the receiving end of one batch, for one goroutine. Each must be read to
// io.EOF or cancelled, else it holds one of the MaxBatchStreams places for ever.
type BatchReader struct{ stream *quic.ReceiveStream }

// Read reads what is there. io.EOF is the end of the batch, whole.
func (r *BatchReader) Read(buffer []byte) (int, error) {
	n, err := r.stream.Read(buffer)
	return n, translate(err)
}

// Cancel gives the batch up. The writer gets a *StreamError with the code. It may come from
// any goroutine.
func (r *BatchReader) Cancel(code uint64) { r.stream.CancelRead(quic.StreamErrorCode(code)) }

// SetReadDeadline is as Control.SetReadDeadline.
func (r *BatchReader) SetReadDeadline(at time.Time) error { return r.stream.SetReadDeadline(at) }
