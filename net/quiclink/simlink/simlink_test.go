package simlink_test

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ravno/net/quiclink/simlink"
)

func open(t *testing.T, network *simlink.Network, host byte, port uint16) *simlink.Conn {
	t.Helper()
	conn, err := network.Endpoint(netip.AddrPortFrom(simlink.Host(host), port))
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func send(t *testing.T, from, to *simlink.Conn, text string) {
	t.Helper()
	if _, err := from.WriteTo([]byte(text), to.LocalAddr()); err != nil {
		t.Fatal(err)
	}
}

// heard is everything that arrives within a minute, with the moment of each arrival.
func heard(t *testing.T, conn *simlink.Conn) string {
	t.Helper()
	start := time.Now()
	if err := conn.SetReadDeadline(start.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	var all []string
	buffer := make([]byte, 64)
	for {
		n, _, err := conn.ReadFrom(buffer)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return strings.Join(all, " ")
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, string(buffer[:n])+"@"+time.Since(start).String())
	}
}

func TestPacketsArriveInOrderAfterTheLatency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := simlink.New(20 * time.Millisecond)
		defer network.Close()
		a, b := open(t, network, 1, 4433), open(t, network, 2, 0)
		for _, text := range []string{"one", "two", "three"} {
			send(t, a, b, text)
		}
		if got, want := heard(t, b), "one@20ms two@20ms three@20ms"; got != want {
			t.Errorf("heard %q, want %q", got, want)
		}
	})
}

// A cut loses the packets on their way, and healing brings none of them back.
func TestCutLosesPacketsOnTheirWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := simlink.New(20 * time.Millisecond)
		defer network.Close()
		a, b, c := open(t, network, 1, 1), open(t, network, 2, 1), open(t, network, 3, 1)
		send(t, a, b, "on its way")
		network.Cut(simlink.Host(1), simlink.Host(2))
		send(t, a, b, "into the cut")
		send(t, b, a, "back into the cut")
		send(t, c, b, "from elsewhere")
		network.Heal(simlink.Host(2), simlink.Host(1))
		send(t, a, b, "healed")
		if got, want := heard(t, b), "from elsewhere@20ms healed@20ms"; got != want {
			t.Errorf("b heard %q, want %q", got, want)
		}
		if got := heard(t, a); got != "" {
			t.Errorf("a heard %q", got)
		}
	})
}

func TestCutMayBeOneWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := simlink.New(0)
		defer network.Close()
		a, b := open(t, network, 1, 1), open(t, network, 2, 1)
		network.CutOneWay(simlink.Host(1), simlink.Host(2))
		send(t, a, b, "lost")
		send(t, b, a, "heard")
		if gotA, gotB := heard(t, a), heard(t, b); gotA != "heard@0s" || gotB != "" {
			t.Errorf("a heard %q, b heard %q", gotA, gotB)
		}
		network.HealAll()
		send(t, a, b, "again")
		if got := heard(t, b); got != "again@0s" {
			t.Errorf("healed, b heard %q", got)
		}
	})
}

func TestFateLosesDuplicatesAndReorders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := simlink.New(time.Millisecond)
		defer network.Close()
		a, b := open(t, network, 1, 1), open(t, network, 2, 1)
		network.SetFate(func(p simlink.Packet) []time.Duration {
			switch p.Number {
			case 1:
				return []time.Duration{9 * time.Millisecond}
			case 2:
				return nil
			default:
				return []time.Duration{0, time.Millisecond}
			}
		})
		for _, text := range []string{"late", "lost", "twice"} {
			send(t, a, b, text)
		}
		if got, want := heard(t, b), "twice@1ms twice@2ms late@10ms"; got != want {
			t.Errorf("heard %q, want %q", got, want)
		}
		if network.Sent() != 3 {
			t.Errorf("sent %d", network.Sent())
		}
	})
}

func TestAddressFreeAfterClosing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := simlink.New(0)
		conn := open(t, network, 1, 4433)
		if _, err := network.Endpoint(netip.AddrPortFrom(simlink.Host(1), 4433)); err == nil {
			t.Error("two sockets at one address")
		}
		read := make(chan error)
		go func() {
			_, _, err := conn.ReadFrom(make([]byte, 1))
			read <- err
		}()
		synctest.Wait()
		conn.Close()
		if err := <-read; !errors.Is(err, net.ErrClosed) {
			t.Errorf("a waiting reader got %v", err)
		}
		again := open(t, network, 1, 4433)
		network.Close()
		if _, err := again.WriteTo(nil, conn.LocalAddr()); !errors.Is(err, net.ErrClosed) {
			t.Errorf("wrote to a closed network: %v", err)
		}
	})
}
