package store

import (
	"context"
	"fmt"

	"ravno/store/internal/conflict"
	"ravno/store/internal/history"
	"ravno/store/internal/rows"
)

// Settle makes, at the hub, the steps towards stability that are due. Without any it costs one short
// read.
func (s *Store) Settle() error {
	due := false
	err := s.look(func(tx *rows.Tx) error {
		some, err := history.StepDue(tx)
		due = some
		return err
	})
	if err != nil || !due {
		return err
	}
	return s.write(func(tx *rows.Tx) error { return history.TakeSteps(tx) })
}

// Settled records, at a node, the stable positions that the hub sent. It reports whether it could. A
// node that has not yet seen everything the hub sent before must receive them again.
func (s *Store) Settled(by history.Settlement) (taken bool, err error) {
	changes := false
	err = s.look(func(tx *rows.Tx) error {
		changes, taken = history.Settle(tx.State, by)
		return nil
	})
	if err != nil || !changes {
		return taken, err
	}
	err = s.write(func(tx *rows.Tx) error {
		_, taken = history.Settle(tx.State, by)
		return nil
	})
	return taken, err
}

// Forget forgets everything that is stable: shadow rows, tombstones and tombstone values. It searches
// all shadows, unless nothing has become stable since the last call. It takes turns with the
// application, and stops when ctx ends. The file does not shrink, but its free pages are used again.
func (s *Store) Forget(ctx context.Context) error {
	for {
		var found []history.Forgettable
		var upTo rows.State
		err := s.readBulk(func(tx *rows.Tx) error {
			upTo = *tx.State
			if upTo.Settled == 0 || s.forgot.Load() == history.MostStable(upTo) {
				return nil // The shadows of a first load have no position here, and are not stable at once.
			}
			needed, err := conflict.NeededRows(tx)
			if err == nil {
				found, err = history.FindForgettable(tx, needed)
			}
			return err
		})
		for rest := found; err == nil && len(rest) > 0; {
			n := min(len(rest), history.ForgetRows)
			err = s.keepMarks(func(tx *rows.Tx) error { return history.Forget(tx, rest[:n]) })
			if rest = rest[n:]; err == nil {
				err = ctx.Err()
			}
		}
		if err != nil {
			return fmt.Errorf("%s: forgetting what is settled: %w", s.path, err)
		}
		if len(found) < history.ForgetLook {
			s.forgot.Store(history.MostStable(upTo))
			return nil
		}
	}
}
