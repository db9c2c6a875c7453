package e2e

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

// link is the way between a node and the hub. It forwards UDP datagrams on loopback. While it is
// cut, datagrams of both directions vanish and nobody is told.
type link struct {
	front *net.UDPConn
	hub   *net.UDPAddr
	cut   atomic.Bool

	mutex   sync.Mutex
	callers map[netip.AddrPort]*net.UDPConn
	closed  bool
	workers sync.WaitGroup
}

func newLink(t *testing.T, hub string) *link {
	t.Helper()
	address, err := net.ResolveUDPAddr("udp", hub)
	if err != nil {
		t.Fatal(err)
	}
	front, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	l := &link{front: front, hub: address, callers: map[netip.AddrPort]*net.UDPConn{}}
	l.workers.Go(l.toHub)
	t.Cleanup(l.close)
	return l
}

func (l *link) close() {
	l.mutex.Lock()
	l.closed = true
	l.front.Close()
	for _, c := range l.callers {
		c.Close()
	}
	l.mutex.Unlock()
	l.workers.Wait()
}

func (l *link) toHub() {
	datagram := make([]byte, 64<<10)
	for {
		n, from, err := l.front.ReadFromUDPAddrPort(datagram)
		if errors.Is(err, syscall.ECONNREFUSED) {
			continue // about one datagram: its receiver was not there
		}
		if err != nil {
			return
		}
		if c := l.caller(from); c != nil && !l.cut.Load() {
			_, _ = c.Write(datagram[:n]) // a datagram that cannot be sent is lost, as on any network
		}
	}
}

// caller is the socket towards the hub for one caller.
func (l *link) caller(from netip.AddrPort) *net.UDPConn {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if c := l.callers[from]; c != nil || l.closed {
		return c
	}
	c, err := net.DialUDP("udp", nil, l.hub)
	if err != nil {
		return nil
	}
	l.callers[from] = c
	l.workers.Go(func() { l.fromHub(c, from) })
	return c
}

func (l *link) fromHub(c *net.UDPConn, to netip.AddrPort) {
	datagram := make([]byte, 64<<10)
	for {
		n, err := c.Read(datagram)
		if errors.Is(err, syscall.ECONNREFUSED) {
			continue
		}
		if err != nil {
			return
		}
		if !l.cut.Load() {
			_, _ = l.front.WriteToUDPAddrPort(datagram[:n], to)
		}
	}
}
