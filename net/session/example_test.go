package session_test

import (
	"fmt"
	"time"

	"ravno/crdt/causal"
	"ravno/net/session"
	"ravno/net/wire"
)

// party is one end of a link, with a database that consists of its position.
type party struct {
	*session.Session
	name     string
	position causal.Position
	peer     *party
}

// do carries out what a session wants. The example is the link: what one end sends, the other gets.
func (e *party) do(now time.Time, actions []session.Action) {
	for _, action := range actions {
		switch a := action.(type) {
		case session.Send:
			fmt.Println(e.name, "sends", a.Message.Kind())
			e.peer.do(now, e.peer.Receive(now, a.Message))
		case session.Transmit:
			if a.From == e.position {
				e.do(now, e.NothingToSend())
				continue
			}
			fmt.Println(e.name, "sends its work from", a.From, "to", e.position)
			e.do(now, e.Transmitting(e.position, 1, false))
			e.peer.do(now, e.peer.BatchArrived(wire.BatchHeader{From: a.From, To: e.position}))
		case session.Apply:
			fmt.Println(e.name, "commits the batch")
			e.do(now, e.Applied(0, 0))
		case session.Acked:
			if !a.Greeted {
				fmt.Println(e.name, "knows that the other has its work up to", a.Position)
			}
		}
	}
}

// A node greets its hub, which has the node's work up to 5, and sends what it did since.
func ExampleSession() {
	now := time.Date(2026, 3, 1, 7, 0, 0, 0, time.UTC)
	bar, office := causal.Incarnation{2}, causal.Incarnation{1}

	node := &party{name: "bar", position: 7, Session: session.NewNode(session.NodeSelf{
		Self: session.Self{Incarnation: bar, Position: 7}, Seen: 50, HubIncarnation: office,
	})}
	hub := &party{name: "office", position: 50, peer: node, Session: session.NewHub(
		session.Self{Incarnation: office, Position: 50},
		session.NodePeer{Incarnation: bar, Have: 5, Seen: 50},
	)}
	node.peer = hub

	hub.do(now, hub.Start(now))
	node.do(now, node.Start(now))
	// Output:
	// bar sends hello
	// office sends welcome
	// bar knows that the other has its work up to 5
	// bar sends its work from 5 to 7
	// office commits the batch
	// office sends ack
	// bar knows that the other has its work up to 7
}
