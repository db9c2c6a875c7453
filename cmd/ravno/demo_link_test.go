package main

import (
	"net"
	"testing"
	"time"
)

// echo answers every datagram with itself until the test ends.
func echo(t *testing.T) string {
	t.Helper()
	c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	go func() {
		b := make([]byte, maxDatagram)
		for {
			n, from, err := c.ReadFromUDP(b)
			if err != nil {
				return
			}
			_, _ = c.WriteToUDP(b[:n], from)
		}
	}()
	return c.LocalAddr().String()
}

func dialLink(t *testing.T, l *demoLink) net.Conn {
	t.Helper()
	c, err := net.Dial("udp", l.Address())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// say sends a word and returns what comes back within a time, empty if nothing does.
func say(t *testing.T, c net.Conn, word string, within time.Duration) string {
	t.Helper()
	if _, err := c.Write([]byte(word)); err != nil {
		t.Fatal(err)
	}
	if err := c.SetReadDeadline(time.Now().Add(within)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, maxDatagram)
	n, err := c.Read(b)
	if err != nil {
		return ""
	}
	return string(b[:n])
}

func TestDemoLinkCarriesBothWays(t *testing.T) {
	l, err := newDemoLink(echo(t))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	one, other := dialLink(t, l), dialLink(t, l)
	for _, word := range []string{"здравей", "once more", string(make([]byte, 1452))} {
		if got := say(t, one, word, 5*time.Second); got != word {
			t.Fatalf("one said %q, heard %q", word, got)
		}
		if got := say(t, other, word+"!", 5*time.Second); got != word+"!" {
			t.Fatalf("the other said %q, heard %q", word+"!", got)
		}
	}
}

func TestDemoLinkCutCarriesNothing(t *testing.T) {
	l, err := newDemoLink(echo(t))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := dialLink(t, l)
	if say(t, c, "before", 5*time.Second) != "before" {
		t.Fatal("nothing came through before the cut")
	}
	l.Cut()
	if got := say(t, c, "lost", 50*time.Millisecond); got != "" {
		t.Fatalf("%q came through a cut link", got)
	}
	l.Mend()
	if got := say(t, c, "after", 5*time.Second); got != "after" {
		t.Fatalf("said after, heard %q", got)
	}
}

func TestDemoLinkOutlivesAbsentHub(t *testing.T) {
	gone, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	hub := gone.LocalAddr().String()
	gone.Close()
	l, err := newDemoLink(hub)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := dialLink(t, l)
	if got := say(t, c, "anyone?", 50*time.Millisecond); got != "" {
		t.Fatalf("nobody was there, but %q came back", got)
	}
	back, err := net.ListenPacket("udp", hub)
	if err != nil {
		t.Fatal(err) // another program took the port within a moment
	}
	defer back.Close()
	go func() {
		b := make([]byte, maxDatagram)
		if n, from, err := back.ReadFrom(b); err == nil {
			_, _ = back.WriteTo(b[:n], from)
		}
	}()
	if got := say(t, c, "anyone now?", 5*time.Second); got != "anyone now?" {
		t.Fatalf("the hub is back, but %q came", got)
	}
}
