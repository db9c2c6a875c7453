package node

import (
	"context"
	"time"

	"ravno/journal"
	"ravno/net/exchange"
	"ravno/net/session"
	"ravno/net/status"
	"ravno/net/wire"
	"ravno/store"
)

func (n *Node) noticed(ctx context.Context, a session.Action, caller *exchange.Caller) {
	switch a := a.(type) {
	case session.Linked:
		n.look(func(v *View) {
			v.Linked, v.Since, v.Trouble, v.Cause, v.HubVersion = true, n.Clock(), "", "", a.PeerVersion
		})
		n.mutex.Lock()
		n.caller = caller
		n.mutex.Unlock()
		n.measured(a.ClockOffset)
		n.Log.Info().Str("hub_version", a.PeerVersion).Msg("linked with the hub")
		n.record(journal.Up(self(n.Store), a.PeerVersion))
	case session.Measured:
		n.measured(a.ClockOffset)
	case session.PeerState:
		n.look(func(v *View) { v.PendingIn, v.HubTrouble = a.PendingOut, a.TroubleText })
		n.settle(ctx, a.Settled)
	}
	n.progress.Notify()
}

// settle takes in a settlement of the hub and forgets the settled work, while the node goes on.
func (n *Node) settle(ctx context.Context, now wire.Settled) {
	if now.Hub == 0 || !n.settling.CompareAndSwap(false, true) {
		return
	}
	if now == n.settled {
		n.settling.Store(false)
		return
	}
	n.background.Go(func() { // it waits its turn at the database; the link must not
		defer n.settling.Store(false)
		taken, err := n.Store.Settled(store.Settlement(now))
		if taken {
			err = n.Store.Forget(ctx)
		}
		if taken && err == nil {
			n.settled = now
		}
		if err != nil && ctx.Err() == nil {
			n.Log.Error().Err(err).Msg("what is settled could not be forgotten")
		}
	})
}

// measured corrects stamps by the offset to the hub's clock, once it matters.
func (n *Node) measured(offset time.Duration) {
	n.look(func(v *View) { v.ClockOffset = exchange.SteadyOffset(v.ClockOffset, -offset) })
	correction := time.Duration(0)
	if offset.Abs() >= offsetThreshold {
		correction = offset
	}
	self, err := n.Store.Self()
	if err == nil && (self.ClockOffset-correction).Abs() >= offsetThreshold {
		err = n.Store.SetClockOffset(correction)
	}
	if err != nil {
		n.Log.Error().Err(err).Msg("the clock's offset could not be kept")
	}
}

// keepStatus keeps the hub's word on all servers, after checking that it is one, and that no
// later one has been kept already.
func (n *Node) keepStatus(number uint64, json []byte) {
	_, err := status.Decode(json)
	n.keeping <- struct{}{}
	defer func() { <-n.keeping }()
	if number < n.kept {
		return
	}
	if err == nil {
		n.kept = number
		err = n.Store.SetHubStatus(string(json))
	}
	if err != nil {
		n.Log.Error().Err(err).Msg("the hub's status could not be kept")
	}
	n.progress.Notify()
}
