// Package exchange carries out the decisions of a session. It moves frames and batches between one
// link and one database, for node and hub alike. It decides nothing itself: the session says what
// is sent, applied, acknowledged or refused.
package exchange

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/net/quiclink"
	"ravno/net/session"
	"ravno/net/wire"
	"ravno/store"
)

const (
	// tickEvery is how often the session looks at its timers.
	tickEvery = time.Second
	// controlTimeout is how long writing one control frame may take before the link counts as
	// stuck. QUIC notices a cut link sooner.
	controlTimeout = 12 * time.Second
)

// clockJitter is the least difference by which a measured clock offset replaces the known one. The
// ways there and back never take equally long, so small differences mean nothing.
const clockJitter = 100 * time.Millisecond

// SteadyOffset is the known clock offset, unless the measured one differs from it.
func SteadyOffset(known, measured time.Duration) time.Duration {
	if (measured - known).Abs() < clockJitter {
		return known
	}
	return measured
}

// CodeNoLink is why a run ended whose link was cut, and not refused.
const CodeNoLink = "no_link"

// Ends are functions for the two ends of an exchange in this server, its database and its handling of
// other messages. All are called from one goroutine at a time, except Extract, Apply and Acked,
// which run beside the rest.
type Ends struct {
	Incarnation causal.Incarnation
	// Extract emits everything the peer may not have above a position, as store.Outgoing does.
	Extract func(from causal.Position, rows int, emit func(slice store.Span, section *crdt.Section) error) (
		span store.Span, changes int, err error)
	// Apply merges a delta. When it returns, the delta is durable. floor is as in session.Applied.
	Apply func(delta store.Delta) (floor causal.Seen, err error)
	// Rows is how many rows a batch should have to be applied here, as Store.SliceRows.
	Rows func() int
	// Blocked is told, after each batch, which part of the schema kept it from being applied. The
	// text is empty if none did.
	Blocked func(text string)
	// Acked is told how far the peer has durably committed our work.
	Acked func(session.Acked) error
	// State is the state of this server for a ping. It is asked for when one is due.
	State func() wire.Ping
	// Noticed is told of Linked, Measured and PeerState.
	Noticed func(session.Action)
	// Handle takes messages that are not the session's.
	Handle func(message wire.Message, send func(wire.Message))
	// Changed is signalled when there may be something new to send.
	Changed <-chan struct{}
	// Outbox has the messages of the rest of this server for this link.
	Outbox <-chan wire.Message
	// Ending refuses the peer when it is closed or yields, with the reason for the peer.
	Ending <-chan session.Close
	// SpoolDir takes batches too large for memory.
	SpoolDir string
	Clock    store.Clock
	Log      zerolog.Logger
}

// Ended is why a link ended.
type Ended struct {
	session.Close
	Err error // of the link or the database, if that was it
}

func (e *Ended) Error() string {
	text := e.Text
	if e.Try != "" {
		text += ". Try: " + e.Try
	}
	return text
}

func (e *Ended) Unwrap() error { return e.Err }

// Run drives a session over a link until one of them ends, and says why. first is a message
// that was read from the link already, nil if none was.
func Run(ctx context.Context, link *quiclink.Link, s *session.Session, first wire.Message, ends Ends) *Ended {
	ctx, cancel := context.WithCancel(ctx)
	r := &run{ctx: ctx, link: link, session: s, ends: ends, events: make(chan func() []session.Action),
		extracted: make(chan struct{}, 1)}
	defer func() {
		cancel()
		link.CloseWith(session.Number(r.ended.Code), r.ended.Text)
		r.workers.Wait()
		if r.arrived != nil {
			r.arrived.Close()
		}
		for _, b := range r.backlogs {
			b.spool.Close()
		}
	}()
	r.workers.Go(r.readControl)
	r.workers.Go(r.readBatches)
	r.do(s.Start(ends.Clock()))
	if first != nil {
		r.do(s.Receive(ends.Clock(), first))
	}
	r.loop()
	return r.ended
}

// run is one link's exchange under way.
type run struct {
	ctx     context.Context
	link    *quiclink.Link
	session *session.Session
	ends    Ends
	events  chan func() []session.Action // from the workers; run in the loop
	workers sync.WaitGroup
	arrived *spool        // the batch that arrived last
	acked   chan struct{} // closed once the last word of what the peer has is kept; nil: there was none
	// backlogs are the extractions that are not sent yet. They are the last one, if it is not out
	// of date, and those whose workers have yet to end.
	backlogs  []*backlog
	extracted chan struct{} // signalled after a batch was extracted
	ended     *Ended
}

func (r *run) loop() {
	ticker := time.NewTicker(tickEvery)
	defer ticker.Stop()
	for r.ended == nil {
		select {
		case event := <-r.events:
			r.do(event())
		case <-r.extracted:
			r.sendNext(r.backlog())
		case <-r.ends.Changed:
			r.do(r.session.LocalChanged())
		case message := <-r.ends.Outbox:
			if r.session.Running() {
				r.do([]session.Action{session.Send{Message: message}})
			}
		case <-ticker.C:
			r.tick(r.ends.Clock())
		case reason := <-r.ends.Ending:
			r.do(r.session.Refuse(reason.Code, reason.Text, reason.Try))
		case <-r.link.Done():
			r.cut(r.link.Err())
		case <-r.ctx.Done():
			r.end(session.Close{Code: "stopped", Text: "this server is stopping"}, r.ctx.Err())
		}
	}
}

func (r *run) tick(now time.Time) {
	var ping wire.Ping
	if r.session.PingDue(now) {
		ping = r.ends.State()
	}
	r.do(r.session.Tick(now, ping))
}

func (r *run) end(c session.Close, err error) {
	if r.ended == nil {
		r.ended = &Ended{Close: c, Err: err}
	}
}

// post hands an event to the loop, unless the run is over.
func (r *run) post(event func() []session.Action) bool {
	select {
	case r.events <- event:
		return true
	case <-r.ctx.Done():
		return false
	}
}

func (r *run) do(actions []session.Action) {
	for _, a := range actions {
		if r.ended != nil {
			return
		}
		switch a := a.(type) {
		case session.Send:
			r.send(a.Message)
		case session.Transmit:
			r.transmit(a)
		case session.Apply:
			batch := r.arrived
			r.arrived = nil
			r.workers.Go(func() { r.apply(batch, a.Header) })
		case session.Drop:
			if r.arrived != nil {
				r.arrived.Close()
				r.arrived = nil
			}
		case session.Acked:
			// Keeping a mark waits its turn behind an apply. The pings must not.
			before, done := r.acked, make(chan struct{})
			r.acked = done
			r.workers.Go(func() {
				defer close(done)
				if before != nil { // in their order
					<-before
				}
				if err := r.ends.Acked(a); err != nil {
					r.post(func() []session.Action {
						r.fail(err)
						return nil
					})
				}
			})
		case session.Deliver:
			r.ends.Handle(a.Message, r.send)
		case session.Close:
			r.end(a, nil)
		default:
			r.ends.Noticed(a)
		}
	}
}

func (r *run) send(message wire.Message) {
	control := r.link.Control()
	// A deadline is a duration, so it goes by the runtime's clock. A wrong wall clock does not
	// move it.
	err := control.SetWriteDeadline(time.Now().Add(controlTimeout))
	if err == nil {
		err = wire.Write(control, message)
	}
	if err != nil && r.ended == nil {
		r.cut(err)
	}
}

// cut ends the run because the link ended. The peer may have closed it with a reason.
func (r *run) cut(err error) {
	var closed *quiclink.LinkError
	if errors.As(err, &closed) && closed.Remote && closed.Cause == quiclink.Closed {
		if code := session.CodeOf(closed.Code); code != "" {
			r.end(session.Close{Code: code, Text: closed.Text, Remote: true}, nil)
			return
		}
		r.end(session.Close{Code: CodeNoLink, Text: "the other end closed the link", Remote: true}, err)
		return
	}
	r.end(session.Close{Code: CodeNoLink, Text: "the link was cut"}, err)
}

// fail ends the link over trouble of this server's own.
func (r *run) fail(err error) {
	code, text := TroubleOf(err)
	r.do(r.session.Refuse(code, text, ""))
	if r.ended != nil {
		r.ended.Err = err
	}
}

// TroubleOf sorts an error of the database by the causes the status knows.
func TroubleOf(err error) (cause, text string) {
	var schema *store.SchemaError
	var identity *store.IdentityError
	var file *store.FileError
	switch {
	case errors.As(err, &schema):
		return session.CodeSchema, schema.Error()
	case errors.As(err, &identity):
		return session.CodeIdentity, identity.Error()
	case errors.As(err, &file) && file.Disk:
		return session.CodeDisk, file.Error()
	}
	return session.CodeError, err.Error()
}

func (r *run) readControl() {
	for {
		message, err := wire.Read(r.link.Control(), wire.MaxControl)
		if errors.Is(err, wire.ErrUnknownKind) {
			continue // of a newer version: not for us
		}
		if err != nil {
			r.post(func() []session.Action {
				if errors.Is(err, wire.ErrMalformed) {
					return r.session.Refuse(session.CodeProtocol, err.Error(), "")
				}
				r.cut(err)
				return nil
			})
			return
		}
		if !r.post(func() []session.Action { return r.session.Receive(r.ends.Clock(), message) }) {
			return
		}
	}
}

// readBatches spools each batch as it comes, and hands it on when it is whole.
func (r *run) readBatches() {
	for {
		stream, err := r.link.AcceptBatch(r.ctx)
		if err != nil {
			return // the link's end is noticed by the loop
		}
		batch := &spool{dir: r.ends.SpoolDir}
		header, err := receive(stream, batch)
		if err != nil {
			batch.Close()
			stream.Cancel(1)
			var cancelled *quiclink.StreamError
			if errors.As(err, &cancelled) {
				continue // the sender gave it up
			}
			r.post(func() []session.Action {
				code, text := TroubleOf(err)
				return r.session.Refuse(code, "receiving a batch: "+text, "")
			})
			return
		}
		if !r.post(func() []session.Action {
			if r.arrived != nil {
				r.arrived.Close()
			}
			r.arrived = batch
			return r.session.BatchArrived(header)
		}) {
			batch.Close()
			return
		}
	}
}

func receive(stream io.Reader, batch *spool) (wire.BatchHeader, error) {
	if _, err := io.Copy(batch, stream); err != nil {
		return wire.BatchHeader{}, err
	}
	return wire.NewBatchReader(batch.reader()).Header()
}

func (r *run) apply(batch *spool, header wire.BatchHeader) {
	defer batch.Close()
	floor, err := r.applySpooled(batch, header)
	rows := r.ends.Rows() // here, because it may have to wait for the database
	var outdated *store.OutOfOrderError
	var crossed *store.CrossingError
	r.post(func() []session.Action {
		switch {
		case errors.As(err, &outdated):
			return r.session.Outdated(outdated.Have)
		case errors.As(err, &crossed):
			r.ends.Log.Debug().Err(err).Msg("a batch is left until the hub has what was written here")
			return r.session.Crossed(r.ends.Clock())
		case err != nil:
			code, text := TroubleOf(err)
			r.ends.Log.Error().Err(err).Str("code", code).Msg("a batch could not be applied")
			if code == session.CodeSchema {
				r.ends.Blocked(text)
				return r.session.Blocked(r.ends.Clock())
			}
			return r.session.Failed(code, text, "")
		}
		r.ends.Blocked("")
		return r.session.Applied(floor, rows)
	})
}

func (r *run) applySpooled(batch *spool, header wire.BatchHeader) (causal.Seen, error) {
	return r.ends.Apply(
		store.Delta{Span: store.Span{From: header.From, To: header.To, Seen: header.Seen, Highest: header.Highest,
			Newest: header.Newest, Until: header.Until},
			Open: func() (func() (*crdt.Section, error), error) {
				sections := wire.NewBatchReader(batch.reader())
				if _, err := sections.Header(); err != nil {
					return nil, err
				}
				return func() (*crdt.Section, error) {
					section, err := sections.Next()
					return (*crdt.Section)(section), err
				}, nil
			}})
}
