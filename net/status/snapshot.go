// Package status shows how level an organisation is. One [Snapshot] value becomes a text table, a
// JSON document or an HTML page. [Judge] turns the facts about one server into its colour and the
// words beside it.
//
// It is pure presentation. It does not know the source of the facts (store, session, disk), the
// time, or the time zone of its readers. It shows names, counts, times and causes, and never the
// values of rows.
//
// Others typed or sent those texts, so each is made harmless on its way out. Control and formatting
// characters are spelled out before they reach a terminal or a page, and html/template escapes the
// rest.
//
// All functions are safe for concurrent use as long as nobody changes the Snapshot meanwhile.
package status

import (
	"slices"
	"time"
)

// State is the colour of one server.
type State string

const (
	Green State = "green" // link up, nothing pending, no conflict open that involves it
	Red   State = "red"   // needs attention; Cause says why
	Grey  State = "grey"  // neither: transferring right now, or nothing is known
)

// Cause names why a server is red, for scripts. It is empty when the server is green or grey.
type Cause string

const (
	NoCause  Cause = ""
	NoLink   Cause = "no_link"
	Conflict Cause = "conflict"
	Clock    Cause = "clock"
	Schema   Cause = "schema"
	Parked   Cause = "parked"
	Disk     Cause = "disk"
	Identity Cause = "identity" // restored from a backup, or cloned
	Revoked  Cause = "revoked"
	Error    Cause = "error" // anything that has no name of its own
)

// Server is one line of the status: one server as the observer sees it.
type Server struct {
	Name          string
	Role          string // "hub" or "node"
	State         State
	Cause         Cause
	CauseText     string    // for people, one line
	Since         time.Time // when the present state began; zero: not known
	LastTransfer  time.Time // last data transferred with success, whichever direction; zero: none yet
	PendingOut    int64     // changes this server has yet to send
	PendingIn     int64     // changes this server has yet to receive
	Conflicts     int       // open conflicts that involve it
	ClockOffsetMS int64     // milliseconds its clock is ahead of the hub's; negative: behind
	Version       string    // of ravno, as the server told it; empty: not known
}

// Snapshot is the status of the whole organisation at one moment, as seen from Site.
type Snapshot struct {
	Site    string // the observer
	Role    string // of the observer: "hub" or "node"
	Hub     string // name of the hub
	At      time.Time
	Level   bool // every server green; set by Judged, and recomputed by everything that shows or encodes
	Daemon  bool // the observer's daemon is running
	Servers []Server
	Notices []string // more for an admin to read, one line each
	Writes  *Writes  // how the observer's own writes came to its file; nil: not known, the daemon is not running
}

// Writes counts, since the daemon's start, the transactions in which it wrote to the file beside the application.
type Writes struct {
	AtOnce  uint64 `json:"at_once"` // nobody else was at the file
	Waited  uint64 `json:"waited"`  // for a transaction of the application to end
	Forced  uint64 `json:"forced"`  // one that read went on for too long: it fails if it writes
	Overran uint64 `json:"overran"` // the application was let in before the end, because that took too long
	Ungated uint64 `json:"ungated"` // this system cannot do better: the application may find the file locked
}

// Judged returns the snapshot with Level computed and no nil list. Level means that there is at least
// one server and that every one is green. A broken observer has an empty list, which must not look
// healthy.
//
// Table, Page and the JSON encoding call it themselves, so a Level set wrongly or received from elsewhere cannot lie.
func (s Snapshot) Judged() Snapshot {
	s.Level = len(s.Servers) > 0 && s.count(Green) == len(s.Servers)
	if s.Servers == nil {
		s.Servers = []Server{}
	}
	if s.Notices == nil {
		s.Notices = []string{}
	}
	return s
}

// count counts the servers in a state.
func (s Snapshot) count(state State) int {
	n := 0
	for _, server := range s.Servers {
		if server.State == state {
			n++
		}
	}
	return n
}

// attentionFirst orders servers red, grey, green and keeps the given order within each. In a chain of a
// thousand shops nobody should have to search for the three that need attention.
func attentionFirst(servers []Server) []Server {
	rank := func(state State) int {
		switch state {
		case Red:
			return 0
		case Green:
			return 2
		case Grey:
		}
		return 1
	}
	ordered := slices.Clone(servers)
	slices.SortStableFunc(ordered, func(a, b Server) int { return rank(a.State) - rank(b.State) })
	return ordered
}
