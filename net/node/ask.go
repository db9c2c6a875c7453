package node

import (
	"context"
	"errors"
	"fmt"

	"ravno/crdt/causal"
	"ravno/net/exchange"
	"ravno/net/wire"
)

// ErrNoLink says that a question needs the hub, and there is no link.
var ErrNoLink = errors.New("no link with the hub")

func (n *Node) currentCaller() (*exchange.Caller, error) {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	if n.caller == nil {
		return nil, fmt.Errorf("%w: %s", ErrNoLink, n.view.Trouble)
	}
	return n.caller, nil
}

// Wait returns when everything written here before the call has reached the hub, and
// everything the hub had then is here. It waits through cut links, until ctx ends.
func (n *Node) Wait(ctx context.Context) error {
	moved, stop := n.progress.Subscribe()
	defer stop()
	if err := n.folder.Fold(); err != nil {
		return err
	}
	self, err := n.Store.Self()
	if err != nil {
		return err
	}
	written := self.Position
	until := func(done func() (bool, error)) error {
		for {
			if ok, err := done(); ok || err != nil {
				return err
			}
			select {
			case <-moved:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
	}
	err = until(func() (bool, error) {
		self, err := n.Store.Self()
		if err != nil || self.HubHave >= written {
			return err == nil, err
		}
		left, err := n.Store.Pending(0, self.HubHave)
		return left == 0, err
	})
	if err != nil {
		return err
	}
	var hub causal.Position
	err = until(func() (bool, error) {
		caller, err := n.currentCaller()
		if err != nil {
			return false, nil // wait for the link
		}
		err = caller.Call(ctx, func(id uint64) wire.Message { return wire.Where{ID: id} },
			func(answer wire.Message) (bool, error) {
				here, ok := answer.(wire.Here)
				hub = here.Position
				return ok, nil
			})
		return err == nil, ctx.Err()
	})
	if err != nil {
		return err
	}
	return until(func() (bool, error) {
		self, err := n.Store.Self()
		return self.Seen >= hub, err
	})
}

// Verify compares the tables here with the hub's.
func (n *Node) Verify(ctx context.Context, table string) (map[string][]exchange.TableResult, error) {
	caller, err := n.currentCaller()
	if err != nil {
		return nil, err
	}
	self, err := n.Store.Self()
	if err != nil {
		return nil, err
	}
	results, err := exchange.Verify(ctx, n.Store, caller, table)
	return map[string][]exchange.TableResult{self.Hub: results}, err
}
