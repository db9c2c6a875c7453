// Package journal has the events that ravno itself writes into the event journal, as types. Rows
// of the application's own journal tables travel in the same way, from a node to the hub and never
// to another node; package store knows which rows those are. This package knows no databases,
// links or time. The recorder of an event adds those.
package journal

import "fmt"

// Kind names the kind of an event. Scripts read the words, so they never change.
type Kind string

// The kinds of events.
const (
	LinkUp           Kind = "link_up"
	LinkDown         Kind = "link_down"
	Refused          Kind = "refused" // a server that was not let in, or a message that made no sense
	EnrolmentRefused Kind = "enrolment_refused"
	NodeAdded        Kind = "node_added"
	NodeRenamed      Kind = "node_renamed"
	NodeRemoved      Kind = "node_removed"
	FirstLoad        Kind = "first_load"
	ConflictFound    Kind = "conflict_found"
	ConflictResolved Kind = "conflict_resolved"
	RowRenumbered    Kind = "row_renumbered" // two rows had one key, and this one got a fresh key
	RowRefused       Kind = "row_refused"    // a row that cannot sync, and stays where it is
)

// Event is one thing that happened to ravno. Server is the name of the server it is about.
// Text is one line for people and holds no values of rows.
type Event struct {
	Kind   Kind
	Server string
	Text   string
}

// Up is a link that came up, with the version of ravno at its other end.
func Up(server, version string) Event {
	return Event{Kind: LinkUp, Server: server, Text: "linked with ravno " + version}
}

// Down is a link that ended, and why.
func Down(server string, cause error) Event {
	return Event{Kind: LinkDown, Server: server, Text: cause.Error()}
}

// NotLetIn is a link that ended before it had begun, and why.
func NotLetIn(server string, cause error) Event {
	return Event{Kind: Refused, Server: server, Text: cause.Error()}
}

// TokenRefused is a join that the hub did not accept, and why.
func TokenRefused(hub string, cause error) Event {
	return Event{Kind: EnrolmentRefused, Server: hub, Text: cause.Error()}
}

// Added is a node that enrolled, and the number it was given.
func Added(server string, site fmt.Stringer) Event {
	return Event{Kind: NodeAdded, Server: server, Text: fmt.Sprintf("%s enrolled as site %s", server, site)}
}

// Renamed is a server that got another name.
func Renamed(old, name string) Event {
	return Event{Kind: NodeRenamed, Server: name, Text: old + " is called " + name + " now"}
}

// Removed is a node whose certificate is no longer valid.
func Removed(server string) Event {
	return Event{Kind: NodeRemoved, Server: server, Text: server + " was removed: its certificate is no longer valid"}
}

// Loaded is a first load that was sent, with its size in bytes as sent.
func Loaded(server string, bytes uint64) Event {
	return Event{Kind: FirstLoad, Server: server, Text: fmt.Sprintf("first load of %d bytes sent", bytes)}
}

// Found is a conflict that was recorded, or extended, when a server's work arrived.
func Found(server, kind, table, id string) Event {
	return Event{Kind: ConflictFound, Server: server, Text: fmt.Sprintf("%s in %s: %s", kind, table, id)}
}

// Resolved is a conflict that somebody decided, and on which server.
func Resolved(server, id, by string) Event {
	return Event{Kind: ConflictResolved, Server: server, Text: fmt.Sprintf("%s resolved by %s", id, by)}
}

// Renumbered is a row of a server whose key was another row's too, and got a fresh one; words
// say which.
func Renumbered(server, words string) Event {
	return Event{Kind: RowRenumbered, Server: server, Text: words}
}

// RowLeft is a row that cannot sync, and why; it stays in its table.
func RowLeft(server, table string, cause error) Event {
	return Event{Kind: RowRefused, Server: server, Text: fmt.Sprintf("table %s: %v", table, cause)}
}
