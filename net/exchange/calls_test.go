package exchange

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"ravno/net/wire"
)

func where(id uint64) wire.Message { return wire.Where{ID: id} }

// first takes the first answer as the last.
func first(answer *wire.Message) func(wire.Message) (bool, error) {
	return func(m wire.Message) (bool, error) {
		*answer = m
		return true, nil
	}
}

// Questions get their own answers, in whichever order those come.
func TestCallGetsItsOwnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		caller := NewCaller(nil)
		answers := make([]wire.Message, 2)
		errs := make(chan error, 2)
		for i := range answers {
			go func() { errs <- caller.Call(t.Context(), where, first(&answers[i])) }()
			synctest.Wait()
		}
		asked := []uint64{(<-caller.Outbox()).(wire.Where).ID, (<-caller.Outbox()).(wire.Where).ID}
		caller.Answer(asked[1], wire.Here{ID: asked[1], Position: 22})
		caller.Answer(asked[0], wire.Here{ID: asked[0], Position: 11})
		for range answers {
			must(t, <-errs)
		}
		want := []wire.Message{wire.Here{ID: asked[0], Position: 11}, wire.Here{ID: asked[1], Position: 22}}
		if diff := cmp.Diff(want, answers); diff != "" {
			t.Error(diff)
		}
	})
}

func TestAnswerInPartsKeepsOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		caller := NewCaller(nil)
		var got []int
		done := make(chan error, 1)
		go func() {
			done <- caller.Call(t.Context(), where, func(m wire.Message) (bool, error) {
				time.Sleep(time.Second) // slower than they come
				rows := m.(wire.Rows)
				got = append(got, len(rows.Rows))
				return !rows.More, nil
			})
		}()
		id := (<-caller.Outbox()).(wire.Where).ID
		for i := range 5 {
			caller.Answer(id, wire.Rows{ID: id, Rows: make([]wire.RowDigest, i), More: i < 4})
		}
		must(t, <-done)
		if diff := cmp.Diff([]int{0, 1, 2, 3, 4}, got); diff != "" {
			t.Error(diff)
		}
	})
}

func TestAnswerUnwantedDoesNotBlockLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		caller := NewCaller(nil)
		began := time.Now()
		caller.Answer(77, wire.Here{ID: 77}) // never asked
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			done <- caller.Call(ctx, where, func(wire.Message) (bool, error) {
				<-ctx.Done()
				return false, ctx.Err()
			})
		}()
		id := (<-caller.Outbox()).(wire.Where).ID
		go func() {
			time.Sleep(time.Second)
			cancel()
		}()
		for range 4 { // more than are taken before the caller goes away
			caller.Answer(id, wire.Here{ID: id})
		}
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("the call ended with %v", err)
		}
		caller.Answer(id, wire.Here{ID: id}) // late
		if took := time.Since(began); took != time.Second {
			t.Errorf("held up for %s, want until the call was given up after 1s", took)
		}
	})
}

func TestCallEndsWhenUnanswerable(t *testing.T) {
	cases := []struct {
		name  string
		full  bool // no room for the question
		end   func(done chan struct{}, cancel context.CancelFunc)
		about string
		after time.Duration
	}{
		{"no answer", false, func(chan struct{}, context.CancelFunc) {}, "no answer within 2m0s", callTimeout},
		{"no room for the question", true, func(chan struct{}, context.CancelFunc) {}, "no answer within 2m0s", callTimeout},
		{"the link ends", false, func(done chan struct{}, _ context.CancelFunc) { close(done) },
			"the link ended before the answer came", time.Second},
		{"the link ends with the question waiting", true, func(done chan struct{}, _ context.CancelFunc) { close(done) },
			"the link ended", time.Second},
		{"the caller gives up", false, func(_ chan struct{}, cancel context.CancelFunc) { cancel() }, "context canceled",
			time.Second},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				done := make(chan struct{})
				caller := NewCaller(done)
				for c.full && caller.Offer(wire.Ping{}) {
				}
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				go func() {
					time.Sleep(time.Second)
					c.end(done, cancel)
				}()
				began := time.Now()
				err := caller.Call(ctx, where, first(new(wire.Message)))
				if err == nil || !strings.Contains(err.Error(), c.about) {
					t.Errorf("ended with %v, want %q", err, c.about)
				}
				if took := time.Since(began); took != c.after {
					t.Errorf("ended after %s, want %s", took, c.after)
				}
				if len(caller.waiting) > 0 {
					t.Error("the call is still waited for")
				}
			})
		})
	}
}

func TestOfferWithoutRoomDeclinedAtOnce(t *testing.T) {
	caller := NewCaller(nil)
	taken := 0
	for taken < 10*outboxSize && caller.Offer(wire.Ping{}) {
		taken++
	}
	if taken != outboxSize {
		t.Errorf("took %d messages, want %d", taken, outboxSize)
	}
	<-caller.Outbox()
	if !caller.Offer(wire.Ping{}) {
		t.Error("declined although there is room again")
	}
}

func TestCallEndsByErrorOfItsAsker(t *testing.T) {
	caller := NewCaller(nil)
	broken := errors.New("makes no sense")
	go func() {
		id := (<-caller.Outbox()).(wire.Where).ID
		caller.Answer(id, wire.Here{ID: id})
	}()
	if err := caller.Call(t.Context(), where, func(wire.Message) (bool, error) { return false, broken }); !errors.Is(
		err, broken) {
		t.Errorf("ended with %v", err)
	}
}
