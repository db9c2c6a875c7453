package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"ravno/crdt/causal"
	"ravno/net/identity"
	"ravno/net/node"
	"ravno/net/quiclink"
	"ravno/store"
)

const (
	// crowdSize is the crowd the targets are for.
	crowdSize = 1000
	// crowdPatience bounds what a crowd is waited for, well above its targets.
	crowdPatience = 90 * time.Second
)

// crowd is a hub as a process of its own, and many nodes in this one.
type crowd struct {
	*chain
	nodes []*member
	rows  int // in the table
}

// member is one node of a crowd.
type member struct {
	store    *store.Store
	endpoint *quiclink.Endpoint
	cancel   context.CancelFunc
	over     chan struct{}
	node     *node.Node
}

// crowdLine is a hub with many nodes: what it takes, and how long news takes to all.
func crowdLine(b *bench) {
	c, done := b.newCrowd(b.nodes)
	defer done()
	linked := c.level()
	memory := c.hub.usage()
	b.crowded("memory of the hub", "MiB", memory.memory, 600,
		fmt.Sprintf("at most %.0f MiB; all nodes in one other process of this machine", memory.peak))
	b.crowded("all linked and level at first", "s", linked.Seconds(), 0, "")
	before := c.hub.usage()
	var took []float64
	for range few {
		took = append(took, c.change().Seconds())
	}
	spent := c.hub.usage().cpu - before.cpu
	b.crowded("one change of the hub to all", "s", median(took), 2,
		fmt.Sprintf("longest of %d: %s s; processor time of the hub: %.0f ms each", few, number(quantile(took, 1)),
			milliseconds(spent)/few))
	again := c.restart()
	b.crowded("level again after the hub restarted with a change", "s", again.Seconds(), 60, "")
}

// crowded adds a figure whose target is for a crowd: a smaller one that misses it has missed
// it, and one that keeps it has shown nothing.
func (b *bench) crowded(what, unit string, measured, target float64, note string) {
	r := result{What: fmt.Sprintf("%d nodes: %s", b.nodes, what), Unit: unit, Measured: measured, Target: target,
		Note: note}
	r.HasGoal = target > 0 && (b.nodes >= crowdSize || measured > target)
	if target > 0 && b.nodes < crowdSize {
		r.Note = strings.TrimPrefix(fmt.Sprintf("%s; the target, %s, is for %d nodes: -nodes %d", note, number(target),
			crowdSize, crowdSize), "; ")
	}
	b.add(r)
}

// newCrowd enrols nodes without a network, and starts everything.
func (b *bench) newCrowd(n int) (c *crowd, done func()) {
	hub, stop := b.newChain(intShape, 0)
	c = &crowd{chain: hub}
	done = func() {
		b.sharedOut(len(c.nodes), func(i int) {
			if m := c.nodes[i]; m != nil { // else it did not come to that
				m.cancel()
				m.endpoint.Close()
				<-m.over
				m.store.Close()
			}
		})
		stop()
	}
	defer func() {
		if r := recover(); r != nil {
			done()
			panic(r)
		}
	}()
	c.hub.stop()
	began := time.Now()
	enrolled := b.enrolAll(c, n)
	b.progress("%d nodes enrolled in %.1f s", n, time.Since(began).Seconds())
	c.hub.start()
	c.nodes = make([]*member, n)
	b.sharedOut(n, func(i int) { c.nodes[i] = b.run(enrolled[i]) })
	b.progress("%d nodes started, %.1f s", n, time.Since(began).Seconds())
	return c, done
}

// enrolled is the home of a node and who it is.
type enrolled struct {
	dir, db     string
	site        causal.Site
	incarnation causal.Incarnation
}

func (b *bench) enrolAll(c *crowd, n int) []enrolled {
	authority, err := identity.LoadAuthority(c.hub.db + ".ravno")
	b.must(err)
	hub := b.openStore(c.hub.db)
	defer hub.Close()
	all := make([]enrolled, n)
	for i := range all {
		name := fmt.Sprintf("shop%d", i+1)
		e := enrolled{dir: filepath.Join(c.dir, name), db: filepath.Join(c.dir, name, "shop.db")}
		var hash [32]byte
		rand.Read(e.incarnation[:])
		rand.Read(hash[:])
		b.must(os.Mkdir(e.dir, 0o700))
		key, err := identity.NewKey(e.dir)
		b.must(err)
		request, err := identity.Request(key, name)
		b.must(err)
		b.must(hub.AddToken(name, hash, time.Now().Add(time.Hour)))
		e.site, _, err = hub.Enrol(hash, e.incarnation, func(site causal.Site, _ string) (string, error) {
			issued, err := authority.Issue(request, site, identity.RoleNode, time.Now())
			if err != nil {
				return "", err
			}
			_, err = identity.Install(e.dir, authority.Fingerprint(), authority.PEM(), issued.PEM)
			return issued.Serial, err
		})
		b.must(err)
		all[i] = e
	}
	load := filepath.Join(c.dir, "load")
	_, err = hub.WriteLoad(load)
	b.must(err)
	b.sharedOut(n, func(i int) {
		e := all[i]
		own := filepath.Join(e.dir, "load") // it becomes the node's file
		b.copyFile(load, own)
		_, _, err := store.InstallLoad(own, e.db, store.NodeOptions{
			Site: e.site, Incarnation: e.incarnation, Addresses: []string{c.hub.listen}}, store.RefuseLocal, time.Now)
		b.must(err)
	})
	return all
}

// sharedOut calls f with every number below n, several at a time: what is prepared waits for the
// disk more than for a processor.
func (b *bench) sharedOut(n int, f func(i int)) {
	const hands = 8
	var next atomic.Int64
	var working sync.WaitGroup
	var failed atomic.Value
	for range hands {
		working.Go(func() {
			defer func() {
				if r := recover(); r != nil {
					failed.CompareAndSwap(nil, r)
				}
			}()
			for i := next.Add(1) - 1; i < int64(n) && failed.Load() == nil; i = next.Add(1) - 1 {
				f(int(i))
			}
		})
	}
	working.Wait()
	if r := failed.Load(); r != nil {
		panic(r)
	}
}

// run starts a node in this process.
func (b *bench) run(e enrolled) *member {
	own, err := identity.Load(e.dir)
	b.must(err)
	socket, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	b.must(err)
	m := &member{store: b.openStore(e.db), endpoint: quiclink.NewEndpoint(socket), over: make(chan struct{})}
	m.node = node.New(node.Config{Store: m.store, Identity: own, Endpoint: m.endpoint, Version: "bench", SpoolDir: e.dir,
		Clock: time.Now,
		Resolve: func(_ context.Context, address string) (net.Addr, error) {
			at, err := netip.ParseAddrPort(address)
			return net.UDPAddrFromAddrPort(at), err
		},
		Random: func() float64 { return float64(e.site%97) / 97 }, // spread, and the same each time
		Wake:   make(chan struct{}), Log: zerolog.Nop()})
	ctx, cancel := context.WithCancel(context.Background())
	m.cancel = cancel
	go func() {
		defer close(m.over)
		_ = m.node.Run(ctx) // ends with ctx; a node that fails before shows as one that never gets level
	}()
	return m
}

// level waits until every node is.
func (c *crowd) level() time.Duration {
	began := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), crowdPatience)
	defer cancel()
	var waiting sync.WaitGroup
	failed := make(chan error, len(c.nodes))
	for _, m := range c.nodes {
		waiting.Go(func() {
			if err := m.node.Wait(ctx); err != nil {
				failed <- err
			}
		})
	}
	waiting.Wait()
	select {
	case err := <-failed:
		c.b.must(fmt.Errorf("not every node got level: %w", err))
	default:
	}
	return time.Since(began)
}

// change writes a row at the hub and waits until every node has it.
func (c *crowd) change() time.Duration {
	c.write()
	return timed(c.arrived)
}

// restart ends the hub, writes a row there, and waits from its next start until every node
// has it.
func (c *crowd) restart() time.Duration {
	c.hub.stop()
	c.write()
	return timed(func() {
		c.hub.start()
		c.arrived()
	})
}

func (c *crowd) write() {
	app := c.hub.app()
	defer app.close()
	app.do(intShape.insert(), intShape.sale(c.rows)...)
	c.rows++
}

// arrived waits until every node has all rows.
func (c *crowd) arrived() {
	deadline := time.Now().Add(crowdPatience)
	for _, m := range c.nodes { // the last to get it is the one waited for, whatever the order
		for {
			digests, _, err := m.store.Digests("sale")
			c.b.must(err)
			if digests[0].Rows == uint64(c.rows) {
				break
			}
			if time.Now().After(deadline) {
				c.b.must(fmt.Errorf("a node has %d of %d rows after %s", digests[0].Rows, c.rows, crowdPatience))
			}
			time.Sleep(glance)
		}
	}
}
