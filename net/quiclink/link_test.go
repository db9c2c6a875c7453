package quiclink_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"ravno/crdt/causal"
	"ravno/net/identity"
	"ravno/net/quiclink"
	"ravno/net/quiclink/simlink"
)

func say(t *testing.T, from, to *quiclink.Link, text string) {
	t.Helper()
	if _, err := from.Control().Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(text))
	if _, err := io.ReadFull(to.Control(), got); err != nil || string(got) != text {
		t.Fatalf("heard %q, %v; said %q", got, err, text)
	}
}

func ship(t *testing.T, from, to *quiclink.Link, batch []byte) {
	t.Helper()
	ctx := context.Background()
	written := make(chan error, 1)
	go func() {
		writer, err := from.OpenBatch(ctx)
		if err == nil {
			_, err = writer.Write(batch)
		}
		if err == nil {
			err = writer.Close()
		}
		written <- err
	}()
	reader, err := to.AcceptBatch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(reader)
	if err != nil || !bytes.Equal(got, batch) {
		t.Fatalf("%d bytes of %d, %v", len(got), len(batch), err)
	}
	if err := <-written; err != nil {
		t.Fatal(err)
	}
}

func pattern(size int) []byte {
	batch := make([]byte, size)
	for i := range batch {
		batch[i] = byte(i * i >> 8)
	}
	return batch
}

// A link carries control messages and batches both ways.
func TestLinkCarriesBothWays(t *testing.T) {
	play(t, func(t *testing.T, s *scene) {
		atNode, atHub := s.linked()
		say(t, atNode, atHub, "hello")
		say(t, atHub, atNode, "hello yourself")
		for _, size := range []int{1, 1200, 1 << 20} {
			ship(t, atNode, atHub, pattern(size))
			ship(t, atHub, atNode, pattern(size))
		}
		if peer := atHub.Peer(); peer.Site != 2 || peer.Role != identity.RoleNode || peer.Serial == "" ||
			peer.NotAfter.IsZero() {
			t.Errorf("the hub sees %+v", peer)
		}
		if peer := atNode.Peer(); peer.Site != causal.Hub || peer.Role != identity.RoleHub {
			t.Errorf("the node sees %+v", peer)
		}
		if atNode.Protocol() != identity.ProtocolLink || atHub.RemoteAddr().String() != "10.0.0.2:40000" {
			t.Errorf("protocol %q, address %s", atNode.Protocol(), atHub.RemoteAddr())
		}
		if rtt := atNode.RTT(); rtt < 2*oneWay || rtt > 4*oneWay {
			t.Errorf("round trip of %s", rtt)
		}
		if err := errors.Join(atNode.Err(), atHub.Err()); err != nil {
			t.Errorf("living links have errors: %v", err)
		}
	})
}

func TestBadNetworkLosesNothingOfBatch(t *testing.T) {
	play(t, func(t *testing.T, s *scene) {
		s.network.SetFate(func(p simlink.Packet) []time.Duration {
			switch {
			case p.Number%11 == 0:
				return nil
			case p.Number%7 == 0:
				return []time.Duration{0, 5 * time.Millisecond}
			case p.Number%5 == 0:
				return []time.Duration{30 * time.Millisecond}
			}
			return []time.Duration{0}
		})
		atNode, atHub := s.linked()
		ship(t, atNode, atHub, pattern(300<<10))
		ship(t, atHub, atNode, pattern(300<<10))
	})
}

func TestIdleLinkStaysUp(t *testing.T) {
	play(t, func(t *testing.T, s *scene) {
		atNode, atHub := s.linked()
		before := s.network.Sent()
		<-time.After(time.Hour)
		if err := errors.Join(atNode.Err(), atHub.Err()); err != nil {
			t.Fatalf("after an idle hour: %v", err)
		}
		say(t, atHub, atNode, "still there")
		if sent, want := s.network.Sent()-before, uint64(2*time.Hour/quiclink.KeepAlive)+20; sent > want {
			t.Errorf("%d packets in an idle hour, want at most %d", sent, want)
		}
	})
}

func TestCutNoticedAtBothEnds(t *testing.T) {
	cuts := map[string]func(*simlink.Network){
		"both ways": func(n *simlink.Network) { n.Cut(simlink.Host(hubHost), simlink.Host(nodeHost)) },
		"to hub":    func(n *simlink.Network) { n.CutOneWay(simlink.Host(nodeHost), simlink.Host(hubHost)) },
		"to node":   func(n *simlink.Network) { n.CutOneWay(simlink.Host(hubHost), simlink.Host(nodeHost)) },
	}
	for name, cut := range cuts {
		t.Run(name, func(t *testing.T) {
			play(t, func(t *testing.T, s *scene) {
				node, endpoint := enrol(t, s.authority, 2), s.open(nodeHost, 0)
				atNode, atHub := s.link(endpoint, node.ClientTLS(time.Now))
				<-time.After(time.Minute)
				cut(s.network)
				start := time.Now()
				<-atNode.Done()
				atNodeAfter := time.Since(start)
				<-atHub.Done()
				// One way is worse: the deaf end still speaks, and the other hears it to the last.
				limit := quiclink.CutNoticedWithin
				if name != "both ways" {
					limit *= 2
				}
				if took := time.Since(start); took > limit || atNodeAfter > limit {
					t.Errorf("noticed after %s at the node, %s at both", atNodeAfter, took)
				}
				if cause := linkError(t, atNode.Err()).Cause; cause != quiclink.Silent {
					t.Errorf("the node says %v", atNode.Err())
				}
				if cause := linkError(t, atHub.Err()).Cause; cause != quiclink.Silent {
					t.Errorf("the hub says %v", atHub.Err())
				}
				if _, err := atNode.Control().Read(make([]byte, 1)); linkError(t, err).Cause != quiclink.Silent {
					t.Errorf("a read says %v", err)
				}

				if _, err := s.dial(endpoint, node.ClientTLS(time.Now)); err == nil {
					t.Fatal("dialled through a cut")
				}
				s.network.HealAll()
				atNode, atHub = s.link(endpoint, node.ClientTLS(time.Now))
				say(t, atNode, atHub, "level again")
			})
		})
	}
}

func TestCloseCarriesCodeAndText(t *testing.T) {
	play(t, func(t *testing.T, s *scene) {
		atNode, atHub := s.linked()
		reading := make(chan error, 1)
		go func() {
			_, err := atNode.Control().Read(make([]byte, 1))
			reading <- err
		}()
		atHub.CloseWith(codeEnded, "site 2 was removed\nby \x1b[31mmaria\xff")
		atHub.CloseWith(codeEnded+1, "too late")
		<-atNode.Done()
		want := quiclink.LinkError{Cause: quiclink.Closed, Remote: true, Code: codeEnded,
			Text: "site 2 was removed by  [31mmaria?"}
		for _, err := range []error{atNode.Err(), <-reading} {
			if got := linkError(t, err); got.Cause != want.Cause || !got.Remote || got.Code != want.Code ||
				got.Text != want.Text {
				t.Errorf("the node heard %+v", got)
			}
		}
		if got := linkError(t, atHub.Err()); got.Cause != quiclink.Closed || got.Remote || got.Code != codeEnded {
			t.Errorf("the hub remembers %+v", got)
		}
		if _, err := atHub.OpenBatch(context.Background()); linkError(t, err).Code != codeEnded {
			t.Errorf("opening a batch on a closed link: %v", err)
		}
	})
}

// A long reason is shortened and still arrives.
func TestCloseWithLongReasonArrives(t *testing.T) {
	play(t, func(t *testing.T, s *scene) {
		atNode, atHub := s.linked()
		atHub.CloseWith(codeEnded, strings.Repeat("ж", 4000))
		<-atNode.Done()
		if got := linkError(t, atNode.Err()); got.Code != codeEnded || got.Text != strings.Repeat("ж", 256) {
			t.Errorf("heard code %d and %d bytes", got.Code, len(got.Text))
		}
	})
}

func TestStoppingDaemonTellsItsPeers(t *testing.T) {
	play(t, func(t *testing.T, s *scene) {
		atNode, _ := s.linked()
		start := time.Now()
		if err := s.endpoint.Close(); err != nil {
			t.Fatal(err)
		}
		<-atNode.Done()
		if got := linkError(t, atNode.Err()); got.Cause != quiclink.Closed || got.Code != quiclink.CodeStopped ||
			!got.Remote {
			t.Errorf("the node heard %v", got)
		}
		if took := time.Since(start); took > time.Second {
			t.Errorf("the node heard it after %s", took)
		}
		if _, err := s.listener.Accept(context.Background()); !errors.Is(err, net.ErrClosed) {
			t.Errorf("accepting at a stopped hub: %v", err)
		}
	})
}

// A peer that does not read holds up only its own batches.
func TestSlowReaderDelaysOnlyBatches(t *testing.T) {
	play(t, func(t *testing.T, s *scene) {
		atNode, atHub := s.linked()
		ends := []struct{ from, to *quiclink.Link }{{atNode, atHub}, {atHub, atNode}}
		for _, end := range ends {
			stuck := make(chan error, quiclink.MaxBatchStreams)
			for range quiclink.MaxBatchStreams {
				writer, err := end.from.OpenBatch(context.Background())
				if err != nil {
					t.Fatal(err)
				}
				go func() {
					_, err := writer.Write(make([]byte, 1<<20))
					stuck <- err
				}()
			}
			<-time.After(time.Second)
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			if _, err := end.from.OpenBatch(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("one batch more than the peer takes: %v", err)
			}
			cancel()
			say(t, end.from, end.to, strings.Repeat("acknowledged ", 1000))
			for range quiclink.MaxBatchStreams {
				reader, err := end.to.AcceptBatch(context.Background())
				if err != nil {
					t.Fatal(err)
				}
				reader.Cancel(codeEnded)
			}
			for range quiclink.MaxBatchStreams {
				err := <-stuck
				if cancelled, ok := errors.AsType[*quiclink.StreamError](err); !ok || !cancelled.Remote ||
					cancelled.Code != codeEnded {
					t.Errorf("the writer of a cancelled batch got %v", err)
				}
			}
			ship(t, end.from, end.to, pattern(1000))
		}
	})
}

func TestCancelledBatchIsNotWhole(t *testing.T) {
	play(t, func(t *testing.T, s *scene) {
		atNode, atHub := s.linked()
		writer, err := atNode.OpenBatch(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := writer.Write([]byte("half")); err != nil {
			t.Fatal(err)
		}
		reader, err := atHub.AcceptBatch(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		writer.Cancel(codeEnded)
		_, err = io.ReadAll(reader)
		if cancelled, ok := errors.AsType[*quiclink.StreamError](err); !ok || !cancelled.Remote ||
			cancelled.Code != codeEnded {
			t.Errorf("read %v", err)
		}
	})
}

func TestDeadlineEndsReadNotLink(t *testing.T) {
	play(t, func(t *testing.T, s *scene) {
		atNode, atHub := s.linked()
		if err := atNode.Control().SetReadDeadline(time.Now().Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := atNode.Control().Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read %v", err)
		}
		if err := atNode.Control().SetReadDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		say(t, atHub, atNode, "in my own time")
		if err := atHub.Control().Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := atNode.Control().Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("after the close: %v", err)
		}
		say(t, atNode, atHub, "and the other direction still works")
	})
}

func TestLinkOverRealUDP(t *testing.T) {
	authority, hub := organisation(t)
	node := enrol(t, authority, 2)
	open := func() *quiclink.Endpoint {
		socket, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		endpoint := quiclink.NewEndpoint(socket)
		t.Cleanup(func() { endpoint.Close() })
		return endpoint
	}
	at := open()
	listener, err := at.Listen(hub.ServerTLS(time.Now, func(causal.Site, string) error { return nil }))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	atNode, err := open().Dial(ctx, at.Addr(), node.ClientTLS(time.Now))
	if err != nil {
		t.Fatal(err)
	}
	atHub, err := listener.Accept(ctx)
	if err != nil {
		t.Fatal(err)
	}
	say(t, atNode, atHub, "hello")
	ship(t, atNode, atHub, pattern(4<<20))
	ship(t, atHub, atNode, pattern(4<<20))
	atNode.CloseWith(codeEnded, "done")
	<-atHub.Done()
	if got := linkError(t, atHub.Err()); got.Code != codeEnded || got.Text != "done" {
		t.Errorf("the hub heard %v", got)
	}
	if err := listener.Close(); err != nil {
		t.Error(err)
	}
}
