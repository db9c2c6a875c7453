package store

import (
	"context"
	"errors"
	"slices"

	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/crdt/hlc"
	"ravno/store/internal/capture"
	"ravno/store/internal/catalog"
	"ravno/store/internal/extract"
	"ravno/store/internal/fold"
	"ravno/store/internal/held"
	"ravno/store/internal/rows"
)

// mostStretch is how many entries of a long log are read at a time, to be folded in the order of
// their rows' keys: some 20 MiB in memory, and so many that rows with random keys have neighbours.
const mostStretch = 2 * largestSlice

// mostInDocuments is the same where rows belong to documents: those of one are sent together, and
// should not have positions that are far from each other.
const mostInDocuments = extract.LargeSlice

// mostTrimmed is how many entries of a long log are removed in one transaction: some 10 ms.
const mostTrimmed = extract.LargeSlice

// stretch is the beginning of a long log, read and sorted while nobody was kept from writing. It is
// folded in slices, a transaction or several for each turn at the lock. The log stays as it is until
// all of it is folded. So whoever folds in between, or after a crash, finds those entries once
// more, and what was made of them before is written again, newer: nobody has heard of it, because
// nothing is extracted before everything is folded (readFolded).
type stretch struct {
	cat        *catalog.Catalog
	from, upTo int64 // entries above the one up to the other
	looked     int64 // up to this entry nothing says that the log has to be folded whole
	left       []*fold.LoggedRow
	parents    map[catalog.Reference][]crdt.Value
	clock      hlc.Time // the newest of the stamps given
}

// outdated reports, of a stretch that is done with, whether something else came before its end.
func (long *stretch) outdated() bool { return long != nil && len(long.left) > 0 }

// Fold folds what the application has written since the last fold, in slices if it is much. It
// returns the number of rows that changed, and touches nothing if there are none.
func (s *Store) Fold() (rows int, err error) {
	rows, _, err = s.FoldTo(context.Background())
	return rows, err
}

// FoldTo is Fold, and returns the position of this site besides. Of a long log it leaves the rest
// when ctx ends.
func (s *Store) FoldTo(ctx context.Context) (count int, position causal.Position, err error) {
	s.folding.Lock() // two at once would do the same work
	defer s.folding.Unlock()
	waiting, position, current, err := s.logWaits()
	look := func(tx *rows.Tx) (err error) {
		position = tx.State.Position
		waiting, err = capture.Unfolded(tx.SQL, tx.State.Folded)
		return err
	}
	if err == nil && !current { // a write transaction reads the tables, and may log what it finds
		err = s.write(look)
	}
	outdated := 0 // stretches, one after the other, that were not folded to their end
	for err == nil && waiting > 0 && (ctx.Err() == nil || waiting <= s.shortLog()) {
		var long *stretch
		if waiting > s.shortLog() && outdated < longLogTries {
			if long, err = s.readStretch(); errors.Is(err, errTables) {
				err = s.write(look)
				continue
			} else if err != nil {
				break
			}
		}
		some := 0
		some, err = s.foldLong(ctx, long, look)
		count += some
		if outdated++; !long.outdated() {
			outdated = 0
		}
	}
	return count, position, err
}

// foldLong folds a stretch, or the whole log if there is none, and removes it from the log. after is
// called at the end of each transaction that folds.
func (s *Store) foldLong(ctx context.Context, long *stretch, after func(tx *rows.Tx) error) (count int, err error) {
	for end := false; err == nil && !end; {
		if long != nil && ctx.Err() != nil {
			return count, nil
		}
		err = s.write(func(tx *rows.Tx) (err error) {
			some := 0
			if some, end, err = foldFor(tx, s, long); err != nil {
				return err
			}
			count += some
			return after(tx)
		})
	}
	for more := long != nil && !long.outdated(); err == nil && more; {
		err = s.write(func(tx *rows.Tx) (err error) {
			more, err = capture.TrimSome(tx.SQL, tx.State.Folded, mostTrimmed)
			return err
		})
	}
	return count, err
}

// shortLog is how many entries are folded in one go.
func (s *Store) shortLog() int64 {
	if s.sliceRows > 0 {
		return int64(s.sliceRows)
	}
	return FirstSlice
}

// longLogTries bounds how often a long log is folded before other work because the application has
// written so much again: then it is folded with it.
const longLogTries = 3

// fold folds what the log has, and notes when the application last wrote.
func (s *Store) fold(tx *rows.Tx, h *held.Set) (rows int, err error) {
	done, err := fold.Fold(tx, h)
	s.turn.sawWrite(done.Written)
	return done.Rows, err
}

// foldFirst folds in a transaction that has more to do afterwards, and returns the rows that are held.
func (s *Store) foldFirst(tx *rows.Tx) (*held.Set, error) {
	h, err := held.Open(tx)
	if err == nil {
		_, err = s.fold(tx, h)
	}
	return h, err
}

// writeFolded is write for what folds first: a long log is folded before, in slices.
func (s *Store) writeFolded(f func(tx *rows.Tx) error) error {
	for range longLogTries {
		long := false
		err := s.write(func(tx *rows.Tx) error {
			waiting, err := capture.Unfolded(tx.SQL, tx.State.Folded)
			if long = waiting > s.shortLog(); err != nil || long {
				return err // nothing was done: f comes after the log
			}
			return f(tx)
		})
		if err != nil || !long {
			return err
		}
		if _, err := s.Fold(); err != nil {
			return err
		}
	}
	return s.write(f)
}

// logWaits looks, without locking anyone out, whether there is anything to do in a write
// transaction: how many entries are not folded, and whether the tables are known as they are now.
func (s *Store) logWaits() (entries int64, position causal.Position, current bool, err error) {
	s.writing.Lock()
	known := s.writeCatalog
	s.writing.Unlock()
	err = s.look(func(tx *rows.Tx) error {
		schemaVersion, err := tx.SQL.SchemaVersion()
		if err != nil {
			return err
		}
		position, current = tx.State.Position, known.Is(tx.State.Catalog, schemaVersion)
		entries, err = capture.Unfolded(tx.SQL, tx.State.Folded)
		return err
	})
	return entries, position, current, err
}

var (
	// errWhole says that a log has to be folded in one go.
	errWhole = errors.New("this log has to be folded in one go")
	// errTables says that a write transaction has to read the tables first: the last one failed.
	errTables = errors.New("the tables are not known as they are now")
)

// stretchEntries is how many entries of a long log are read at a time.
func (s *Store) stretchEntries(cat *catalog.Catalog) int {
	switch {
	case s.sliceRows > 0:
		return s.sliceRows + 1 // so that there is more than one, of more than one slice
	case slices.ContainsFunc(cat.Tables, func(t *catalog.Table) bool { return t.Parent != nil }):
		return mostInDocuments
	}
	return mostStretch
}

// readStretch reads the beginning of the log; nil if that has to be folded whole.
func (s *Store) readStretch() (long *stretch, err error) {
	return s.readStretchOf(s.stretchEntries)
}

func (s *Store) readStretchOf(entries func(*catalog.Catalog) int) (long *stretch, err error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	err = s.readWithWriter(func(tx *rows.Tx) error {
		st := tx.State
		if whole, err := fold.WantsWhole(tx, st.Folded); err != nil || whole {
			return err
		}
		read := &stretch{cat: tx.Cat, from: st.Folded}
		if read.upTo, err = capture.Cut(tx.SQL, st.Folded, entries(tx.Cat)); err != nil {
			return err
		}
		if read.looked, _, err = capture.Last(tx.SQL); err != nil {
			return err
		}
		entries, err := fold.ReadLog(tx, read.upTo, func(*catalog.Table, error) error { return errWhole })
		if err != nil {
			return err
		}
		read.left, read.parents = entries.Order, entries.Parents
		fold.SortRows(read.left)
		read.clock = st.Clock.Last()
		long = read
		return nil
	})
	if errors.Is(err, errWhole) {
		err = nil
	}
	return long, err
}

// readWithWriter reads in a snapshot on the connection for writing, while writing is locked: it keeps nobody
// out, and what was read is in that connection's memory afterwards. errTables if the tables are not known
// as they are now.
func (s *Store) readWithWriter(f func(tx *rows.Tx) error) error {
	return s.writer.Transaction("DEFERRED", func() error {
		st, err := rows.ReadState(s.writer)
		if err != nil {
			return err
		}
		schemaVersion, err := s.writer.SchemaVersion()
		if err != nil {
			return err
		}
		if !s.writeCatalog.Is(st.Catalog, schemaVersion) {
			return errTables
		}
		return f(rows.Begin(s.writer, s.clock, st, s.writeCatalog, s.sliceRows))
	})
}

// foldFor folds a stretch, slice after slice, as long as one more does not take longer than the
// turn, and notes how long the last one took. Where there is no stretch, or the log has to be folded
// whole by now, it does that. It reports whether that was the end, as it is of a stretch that is no
// longer the beginning of the log.
func foldFor(tx *rows.Tx, s *Store, long *stretch) (rows int, end bool, err error) {
	h, err := held.Open(tx)
	if err != nil {
		return 0, false, err
	}
	whole := long == nil
	if !whole {
		if whole, err = fold.WantsWhole(tx, long.looked); err != nil {
			return 0, false, err
		}
	}
	switch {
	case whole:
		rows, err = s.fold(tx, h)
		return rows, true, err
	case long.from != tx.State.Folded || long.cat != tx.Cat:
		return 0, true, nil
	}
	written := int64(0)
	if long.looked, written, err = capture.Last(tx.SQL); err != nil {
		return 0, false, err
	}
	defer s.turn.sawWrite(written)
	tx.State.Clock.Observe(long.clock)
	slice, turn, took := s.foldTurn()
	for begun := tx.Clock(); ; {
		part, before := long.left[:min(slice, len(long.left))], tx.Clock()
		long.left = long.left[len(part):]
		some, err := (&fold.Pass{Tx: tx, Held: h, Parents: long.parents}).FoldRows(part)
		if err != nil {
			return rows, false, err
		}
		rows += some
		if len(long.left) == 0 {
			tx.State.Folded = long.upTo
			return rows, true, nil
		}
		now := tx.Clock()
		*took = pace{len(part), now.Sub(before)}
		if now.Sub(begun)+took.took > turn {
			return rows, false, nil
		}
	}
}
