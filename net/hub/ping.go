package hub

import (
	"ravno/net/exchange"
	"ravno/net/wire"
)

// pending is how much waits for a node, as counted in a version of the file.
type pending struct {
	counted bool
	version int64
	rows    int64
}

// ping is what the hub says of itself to a node.
func (h *Hub) ping(me *live) wire.Ping {
	out, err := h.pendingFor(me)
	if err == nil {
		err = h.folder.Trouble()
	}
	ping := wire.Ping{PendingOut: out}
	if err != nil {
		ping.Trouble, ping.TroubleText = exchange.TroubleOf(err)
	}
	return ping
}

// pendingFor counts what waits for a node, again only if somebody has committed since: a
// thousand nodes at rest ask five hundred times a second.
func (h *Hub) pendingFor(me *live) (rows int64, err error) {
	version, unknown := h.Store.FileVersion()
	if last := me.waits; unknown == nil && last.counted && last.version == version {
		return last.rows, nil
	}
	me.waits = pending{}
	peer, _, err := h.Store.Peer(me.site)
	if err != nil {
		return 0, err
	}
	if rows, err = h.Store.Pending(me.site, peer.Acked); err != nil {
		return rows, err
	}
	me.waits = pending{counted: unknown == nil, version: version, rows: rows}
	return rows, nil
}
