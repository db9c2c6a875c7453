package session_test

import (
	"fmt"
	"time"

	"ravno/crdt/causal"
	"ravno/net/session"
	"ravno/net/wire"
)

// An end that hears nothing takes the other for gone, and closes the link.
func ExampleSession_Tick() {
	now := time.Date(2026, 3, 1, 7, 0, 0, 0, time.UTC)
	bar := causal.Incarnation{2}
	hub := session.NewHub(session.Self{Position: 50}, session.NodePeer{Incarnation: bar})
	hub.Start(now)
	hub.Receive(now, wire.Hello{
		ProtocolMin: wire.Protocol, ProtocolMax: wire.Protocol, Incarnation: bar, ClockMillis: now.UnixMilli(),
	})
	for hub.Running() {
		now = now.Add(4 * time.Second)
		for _, action := range hub.Tick(now, wire.Ping{PendingOut: 3}) {
			switch a := action.(type) {
			case session.Send:
				fmt.Println(now.Format(time.TimeOnly), "sends", a.Message.Kind())
			case session.Close:
				fmt.Println(now.Format(time.TimeOnly), "closes:", a.Code)
			}
		}
	}
	// Output:
	// 07:00:04 sends ping
	// 07:00:08 sends ping
	// 07:00:12 sends ping
	// 07:00:16 sends refuse
	// 07:00:16 closes: silent
}
