package sim

import (
	"net/netip"
	"sync"
	"time"

	"ravno/net/quiclink/simlink"
)

// line is what becomes of packets, per node.
type line struct {
	mutex sync.Mutex // guards the rest
	bad   bool
	hosts map[netip.Addr]*condition
}

// condition is what the line of a node is like.
type condition struct {
	cut      bool // by whichever step
	dropNext bool // it breaks with the next packet of a batch
	broken   bool
}

func (l *line) fate(p simlink.Packet) []time.Duration {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	for _, host := range []netip.Addr{p.From.Addr(), p.To.Addr()} {
		c := l.hosts[host]
		if c == nil {
			continue
		}
		if c.dropNext && p.Size >= batchPacket {
			c.dropNext, c.broken = false, true
		}
		if c.broken {
			return nil
		}
	}
	if l.bad {
		return badLine(p)
	}
	return []time.Duration{0}
}

func (r *trial) stepOfLine(s step) {
	r.line.mutex.Lock()
	defer r.line.mutex.Unlock()
	switch s.do {
	case "bad-line", "good-line":
		r.line.bad = s.do == "bad-line"
		return
	}
	node, hub := r.site(s.site).host, r.sites[0].host
	c := r.line.hosts[node]
	if c == nil {
		c = &condition{}
		r.line.hosts[node] = c
	}
	if s.do == "heal" {
		*c = condition{}
		r.unlocked(func() { r.net.Heal(hub, node) })
		return
	}
	if !c.cut {
		r.figures.Partitions++
	}
	c.cut = true
	switch s.do {
	case "cut":
		r.unlocked(func() { r.net.Cut(hub, node) })
	case "deafen":
		r.unlocked(func() { r.net.CutOneWay(hub, node) })
	case "mute":
		r.unlocked(func() { r.net.CutOneWay(node, hub) })
	case "drop":
		c.dropNext = true
	}
}

// unlocked calls the network, which itself calls fate.
func (r *trial) unlocked(f func()) {
	r.line.mutex.Unlock()
	defer r.line.mutex.Lock()
	f()
}

func (r *trial) healAll() {
	r.line.mutex.Lock()
	r.line.bad = false
	clear(r.line.hosts)
	r.line.mutex.Unlock()
	r.net.HealAll()
}
