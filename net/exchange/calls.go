package exchange

import (
	"context"
	"fmt"
	"sync"
	"time"

	"ravno/net/wire"
)

// callTimeout is how long an answer over a link may take. Digests of a large database take a
// while, and the caller can be interrupted earlier.
const callTimeout = 2 * time.Minute

// outboxSize is how many messages may wait for one link's loop.
const outboxSize = 64

// Caller is how the rest of a server uses a link: it sends messages, and asks questions and gets
// their answers. It is safe for concurrent use.
type Caller struct {
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

// NewCaller returns the caller of a link that ends when done is closed.
func NewCaller(done <-chan struct{}) *Caller {
	return &Caller{outbox: make(chan wire.Message, outboxSize), done: done, waiting: map[uint64]waiter{}}
}

// Outbox is the messages that the link's loop is to send, for Ends.
func (c *Caller) Outbox() <-chan wire.Message { return c.outbox }

// Offer sends a message if there is room, and reports whether there was.
func (c *Caller) Offer(message wire.Message) bool {
	select {
	case c.outbox <- message:
		return true
	default:
		return false
	}
}

// Send sends a message, waiting for room.
func (c *Caller) Send(ctx context.Context, message wire.Message) error {
	select {
	case c.outbox <- message:
		return nil
	case <-c.done:
		return fmt.Errorf("the link ended")
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Call sends a question and passes every answer to each, until each says it was the last.
func (c *Caller) Call(ctx context.Context, question func(id uint64) wire.Message,
	each func(wire.Message) (last bool, err error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, callTimeout, fmt.Errorf("no answer within %s", callTimeout))
	defer cancel()
	answers := make(chan wire.Message, 1)
	c.mutex.Lock()
	c.last++
	id := c.last
	c.waiting[id] = waiter{answers, ctx.Done()}
	c.mutex.Unlock()
	defer func() {
		c.mutex.Lock()
		defer c.mutex.Unlock()
		delete(c.waiting, id)
	}()
	if err := c.Send(ctx, question(id)); err != nil {
		return err
	}
	for {
		select {
		case answer := <-answers:
			if last, err := each(answer); err != nil || last {
				return err
			}
		case <-c.done:
			return fmt.Errorf("the link ended before the answer came")
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Answer hands an answer to the Call that waits for it, and drops it if none does. Answers to one
// question are handed over in the order of the calls of Answer. It waits until that Call has
// taken the answer before.
func (c *Caller) Answer(id uint64, answer wire.Message) {
	c.mutex.Lock()
	asked, waiting := c.waiting[id]
	c.mutex.Unlock()
	if !waiting {
		return
	}
	select {
	case asked.answers <- answer:
	case <-asked.gone:
	case <-c.done:
	}
}
