// Package hub is the hub's side of the chain. It folds the writes of the application here, lets
// nodes in and cuts them off, and levels with each of them over its own link. It relays: the work
// of one node becomes part of the hub's own state and goes to the other nodes from there. Each
// link has its own loop, so that a slow node costs the others nothing.
package hub

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/net/exchange"
	"ravno/net/identity"
	"ravno/net/quiclink"
	"ravno/net/session"
	"ravno/net/status"
	"ravno/net/wire"
	"ravno/store"
)

const (
	// checkEvery is how often the hub checks whether a node was removed and whether the status
	// changed. A removed node is cut off within it, whichever process removed it.
	checkEvery = time.Second
	// greetingTimeout is how long a link may wait with its first message.
	greetingTimeout = 10 * time.Second
	// SettleEvery is how often a hub looks for work that is settled. Each time costs one more
	// commit there and at every node, and work that waits to be forgotten only takes space.
	SettleEvery = 30 * time.Second
)

// Config is the surroundings of a hub.
type Config struct {
	Store     *store.Store
	Identity  *identity.Identity
	Authority *identity.Authority
	Endpoint  *quiclink.Endpoint
	Version   string
	// StateDir takes first loads and batches too large for memory.
	StateDir string
	Clock    store.Clock
	// NewID yields identifiers for first loads.
	NewID func() string
	// SettleEvery is how often the hub looks for settled work. 0 stands for the constant
	// SettleEvery, which suits a chain.
	SettleEvery time.Duration
	Wake        <-chan struct{}
	Log         zerolog.Logger
}

// Hub is a running hub. Its methods are safe for concurrent use.
type Hub struct {
	Config
	folder   exchange.Folder
	changed  exchange.Signal // there may be something to send
	progress exchange.Signal // something was sent, applied or linked
	checkNow chan struct{}   // asks for a check of removed nodes and the status now

	// Only superviseNodes uses these. deliverAfter is the earliest time of the next delivery.
	deliverAfter time.Time
	broadcast    broadcast // the status being delivered
	delivering   bool      // some nodes have yet to get the broadcast
	turn         uint64    // counts deliveries
	// checked are the inputs of the last complete check, which is good until recheckAfter.
	checked      inputs
	recheckAfter time.Time
	// The hub looks for settled work again after settleAfter, unless it is still at it.
	settleAfter time.Time
	settling    atomic.Bool
	// full: a first load is being written. A channel, like store's longMutex, because it is held over a write
	loads chan struct{}

	background sync.WaitGroup

	mutex sync.Mutex
	live  map[causal.Site]*live
	seen  map[causal.Site]*seen
	// revision counts the changes of live and seen.
	revision uint64
}

// live is a node with a link.
type live struct {
	site      causal.Site
	caller    *exchange.Caller
	ending    chan session.Close
	over      chan struct{} // closed when its run has ended
	delivered delivered     // the last status it got
	waits     pending       // only the link's own loop uses it
	floor     atomic.Uint64 // the least its unsent work has seen, as recorded
	bare      bare
}

// seen is the hub's view of a node, kept while the hub runs.
type seen struct {
	linked      bool
	since       time.Time
	trouble     string
	cause       status.Cause
	version     string
	schema      string // what of its schema is not here yet
	pendingOut  int64  // what the node says it has for us
	clockOffset time.Duration
}

// New prepares a hub. Run runs it.
func New(config Config) *Hub {
	config.SettleEvery = cmp.Or(config.SettleEvery, SettleEvery)
	h := &Hub{Config: config, live: map[causal.Site]*live{}, seen: map[causal.Site]*seen{},
		checkNow: make(chan struct{}, 1), loads: make(chan struct{}, 1)}
	h.folder = exchange.Folder{Store: h.Store, Wake: h.Wake, Changed: &h.changed, Log: h.Log}
	return h
}

// Run listens and serves until ctx ends.
func (h *Hub) Run(ctx context.Context) error {
	listener, err := h.Endpoint.Listen(h.Identity.ServerTLS(h.Clock, h.admit))
	if err != nil {
		return err
	}
	var workers sync.WaitGroup
	defer h.background.Wait()
	defer workers.Wait()
	defer listener.Close()
	workers.Go(func() { h.folder.Run(ctx) })
	workers.Go(func() { h.superviseNodes(ctx) })
	for {
		link, err := listener.Accept(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("the hub no longer listens: %w", err)
		}
		workers.Go(func() { h.serve(ctx, link) })
	}
}

// admit answers, at every handshake, whether a node may enter. It must be enrolled with this very
// certificate and not removed.
func (h *Hub) admit(site causal.Site, serial string) error {
	peer, ok, err := h.Store.Peer(site)
	switch {
	case err != nil:
		return err
	case !ok:
		return errors.New("never enrolled here")
	case peer.Removed:
		return errors.New("removed")
	case peer.Serial != serial:
		return errors.New("its certificate was replaced by a newer one")
	}
	return nil
}

// Poke looks at the file now, because a command has changed it.
func (h *Hub) Poke() {
	_ = h.folder.Fold() // its trouble is kept and shown
	select {
	case h.checkNow <- struct{}{}:
	default:
	}
}

// serve serves one link, which enrols, asks for a first load or levels.
func (h *Hub) serve(ctx context.Context, link *quiclink.Link) {
	control := link.Control()
	if err := control.SetReadDeadline(time.Now().Add(greetingTimeout)); err != nil {
		link.CloseWith(quiclink.CodeStopped, "")
		return
	}
	first, err := wire.Read(control, wire.MaxControl)
	if err != nil {
		h.Log.Warn().Err(err).Stringer("from", link.RemoteAddr()).Msg("a link without a greeting")
		link.CloseWith(session.Number(session.CodeProtocol), "no greeting")
		return
	}
	if err := control.SetReadDeadline(time.Time{}); err != nil {
		link.CloseWith(quiclink.CodeStopped, "")
		return
	}
	switch m := first.(type) {
	case wire.Enrol:
		if link.Protocol() == identity.ProtocolEnrol {
			h.enrol(link, m)
			return
		}
	case wire.SnapshotRequest:
		if link.Protocol() == identity.ProtocolLink {
			h.sendLoad(ctx, link, m)
			return
		}
	case wire.Hello:
		if link.Protocol() == identity.ProtocolLink {
			h.level(ctx, link, m)
			return
		}
	}
	h.Log.Warn().Stringer("message", first.Kind()).Stringer("from", link.RemoteAddr()).Msg(
		"a link that began with the wrong message")
	link.CloseWith(session.Number(session.CodeProtocol), "this message does not begin a link")
}

// level levels with one node until its link ends.
func (h *Hub) level(ctx context.Context, link *quiclink.Link, hello wire.Hello) {
	site := link.Peer().Site
	me, former := h.enter(site, link)
	if former != nil { // of the same identity: the newer link replaces it, at once
		former.ending <- session.Close{Code: session.CodeReplaced, Text: "this node has a newer link"}
		<-former.over
	}
	defer close(me.over)
	ended := h.run(ctx, link, me, hello)
	h.left(me, ended)
}

func (h *Hub) enter(site causal.Site, link *quiclink.Link) (me, former *live) {
	me = &live{site: site, caller: exchange.NewCaller(link.Done()), ending: make(chan session.Close, 2),
		over: make(chan struct{}),
		bare: bare{changed: make(chan struct{}, 1)}}
	h.mutex.Lock()
	defer h.mutex.Unlock()
	former = h.live[site]
	h.live[site] = me
	h.revision++
	return me, former
}

func (h *Hub) run(ctx context.Context, link *quiclink.Link, me *live, hello wire.Hello) *exchange.Ended {
	fail := func(err error) *exchange.Ended {
		link.CloseWith(session.Number(session.CodeError), "the hub cannot read its database")
		return &exchange.Ended{Close: session.Close{Code: session.CodeError, Text: err.Error()}, Err: err}
	}
	if err := h.folder.Fold(); err != nil {
		return fail(err)
	}
	peer, _, err := h.Store.Peer(me.site)
	if err != nil {
		return fail(err)
	}
	self, err := h.Store.Self()
	if err != nil {
		return fail(err)
	}
	defer h.changed.Add(me.bare.changed)()
	s := session.NewHub(session.Self{Version: h.Version, Incarnation: self.Incarnation, Position: self.Position},
		session.NodePeer{Incarnation: peer.Incarnation, Have: peer.Have, Until: peer.Until,
			Seen: max(peer.Acked, peer.Settled.Hub)})
	return exchange.Run(ctx, link, s, hello, h.ends(ctx, self, me))
}

// ends connects a node's link with the database.
func (h *Hub) ends(ctx context.Context, self store.Self, me *live) exchange.Ends {
	return exchange.Ends{
		Incarnation: self.Incarnation,
		Extract: func(from causal.Position, rows int, emit func(store.Span, *crdt.Section) error) (store.Span, int, error) {
			span, changes, err := h.Store.Outgoing(me.site, from, rows, emit)
			if err == nil && changes == 0 && span.To > from && !h.bareDue(me, from) {
				span.To = from
			}
			return span, changes, err
		},
		Rows: h.Store.SliceRows,
		Apply: func(delta store.Delta) (causal.Seen, error) {
			applied, err := h.Store.ApplyFromNode(me.site, delta, 0)
			if err == nil {
				h.folder.Announced(applied.Position)
				h.recall(me.site, func(s *seen) { s.pendingOut = 0 })
				h.changed.NotifyBut(me.bare.changed)
				time.AfterFunc(makerAfter, me.bare.wake)
				h.progress.Notify()
			}
			return 0, err
		},
		Blocked: func(text string) { h.recall(me.site, func(s *seen) { s.schema = text }) },
		Acked: func(a session.Acked) error {
			if a.Greeted {
				me.floor.Store(uint64(a.Floor))
				return h.Store.Greeted(me.site, a.Reached, a.Floor)
			}
			err := h.Store.AckedByNode(me.site, a.Reached, a.Floor, a.Changes > 0)
			me.floor.Store(max(me.floor.Load(), uint64(a.Floor)))
			h.progress.Notify()
			return err
		},
		State:   func() wire.Ping { return h.ping(me) },
		Noticed: func(a session.Action) { h.noticed(me, a) },
		Handle: func(message wire.Message, send func(wire.Message)) {
			h.handle(ctx, me, message)
		},
		Changed:  me.bare.changed,
		Outbox:   me.caller.Outbox(),
		Ending:   me.ending,
		SpoolDir: filepath.Join(h.StateDir, "spool"),
		Clock:    h.Clock,
		Log:      h.Log.With().Uint32("node", uint32(me.site)).Logger(),
	}
}

func (h *Hub) handle(ctx context.Context, me *live, message wire.Message) {
	switch m := message.(type) {
	case wire.Where:
		h.background.Go(func() { // folding may wait for the application; the link must not
			if err := h.folder.Fold(); err != nil {
				return // the node asks again
			}
			if self, err := h.Store.Self(); err == nil {
				_ = me.caller.Send(ctx, wire.Here{ID: m.ID, Position: self.Position})
				me.bare.ask(self.Position)
			}
		})
	case wire.Digest:
		me.caller.Answer(m.ID, m)
	case wire.Rows:
		me.caller.Answer(m.ID, m) // in the order they come: the last says that it is
	case wire.DigestRequest, wire.RowsRequest:
		h.background.Go(func() { exchange.AnswerDigest(ctx, h.Store, me.caller, m) })
	}
}
