// Package node is a node's side of the chain. It folds the writes of the application here, keeps a
// link to the hub whenever it can reach it, and levels over that link. It knows no other nodes:
// everything comes from the hub and goes to it.
package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/journal"
	"ravno/net/exchange"
	"ravno/net/identity"
	"ravno/net/quiclink"
	"ravno/net/session"
	"ravno/net/status"
	"ravno/net/wire"
	"ravno/store"
)

const (
	// dialTimeout bounds one try to reach one address of the hub.
	dialTimeout = 20 * time.Second
	// steadyLink is how long a link has to last for the next try to be at once. A link that ends
	// soon after it began, again and again, is dialled less and less often.
	steadyLink = 5 * time.Second
	// offsetThreshold is from when on a measured difference to the hub's clock corrects stamps.
	// Below it the measurement (half a round trip) and ordinary drift are of the same size.
	offsetThreshold = time.Second
)

// Config is the surroundings of a node.
type Config struct {
	Store    *store.Store
	Identity *identity.Identity
	Endpoint *quiclink.Endpoint
	// Resolve turns one of the hub's addresses, as enrolment gave it, into one to dial.
	Resolve func(ctx context.Context, address string) (net.Addr, error)
	Version string
	// SpoolDir takes batches too large for memory.
	SpoolDir string
	Clock    store.Clock
	// Random yields numbers in [0,1) for the back-off between tries.
	Random func() float64
	// Wake yields when the application may have written.
	Wake <-chan struct{}
	Log  zerolog.Logger
}

// Node is a running node. Its methods are safe for concurrent use.
type Node struct {
	Config
	folder   exchange.Folder
	changed  exchange.Signal // there may be something to send
	progress exchange.Signal // something was sent, applied or measured

	mutex  sync.Mutex
	view   View
	caller *exchange.Caller // nil without a link
	retry  chan struct{}    // to dial at once

	background sync.WaitGroup
	heard      atomic.Uint64 // counts the hub's statuses as they arrive
	// full: locked. Guards kept. A channel, like store's longMutex, because it is held over a write
	keeping  chan struct{}
	kept     uint64 // the number of the last status that was kept
	settling atomic.Bool
	settled  wire.Settled // the last settlement taken in. Only the holder of settling uses it
}

// View is a node's knowledge of its link and the hub that is not in its database.
type View struct {
	Linked      bool
	Since       time.Time // since when it is linked or not
	Trouble     string    // why there is no link
	Cause       status.Cause
	HubVersion  string
	Schema      string // what of the hub's schema is not here yet
	PendingIn   int64  // what the hub says it has for us
	ClockOffset time.Duration
	HubTrouble  string
	Fold        error
	Daemon      bool
}

// New prepares a node. Run runs it.
func New(config Config) *Node {
	n := &Node{Config: config, retry: make(chan struct{}, 1), keeping: make(chan struct{}, 1)}
	n.folder = exchange.Folder{Store: n.Store, Wake: n.Wake, Changed: &n.changed, Log: n.Log}
	n.view = View{Since: n.Clock(), Daemon: true}
	return n
}

// Run runs until ctx ends.
func (n *Node) Run(ctx context.Context) error {
	var folding sync.WaitGroup
	defer folding.Wait()
	defer n.background.Wait()
	folding.Go(func() { n.folder.Run(ctx) })
	backoff := quiclink.NewBackoff(n.Random)
	for ctx.Err() == nil {
		linkedFor, err := n.connect(ctx)
		if ctx.Err() != nil {
			break
		}
		n.unlinked(err)
		if linkedFor >= steadyLink {
			backoff.Reset()
		}
		pause := time.NewTimer(backoff.Next())
		select {
		case <-ctx.Done():
		case <-pause.C:
		case <-n.retry:
		}
		pause.Stop()
	}
	return nil
}

// Poke looks at the file now, and dials now if there is no link.
func (n *Node) Poke() {
	_ = n.folder.Fold() // its trouble is kept and shown
	select {
	case n.retry <- struct{}{}:
	default:
	}
	n.progress.Notify()
}

// connect dials the hub, levels with it until the link ends, and says how long that was.
func (n *Node) connect(ctx context.Context) (time.Duration, error) {
	link, err := n.dial(ctx)
	if err != nil {
		return 0, err
	}
	if err := n.folder.Fold(); err != nil {
		link.CloseWith(quiclink.CodeStopped, "the node cannot read its database")
		return 0, err
	}
	self, err := n.Store.Self()
	if err != nil {
		link.CloseWith(quiclink.CodeStopped, "the node cannot read its database")
		return 0, err
	}
	caller := exchange.NewCaller(link.Done())
	changed, stop := n.changed.Subscribe()
	defer stop()
	began := n.Clock()
	s := session.NewNode(
		session.NodeSelf{Self: session.Self{Version: n.Version, Incarnation: self.Incarnation, Position: self.Position},
			Seen: self.Seen, HubIncarnation: self.HubIncarnation, Floor: self.Floor, HubHave: self.HubHave, Until: self.Until})
	ended := exchange.Run(ctx, link, s, nil, n.ends(ctx, self, caller, changed))
	if !s.Running() && !n.wasLinked() {
		return 0, ended
	}
	return n.Clock().Sub(began), ended
}

func (n *Node) dial(ctx context.Context) (*quiclink.Link, error) {
	self, err := n.Store.Self()
	if err != nil {
		return nil, err
	}
	if len(self.Addresses) == 0 {
		return nil, fmt.Errorf("the hub's address is not known. Try: ravno leave, then ravno join with a new token")
	}
	var failed error
	for _, address := range self.Addresses {
		link, err := n.dialOne(ctx, address)
		if err == nil {
			return link, nil
		}
		if failed == nil || errors.As(err, new(*refusedError)) {
			failed = err
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	return nil, failed
}

// refusedError is a hub that answered and did not let us in.
type refusedError struct{ text string }

func (e *refusedError) Error() string { return e.text }

func (n *Node) dialOne(ctx context.Context, address string) (*quiclink.Link, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	at, err := n.Resolve(ctx, address)
	if err != nil {
		return nil, errors.New(quiclink.ExplainDialError(err, address))
	}
	link, err := n.Endpoint.Dial(ctx, at, n.Identity.ClientTLS(n.Clock))
	if err == nil {
		return link, nil
	}
	text := quiclink.ExplainDialError(err, address)
	if refused, ok := errors.AsType[*quiclink.LinkError](err); ok && refused.Cause == quiclink.Refused && refused.Remote {
		return nil, &refusedError{text: text}
	}
	return nil, errors.New(text)
}

// ends connects the link with the database.
func (n *Node) ends(ctx context.Context, self store.Self, caller *exchange.Caller,
	changed <-chan struct{}) exchange.Ends {
	return exchange.Ends{
		Incarnation: self.Incarnation,
		Extract: func(from causal.Position, rows int, emit func(store.Span, *crdt.Section) error) (store.Span, int, error) {
			return n.Store.Outgoing(0, from, rows, emit)
		},
		Rows: n.Store.SliceRows,
		Apply: func(delta store.Delta) (causal.Seen, error) {
			applied, err := n.Store.ApplyFromHub(delta)
			if err != nil {
				return 0, err
			}
			n.look(func(v *View) { v.PendingIn = 0 })
			if applied.Unsent { // folded with it, or an edit of ours that outlived a deletion and is to be sent whole
				n.changed.Notify()
			} else {
				n.folder.Announced(applied.Position)
			}
			n.progress.Notify()
			return applied.Floor, nil
		},
		Blocked: func(text string) { n.look(func(v *View) { v.Schema = text }) },
		Acked: func(a session.Acked) error {
			if err := n.Store.Acknowledged(a.Reached); err != nil {
				return err
			}
			n.progress.Notify()
			return nil
		},
		State: n.ping,
		Noticed: func(a session.Action) {
			n.noticed(ctx, a, caller)
		},
		Handle: func(message wire.Message, send func(wire.Message)) {
			n.handle(ctx, caller, message)
		},
		Changed:  changed,
		Outbox:   caller.Outbox(),
		SpoolDir: n.SpoolDir,
		Clock:    n.Clock,
		Log:      n.Log,
	}
}

// ping is the state of this node for the hub.
func (n *Node) ping() wire.Ping {
	self, err := n.Store.Self()
	if err != nil {
		return wire.Ping{Trouble: string(status.Error), TroubleText: err.Error()}
	}
	out, err := n.Store.Pending(0, self.HubHave)
	if err == nil {
		err = n.folder.Trouble()
	}
	ping := wire.Ping{PendingOut: out, Floor: self.Floor}
	if err != nil {
		ping.Trouble, ping.TroubleText = exchange.TroubleOf(err)
	} else {
		n.look(func(v *View) {
			if v.Schema != "" {
				ping.Trouble, ping.TroubleText = session.CodeSchema, v.Schema
			}
		})
	}
	return ping
}

func (n *Node) handle(ctx context.Context, caller *exchange.Caller, message wire.Message) {
	switch m := message.(type) {
	case wire.Status:
		number := n.heard.Add(1)
		n.background.Go(func() { n.keepStatus(number, m.JSON) }) // waits its turn behind an apply; the link must not
	case wire.Here:
		caller.Answer(m.ID, m)
	case wire.Digest:
		caller.Answer(m.ID, m)
	case wire.Rows:
		caller.Answer(m.ID, m) // in the order they come: the last says that it is
	case wire.DigestRequest, wire.RowsRequest:
		n.background.Go(func() { exchange.AnswerDigest(ctx, n.Store, caller, m) })
	}
}

func (n *Node) look(f func(*View)) {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	f(&n.view)
}

func (n *Node) wasLinked() (linked bool) {
	n.look(func(v *View) { linked = v.Linked })
	return linked
}

// unlinked notes that there is no link, and why.
func (n *Node) unlinked(err error) {
	cause := status.NoLink
	if ended, ok := errors.AsType[*exchange.Ended](err); ok {
		switch ended.Code {
		case session.CodeIdentity, session.CodeRevoked, session.CodeDisk:
			cause = status.Cause(ended.Code)
		}
	}
	if errors.As(err, new(*refusedError)) {
		cause = status.Revoked
	}
	was := false
	n.look(func(v *View) {
		was = v.Linked
		if was {
			v.Since = n.Clock()
		}
		v.Linked, v.Trouble, v.Cause, v.PendingIn, v.Schema = false, err.Error(), cause, 0, ""
	})
	n.mutex.Lock()
	n.caller = nil
	n.mutex.Unlock()
	n.progress.Notify()
	if was {
		n.Log.Warn().Err(err).Msg("no link with the hub any more; work goes on here")
		n.record(journal.Down(self(n.Store), err))
	} else {
		n.Log.Debug().Err(err).Msg("no link with the hub yet")
	}
}

// record journals an event. A database in trouble has been reported already.
func (n *Node) record(e journal.Event) {
	if err := n.Store.Record(e); err != nil {
		n.Log.Error().Err(err).Str("kind", string(e.Kind)).Msg("an event could not be journalled")
	}
}

// self is this server's name, empty if the database cannot be read.
func self(s *store.Store) string {
	self, err := s.Self()
	if err != nil {
		return ""
	}
	return self.Name
}
