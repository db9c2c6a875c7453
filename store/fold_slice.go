package store

import (
	"math"
	"time"

	"ravno/store/internal/capture"
	"ravno/store/internal/sqlite"
)

// Fold folds what the application has written since the last fold, in slices if it is much. It
// returns the number of rows that changed, and touches nothing if there are none.
func (s *Store) Fold() (rows int, err error) {
	waiting, err := s.logWaits()
	for more := waiting; err == nil && more; {
		err = s.write(func(tx *transaction) error {
			entries, turn, took := s.foldTurn()
			folded := 0
			folded, more, err = tx.foldFor(entries, turn, took)
			rows += folded
			return err
		})
	}
	return rows, err
}

// logWaits looks, without locking anyone out, whether there is anything to do in a write
// transaction: unfolded entries, or a schema that changed.
func (s *Store) logWaits() (waiting bool, err error) {
	s.writing.Lock()
	known := s.writeCatalog
	s.writing.Unlock()
	if known == nil {
		return true, nil
	}
	err = s.look(func(c *sqlite.Conn, st *state) error {
		schemaVersion, err := c.Int("PRAGMA schema_version")
		if err != nil {
			return err
		}
		last, err := c.Int("SELECT max(id) FROM ravno_log")
		waiting = last > st.folded || !known.is(st.catalog, schemaVersion)
		return err
	})
	return waiting, err
}

// fold turns the log into registers: the only birthplace of stamps. It takes every entry
// there is, so it never covers half a transaction of the application, and because each
// apply folds first, inside its own transaction, whatever is still in the log afterwards
// was written by someone who had seen what was applied.
func (tx *transaction) fold() (rows int, err error) {
	rows, _, err = tx.foldSlice(math.MaxInt)
	return rows, err
}

// foldSlice folds the first entries of a log that is longer than one wants to hold the lock
// for, and reports whether there are more. Nothing is extracted before all of them are folded
// (readFolded), so nobody else sees the state in between.
func (tx *transaction) foldSlice(limit int) (rows int, more bool, err error) {
	upTo, more, err := tx.sliceOfLog(limit)
	if err != nil || upTo <= tx.state.folded {
		return 0, false, err
	}
	order, parents, err := tx.readLog(upTo)
	if err != nil {
		return 0, false, err
	}
	if again, err := tx.stepAside(order); err != nil {
		return 0, false, err
	} else if again { // what that wrote itself is at the log's end now
		if upTo, more, err = tx.sliceOfLog(math.MaxInt); err != nil {
			return 0, false, err
		}
		if order, parents, err = tx.readLog(upTo); err != nil {
			return 0, false, err
		}
	}
	rows, err = tx.foldRows(order, parents, upTo)
	return rows, more, err
}

// sliceOfLog is capture.Slice, but while rows are kept that the application deleted or took values
// from that others refer to: they are of the whole log, and not of some entries.
func (tx *transaction) sliceOfLog(limit int) (upTo int64, more bool, err error) {
	upTo, more, err = capture.Slice(tx.c, tx.state.folded, limit)
	for _, t := range tx.cat.tables {
		if err != nil || !more {
			return upTo, more, err
		}
		if t.gone == "" {
			continue
		}
		var kept int64
		if kept, err = tx.c.Int("SELECT EXISTS(SELECT 1 FROM " + t.gone + ")"); err == nil && kept != 0 {
			return capture.Slice(tx.c, tx.state.folded, math.MaxInt)
		}
	}
	return upTo, more, err
}

// foldFor folds, slice after slice, as long as one more does not take longer than the turn, and
// notes how long the last one took that was not the end of the log.
func (tx *transaction) foldFor(entries int, turn time.Duration, took *pace) (rows int, more bool, err error) {
	for begun := tx.clock(); ; {
		some, slice := 0, tx.clock()
		some, more, err = tx.foldSlice(entries)
		rows += some
		if err != nil || !more {
			return rows, more, err
		}
		now := tx.clock()
		*took = pace{entries, now.Sub(slice)}
		if now.Sub(begun)+took.took > turn {
			return rows, more, err
		}
	}
}
