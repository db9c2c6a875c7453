package hub

import (
	"ravno/crdt/causal"
	"ravno/journal"
	"ravno/net/exchange"
	"ravno/net/session"
	"ravno/net/status"
)

// recall changes the hub's view of a node, and reports whether it differs now.
func (h *Hub) recall(site causal.Site, f func(*seen)) (changed bool) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	s := h.seen[site]
	if s == nil {
		s = &seen{}
		h.seen[site] = s
		h.revision++
	}
	before := *s
	if f(s); *s != before {
		h.revision++
		return true
	}
	return false
}

func (h *Hub) noticed(me *live, a session.Action) {
	changed := true
	switch a := a.(type) {
	case session.Linked:
		h.recall(me.site, func(s *seen) {
			*s = seen{linked: true, since: h.Clock(), version: a.PeerVersion,
				clockOffset: exchange.SteadyOffset(0, a.ClockOffset)}
		})
		h.Log.Info().Uint32("node", uint32(me.site)).Str("version", a.PeerVersion).Msg("a node linked")
		h.record(journal.Up(h.name(me.site), a.PeerVersion))
	case session.Measured:
		changed = h.recall(me.site, func(s *seen) { s.clockOffset = exchange.SteadyOffset(s.clockOffset, a.ClockOffset) })
	case session.PeerState:
		h.hasSeen(me, a.Floor)
		changed = h.recall(me.site, func(s *seen) {
			s.pendingOut, s.trouble, s.cause = a.PendingOut, a.TroubleText, status.Cause(a.Trouble)
		})
	}
	if changed { // most pings say what the one before said
		h.progress.Notify()
	}
}

// left notes that a node's link has ended, and why.
func (h *Hub) left(me *live, ended *exchange.Ended) {
	h.mutex.Lock()
	current := h.live[me.site] == me
	if current {
		delete(h.live, me.site)
		h.revision++
	}
	h.mutex.Unlock()
	if !current {
		return // a newer link has taken over, and tells how things are
	}
	was := false
	h.recall(me.site, func(s *seen) {
		was = s.linked
		if was {
			s.since = h.Clock()
		}
		s.linked, s.trouble, s.cause = false, ended.Error(), status.NoLink
		switch ended.Code {
		case session.CodeIdentity, session.CodeDisk:
			s.cause = status.Cause(ended.Code)
		}
	})
	h.progress.Notify()
	h.Log.Warn().Uint32("node", uint32(me.site)).Err(ended).Msg("a node's link ended")
	if was {
		h.record(journal.Down(h.name(me.site), ended))
	} else {
		h.record(journal.NotLetIn(h.name(me.site), ended))
	}
}

// record journals an event. A database in trouble has been reported already.
func (h *Hub) record(e journal.Event) {
	if err := h.Store.Record(e); err != nil {
		h.Log.Error().Err(err).Str("kind", string(e.Kind)).Msg("an event could not be journalled")
	}
}

// name is a server's name, or its number if it has none.
func (h *Hub) name(site causal.Site) string {
	sites, err := h.Store.Sites()
	for _, s := range sites {
		if err == nil && s.Number == site {
			return s.Name
		}
	}
	return "site " + site.String()
}
