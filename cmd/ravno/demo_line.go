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

// maxDatagram is the largest UDP datagram in bytes: nothing is ever cut short on the way.
const maxDatagram = 64 << 10

// demoLine is the line between a restaurant and the office: it forwards UDP datagrams on
// loopback, and can be cut and mended. While it is cut, datagrams of both directions vanish
// and nobody is told, as on a real line. Safe for concurrent use.
type demoLine struct {
	front *net.UDPConn // the restaurant's end
	far   *net.UDPAddr // the hub
	cut   atomic.Bool

	mutex   sync.Mutex
	callers map[netip.AddrPort]*net.UDPConn // a socket towards the hub for each caller
	closed  bool
	workers sync.WaitGroup
}

// newDemoLine opens a line to the hub at an address.
func newDemoLine(hub string) (*demoLine, error) {
	far, err := net.ResolveUDPAddr("udp", hub)
	if err != nil {
		return nil, fmt.Errorf("line to %s: %w", hub, err)
	}
	front, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, fmt.Errorf("line to %s: %w", hub, err)
	}
	l := &demoLine{front: front, far: far, callers: map[netip.AddrPort]*net.UDPConn{}}
	l.workers.Go(l.carryOut)
	return l, nil
}

// Address is where the restaurant finds the hub.
func (l *demoLine) Address() string { return l.front.LocalAddr().String() }

// Cut drops everything from now on.
func (l *demoLine) Cut() { l.cut.Store(true) }

// Mend forwards again.
func (l *demoLine) Mend() { l.cut.Store(false) }

// Close ends the line and waits until nothing of it runs.
func (l *demoLine) Close() {
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
func (l *demoLine) carryOut() {
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
			caller.Write(datagram[:n]) // a datagram that cannot be sent is a datagram lost
		}
	}
}

// caller is the socket towards the hub for a caller, opened at its first datagram.
func (l *demoLine) caller(from netip.AddrPort) *net.UDPConn {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if c := l.callers[from]; c != nil || l.closed {
		return c
	}
	c, err := net.DialUDP("udp", nil, l.far)
	if err != nil {
		return nil // no socket to be had now: the datagram is lost, the next one tries again
	}
	l.callers[from] = c
	l.workers.Go(func() { l.carryBack(c, from) })
	return c
}

// carryBack carries datagrams from the hub to one caller.
func (l *demoLine) carryBack(c *net.UDPConn, to netip.AddrPort) {
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
			l.front.WriteToUDPAddrPort(datagram[:n], to) // as above
		}
	}
}

// transient reports whether a socket's error is about one datagram only: the other end was
// not there for it.
func transient(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }
