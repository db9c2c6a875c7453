package session_test

import (
	"testing"
	"time"

	"ravno/crdt/causal"
	"ravno/net/session"
	"ravno/net/wire"
)

func TestNodeSpeaksFirst(t *testing.T) {
	want(t, session.NewNode(nodeSelf()).Start(start), session.Send{Message: hello()})
	want(t, session.NewHub(session.Self{}, session.NodePeer{}).Start(start))
}

func TestGreetingTellsWhatTheOtherHas(t *testing.T) {
	hub := session.NewHub(session.Self{Version: "h", Incarnation: hubInc, Position: 50},
		session.NodePeer{Incarnation: nodeInc, Have: 5})
	hub.Start(start)
	late := hello()
	late.ClockMillis += 3000
	want(t, hub.Receive(start, late),
		session.Send{Message: welcome()},
		session.Linked{PeerVersion: "n", ClockOffset: 3 * time.Second},
		session.Acked{Reached: at(40), Floor: 38, Greeted: true},
		session.Transmit{From: 40})
	if !hub.Running() {
		t.Error("the hub is not running after a greeting")
	}

	node := nodeEnd()
	answer := welcome()
	answer.ClockMillis = after(time.Hour + 50*time.Millisecond).UnixMilli()
	// The welcome comes 100 ms after the hello, so the hub wrote it some 50 ms after it.
	want(t, node.Receive(after(100*time.Millisecond), answer),
		session.Linked{PeerVersion: "h", ClockOffset: time.Hour},
		session.Acked{Reached: at(5)},
		session.Transmit{From: 5})
	if !node.Running() {
		t.Error("the node is not running after a greeting")
	}
}

// at is how far a receiver has come that has no slice on its way.
func at(position causal.Position) causal.Reached { return causal.Reached{Position: position} }

func TestHubRefusesNodeThatDoesNotFit(t *testing.T) {
	cases := []struct {
		name        string
		change      func(*wire.Hello)
		code, about string
	}{
		{"a node too new", func(m *wire.Hello) { m.ProtocolMin, m.ProtocolMax = wire.Protocol+1, wire.Protocol+2 },
			session.CodeVersion, "speaks protocol"},
		{"a node too old", func(m *wire.Hello) { m.ProtocolMin, m.ProtocolMax = 0, wire.Protocol-1 }, session.CodeVersion,
			"speaks protocol"},
		{"another life of the node", func(m *wire.Hello) { m.Incarnation = causal.Incarnation{9} }, session.CodeIdentity,
			"not the one that enrolled"},
		{"a node of another life of the hub", func(m *wire.Hello) { m.HubIncarnation = causal.Incarnation{9} },
			session.CodeIdentity, "another life of the hub"},
		{"a node restored from a backup", func(m *wire.Hello) { m.Position = 4 }, session.CodeIdentity,
			"at position 4, the hub has its position 5"},
		{"a node restored from a backup, which had written nothing since", func(m *wire.Hello) { m.Seen = 29 },
			session.CodeIdentity, "has seen the hub's position 29, and had once seen 30"},
		{"a hub restored from a backup", func(m *wire.Hello) { m.Seen = 51 }, session.CodeIdentity,
			"has seen the hub's position 51, the hub is at 50"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			hub, m := hubEnd(), hello()
			c.change(&m)
			wantRefusal(t, hub.Receive(start, m), c.code, c.about)
			if hub.Running() {
				t.Error("runs after a refusal")
			}
		})
	}
}

// The hub accepts every state at the border of the allowed ones.
func TestHubAcceptsEveryAllowedState(t *testing.T) {
	cases := []struct {
		name   string
		change func(*wire.Hello)
	}{
		{"the node is where the hub knows it", func(m *wire.Hello) { m.Position = 5 }},
		{"the node has everything of the hub", func(m *wire.Hello) { m.Seen = 50 }},
		{"the node speaks newer versions too", func(m *wire.Hello) { m.ProtocolMax = wire.Protocol + 5 }},
		{"the node speaks older versions too", func(m *wire.Hello) { m.ProtocolMin = 0 }},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			hub, m := hubEnd(), hello()
			c.change(&m)
			if got := hub.Receive(start, m); !hub.Running() {
				t.Fatalf("refused: %+v", got)
			}
		})
	}
}

func TestNodeRefusesHubThatDoesNotFit(t *testing.T) {
	cases := []struct {
		name        string
		change      func(*wire.Welcome)
		code, about string
	}{
		{"a protocol nobody offered", func(m *wire.Welcome) { m.Protocol++ }, session.CodeVersion, "the hub chose protocol"},
		{"another hub, or another life of it", func(m *wire.Welcome) { m.Incarnation = causal.Incarnation{9} },
			session.CodeIdentity, "not the one this node was loaded from"},
		{"a hub that has more of the node than it wrote", func(m *wire.Welcome) { m.Have = 8 }, session.CodeIdentity,
			"has this node's position 8, the database here is at 7"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			node, m := nodeEnd(), welcome()
			c.change(&m)
			wantRefusal(t, node.Receive(start, m), c.code, c.about)
		})
	}
}

func TestSessionOpensOnlyByGreeting(t *testing.T) {
	for _, m := range []wire.Message{wire.Ping{ID: 1}, wire.Ack{Position: 3}, wire.Where{ID: 1}} {
		wantRefusal(t, hubEnd().Receive(start, m), session.CodeProtocol, m.Kind().String()+" where a greeting was due")
		wantRefusal(t, nodeEnd().Receive(start, m), session.CodeProtocol, m.Kind().String()+" where a greeting was due")
	}
	wantRefusal(t, hubEnd().Receive(start, welcome()), session.CodeProtocol, "welcome where a greeting was due")
	wantRefusal(t, nodeEnd().Receive(start, hello()), session.CodeProtocol, "hello where a greeting was due")
}

func TestGreetingTwiceIsRefused(t *testing.T) {
	for _, m := range []wire.Message{hello(), welcome()} {
		wantRefusal(t, linkedHub().Receive(start, m), session.CodeProtocol, "a second greeting")
		wantRefusal(t, linkedNode().Receive(start, m), session.CodeProtocol, "a second greeting")
	}
}
