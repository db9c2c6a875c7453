package hub

import (
	"ravno/crdt/causal"
	"ravno/net/exchange"
	"ravno/net/wire"
	"ravno/store"
)

// pending is how much waits for a node, as counted in a version of the file, and the settlement that
// the hub tells it.
type pending struct {
	counted bool
	version int64
	rows    int64
	settled store.Settlement
}

// ping is the state of the hub for a node.
func (h *Hub) ping(me *live) wire.Ping {
	waits, err := h.pendingFor(me)
	if err == nil {
		err = h.folder.Trouble()
	}
	ping := wire.Ping{PendingOut: waits.rows, Settled: wire.Settled(waits.settled)}
	if err != nil {
		ping.Trouble, ping.TroubleText = exchange.TroubleOf(err)
	}
	return ping
}

// pendingFor counts the changes that wait for a node. It counts again only after a commit, because a
// thousand nodes at rest ask five hundred times a second.
func (h *Hub) pendingFor(me *live) (now pending, err error) {
	version, versionErr := h.Store.FileVersion()
	if last := me.waits; versionErr == nil && last.counted && last.version == version {
		return last, nil
	}
	me.waits = pending{}
	peer, _, err := h.Store.Peer(me.site)
	if err != nil {
		return now, err
	}
	rows, err := h.Store.Pending(me.site, peer.Acked)
	if err != nil {
		return now, err
	}
	me.waits = pending{counted: versionErr == nil, version: version, rows: rows, settled: peer.Settled}
	return me.waits, nil
}

// hasSeen records the least position that a node's unsent work has seen, if that has moved without a
// batch that the node could have acknowledged.
func (h *Hub) hasSeen(me *live, floor causal.Seen) {
	if uint64(floor) <= me.floor.Load() {
		return
	}
	me.floor.Store(uint64(floor))
	h.background.Go(func() { // it may have to wait for the database; the link must not
		if err := h.Store.AckedByNode(me.site, causal.Reached{}, floor, false); err != nil {
			h.Log.Error().Err(err).Uint32("node", uint32(me.site)).Msg("what a node has seen could not be recorded")
		}
	})
}
