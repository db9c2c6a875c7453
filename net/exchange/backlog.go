package exchange

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/net/quiclink"
	"ravno/net/session"
	"ravno/net/wire"
	"ravno/store"
)

// backlog holds the batches of one extraction, one after the other in one spool. So the snapshot they
// are read in is released as soon as they are read. They are sent one by one, the first while the
// others are being extracted.
type backlog struct {
	spool *spool
	left  atomic.Bool // it is out of date: nobody wants the rest
	rows  int         // that its batches have

	mutex sync.Mutex // guards ready: the worker that extracts waits for nobody
	ready []outgoing

	// Only the loop uses the rest.
	next    causal.Position // where the batch begins that is to be sent next
	wanted  bool            // the session waits for one
	sent    int
	workers int // that use the spool
}

// patience is how many batches that are somewhat too large are sent before the rest is extracted
// anew. A new extraction reads everything to send once more.
const patience = 8

// suits reports whether the batches are about as large as the peer wants them now.
func (b *backlog) suits(rows int) bool {
	if rows < b.rows {
		return rows >= b.rows/2 && b.sent < patience
	}
	return rows <= max(4*b.rows, 1)
}

// take takes the batch that is to be sent next, if it is there.
func (b *backlog) take() (batch outgoing, ok bool) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	if len(b.ready) == 0 {
		return batch, false
	}
	batch, b.ready = b.ready[0], b.ready[1:]
	return batch, true
}

// outgoing is one batch in a spool.
type outgoing struct {
	span    store.Span
	changes int
	first   bool  // of its backlog
	last    bool  // what has changed since is not in it
	from    int64 // in the spool, in bytes
	size    int64
}

// hasMore reports whether there may be more to send after it, from its backlog or because one
// snapshot could not read everything.
func (b outgoing) hasMore() bool { return !b.last || !b.first || b.span.Until > 0 }

var errLeft = errors.New("this backlog is out of date")

// transmit sends the next batch of the backlog there is, or else extracts one.
func (r *run) transmit(want session.Transmit) {
	b := r.backlog()
	if b != nil && (want.Anew || b.next != want.From || !b.suits(want.Rows)) {
		b.left.Store(true)
		r.release(b)
		b = nil
	}
	if b == nil {
		b = &backlog{spool: &spool{dir: r.ends.SpoolDir}, rows: cmp.Or(want.Rows, store.FirstSlice), next: want.From,
			workers: 1}
		r.backlogs = append(r.backlogs, b)
		acked := r.acked
		r.workers.Go(func() {
			if acked != nil { // what the peer has got early is known then
				<-acked
			}
			r.extract(b, want.From)
		})
	}
	b.wanted = true
	r.sendNext(b)
}

// backlog is the one that is being sent, or nil.
func (r *run) backlog() *backlog {
	if last := len(r.backlogs) - 1; last >= 0 && !r.backlogs[last].left.Load() {
		return r.backlogs[last]
	}
	return nil
}

// sendNext sends the next batch if there is one and it is wanted.
func (r *run) sendNext(b *backlog) {
	if b == nil || !b.wanted {
		return
	}
	batch, ok := b.take()
	if !ok {
		return
	}
	b.wanted, b.next = false, batch.span.To
	b.sent++
	if batch.last {
		b.left.Store(true) // the next request is for something newer
	}
	if batch.changes == 0 && batch.span.To == batch.span.From {
		r.release(b)
		r.do(r.session.NothingToSend())
		return
	}
	// The session is told before the peer gets it, because the answer may be quick.
	r.do(r.session.Transmitting(batch.span.To, batch.changes, batch.hasMore()))
	b.workers++
	r.workers.Go(func() {
		err := r.copyOut(b.spool, batch)
		r.post(func() []session.Action {
			if b.workers--; err != nil {
				r.sendFailed(err)
			}
			r.release(b)
			return nil
		})
	})
}

// release frees a backlog that is no longer used.
func (r *run) release(b *backlog) {
	if !b.left.Load() || b.workers > 0 {
		return
	}
	b.spool.Close()
	for i, other := range r.backlogs {
		if other == b {
			r.backlogs = append(r.backlogs[:i:i], r.backlogs[i+1:]...)
			return
		}
	}
}

// sendFailed ends the link because a batch could not be extracted or sent.
func (r *run) sendFailed(err error) {
	code, text := TroubleOf(err)
	if _, broken := errors.AsType[*quiclink.LinkError](err); broken {
		r.cut(err)
	}
	r.end(session.Close{Code: code, Text: "sending a batch: " + text}, err)
}

// extract fills a backlog, and hands on each batch as soon as it is whole.
func (r *run) extract(b *backlog, from causal.Position) {
	w := &batches{run: r, backlog: b, writer: wire.NewBatchWriter(b.spool)}
	span, _, err := r.ends.Extract(from, b.rows, w.section)
	if err == nil {
		err = w.end(span)
	}
	r.post(func() []session.Action {
		if b.workers--; err != nil && !errors.Is(err, errLeft) {
			r.sendFailed(fmt.Errorf("extracting changes above position %d: %w", from, err))
		}
		r.release(b)
		return nil
	})
}

// batches writes an extraction's slices as batches.
type batches struct {
	*run
	backlog *backlog
	writer  *wire.BatchWriter
	batch   outgoing
	begun   bool
}

func (w *batches) begin(span store.Span) error {
	w.batch, w.begun = outgoing{span: span, first: w.backlog.spool.size == 0, from: w.backlog.spool.size}, true
	w.writer.Reset(w.backlog.spool)
	return w.writer.Header(wire.BatchHeader{From: span.From, To: span.To, Seen: span.Seen, Incarnation: w.ends.Incarnation,
		Highest: span.Highest, Newest: span.Newest, Until: span.Until})
}

func (w *batches) section(slice store.Span, section *crdt.Section) error {
	if w.backlog.left.Load() || w.ctx.Err() != nil {
		return errLeft
	}
	if w.begun && slice.From != w.batch.span.From {
		if err := w.finish(); err != nil {
			return err
		}
	}
	if !w.begun {
		if err := w.begin(slice); err != nil {
			return err
		}
	}
	w.batch.changes += len(section.Changes)
	return w.writer.Section((*wire.Section)(section))
}

// end finishes the last batch, which covers everything up to the end of the extraction.
func (w *batches) end(span store.Span) error {
	if w.begun && w.batch.span.To < span.To { // the last slices were empty
		span.From = w.batch.span.To
		if err := w.finish(); err != nil {
			return err
		}
	}
	if !w.begun {
		if err := w.begin(span); err != nil {
			return err
		}
	}
	w.batch.last = true
	return w.finish()
}

func (w *batches) finish() error {
	if err := w.writer.End(); err != nil {
		return err
	}
	w.batch.size, w.begun = w.backlog.spool.size-w.batch.from, false
	w.backlog.mutex.Lock()
	w.backlog.ready = append(w.backlog.ready, w.batch)
	w.backlog.mutex.Unlock()
	select {
	case w.extracted <- struct{}{}:
	default: // the loop has yet to look
	}
	return nil
}

func (r *run) copyOut(s *spool, batch outgoing) error {
	stream, err := r.link.OpenBatch(r.ctx)
	if err != nil {
		return err
	}
	if _, err := io.Copy(stream, s.part(batch.from, batch.size)); err != nil {
		stream.Cancel(1)
		return err
	}
	return stream.Close()
}
