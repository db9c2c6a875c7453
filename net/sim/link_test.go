package sim

import (
	"net/netip"
	"sync"
	"time"

	"ravno/net/quiclink/simlink"
)

// links says for each node what the network does to its packets.
type links struct {
	mutex sync.Mutex // guards the rest
	bad   bool
	hosts map[netip.Addr]*condition
}

// condition is the state of one node's link.
type condition struct {
	cut      bool // by any step
	dropNext bool // it breaks with the next packet of a batch
	broken   bool
}

func (l *links) fate(p simlink.Packet) []time.Duration {
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
		return badNetwork(p)
	}
	return []time.Duration{0}
}

func (r *trial) stepOfLink(s step) {
	r.links.mutex.Lock()
	defer r.links.mutex.Unlock()
	switch s.do {
	case "bad-network", "good-network":
		r.links.bad = s.do == "bad-network"
		return
	}
	node, hub := r.site(s.site).host, r.sites[0].host
	c := r.links.hosts[node]
	if c == nil {
		c = &condition{}
		r.links.hosts[node] = c
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
	r.links.mutex.Unlock()
	defer r.links.mutex.Lock()
	f()
}

func (r *trial) healAll() {
	r.links.mutex.Lock()
	r.links.bad = false
	clear(r.links.hosts)
	r.links.mutex.Unlock()
	r.net.HealAll()
}
