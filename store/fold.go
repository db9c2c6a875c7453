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

// mostStretch is how many entries of a long log are read at a time, to be folded in key order. They
// take some 20 MiB of memory. Among this many, even rows with random keys have neighbours.
const mostStretch = 2 * largestSlice

// mostInDocuments is the same number where rows belong to documents. The rows of a document are sent
// together, so their positions should be close.
const mostInDocuments = extract.LargeSlice

// mostTrimmed is how many entries of a long log are removed in one transaction. That takes some 10 ms.
const mostTrimmed = extract.LargeSlice

// stretch is the beginning of a long log, read and sorted in a snapshot that locks nobody out. It is
// folded in slices, in one or more transactions for each turn at the lock.
//
// The log stays until all of the stretch is folded. So another fold in between, or after a crash, folds
// these entries once more, with newer stamps. No other site has the earlier result, because readFolded
// extracts only when everything is folded.
type stretch struct {
	cat        *catalog.Catalog
	from, upTo int64             // the entries above from, up to upTo
	looked     int64             // up to this entry, nothing requires a fold of the whole log
	left       []*fold.LoggedRow // the rows still to fold
	parents    map[catalog.Reference][]crdt.Value
	clock      hlc.Time // the newest stamp given
}

// outdated reports, after its fold, whether a stretch has rows left. Then other work changed the log
// first.
func (long *stretch) outdated() bool { return long != nil && len(long.left) > 0 }

// Fold folds the application's writes since the last fold, in slices if there are many. It returns the
// number of rows that changed. Without new entries it writes nothing.
func (s *Store) Fold() (rows int, err error) {
	rows, _, err = s.FoldTo(context.Background())
	return rows, err
}

// FoldTo is Fold, and also returns the position of this site. When ctx ends, it leaves the rest of a
// long log unfolded.
func (s *Store) FoldTo(ctx context.Context) (count int, position causal.Position, err error) {
	s.folding.Lock() // Two folds at once would do the same work.
	defer s.folding.Unlock()
	waiting, position, current, err := s.logWaits()
	look := func(tx *rows.Tx) (err error) {
		position = tx.State.Position
		waiting, err = capture.Unfolded(tx.SQL, tx.State.Folded)
		return err
	}
	if err == nil && !current { // A write transaction reads the tables anew, and may write to the log.
		err = s.write(look)
	}
	outdated := 0 // consecutive stretches that were not folded to their end
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

// foldLong folds a stretch and removes its entries from the log. If long is nil, it folds the whole
// log. It calls after at the end of each transaction that folds.
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

// shortLog is the most entries that are folded in one go. A longer log is folded in slices.
func (s *Store) shortLog() int64 {
	if s.sliceRows > 0 {
		return int64(s.sliceRows)
	}
	return FirstSlice
}

// longLogTries bounds how often a long log is folded in slices before other work. After that the log is
// folded together with that work.
const longLogTries = 3

// fold folds the whole log, and notes when the application last wrote.
func (s *Store) fold(tx *rows.Tx, h *held.Set) (rows int, err error) {
	done, err := fold.Fold(tx, h)
	s.turn.sawWrite(done.Written)
	return done.Rows, err
}

// foldFirst folds the whole log in a transaction that has more to do, and returns the held rows.
func (s *Store) foldFirst(tx *rows.Tx) (*held.Set, error) {
	h, err := held.Open(tx)
	if err == nil {
		_, err = s.fold(tx, h)
	}
	return h, err
}

// writeFolded is write for functions that fold first. It folds a long log before, in slices.
func (s *Store) writeFolded(f func(tx *rows.Tx) error) error {
	for range longLogTries {
		long := false
		err := s.write(func(tx *rows.Tx) error {
			waiting, err := capture.Unfolded(tx.SQL, tx.State.Folded)
			if long = waiting > s.shortLog(); err != nil || long {
				return err // Fold the long log first.
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

// logWaits returns the number of entries to fold and the position of this site. It also reports whether
// the known tables are current. It takes no write lock in the file.
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
	// errWhole says that the log must be folded in one go.
	errWhole = errors.New("this log has to be folded in one go")
	// errTables says that the known tables are not current. A write transaction must read them first.
	errTables = errors.New("the tables are not known as they are now")
)

// stretchEntries returns how many entries of a long log are read at a time.
func (s *Store) stretchEntries(cat *catalog.Catalog) int {
	switch {
	case s.sliceRows > 0:
		return s.sliceRows + 1 // so that a long log has several stretches, each of several slices
	case slices.ContainsFunc(cat.Tables, func(t *catalog.Table) bool { return t.Parent != nil }):
		return mostInDocuments
	}
	return mostStretch
}

// readStretch reads the beginning of the log. It returns nil if that must be folded whole, and
// errTables if the known tables are not current.
func (s *Store) readStretch() (long *stretch, err error) {
	return s.readStretchOf(s.stretchEntries)
}

// readStretchOf is readStretch for the number of entries that the function entries returns.
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

// readWithWriter reads in a snapshot on the writer's connection. The caller has locked writing. The
// snapshot locks no other process out, and the pages read stay in that connection's cache. It returns
// errTables if the known tables are not current.
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

// foldFor folds slices of a stretch until one more would take longer than the turn. It notes how long
// the last slice took. If long is nil, or the log must now be folded whole, it folds the whole log.
//
// It reports the end of the stretch. A stretch that is no longer the beginning of the log ends at once.
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
