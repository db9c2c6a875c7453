package session_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ravno/crdt/causal"
	"ravno/net/session"
	"ravno/net/wire"
)

var (
	start   = time.Date(2026, 3, 1, 7, 0, 0, 0, time.UTC)
	nodeInc = causal.Incarnation{2}
	hubInc  = causal.Incarnation{1}
)

func after(d time.Duration) time.Time { return start.Add(d) }

// The ordinary state before a greeting: the node is at 7 and has 40 of the hub; the hub is
// at 50 and has 5 of the node.
func nodeSelf() session.NodeSelf {
	return session.NodeSelf{Self: session.Self{Version: "n", Incarnation: nodeInc, Position: 7}, Seen: 40,
		HubIncarnation: hubInc, Floor: 38}
}

func hubEnd() *session.Session {
	s := session.NewHub(session.Self{Version: "h", Incarnation: hubInc, Position: 50},
		session.NodePeer{Incarnation: nodeInc, Have: 5, Seen: 30})
	s.Start(start)
	return s
}

func nodeEnd() *session.Session {
	s := session.NewNode(nodeSelf())
	s.Start(start)
	return s
}

func hello() wire.Hello {
	return wire.Hello{ProtocolMin: wire.Protocol, ProtocolMax: wire.Protocol, Version: "n", Incarnation: nodeInc,
		Position: 7,
		Seen:     40, HubIncarnation: hubInc, ClockMillis: start.UnixMilli(), Floor: 38}
}

func welcome() wire.Welcome {
	return wire.Welcome{Protocol: wire.Protocol, Version: "h", Incarnation: hubInc, Have: 5, Position: 50,
		ClockMillis: start.UnixMilli()}
}

// linkedHub and linkedNode are ends after the greeting, with nothing to send under way.
func linkedHub() *session.Session {
	s := hubEnd()
	s.Receive(start, hello())
	s.NothingToSend()
	return s
}

func linkedNode() *session.Session {
	s := nodeEnd()
	s.Receive(start, welcome())
	s.NothingToSend()
	return s
}

func batch(from, to causal.Position) wire.BatchHeader { return wire.BatchHeader{From: from, To: to} }

func ack(position causal.Position) session.Action {
	return session.Send{Message: wire.Ack{Position: position}}
}

// want compares all of what a session wants with all of what it should want.
func want(t *testing.T, got []session.Action, wanted ...session.Action) {
	t.Helper()
	if diff := cmp.Diff(wanted, got); diff != "" {
		t.Fatalf("the session wants something else (-want +got):\n%s", diff)
	}
}

// wantRefusal checks that the session says why it ends, and ends, and says nothing else.
func wantRefusal(t *testing.T, got []session.Action, code, about string) {
	t.Helper()
	if len(got) != 2 {
		t.Fatalf("got %+v, want a refusal and a close", got)
	}
	sent, _ := got[0].(session.Send)
	said, isRefusal := sent.Message.(wire.Refuse)
	closed, isClose := got[1].(session.Close)
	if !isRefusal || !isClose {
		t.Fatalf("got %+v, want a refusal and a close", got)
	}
	if said.Code != code || closed.Code != code || closed.Remote {
		t.Errorf("refused with %q, closed with %q (remote %t); want %q, here", said.Code, closed.Code, closed.Remote, code)
	}
	if !strings.Contains(said.Text, about) || said.Text != closed.Text || said.Try != closed.Try {
		t.Errorf("said %q and closed with %q, want both to say %q", said.Text, closed.Text, about)
	}
}

// A batch that overtakes the welcome is applied after it.
func TestBatchBeforeWelcomeAppliedAfter(t *testing.T) {
	node := nodeEnd()
	want(t, node.BatchArrived(batch(40, 45)))
	got := node.Receive(start, welcome())
	if last := got[len(got)-1]; !cmp.Equal(last, session.Action(session.Apply{Header: batch(40, 45)})) {
		t.Fatalf("the early batch was not applied: %+v", got)
	}
	want(t, node.Applied(38, 0), session.Send{Message: wire.Ack{Position: 45, Floor: 38}})

	// One that does not begin where the node is gets the same answer as later.
	node = nodeEnd()
	node.BatchArrived(batch(30, 45))
	got = node.Receive(start, welcome())
	want(t, got[len(got)-2:], session.Drop{}, session.Send{Message: wire.Ack{Position: 40, Floor: 38}})
}

func TestHubDropsAllBeforeGreeting(t *testing.T) {
	want(t, hubEnd().BatchArrived(batch(5, 6)), session.Drop{})
}

func TestBatchAcknowledgedOnceApplied(t *testing.T) {
	hub := linkedHub()
	want(t, hub.BatchArrived(batch(5, 7)), session.Apply{Header: batch(5, 7)})
	want(t, hub.Applied(0, 0), ack(7))
	want(t, hub.Applied(0, 0)) // once
	want(t, hub.BatchArrived(batch(7, 8)), session.Apply{Header: batch(7, 8)})
}

// A batch that begins elsewhere is answered with the position here.
func TestBatchElsewhereAnsweredWithPosition(t *testing.T) {
	for _, b := range []wire.BatchHeader{batch(4, 7), batch(6, 7), batch(0, 7), batch(5, 4)} {
		hub := linkedHub()
		want(t, hub.BatchArrived(b), session.Drop{}, ack(5))
		want(t, hub.BatchArrived(batch(5, 7)), session.Apply{Header: batch(5, 7)})
	}
}

// A second batch before the first is acknowledged ends the session.
func TestSecondBatchTooEarlyEndsSession(t *testing.T) {
	hub := linkedHub()
	hub.BatchArrived(batch(5, 7))
	got := hub.BatchArrived(batch(7, 8))
	want(t, got[:1], session.Drop{})
	wantRefusal(t, got[1:], session.CodeProtocol, "a second batch before the first was acknowledged")
}

// A database at another position than the session assumes corrects the session.
func TestDatabaseCorrectsSessionPosition(t *testing.T) {
	hub := linkedHub()
	hub.BatchArrived(batch(5, 7))
	want(t, hub.Outdated(at(6)), ack(6))
	want(t, hub.BatchArrived(batch(6, 7)), session.Apply{Header: batch(6, 7)})
}

func TestBatchNotApplicableEndsSession(t *testing.T) {
	hub := linkedHub()
	hub.BatchArrived(batch(5, 7))
	wantRefusal(t, hub.Failed(session.CodeSchema, "table t is not here", "create it"), session.CodeSchema,
		"table t is not here")
	want(t, hub.Applied(0, 0))
}

func TestBatchesGoOutOneAtATime(t *testing.T) {
	node := nodeEnd()
	node.Receive(start, welcome()) // wants everything above 5
	want(t, node.LocalChanged())   // being extracted
	node.Transmitting(7, 2, false)
	want(t, node.LocalChanged()) // under way
	want(t, node.Receive(start, wire.Ack{Position: 7, Floor: 3}),
		session.Acked{Reached: at(7), Floor: 3, Changes: 2},
		session.Transmit{From: 7}) // what changed meanwhile
	want(t, node.NothingToSend()) // nothing after all
	want(t, node.LocalChanged(), session.Transmit{From: 7})
}

func TestBacklogGoesOutInBatches(t *testing.T) {
	node := nodeEnd()
	node.Receive(start, welcome()) // wants everything above 5
	node.Transmitting(7, 2, true)
	want(t, node.Receive(start, wire.Ack{Position: 7}), session.Acked{Reached: at(7), Changes: 2},
		session.Transmit{From: 7})
	node.Transmitting(9, 1, true)
	want(t, node.Receive(start, wire.Ack{Position: 9, Rows: 256}), session.Acked{Reached: at(9), Changes: 1},
		session.Transmit{From: 9, Rows: 256})
	node.Transmitting(11, 1, true)
	want(t, node.Receive(start, wire.Ack{Position: 11}), session.Acked{Reached: at(11), Changes: 1},
		session.Transmit{From: 11})
	node.Transmitting(12, 1, true)
	// The peer left it where it is: what follows was extracted without what the peer waits for.
	want(t, node.Receive(start, wire.Ack{Position: 11, Left: true}), session.Acked{Reached: at(11)},
		session.Transmit{From: 11, Anew: true})
	node.Transmitting(12, 1, false)
	want(t, node.Receive(start, wire.Ack{Position: 12}), session.Acked{Reached: at(12), Changes: 1})
}

// A change during an extraction that found nothing is not forgotten.
func TestChangeDuringEmptyExtractionIsSent(t *testing.T) {
	node := nodeEnd()
	node.Receive(start, welcome())
	want(t, node.LocalChanged())
	want(t, node.NothingToSend(), session.Transmit{From: 5})
	want(t, node.NothingToSend())
}

// An acknowledgement of another position makes the sender go on from there.
func TestAckElsewhereMovesSenderThere(t *testing.T) {
	node := nodeEnd()
	node.Receive(start, welcome())
	node.Transmitting(7, 2, false)
	want(t, node.Receive(start, wire.Ack{Position: 6}), session.Acked{Reached: at(6)},
		session.Transmit{From: 6, Anew: true})
	node.Transmitting(7, 1, false)
	want(t, node.Receive(start, wire.Ack{Position: 7}), session.Acked{Reached: at(7), Changes: 1})
}

func TestDisagreementEndsTheLink(t *testing.T) {
	node := nodeEnd()
	node.Receive(start, welcome())
	for range 3 {
		node.Transmitting(7, 2, false)
		want(t, node.Receive(start, wire.Ack{Position: 5}), session.Acked{Reached: at(5)},
			session.Transmit{From: 5, Anew: true})
	}
	node.Transmitting(7, 2, false)
	wantRefusal(t, node.Receive(start, wire.Ack{Position: 5}), session.CodeProtocol,
		"sent up to position 7, the peer says 5")

	// An agreement in between begins the count anew.
	node = nodeEnd()
	node.Receive(start, welcome())
	for position := causal.Position(6); position < 20; position++ {
		node.Transmitting(position, 1, false)
		node.Receive(start, wire.Ack{Position: 5})
		node.Transmitting(position, 1, false)
		node.Receive(start, wire.Ack{Position: position})
		node.LocalChanged()
	}
	if !node.Running() {
		t.Error("gave up although the ends agreed again and again")
	}
}

func TestAckOfNothingDoesNoHarm(t *testing.T) {
	node := linkedNode()
	want(t, node.Receive(start, wire.Ack{Position: 2})) // nothing is under way
	want(t, node.LocalChanged(), session.Transmit{From: 5})
	want(t, node.Receive(start, wire.Ack{Position: 3})) // extracted, not sent yet
	node.Transmitting(7, 2, false)
	want(t, node.Receive(start, wire.Ack{Position: 7}), session.Acked{Reached: at(7), Changes: 2})
	want(t, node.Receive(start, wire.Ack{Position: 7})) // twice
	want(t, node.LocalChanged(), session.Transmit{From: 7})
}

func TestPingShowsHowBothEndsAre(t *testing.T) {
	hub := linkedHub()
	now := after(time.Second)
	want(t, hub.Receive(now, wire.Ping{ID: 4, ClockMillis: 99, PendingOut: 3, PendingIn: 2, Floor: 38, Trouble: "disk",
		TroubleText: "full"}),
		session.Send{Message: wire.Pong{ID: 4, EchoMillis: 99, ClockMillis: now.UnixMilli()}},
		session.PeerState{PendingOut: 3, PendingIn: 2, Floor: 38, Trouble: "disk", TroubleText: "full"})
	// The pong left 20 ms ago there and back; the peer's clock is 5 s ahead.
	want(t, hub.Receive(after(1020*time.Millisecond),
		wire.Pong{ID: 1, EchoMillis: now.UnixMilli(), ClockMillis: after(6010 * time.Millisecond).UnixMilli()}),
		session.Measured{ClockOffset: 5 * time.Second})
	want(t, hub.Receive(now, wire.Where{ID: 9}), session.Deliver{Message: wire.Where{ID: 9}})
}

// Pings go out every two seconds, and none before the greeting.
func TestPingsEveryTwoSeconds(t *testing.T) {
	node := nodeEnd()
	want(t, node.Tick(after(3*time.Second), wire.Ping{}))
	node.Receive(after(3*time.Second), welcome())
	node.NothingToSend()
	var at []time.Duration
	for d := 3 * time.Second; d <= 10*time.Second; d += time.Second / 2 {
		for _, a := range node.Tick(after(d), wire.Ping{PendingOut: 7}) {
			ping, ok := a.(session.Send).Message.(wire.Ping)
			if !ok || ping.ID != uint64(len(at)+1) || ping.ClockMillis != after(d).UnixMilli() || ping.PendingOut != 7 {
				t.Fatalf("at %s: %+v", d, a)
			}
			at = append(at, d)
		}
	}
	if diff := cmp.Diff([]time.Duration{3 * time.Second, 5 * time.Second, 7 * time.Second, 9 * time.Second},
		at); diff != "" {
		t.Error(diff)
	}
}

func TestSilenceEndsSession(t *testing.T) {
	node := linkedNode()
	node.Receive(after(5*time.Second), wire.Pong{})
	if node.Tick(after(5*time.Second+session.SilentAfter), wire.Ping{}); !node.Running() {
		t.Fatal("gave up too early")
	}
	wantRefusal(t, node.Tick(after(6*time.Second+session.SilentAfter), wire.Ping{}), session.CodeSilent,
		"no sign of life for 15s")
}

func TestGreetingMissingEndsSession(t *testing.T) {
	for _, s := range []*session.Session{nodeEnd(), hubEnd()} {
		want(t, s.Tick(after(session.OpeningTime), wire.Ping{}))
		wantRefusal(t, s.Tick(after(session.OpeningTime+1), wire.Ping{}), session.CodeSilent, "no greeting")
	}
}

// A refusal by the peer ends the session, and nothing is sent in answer.
func TestRefusalEndsSessionUnanswered(t *testing.T) {
	for _, s := range []*session.Session{nodeEnd(), linkedNode(), hubEnd(), linkedHub()} {
		want(t, s.Receive(start, wire.Refuse{Code: "revoked", Text: "removed", Try: "join"}),
			session.Close{Code: "revoked", Text: "removed", Try: "join", Remote: true})
	}
}

func TestSessionSilentAfterItsEnd(t *testing.T) {
	ended := map[string]func() *session.Session{
		"refused from outside": func() *session.Session {
			s := linkedHub()
			wantRefusal(t, s.Refuse(session.CodeRevoked, "removed", ""), session.CodeRevoked, "removed")
			return s
		},
		"refused by the peer": func() *session.Session {
			s := linkedHub()
			s.Receive(start, wire.Refuse{Code: "x"})
			return s
		},
		"refused while a batch is applied": func() *session.Session {
			s := linkedHub()
			s.BatchArrived(batch(5, 7))
			s.Refuse(session.CodeRevoked, "removed", "")
			return s
		},
		"refused while a batch is sent": func() *session.Session {
			s := linkedHub()
			s.LocalChanged()
			s.Transmitting(60, 1, false)
			s.Refuse(session.CodeRevoked, "removed", "")
			return s
		},
	}
	events := map[string]func(*session.Session) []session.Action{
		"a message":      func(s *session.Session) []session.Action { return s.Receive(start, wire.Ping{ID: 1}) },
		"a greeting":     func(s *session.Session) []session.Action { return s.Receive(start, hello()) },
		"an ack":         func(s *session.Session) []session.Action { return s.Receive(start, wire.Ack{Position: 60}) },
		"a change":       func(s *session.Session) []session.Action { return s.LocalChanged() },
		"a tick":         func(s *session.Session) []session.Action { return s.Tick(after(time.Hour), wire.Ping{}) },
		"applied":        func(s *session.Session) []session.Action { return s.Applied(0, 0) },
		"outdated":       func(s *session.Session) []session.Action { return s.Outdated(at(6)) },
		"failed":         func(s *session.Session) []session.Action { return s.Failed("error", "x", "") },
		"nothing to say": func(s *session.Session) []session.Action { return s.NothingToSend() },
		"refused again":  func(s *session.Session) []session.Action { return s.Refuse("error", "x", "") },
	}
	for how, end := range ended {
		for what, event := range events {
			t.Run(how+", then "+what, func(t *testing.T) { want(t, event(end())) })
		}
		t.Run(how+", then a batch", func(t *testing.T) { want(t, end().BatchArrived(batch(5, 7)), session.Drop{}) })
	}
}

func TestCodesKeepTheirNumbers(t *testing.T) {
	// The numbers are on the wire: a new code goes to the end, none ever moves.
	codes := map[string]uint64{session.CodeVersion: 1, session.CodeIdentity: 2, session.CodeSchema: 3,
		session.CodeRevoked:  4,
		session.CodeProtocol: 5, session.CodeSilent: 6, session.CodeError: 7, session.CodeReplaced: 8, session.CodeDisk: 9}
	for code, number := range codes {
		if got := session.Number(code); got != number {
			t.Errorf("%s is number %d, want %d", code, got, number)
		}
		if got := session.CodeOf(number); got != code {
			t.Errorf("number %d is %q, want %s", number, got, code)
		}
	}
	for _, unknown := range []uint64{0, 10, 1 << 60} {
		if got := session.CodeOf(unknown); got != "" {
			t.Errorf("number %d is %q, want no code", unknown, got)
		}
	}
	if got := session.Number("no_link"); got != 0 {
		t.Errorf("no refusal is number %d, want 0", got)
	}
}

// A batch that crossed with ours is asked for again once the peer has ours.
func TestCrossedBatchIsAskedForAgain(t *testing.T) {
	node := linkedNode()
	node.LocalChanged()
	node.Transmitting(7, 2, false)
	header := wire.BatchHeader{From: 40, To: 43}
	want(t, node.BatchArrived(header), session.Apply{Header: header})
	want(t, node.Crossed(start)) // ours is under way
	want(t, node.Receive(start, wire.Ack{Position: 7}), session.Acked{Reached: at(7), Changes: 2},
		session.Send{Message: wire.Ack{Position: 40, Floor: 38, Left: true}}, session.Transmit{From: 7})
	node.NothingToSend()
	want(t, node.BatchArrived(header), session.Apply{Header: header})

	// With nothing of ours under way, it is asked for again a little later.
	want(t, node.Crossed(start), session.Transmit{From: 7})
	want(t, node.NothingToSend())
	want(t, node.Tick(start.Add(time.Second), wire.Ping{}),
		session.Send{Message: wire.Ack{Position: 40, Floor: 38, Left: true}})
}

// A batch left with its sender on purpose counts as no disagreement.
func TestBatchLeftIsNoDisagreement(t *testing.T) {
	node := nodeEnd()
	node.Receive(start, welcome())
	for range 10 {
		node.Transmitting(7, 2, false)
		want(t, node.Receive(start, wire.Ack{Position: 5, Left: true}), session.Acked{Reached: at(5)},
			session.Transmit{From: 5, Anew: true})
	}
}
