// Package session is the protocol between a node and the hub as a state machine. Events go in and
// actions come out. It does no I/O and reads no clock. The connection, the database and the time
// belong to the caller, so that every course of events can be replayed in a test.
//
// Both ends do the same. Each tells the other from which position to send: the node in Hello (how
// far it has applied the hub's work), the hub in Welcome (how far it has committed the node's
// work). Then each sends one batch at a time, with everything above that position. It goes on when
// the other has acknowledged the batch, which it does only after a durable commit. A batch that
// does not begin at the receiver's position is not applied. The receiver answers it with its
// position, so repetition, delay and loss of whole batches do no harm. In between, pings show that
// the other end lives.
package session

import (
	"fmt"
	"slices"
	"time"

	"ravno/crdt/causal"
	"ravno/net/wire"
)

const (
	// PingEvery is how often each end shows that it lives and how it is.
	PingEvery = 2 * time.Second
	// SilentAfter is when an end that shows no life is taken for gone. QUIC notices a cut link by
	// itself. This notices a peer whose link is up and whose program hangs.
	SilentAfter = 15 * time.Second
	// OpeningTime is how long the greeting may take.
	OpeningTime = 10 * time.Second
	// AskAgainAfter is how long a batch that names an unknown table or column is left with its
	// sender before it is asked for again. An upgrade takes minutes, and a backlog takes bandwidth.
	AskAgainAfter = 15 * time.Second
	// CrossedAgainAfter is how long a batch that crossed with work of ours stays with its sender
	// although the peer has all of that work. Then newer work crossed too, and the next batch has
	// both.
	CrossedAgainAfter = 200 * time.Millisecond
	// maxRows is the most rows a peer can ask for in a batch. A larger number counts as this one.
	maxRows = 1 << 20
	// maxRepeats is how often a batch from one position may be refused in a row before the link
	// is given up. Then the two ends disagree, and repeating does not help.
	maxRepeats = 3
)

// Codes of refusals, for programs. They travel in Refuse.
const (
	CodeVersion  = "version"  // no protocol version in common
	CodeIdentity = "identity" // a restored or cloned database
	CodeSchema   = "schema"   // a table or column the receiver does not have
	CodeRevoked  = "revoked"
	CodeProtocol = "protocol" // a message that is not allowed here
	CodeSilent   = "silent"   // no sign of life
	CodeError    = "error"
	CodeDisk     = "disk"     // the receiver's disk is full or does not work
	CodeReplaced = "replaced" // a newer link of the same node took over
)

// numbers are the codes that a link's close carries. A close arrives even where the Refuse before it
// is lost. The numbers never change.
var numbers = []string{"", CodeVersion, CodeIdentity, CodeSchema, CodeRevoked, CodeProtocol, CodeSilent, CodeError,
	CodeReplaced, CodeDisk}

// Number is the number of a code in a link's close, or 0 for a code that is no refusal.
func Number(code string) uint64 { return uint64(max(slices.Index(numbers, code), 0)) }

// CodeOf is the code of a number, empty if it is no refusal.
func CodeOf(number uint64) string {
	if number >= uint64(len(numbers)) {
		return ""
	}
	return numbers[number]
}

// Action is something the session wants done. The interface is sealed.
type Action interface{ action() }

// Send wants a message written to the control stream.
type Send struct{ Message wire.Message }

// Transmit wants the changes above From. Its receiver calls Transmitting, and then sends one batch if
// there is one. A large extraction is sent in several batches, one for each Transmit. Anew says
// that an earlier extraction is out of date.
type Transmit struct {
	From causal.Position
	Anew bool
	Rows int // that the peer wants in a batch; 0: not known
}

// Apply wants the batch that arrived last merged. Its receiver then calls Applied or Failed.
type Apply struct{ Header wire.BatchHeader }

// Drop wants the batch that arrived last thrown away.
type Drop struct{}

// Linked says that the greeting is over, with what it told of the peer.
type Linked struct {
	PeerVersion string
	// ClockOffset is the peer's clock minus ours, as the greeting measured it.
	ClockOffset time.Duration
}

// Acked says that the peer has durably committed everything of ours up to Position.
type Acked struct {
	causal.Reached
	Floor   causal.Seen
	Greeted bool // it says so as it links
	Changes int  // that were in the batch acknowledged; 0: only a position
}

// Measured says how far the peer's clock is from ours, as its reading minus ours.
type Measured struct{ ClockOffset time.Duration }

// PeerState is the state of the other end in its last ping.
type PeerState struct {
	PendingOut, PendingIn int64
	Floor                 causal.Seen
	Trouble, TroubleText  string
	Settled               wire.Settled // at a node: what the hub says need not be remembered
}

// Deliver hands on a message that is none of the session's business.
type Deliver struct{ Message wire.Message }

// Close wants the link closed, because the session is over. Remote says that the peer ended it.
type Close struct {
	Code, Text, Try string
	Remote          bool
}

func (Send) action()      {}
func (Transmit) action()  {}
func (Apply) action()     {}
func (Drop) action()      {}
func (Linked) action()    {}
func (Acked) action()     {}
func (Measured) action()  {}
func (PeerState) action() {}
func (Deliver) action()   {}
func (Close) action()     {}

// Self is the state of an end when a session begins.
type Self struct {
	Version     string
	Incarnation causal.Incarnation
	Position    causal.Position
}

// NodeSelf is the state of a node, with its view of the hub.
type NodeSelf struct {
	Self
	Seen           causal.Seen
	HubIncarnation causal.Incarnation
	Floor          causal.Seen
	HubHave        causal.Position // the hub has acknowledged up to here
	Until          causal.Position // of the hub's delta that is coming in slices
}

// NodePeer is the hub's view of a node.
type NodePeer struct {
	Incarnation causal.Incarnation
	Have        causal.Position // of the node, committed at the hub
	Until       causal.Position // of the node's delta that is coming in slices
	// of the hub: what the node has once said to have seen, which others may have forgotten since
	Seen causal.Position
}

type phase int

const (
	opening phase = iota
	running
	closed
)

// Session is one end of one link. It is not safe for concurrent use.
type Session struct {
	hub   bool
	self  Self
	node  NodeSelf // at a node
	peer  NodePeer // at the hub
	phase phase

	started, heard, pinged time.Time
	pings                  uint64

	// Outgoing: the peer's position in our work, and the one batch under way.
	peerHas  causal.Position
	changed  bool // there may be more to send
	anew     bool // and it has to be extracted anew: the last batch was not taken as it was
	inFlight bool
	sentTo   causal.Position
	sentN    int
	more     bool // may follow it
	peerRows int  // that it wants in a batch; 0: not known
	repeats  int
	repeated time.Time // when a batch was last not taken

	// Incoming: our position in the peer's work, and whether a batch is being applied.
	have     causal.Position
	until    causal.Position // the end of the delta it is a slice of; 0: none
	applying *wire.BatchHeader
	askAgain time.Time         // when to ask for a batch again that could not be placed; zero: never
	crossed  bool              // a batch was left until the peer has what is ours
	told     bool              // and since then the peer has got some of it
	early    *wire.BatchHeader // arrived before the greeting was over
	floor    causal.Seen
}

// NewNode is a node's end.
func NewNode(node NodeSelf) *Session {
	return &Session{self: node.Self, node: node, have: node.Seen, until: node.Until, floor: node.Floor, changed: true}
}

// NewHub is the hub's end, for one node.
func NewHub(self Self, peer NodePeer) *Session {
	return &Session{hub: true, self: self, peer: peer, have: peer.Have, until: peer.Until, changed: true}
}

// Running reports whether the greeting is over and the session is not.
func (s *Session) Running() bool { return s.phase == running }

// Start begins the session. The node speaks first.
func (s *Session) Start(now time.Time) []Action {
	s.started, s.heard, s.pinged = now, now, now
	if s.hub {
		return nil
	}
	return []Action{Send{wire.Hello{ProtocolMin: wire.Protocol, ProtocolMax: wire.Protocol, Version: s.self.Version,
		Incarnation: s.self.Incarnation, Position: s.self.Position, Seen: s.node.Seen, HubIncarnation: s.node.HubIncarnation,
		ClockMillis: now.UnixMilli(), Floor: s.node.Floor, Until: s.until}}}
}

// Receive takes in a message.
func (s *Session) Receive(now time.Time, message wire.Message) []Action {
	if s.phase == closed {
		return nil
	}
	s.heard = now
	if refuse, ok := message.(wire.Refuse); ok {
		s.phase, s.applying = closed, nil
		return []Action{Close{Code: refuse.Code, Text: refuse.Text, Try: refuse.Try, Remote: true}}
	}
	if s.phase == opening {
		return s.open(now, message)
	}
	switch m := message.(type) {
	case wire.Ping:
		return []Action{Send{wire.Pong{ID: m.ID, EchoMillis: m.ClockMillis, ClockMillis: now.UnixMilli()}},
			PeerState{PendingOut: m.PendingOut, PendingIn: m.PendingIn, Floor: m.Floor, Trouble: m.Trouble,
				TroubleText: m.TroubleText, Settled: m.Settled}}
	case wire.Pong:
		return []Action{Measured{ClockOffset: offset(now, m.EchoMillis, m.ClockMillis)}}
	case wire.Ack:
		return s.acked(now, m)
	case wire.Hello, wire.Welcome:
		return s.refuse(CodeProtocol, "a second greeting on one link", "")
	}
	return []Action{Deliver{message}}
}

// next begins a batch if there may be something to send and none is under way.
func (s *Session) next() []Action {
	if s.phase != running || !s.changed || s.inFlight {
		return nil
	}
	transmit := Transmit{From: s.peerHas, Anew: s.anew, Rows: s.peerRows}
	s.changed, s.anew, s.inFlight = false, false, true
	return []Action{transmit}
}

// LocalChanged says that there may be something new to send.
func (s *Session) LocalChanged() []Action {
	s.changed = true
	return s.next()
}

// Transmitting says that a batch up to a position is about to be sent, and whether there may be
// more after it.
func (s *Session) Transmitting(to causal.Position, changes int, more bool) []Action {
	s.sentTo, s.sentN, s.more = to, changes, more
	s.changed = s.changed || more
	return nil
}

// NothingToSend says that there was nothing to send.
func (s *Session) NothingToSend() []Action {
	s.inFlight, s.more = false, false
	if s.told {
		return s.askNow()
	}
	return s.next()
}

func (s *Session) acked(now time.Time, m wire.Ack) []Action {
	changes := 0
	s.peerRows = int(min(m.Rows, maxRows))
	switch {
	case !s.inFlight || s.sentTo == 0:
		return nil // late, after the batch was given up
	case m.Position == s.sentTo:
		changes, s.repeats = s.sentN, 0
	case m.Left && m.Position == s.peerHas:
		s.changed, s.anew = true, true // it was left on purpose, and is asked for again
	default:
		// It did not begin at the peer's position, so go on from there.
		s.changed, s.anew = true, true
		if now.Sub(s.repeated) > AskAgainAfter/2 {
			s.repeats = 0 // asked for again, not refused again
		}
		s.repeated = now
		if s.repeats++; s.repeats > maxRepeats {
			return s.refuse(CodeProtocol, fmt.Sprintf("sent up to position %d, the peer says %d, again and again", s.sentTo,
				m.Position), "")
		}
	}
	s.peerHas, s.inFlight, s.sentTo, s.sentN = m.Position, false, 0, 0
	s.told = s.told || s.crossed && changes > 0
	acked := Acked{Reached: causal.Reached{Position: m.Position, Until: m.Until}, Floor: m.Floor, Changes: changes}
	if s.told && !s.more { // with more of ours to come it would only cross again
		return append([]Action{acked}, s.askNow()...)
	}
	return append([]Action{acked}, s.next()...)
}

// BatchArrived says that a whole batch is here.
func (s *Session) BatchArrived(header wire.BatchHeader) []Action {
	switch {
	case s.phase == opening && !s.hub:
		s.early = &header // it overtook the hub's Welcome on a stream of its own
		return nil
	case s.phase != running:
		return []Action{Drop{}}
	case s.applying != nil:
		return append([]Action{Drop{}}, s.refuse(CodeProtocol, "a second batch before the first was acknowledged", "")...)
	case header.From != s.have || header.To < header.From:
		return []Action{Drop{}, Send{s.ack()}}
	}
	s.applying = &header
	return []Action{Apply{Header: header}}
}

// Applied says that the batch is durably committed. floor is the least hub position that
// work not yet at the hub may have seen (at a node), and rows how many a batch should have.
func (s *Session) Applied(floor causal.Seen, rows int) []Action {
	if s.applying == nil {
		return nil
	}
	s.have, s.until, s.floor, s.applying = s.applying.To, s.applying.Until, floor, nil
	ack := s.ack()
	ack.Rows = uint64(max(rows, 0))
	return []Action{Send{ack}}
}

// ack says how far this end has come.
func (s *Session) ack() wire.Ack {
	return wire.Ack{Position: s.have, Floor: s.floor, Until: s.until}
}

// leftAck asks for a batch again that was left with its sender.
func (s *Session) leftAck() wire.Ack {
	ack := s.ack()
	ack.Left = true
	return ack
}

// Outdated says that the batch does not begin at the database's position. Nothing was applied.
func (s *Session) Outdated(have causal.Reached) []Action {
	if s.applying == nil {
		return nil
	}
	s.applying, s.have, s.until = nil, have.Position, have.Until
	return []Action{Send{s.ack()}}
}
