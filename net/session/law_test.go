package session_test

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"ravno/crdt/causal"
	"ravno/net/session"
	"ravno/net/wire"
)

// delivery is a batch on its way, with what is in it.
type delivery struct {
	header  wire.BatchHeader
	changes []causal.Position // of the sender
}

// database survives a link. It has an end's own work and its part of the other's.
type database struct {
	position causal.Position
	work     []causal.Position // positions at which the application wrote
	have     causal.Position   // of the other end
	got      []causal.Position // the other end's work that is here
}

// end is one end of the link: its database, its session, and the streams that lead to it.
// Each stream keeps its order; what comes first of two streams is open.
type end struct {
	name       string
	sendsEmpty bool // batches without changes too, as the hub does for its position
	db         database
	session    *session.Session
	now        time.Time

	messages   []wire.Message
	batches    []delivery
	arrived    *delivery        // handed to the session, and not dropped or applied
	applying   *delivery        // being merged
	extracting *causal.Position // a transmission is wanted and not under way
}

// link is two ends and everything that can happen between them.
type link struct {
	t         *rapid.T
	node, hub *end
	said      map[wire.Kind]int
}

func newLink(t *rapid.T) *link {
	l := &link{t: t, said: make(map[wire.Kind]int),
		node: &end{name: "node"}, hub: &end{name: "hub", sendsEmpty: true, db: database{position: 3}}}
	l.connect()
	return l
}

// connect begins a link anew, as after a cut: what was on its way is lost, what was being
// applied is too, the databases are as they are.
func (l *link) connect() {
	node, hub := &l.node.db, &l.hub.db
	l.node.session = session.NewNode(session.NodeSelf{
		Self: session.Self{Incarnation: nodeInc, Position: node.position}, Seen: node.have, HubIncarnation: hubInc})
	l.hub.session = session.NewHub(session.Self{Incarnation: hubInc, Position: hub.position},
		session.NodePeer{Incarnation: nodeInc, Have: hub.have})
	for _, e := range []*end{l.node, l.hub} {
		e.now = start
		e.messages, e.batches, e.arrived, e.applying, e.extracting = nil, nil, nil, nil, nil
	}
	l.do(l.hub, l.hub.session.Start(start))
	l.do(l.node, l.node.session.Start(start))
}

func (l *link) other(e *end) *end {
	if e == l.node {
		return l.hub
	}
	return l.node
}

func (l *link) do(e *end, actions []session.Action) {
	l.t.Helper()
	for _, a := range actions {
		switch a := a.(type) {
		case session.Send:
			l.said[a.Message.Kind()]++
			l.other(e).messages = append(l.other(e).messages, a.Message)
		case session.Transmit:
			if e.extracting != nil {
				l.t.Fatalf("%s wants a second transmission while one is being extracted", e.name)
			}
			e.extracting = &a.From
		case session.Apply:
			if a.Header.From != e.db.have {
				l.t.Fatalf("%s applies a batch from %d and has %d", e.name, a.Header.From, e.db.have)
			}
			e.applying, e.arrived = e.arrived, nil
		case session.Drop:
			e.arrived = nil
		case session.Close:
			l.t.Fatalf("%s ends the session: %s: %s", e.name, a.Code, a.Text)
		}
	}
}

// steps are the things that can happen next, by name.
func (l *link) steps() map[string]func() {
	steps := map[string]func(){}
	for _, e := range []*end{l.node, l.hub} {
		if len(e.messages) > 0 {
			steps[e.name+" hears"] = func() { l.hear(e) }
		}
		if len(e.batches) > 0 {
			steps[e.name+" receives"] = func() { l.receive(e) }
		}
		if e.applying != nil {
			steps[e.name+" has applied"] = func() { l.apply(e) }
		}
		if e.extracting != nil {
			steps[e.name+" has extracted"] = func() { l.transmit(e) }
		}
	}
	return steps
}

func (l *link) hear(e *end) {
	message := e.messages[0]
	e.messages = e.messages[1:]
	l.do(e, e.session.Receive(e.now, message))
}

func (l *link) receive(e *end) {
	e.arrived = &e.batches[0]
	e.batches = e.batches[1:]
	l.do(e, e.session.BatchArrived(e.arrived.header))
}

func (l *link) apply(e *end) {
	batch := e.applying
	e.applying = nil
	l.commit(e, batch)
	l.do(e, e.session.Applied(0, 0))
	l.do(e, e.session.LocalChanged()) // as node and hub both do: a merge may have made work
}

func (l *link) commit(e *end, batch *delivery) {
	e.db.have = batch.header.To
	e.db.got = append(e.db.got, batch.changes...)
	if e == l.hub && len(batch.changes) > 0 {
		e.db.position++ // relayed from here on, not to its origin
	}
}

func (l *link) transmit(e *end) {
	from := *e.extracting
	e.extracting = nil
	upTo := causal.Position(rapid.Uint64Range(uint64(from), uint64(e.db.position)).Draw(l.t, "slice up to"))
	batch := delivery{header: wire.BatchHeader{From: from, To: upTo}}
	more := false
	for _, p := range e.db.work {
		if p > from && p <= upTo {
			batch.changes = append(batch.changes, p)
		}
		more = more || p > upTo
	}
	if len(batch.changes) == 0 { // such a slice is not made: what it says the next one does, or the last
		batch.header.To, more = e.db.position, false
		for _, p := range e.db.work {
			if p > from {
				batch.changes = append(batch.changes, p)
			}
		}
	}
	if len(batch.changes) == 0 && (!e.sendsEmpty || batch.header.To == from) {
		l.do(e, e.session.NothingToSend())
		return
	}
	l.do(e, e.session.Transmitting(batch.header.To, len(batch.changes), more || e.sendsEmpty &&
		batch.header.To < e.db.position))
	peer := l.other(e)
	if len(peer.batches) > 0 || peer.arrived != nil || peer.applying != nil {
		l.t.Fatalf("%s has two batches under way", e.name)
	}
	peer.batches = append(peer.batches, batch)
}

func (l *link) write(e *end) {
	e.db.position++
	e.db.work = append(e.db.work, e.db.position)
	l.do(e, e.session.LocalChanged())
}

// cut ends the link and begins another. What was being applied then is committed or not;
// the next greeting has to find out.
func (l *link) cut(committed bool) {
	for _, e := range []*end{l.node, l.hub} {
		if e.applying != nil && committed {
			l.commit(e, e.applying)
		}
	}
	l.connect()
}

// drain lets everything happen that can, in any order, and fails if it does not end.
func (l *link) drain() {
	for range 10_000 {
		steps := l.steps()
		if len(steps) == 0 {
			return
		}
		steps[rapid.SampledFrom(names(steps)).Draw(l.t, "drain")]()
	}
	l.t.Fatalf("the ends never fall silent: %v", l.said)
}

func names(steps map[string]func()) []string {
	var list []string
	for name := range steps {
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}

func (l *link) isLevel() {
	l.t.Helper()
	for _, e := range []*end{l.node, l.hub} {
		if !slices.Equal(l.other(e).db.got, e.db.work) {
			l.t.Fatalf("%s wrote %v, the other end has %v", e.name, e.db.work, l.other(e).db.got)
		}
	}
	if l.node.db.have != l.hub.db.position {
		l.t.Fatalf("the hub is at %d, the node has %d of it", l.hub.db.position, l.node.db.have)
	}
}

// staysSilent checks that over half a minute nothing but pings and their answers travels.
func (l *link) staysSilent() {
	l.t.Helper()
	l.said = make(map[wire.Kind]int)
	const seconds = 30
	for range seconds {
		for _, e := range []*end{l.node, l.hub} {
			e.now = e.now.Add(time.Second)
			l.do(e, e.session.Tick(e.now, wire.Ping{}))
		}
		l.drain()
	}
	pings := 2 * int(seconds*time.Second/session.PingEvery)
	if len(l.said) != 2 || l.said[wire.KindPing] != pings || l.said[wire.KindPong] != pings {
		l.t.Fatalf("said in %d quiet seconds: %v, want %d pings and their answers", seconds, l.said, pings)
	}
}

// Messages, batches, commits and writes interleave in any order, and links are cut anywhere. Both ends
// get all of each other's work once and in order, with one batch at a time each way, and then fall
// silent.
func TestSessionsLevelInAnyInterleaving(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := newLink(t)
		for range rapid.IntRange(0, 60).Draw(t, "length") {
			steps := l.steps()
			for _, e := range []*end{l.node, l.hub} {
				steps[e.name+" writes"] = func() { l.write(e) }
				steps[e.name+" is woken for nothing"] = func() { l.do(e, e.session.LocalChanged()) }
			}
			if rapid.IntRange(0, 19).Draw(t, "luck") == 0 {
				l.cut(rapid.Bool().Draw(t, "committed"))
				continue
			}
			steps[rapid.SampledFrom(names(steps)).Draw(t, "step")]()
		}
		l.drain()
		l.isLevel()
		l.staysSilent()
	})
}
