package store

import (
	"context"
	"fmt"

	"ravno/store/internal/conflict"
	"ravno/store/internal/history"
	"ravno/store/internal/rows"
)

// Settle goes as many of the steps at the hub as can be gone now. It costs a look if there are none.
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

// Settled takes in at a node what the hub says is settled, and reports whether it could: who has
// not yet seen all that the hub sent before it said so has to hear it again.
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

// Forget forgets what is settled: shadow rows, tombstones and the remains of deleted rows. It
// looks at everything that is remembered, unless nothing has settled since it did, and takes
// turns with the application. The file does not get smaller, but is filled anew before it grows.
func (s *Store) Forget(ctx context.Context) error {
	for {
		var found []history.Forgettable
		var upTo rows.State
		err := s.readBulk(func(tx *rows.Tx) error {
			upTo = *tx.State
			if upTo.Settled == 0 || s.forgot.Load() == history.MostStable(upTo) {
				return nil // what a first load brought has no position here, and is not settled at once
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
