package exchange

import (
	"errors"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"ravno/crdt/causal"
	"ravno/net/session"
	"ravno/net/wire"
	"ravno/store"
)

// A batch is acknowledged only once the database has it.
func TestBatchAcknowledgedOnceInDatabase(t *testing.T) {
	for name, fails := range map[string]error{"it is applied": nil,
		"it cannot be applied": errors.New("the disk is full")} {
		t.Run(name, func(t *testing.T) {
			hub := session.NewHub(session.Self{}, session.NodePeer{})
			hub.Start(time.Now())
			hub.Receive(time.Now(), wire.Hello{ProtocolMin: wire.Protocol, ProtocolMax: wire.Protocol, Position: 5})
			header := wire.BatchHeader{To: 5}
			hub.BatchArrived(header)
			batch := &spool{dir: t.TempDir()}
			writer := wire.NewBatchWriter(batch)
			must(t, writer.Header(header))
			must(t, writer.End())
			tried := false
			r := &run{ctx: t.Context(), session: hub, events: make(chan func() []session.Action), ends: Ends{
				Clock: time.Now, Log: zerolog.Nop(), Blocked: func(string) {}, Rows: func() int { return 0 },
				Apply: func(delta store.Delta) (causal.Seen, error) {
					next, err := delta.Open()
					must(t, err)
					if _, err := next(); !errors.Is(err, io.EOF) {
						t.Errorf("the batch reads as %v", err)
					}
					tried = true
					return 0, fails
				}}}
			go r.apply(batch, header)
			actions := (<-r.events)()
			if !tried {
				t.Fatal("the session hears of it before the database has it")
			}
			acked := slices.ContainsFunc(actions, func(a session.Action) bool {
				send, ok := a.(session.Send)
				return ok && send.Message == wire.Message(wire.Ack{Position: 5})
			})
			if acked != (fails == nil) {
				t.Errorf("acknowledged: %v, after %v", acked, fails)
			}
		})
	}
}
