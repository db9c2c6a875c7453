package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
)

// maxDatagram is the largest UDP datagram in bytes, so no datagram is cut short on the way.
const maxDatagram = 64 << 10

// demoLink is the link between a restaurant and the office. It forwards UDP datagrams on
// loopback, and can be cut and mended. While it is cut, datagrams of both directions vanish and
// nobody is told, as on a real network. It is safe for concurrent use.
type demoLink struct {
	front *net.UDPConn // the restaurant's end
	far   *net.UDPAddr // the hub
	cut   atomic.Bool

	mutex   sync.Mutex
	callers map[netip.AddrPort]*net.UDPConn // a socket towards the hub for each caller
	closed  bool
	workers sync.WaitGroup
}

// newDemoLink opens a link to the hub at an address.
func newDemoLink(hub string) (*demoLink, error) {
	far, err := net.ResolveUDPAddr("udp", hub)
	if err != nil {
		return nil, fmt.Errorf("link to %s: %w", hub, err)
	}
	front, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, fmt.Errorf("link to %s: %w", hub, err)
	}
	l := &demoLink{front: front, far: far, callers: map[netip.AddrPort]*net.UDPConn{}}
	l.workers.Go(l.carryOut)
	return l, nil
}

// Address is where the restaurant finds the hub.
func (l *demoLink) Address() string { return l.front.LocalAddr().String() }

// Cut drops everything from now on.
func (l *demoLink) Cut() { l.cut.Store(true) }

// Mend forwards again.
func (l *demoLink) Mend() { l.cut.Store(false) }

// Close ends the link and waits until its goroutines have ended.
func (l *demoLink) Close() {
	l.mutex.Lock()
	l.closed = true
	l.front.Close()
	for _, c := range l.callers {
		c.Close()
	}
	l.mutex.Unlock()
	l.workers.Wait()
}

// carryOut carries datagrams from the restaurant to the hub.
func (l *demoLink) carryOut() {
	datagram := make([]byte, maxDatagram)
	for {
		n, from, err := l.front.ReadFromUDPAddrPort(datagram)
		if transient(err) {
			continue
		}
		if err != nil {
			return
		}
		if l.cut.Load() {
			continue
		}
		if caller := l.caller(from); caller != nil {
			_, _ = caller.Write(datagram[:n]) // a datagram that cannot be sent is lost
		}
	}
}

// caller is the socket towards the hub for a caller, opened at its first datagram.
func (l *demoLink) caller(from netip.AddrPort) *net.UDPConn {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if c := l.callers[from]; c != nil || l.closed {
		return c
	}
	c, err := net.DialUDP("udp", nil, l.far)
	if err != nil {
		return nil // the datagram is lost, and the next one tries again
	}
	l.callers[from] = c
	l.workers.Go(func() { l.carryBack(c, from) })
	return c
}

// carryBack carries datagrams from the hub to one caller.
func (l *demoLink) carryBack(c *net.UDPConn, to netip.AddrPort) {
	datagram := make([]byte, maxDatagram)
	for {
		n, err := c.Read(datagram)
		if transient(err) {
			continue
		}
		if err != nil {
			return
		}
		if !l.cut.Load() {
			_, _ = l.front.WriteToUDPAddrPort(datagram[:n], to) // as above
		}
	}
}

// transient reports whether a socket's error is about one datagram only, which found nobody at the
// other end.
func transient(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }
