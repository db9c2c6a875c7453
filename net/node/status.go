package node

import (
	"strings"
	"time"

	"ravno/crdt/causal"
	"ravno/net/status"
	"ravno/store"
)

// Status is the status of all servers as this node sees it now.
func (n *Node) Status() (status.Snapshot, error) {
	var view View
	n.look(func(v *View) { view = *v })
	view.Fold = n.folder.Trouble()
	return Snapshot(n.Store, view, n.Version, n.Clock())
}

// Snapshot is the status as a node sees it. It knows its own link and work, and the other servers
// from the hub's last broadcast. Without a link the others are unknown, not healthy.
func Snapshot(s *store.Store, view View, version string, now time.Time) (status.Snapshot, error) {
	self, err := s.Self()
	if err != nil {
		return status.Snapshot{}, err
	}
	conflicts, _, err := s.OpenConflicts()
	if err != nil {
		return status.Snapshot{}, err
	}
	sites, err := s.Sites()
	if err != nil {
		return status.Snapshot{}, err
	}
	out, err := s.Pending(0, self.HubHave)
	if err != nil {
		return status.Snapshot{}, err
	}
	word, err := s.HubStatus()
	if err != nil {
		return status.Snapshot{}, err
	}
	told := hubsWord(word)
	snapshot := status.Snapshot{Site: self.Name, Role: string(store.Node), Hub: self.Hub, At: now, Daemon: view.Daemon}
	for _, site := range sites {
		if site.Removed && site.Number != self.Site {
			continue
		}
		facts := facts(site, self, view, conflicts[site.Number], out)
		server := status.Server{Name: site.Name, Role: string(site.Role), Conflicts: conflicts[site.Number]}
		hubs, known := told[strings.ToLower(site.Name)]
		switch {
		case site.Number == self.Site:
			server.LastTransfer, server.PendingOut, server.PendingIn = self.LastTransfer, out, view.PendingIn
			server.ClockOffsetMS, server.Version, server.Since = view.ClockOffset.Milliseconds(), version, view.Since
		case site.Number == causal.Hub:
			server.LastTransfer, server.Version, server.Since = self.LastTransfer, view.HubVersion, view.Since
		case known && view.Linked:
			snapshot.Servers = append(snapshot.Servers, hubs)
			continue
		case known:
			server.LastTransfer, server.Version, server.Since = hubs.LastTransfer, hubs.Version, view.Since
		}
		verdict := status.Judge(facts, now.Location())
		server.State, server.Cause, server.CauseText = verdict.State, verdict.Cause, verdict.CauseText
		snapshot.Servers = append(snapshot.Servers, server)
	}
	notices, err := s.Notices()
	snapshot.Notices = notices
	return snapshot.Judged(), err
}

func hubsWord(json string) map[string]status.Server {
	told := map[string]status.Server{}
	if json == "" {
		return told
	}
	snapshot, err := status.Decode([]byte(json))
	if err != nil {
		return told // of another version: then nothing is known of the others
	}
	for _, server := range snapshot.Servers {
		told[strings.ToLower(server.Name)] = server
	}
	return told
}

func facts(site store.Site, self store.Self, view View, conflicts int, out int64) status.Facts {
	f := status.Facts{LinkUp: view.Linked, LinkSince: view.Since, LinkTrouble: view.Trouble, Conflicts: conflicts}
	switch site.Number {
	case self.Site:
		f.Known, f.PendingOut, f.PendingIn = true, out, view.PendingIn
		if !view.Daemon {
			f.Stopped = view.Trouble
		}
		f.ClockOffset, f.ClockLimit = view.ClockOffset, status.ClockLimit
		f.Revoked = site.Removed || view.Cause == status.Revoked
		switch view.Cause {
		case status.Identity:
			f.IdentityTrouble = view.Trouble
		case status.Disk:
			f.DiskTrouble = view.Trouble
		case status.NoCause, status.NoLink, status.Conflict, status.Clock, status.Schema, status.Parked,
			status.Revoked, status.Error: // each has a fact of its own
		}
		f.SchemaDifference = view.Schema
		if view.Fold != nil {
			f.OtherTrouble = view.Fold.Error()
		}
	case causal.Hub:
		f.Known, f.OtherTrouble = true, view.HubTrouble
		if !view.Daemon {
			f.LinkTrouble = "the daemon is not running here"
		}
	default:
		f.Known = false
	}
	return f
}
