package hub

import (
	"context"
	"time"

	"ravno/crdt/causal"
	"ravno/net/exchange"
	"ravno/net/session"
	"ravno/net/status"
	"ravno/store"
)

// superviseNodes cuts off nodes that were removed, and tells the nodes about each other.
func (h *Hub) superviseNodes(ctx context.Context) {
	ticker := time.NewTicker(checkEvery)
	defer ticker.Stop()
	moved, stop := h.progress.Subscribe()
	defer stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-h.checkNow:
		case <-moved:
			// Much changes at once. After a short pause, one broadcast tells all of it.
			pause := time.NewTimer(checkEvery / 10)
			select {
			case <-ctx.Done():
			case <-pause.C:
			}
			pause.Stop()
		}
		h.check()
		h.settle(ctx)
	}
}

// settle finds settled work and forgets it, while the hub goes on.
func (h *Hub) settle(ctx context.Context) {
	// A wait longer than there is means that the clock was set back.
	if wait := h.settleAfter.Sub(h.Clock()); wait > 0 && wait <= h.SettleEvery || !h.settling.CompareAndSwap(false, true) {
		return
	}
	h.settleAfter = h.Clock().Add(h.SettleEvery)
	h.background.Go(func() {
		defer h.settling.Store(false)
		err := h.Store.Settle()
		if err == nil {
			err = h.Store.Forget(ctx)
		}
		if err != nil && ctx.Err() == nil {
			h.Log.Error().Err(err).Msg("what is settled could not be forgotten")
		}
	})
}

// recheckEvery is how often the hub checks although neither its file nor its knowledge of the
// nodes has changed. The status has one other source: the store keeps in memory which triggers
// it cannot mirror. That changes only with a commit or a failed one.
const recheckEvery = 15 * time.Second

// inputs are the versions of everything the status is computed from.
type inputs struct {
	file    int64  // the version of the database
	nodes   uint64 // the revision of live and seen
	folding string // why folding fails here; empty: it does not
}

// check cuts off removed nodes and broadcasts the status. It does nothing if its inputs are the
// ones of the last complete check.
func (h *Hub) check() {
	var now inputs
	var err error
	if now.file, err = h.Store.FileVersion(); err == nil {
		if trouble := h.folder.Trouble(); trouble != nil {
			now.folding = trouble.Error()
		}
		h.mutex.Lock()
		now.nodes = h.revision
		h.mutex.Unlock()
		// A wait longer than there is means that the clock was set back.
		if wait := h.recheckAfter.Sub(h.Clock()); h.checked == now && wait > 0 && wait <= recheckEvery {
			return
		}
	}
	h.recheckAfter = time.Time{}
	if gone := h.cutRemoved(); gone != nil {
		err = gone
		h.Log.Error().Err(gone).Msg("looking for removed nodes failed")
	}
	complete, undelivered := h.deliver()
	if undelivered != nil {
		h.Log.Error().Err(undelivered).Msg("the status could not be delivered to the nodes")
	}
	if complete && err == nil && undelivered == nil {
		h.checked, h.recheckAfter = now, h.Clock().Add(recheckEvery)
	}
}

func (h *Hub) cutRemoved() error {
	peers, err := h.Store.Peers()
	if err != nil {
		return err
	}
	h.mutex.Lock()
	defer h.mutex.Unlock()
	for _, p := range peers {
		if l := h.live[p.Site]; l != nil && p.Removed {
			select {
			case l.ending <- session.Close{Code: session.CodeRevoked, Text: "this node was removed at the hub",
				Try: "ravno node add at the hub, then ravno join here"}:
			default: // told already
			}
		}
	}
	return nil
}

// Status is the status of all servers as the hub sees it now.
func (h *Hub) Status() (status.Snapshot, error) {
	h.mutex.Lock()
	known := map[causal.Site]seen{}
	for site, s := range h.seen {
		known[site] = *s
	}
	h.mutex.Unlock()
	return snapshot(h.Store, known, h.folder.Trouble(), "", h.Version, h.Clock())
}

// Offline is the status at the hub while no daemon runs there. why is the cause in words.
func Offline(s *store.Store, why, version string, now time.Time) (status.Snapshot, error) {
	return snapshot(s, nil, nil, why, version, now)
}

// snapshot is the status at the hub. stopped says why no daemon runs, and is empty if one does.
func snapshot(s *store.Store, known map[causal.Site]seen, folding error, stopped, version string, now time.Time) (
	status.Snapshot, error) {
	self, err := s.Self()
	if err != nil {
		return status.Snapshot{}, err
	}
	sites, err := s.Sites()
	if err != nil {
		return status.Snapshot{}, err
	}
	conflicts, _, err := s.OpenConflicts()
	if err != nil {
		return status.Snapshot{}, err
	}
	peers, err := s.Peers()
	if err != nil {
		return status.Snapshot{}, err
	}
	bySite := map[causal.Site]store.Peer{}
	for _, p := range peers {
		bySite[p.Site] = p
	}
	snap := status.Snapshot{Site: self.Name, Role: string(store.Hub), Hub: self.Name, At: now, Daemon: stopped == ""}
	for _, site := range sites {
		if site.Removed {
			continue
		}
		server := status.Server{Name: site.Name, Role: string(site.Role), Conflicts: conflicts[site.Number]}
		facts := status.Facts{Known: true, Conflicts: conflicts[site.Number]}
		if site.Number == self.Site {
			ownFacts(&facts, &server, self, peers, folding, stopped)
			server.Version = version
		} else if err := nodeFacts(s, &facts, &server, bySite[site.Number], known[site.Number], stopped); err != nil {
			return status.Snapshot{}, err
		}
		verdict := status.Judge(facts, now.Location())
		server.State, server.Cause, server.CauseText = verdict.State, verdict.Cause, verdict.CauseText
		snap.Servers = append(snap.Servers, server)
	}
	snap.Notices, err = s.Notices()
	return snap.Judged(), err
}

func ownFacts(facts *status.Facts, server *status.Server, self store.Self, peers []store.Peer, folding error,
	stopped string) {
	facts.LinkUp, facts.Stopped = stopped == "", stopped
	if folding != nil {
		if cause, text := exchange.TroubleOf(folding); cause == session.CodeDisk {
			facts.DiskTrouble = text
		} else {
			facts.OtherTrouble = text
		}
	}
	server.LastTransfer = self.LastTransfer
	for _, p := range peers {
		if p.LastTransfer.After(server.LastTransfer) {
			server.LastTransfer = p.LastTransfer
		}
	}
}

func nodeFacts(s *store.Store, facts *status.Facts, server *status.Server, peer store.Peer, known seen,
	stopped string) error {
	in, err := s.Pending(peer.Site, peer.Acked)
	if err != nil {
		return err
	}
	facts.LinkUp, facts.LinkSince, facts.LinkTrouble = known.linked, known.since, known.trouble
	facts.PendingOut, facts.PendingIn = known.pendingOut, in
	facts.ClockOffset, facts.ClockLimit = known.clockOffset, status.ClockLimit
	if stopped != "" {
		facts.LinkSince, facts.LinkTrouble = peer.LastTransfer, "the daemon at the hub is not running"
	}
	switch known.cause {
	case status.Identity:
		facts.IdentityTrouble = known.trouble
	case status.Schema:
		facts.SchemaDifference = known.trouble
	case status.Disk:
		facts.DiskTrouble = known.trouble
	case status.Error:
		facts.OtherTrouble = known.trouble
	case status.NoCause, status.NoLink, status.Conflict, status.Clock, status.Parked, status.Revoked:
		// The hub sees these for itself.
	}
	if known.schema != "" { // the hub lacks what the node has
		facts.SchemaDifference = known.schema
	}
	server.Since, server.LastTransfer, server.Version = known.since, peer.LastTransfer, known.version
	server.PendingOut, server.PendingIn, server.ClockOffsetMS = known.pendingOut, in, known.clockOffset.Milliseconds()
	return nil
}

// Wait returns when everything written here is folded. At the hub that means level.
func (h *Hub) Wait(context.Context) error { return h.folder.Fold() }

// Verify compares the tables here with those of every linked node.
func (h *Hub) Verify(ctx context.Context, table string) (map[string][]exchange.TableResult, error) {
	sites, err := h.Store.Sites()
	if err != nil {
		return nil, err
	}
	results := map[string][]exchange.TableResult{}
	for _, site := range sites {
		h.mutex.Lock()
		l := h.live[site.Number]
		h.mutex.Unlock()
		if l == nil {
			if !site.Removed && site.Role == store.Node {
				results[site.Name] = nil // not reached
			}
			continue
		}
		if results[site.Name], err = exchange.Verify(ctx, h.Store, l.caller, table); err != nil {
			return nil, err
		}
	}
	return results, nil
}
