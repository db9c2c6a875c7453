package sim

import (
	"errors"
	"io"
	"slices"
	"time"

	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/net/quiclink/simlink"
	"ravno/store"
)

// stray is a copy of a batch that will arrive a second time, or late, or at a server that
// has moved on meanwhile.
type stray struct {
	from, to *site
	delta    func() store.Delta
}

// copyBatch copies what a node would send to the hub now, or the hub to the first node.
func (c *chain) copyBatch(s *site) {
	c.t.Helper()
	hub := c.sites[0]
	if s.daemon == nil || hub.daemon == nil {
		return
	}
	self, err := s.daemon.store.Self()
	c.must(err)
	node, above, to := causal.Site(0), self.HubHave, hub
	if s == hub {
		to = c.sites[1]
		peer, _, err := hub.daemon.store.Peer(2)
		c.must(err)
		node, above = 2, peer.Acked
	}
	var sections []*crdt.Section
	span, _, err := s.daemon.store.Outgoing(node, above, 0, func(_ store.Span, section *crdt.Section) error {
		sections = append(sections, section)
		return nil
	})
	c.must(err)
	c.strays = append(c.strays, stray{from: s, to: to, delta: func() store.Delta {
		return store.Delta{Span: span, Open: func() (func() (*crdt.Section, error), error) {
			left := sections
			return func() (*crdt.Section, error) {
				if len(left) == 0 {
					return nil, io.EOF
				}
				next := *left[0]
				left = left[1:]
				next.Changes = slices.Clone(next.Changes)
				for i := range next.Changes {
					next.Changes[i].Registers = slices.Clone(next.Changes[i].Registers)
					next.Changes[i].Parts = slices.Clone(next.Changes[i].Parts)
				}
				return &next, nil
			}, nil
		}}
	}})
}

// deliverCopy lets a copied batch arrive, behind the back of the link. It is
// merged if it fits exactly, and refused if it does not.
func (c *chain) deliverCopy(i int) {
	c.t.Helper()
	if i >= len(c.strays) || c.strays[i].to.daemon == nil {
		return
	}
	s := c.strays[i]
	var err error
	if s.to == c.sites[0] {
		number := causal.Site(slices.Index(c.sites, s.from) + 1)
		_, err = s.to.daemon.store.ApplyFromNode(number, s.delta(), 0)
		s.to.daemon.hub.Poke()
	} else {
		_, err = s.to.daemon.store.ApplyFromHub(s.delta())
		s.to.daemon.node.Poke()
	}
	var outdated *store.OutOfOrderError
	var crossed *store.CrossingError
	if err != nil && !errors.As(err, &outdated) && !errors.As(err, &crossed) {
		c.t.Fatalf("a stray batch from %s: %v", s.from.name, err)
	}
}

// badNetwork loses every 7th packet, doubles every 5th and delays every 3rd.
func badNetwork(p simlink.Packet) []time.Duration {
	switch {
	case p.Number%7 == 0:
		return nil
	case p.Number%5 == 0:
		return []time.Duration{0, 80 * time.Millisecond}
	case p.Number%3 == 0:
		return []time.Duration{60 * time.Millisecond}
	}
	return []time.Duration{0}
}
