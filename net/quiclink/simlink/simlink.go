// Package simlink is a network in memory for tests. It has hosts with packet sockets, and a test
// cuts and heals the way between them, and delays, loses, duplicates and reorders packets.
// Production code never imports it.
//
// It has no randomness and no goroutines of its own, so the same calls in the same order have the
// same outcome, and nothing can leak. It uses package time, so inside a testing/synctest bubble
// seconds of network cost nothing.
package simlink

import (
	"container/heap"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"
)

const (
	// firstFreePort is where port 0 begins to look, as an operating system's would.
	firstFreePort = 40000

	// inboxPackets is how much a socket holds before it drops, as the kernel's buffer does. It
	// is large enough that only a reader which has stopped reading can fill it.
	inboxPackets = 1 << 14
)

// Packet describes a packet to a Fate.
type Packet struct {
	From, To netip.AddrPort
	Size     int    // bytes of UDP payload
	Number   uint64 // counts the packets of the whole network, from 1
}

// Fate decides how a packet arrives. One copy of it arrives after each of the returned delays, on top
// of the network's latency. No delay loses it, two duplicate it, and different delays reorder
// packets. It is called once per packet sent on an uncut route. The network is locked then, so it
// must not call the network, and needs no lock of its own.
type Fate func(Packet) []time.Duration

// Network connects the sockets made by Endpoint. All methods may be called at any time, from
// any goroutine.
type Network struct {
	mu      sync.Mutex
	latency time.Duration
	fate    Fate
	cut     map[route]bool
	sockets map[netip.AddrPort]*Conn
	sent    uint64
}

// route is one direction between two hosts.
type route struct{ from, to netip.Addr }

// New makes a network on which a packet takes latency from any host to any other.
func New(latency time.Duration) *Network {
	return &Network{latency: latency, cut: map[route]bool{}, sockets: map[netip.AddrPort]*Conn{}}
}

// Host is a short way to an address: 10.0.0.n.
func Host(n byte) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 0, n}) }

// Endpoint opens a socket. Port 0 stands for the first free one. An address is free again once
// its socket is closed, so that a daemon may be restarted on it.
func (n *Network) Endpoint(at netip.AddrPort) (*Conn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if at.Port() == 0 {
		port := uint16(firstFreePort)
		for n.sockets[netip.AddrPortFrom(at.Addr(), port)] != nil {
			port++
		}
		at = netip.AddrPortFrom(at.Addr(), port)
	}
	if n.sockets[at] != nil {
		return nil, fmt.Errorf("simlink: %s is in use", at)
	}
	conn := &Conn{network: n, at: at, changed: make(chan struct{})}
	n.sockets[at] = conn
	return conn, nil
}

// Cut takes down the way between two hosts, both directions. Packets on their way are lost.
func (n *Network) Cut(a, b netip.Addr) {
	n.CutOneWay(a, b)
	n.CutOneWay(b, a)
}

// CutOneWay takes down one direction. to still reaches from, but gets nothing from it.
func (n *Network) CutOneWay(from, to netip.Addr) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cut[route{from, to}] = true
	for at, conn := range n.sockets {
		if at.Addr() == to {
			conn.forget(from)
		}
	}
}

// Heal restores both directions between two hosts. Nothing lost comes back.
func (n *Network) Heal(a, b netip.Addr) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.cut, route{a, b})
	delete(n.cut, route{b, a})
}

// HealAll restores every route.
func (n *Network) HealAll() {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.cut)
}

// SetLatency changes the latency for packets sent from now on.
func (n *Network) SetLatency(latency time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.latency = latency
}

// SetFate changes the fate of packets sent from now on. nil delivers each once.
func (n *Network) SetFate(fate Fate) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.fate = fate
}

// Sent is the number of packets sent on uncut routes so far, lost ones too.
func (n *Network) Sent() uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.sent
}

// Close closes every socket.
func (n *Network) Close() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, conn := range n.sockets {
		conn.shut()
	}
	return nil
}

// send is called with the network locked.
func (n *Network) send(from, to netip.AddrPort, data []byte) {
	if n.cut[route{from.Addr(), to.Addr()}] {
		return
	}
	n.sent++
	delays := []time.Duration{0}
	if n.fate != nil {
		delays = n.fate(Packet{From: from, To: to, Size: len(data), Number: n.sent})
	}
	conn := n.sockets[to]
	if conn == nil {
		return // nobody there: UDP does not say so
	}
	now := time.Now()
	for _, delay := range delays {
		conn.put(packet{from: from, data: slices.Clone(data), due: now.Add(n.latency + delay)})
	}
}

// Conn is a socket of the network, a net.PacketConn for one reader and any number of writers.
// Everything in it is guarded by the network's lock.
type Conn struct {
	network      *Network
	at           netip.AddrPort
	inbox        inbox
	arrivals     uint64
	readDeadline time.Time
	closed       bool
	changed      chan struct{} // closed and replaced when a waiting reader has to look again
}

var _ net.PacketConn = (*Conn)(nil)

// ReadFrom waits for the next packet that is due.
func (c *Conn) ReadFrom(buffer []byte) (int, net.Addr, error) {
	for {
		arrived, changed, wait, err := c.next()
		if err != nil {
			return 0, nil, &net.OpError{Op: "read", Net: "udp", Addr: c.LocalAddr(), Err: err}
		}
		if arrived != nil {
			// As with a real socket, what does not fit into the buffer is gone.
			return copy(buffer, arrived.data), net.UDPAddrFromAddrPort(arrived.from), nil
		}
		if wait < 0 {
			<-changed
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-changed:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// next takes a packet that is due, or says how long to wait for one. A negative wait is for ever.
func (c *Conn) next() (arrived *packet, changed <-chan struct{}, wait time.Duration, err error) {
	c.network.mu.Lock()
	defer c.network.mu.Unlock()
	if c.closed {
		return nil, nil, 0, net.ErrClosed
	}
	now := time.Now()
	if !c.readDeadline.IsZero() && !now.Before(c.readDeadline) {
		return nil, nil, 0, os.ErrDeadlineExceeded
	}
	wait = -1
	if len(c.inbox) > 0 {
		if wait = c.inbox[0].due.Sub(now); wait <= 0 {
			first := heap.Pop(&c.inbox).(packet)
			return &first, nil, 0, nil
		}
	}
	if until := c.readDeadline.Sub(now); !c.readDeadline.IsZero() && (wait < 0 || until < wait) {
		wait = until
	}
	return nil, c.changed, wait, nil
}

// WriteTo sends a packet. It never waits, and does not report the packet's fate.
func (c *Conn) WriteTo(data []byte, to net.Addr) (int, error) {
	udp, ok := to.(*net.UDPAddr)
	if !ok {
		return 0, fmt.Errorf("simlink: address %v is a %T, want *net.UDPAddr", to, to)
	}
	c.network.mu.Lock()
	defer c.network.mu.Unlock()
	if c.closed {
		return 0, &net.OpError{Op: "write", Net: "udp", Addr: to, Err: net.ErrClosed}
	}
	target := udp.AddrPort()
	c.network.send(c.at, netip.AddrPortFrom(target.Addr().Unmap(), target.Port()), data)
	return len(data), nil
}

// Close ends the socket and frees its address. A waiting reader gets net.ErrClosed.
func (c *Conn) Close() error {
	c.network.mu.Lock()
	defer c.network.mu.Unlock()
	c.shut()
	return nil
}

// LocalAddr is the address of the socket, a *net.UDPAddr.
func (c *Conn) LocalAddr() net.Addr { return net.UDPAddrFromAddrPort(c.at) }

// SetReadDeadline bounds the waiting of readers, present ones too.
func (c *Conn) SetReadDeadline(at time.Time) error {
	c.network.mu.Lock()
	defer c.network.mu.Unlock()
	c.readDeadline = at
	c.signal()
	return nil
}

// SetWriteDeadline does nothing, because writes never wait.
func (c *Conn) SetWriteDeadline(time.Time) error { return nil }

// SetDeadline is SetReadDeadline.
func (c *Conn) SetDeadline(at time.Time) error { return c.SetReadDeadline(at) }

// SetReadBuffer does nothing. Without it, QUIC warns of a socket that cannot be tuned.
func (c *Conn) SetReadBuffer(int) error { return nil }

// SetWriteBuffer does nothing, as SetReadBuffer.
func (c *Conn) SetWriteBuffer(int) error { return nil }

func (c *Conn) put(p packet) {
	if len(c.inbox) >= inboxPackets {
		return
	}
	c.arrivals++
	p.order = c.arrivals
	heap.Push(&c.inbox, p)
	c.signal()
}

func (c *Conn) forget(from netip.Addr) {
	c.inbox = slices.DeleteFunc(c.inbox, func(p packet) bool { return p.from.Addr() == from })
	heap.Init(&c.inbox)
	c.signal()
}

func (c *Conn) shut() {
	if c.closed {
		return
	}
	c.closed, c.inbox = true, nil
	delete(c.network.sockets, c.at)
	c.signal()
}

func (c *Conn) signal() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// packet is one copy on its way.
type packet struct {
	from  netip.AddrPort
	data  []byte
	due   time.Time
	order uint64 // of two due at once, the one sent first arrives first
}

// inbox is a heap of packets by arrival.
type inbox []packet

func (b inbox) Len() int { return len(b) }
func (b inbox) Less(i, j int) bool {
	if !b[i].due.Equal(b[j].due) {
		return b[i].due.Before(b[j].due)
	}
	return b[i].order < b[j].order
}
func (b inbox) Swap(i, j int) { b[i], b[j] = b[j], b[i] }
func (b *inbox) Push(x any)   { *b = append(*b, x.(packet)) }
func (b *inbox) Pop() any {
	last := len(*b) - 1
	p := (*b)[last]
	(*b)[last] = packet{}
	*b = (*b)[:last]
	return p
}
