package session

import (
	"fmt"
	"time"

	"ravno/crdt/causal"
	"ravno/net/wire"
)

func (s *Session) open(now time.Time, message wire.Message) []Action {
	switch m := message.(type) {
	case wire.Hello:
		if s.hub {
			return s.hello(now, m)
		}
	case wire.Welcome:
		if !s.hub {
			return s.welcome(now, m)
		}
	}
	return s.refuse(CodeProtocol, fmt.Sprintf("%s where a greeting was due", message.Kind()), "")
}

// hello lets a node in if its state fits the hub's records of it, or says why not.
func (s *Session) hello(now time.Time, m wire.Hello) []Action {
	switch {
	case m.ProtocolMin > wire.Protocol || m.ProtocolMax < wire.Protocol:
		return s.refuse(CodeVersion, fmt.Sprintf("the hub (ravno %s) speaks protocol %d, the node %d to %d", s.self.Version,
			wire.Protocol, m.ProtocolMin, m.ProtocolMax), "the same version of ravno at both")
	case m.Incarnation != s.peer.Incarnation:
		return s.refuse(
			CodeIdentity, "this node's state is not the one that enrolled: the database was replaced or enrolled anew",
			"ravno leave at the node, then ravno join with a new token")
	case m.HubIncarnation != s.self.Incarnation:
		return s.refuse(CodeIdentity, "this node was loaded from another life of the hub",
			"ravno leave at the node, then ravno join with a new token")
	case m.Position < s.peer.Have:
		return s.refuse(
			CodeIdentity, fmt.Sprintf("this node is at position %d, the hub has its position %d: its database was restored "+
				"from a backup, or it is a copy", m.Position, s.peer.Have),
			"ravno leave --force at the node, then ravno join --keep-local with a new token")
	case m.Seen < s.peer.Seen:
		return s.refuse(CodeIdentity, fmt.Sprintf("this node has seen the hub's position %d, and had once seen %d: its "+
			"database was restored from a backup, or it is a copy", m.Seen, s.peer.Seen),
			"ravno leave --force at the node, then ravno join --keep-local with a new token")
	case m.Seen > s.self.Position:
		return s.refuse(
			CodeIdentity,
			fmt.Sprintf(
				"this node has seen the hub's position %d, the hub is at %d: the hub's database was restored from a backup", m.Seen,
				s.self.Position), "put the hub's newest database back")
	}
	s.phase, s.peerHas = running, m.Seen
	welcome := wire.Welcome{Protocol: wire.Protocol, Version: s.self.Version, Incarnation: s.self.Incarnation,
		Have:     s.peer.Have,
		Position: s.self.Position, ClockMillis: now.UnixMilli(), Until: s.until}
	linked := Linked{PeerVersion: m.Version, ClockOffset: time.Duration(m.ClockMillis-now.UnixMilli()) * time.Millisecond}
	return append(
		[]Action{Send{welcome}, linked, Acked{Reached: causal.Reached{Position: m.Seen, Until: m.Until}, Floor: m.Floor,
			Greeted: true}}, s.next()...)
}

func (s *Session) welcome(now time.Time, m wire.Welcome) []Action {
	switch {
	case m.Protocol != wire.Protocol:
		return s.refuse(CodeVersion, fmt.Sprintf("the hub chose protocol %d, this ravno speaks %d", m.Protocol,
			wire.Protocol), "the same version of ravno at both")
	case m.Incarnation != s.node.HubIncarnation:
		return s.refuse(CodeIdentity, "the hub is not the one this node was loaded from",
			"ravno leave, then ravno join with a new token")
	case m.Have > s.self.Position:
		return s.refuse(
			CodeIdentity,
			fmt.Sprintf("the hub has this node's position %d, the database here is at %d: it was restored from a backup", m.Have,
				s.self.Position), "ravno leave --force, then ravno join --keep-local with a new token")
	}
	if m.Have < s.node.HubHave {
		return s.refuse(
			CodeIdentity,
			fmt.Sprintf(
				"the hub had acknowledged this node's position %d and has %d now: the hub's database was restored from a backup",
				s.node.HubHave, m.Have), "put the hub's newest database back")
	}
	s.phase, s.peerHas = running, m.Have
	linked := Linked{PeerVersion: m.Version, ClockOffset: offset(now, s.started.UnixMilli(), m.ClockMillis)}
	actions := append([]Action{linked, Acked{Reached: causal.Reached{Position: m.Have, Until: m.Until}}}, s.next()...)
	if early := s.early; early != nil {
		s.early = nil
		actions = append(actions, s.BatchArrived(*early)...)
	}
	return actions
}

// offset is the peer's clock minus ours, if the way there takes as long as the way back.
func offset(now time.Time, sentMillis, peerMillis int64) time.Duration {
	return time.Duration(peerMillis-(sentMillis+now.UnixMilli())/2) * time.Millisecond
}

func (s *Session) refuse(code, text, try string) []Action {
	if s.phase == closed {
		return nil
	}
	s.phase, s.applying = closed, nil // a commit that comes later is told by the next greeting
	return []Action{Send{wire.Refuse{Code: code, Text: text, Try: try}}, Close{Code: code, Text: text, Try: try}}
}

// Refuse ends the session from outside, for example when a node was removed.
func (s *Session) Refuse(code, text, try string) []Action { return s.refuse(code, text, try) }

// Failed says that the batch could not be applied. The link ends and is tried again later. The sender
// still keeps the batch.
func (s *Session) Failed(code, text, try string) []Action { return s.refuse(code, text, try) }
