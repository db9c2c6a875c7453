package exchange

import (
	"context"
	"fmt"
	"sync"
	"time"

	"ravno/net/wire"
)

// callTimeout is how long an answer over a link may take: digests of a large database take
// a while, and whoever asked can be interrupted earlier.
const callTimeout = 2 * time.Minute

// outboxSize is how many messages of others may wait for one link's loop.
const outboxSize = 64

// Line is how the rest of a server talks over a link: messages out, and questions with
// answers. It is safe for concurrent use.
type Line struct {
	outbox chan wire.Message
	done   <-chan struct{} // closed when the link ended

	mutex   sync.Mutex
	last    uint64
	waiting map[uint64]waiter
}

// waiter is a Call under way, until its gone is closed.
type waiter struct {
	answers chan wire.Message
	gone    <-chan struct{}
}

// NewLine returns the line of a link that ends when done is closed.
func NewLine(done <-chan struct{}) *Line {
	return &Line{outbox: make(chan wire.Message, outboxSize), done: done, waiting: map[uint64]waiter{}}
}

// Outbox is for Ends.
func (l *Line) Outbox() <-chan wire.Message { return l.outbox }

// Offer sends a message if there is room, and reports whether there was.
func (l *Line) Offer(message wire.Message) bool {
	select {
	case l.outbox <- message:
		return true
	default:
		return false
	}
}

// Send sends a message, waiting for room.
func (l *Line) Send(ctx context.Context, message wire.Message) error {
	select {
	case l.outbox <- message:
		return nil
	case <-l.done:
		return fmt.Errorf("the link ended")
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Call sends a question and hands every answer to it to each, until each says it was the last.
func (l *Line) Call(ctx context.Context, question func(id uint64) wire.Message, each func(wire.Message) (last bool, err error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, callTimeout, fmt.Errorf("no answer within %s", callTimeout))
	defer cancel()
	answers := make(chan wire.Message, 1)
	l.mutex.Lock()
	l.last++
	id := l.last
	l.waiting[id] = waiter{answers, ctx.Done()}
	l.mutex.Unlock()
	defer func() {
		l.mutex.Lock()
		defer l.mutex.Unlock()
		delete(l.waiting, id)
	}()
	if err := l.Send(ctx, question(id)); err != nil {
		return err
	}
	for {
		select {
		case answer := <-answers:
			if last, err := each(answer); err != nil || last {
				return err
			}
		case <-l.done:
			return fmt.Errorf("the link ended before the answer came")
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Answer hands an answer to whoever asked; one nobody waits for any more is dropped. Answers
// to one question are handed over in the order of the calls. It waits no longer than whoever
// asked takes for the answer before.
func (l *Line) Answer(id uint64, answer wire.Message) {
	l.mutex.Lock()
	asked, waiting := l.waiting[id]
	l.mutex.Unlock()
	if !waiting {
		return
	}
	select {
	case asked.answers <- answer:
	case <-asked.gone:
	case <-l.done:
	}
}
