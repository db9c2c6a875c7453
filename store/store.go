// Package store is the only door to SQL: to the application's tables, to the log of captured changes,
// and to the work of other sites.
//
// One change takes this way. The application's statement fires a capture trigger, which appends to
// ravno_log. A fold turns the log into registers with stamps. An extraction reads everything above a
// position into a delta for the next site. That site merges and applies the delta in one transaction.
//
// This package opens the file and keeps connections, locks, turns and snapshots. The rooms under
// store/internal do the work. Package store refuses to know the network, flags and the real clock.
package store

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"ravno/store/internal/catalog"
	"ravno/store/internal/install"
	"ravno/store/internal/rows"
	"ravno/store/internal/sqlite"
)

// ErrNotEnrolled says that the file is a database, but not enrolled with ravno.
var ErrNotEnrolled = errors.New("not enrolled with ravno")

// Clock returns the physical time. Only package main reads the real clock.
type Clock func() time.Time

// Store is one enrolled database file. Its methods are safe for concurrent use. Writes take turns on
// one connection. Reads run on two others, each read in one snapshot.
type Store struct {
	path      string
	clock     Clock
	sliceRows int // the rows in a slice, or 0 to choose by pace

	folding longMutex  // held over all transactions of one fold, and locked before writing
	writing sync.Mutex // guards writer, turn and writeCatalog, but for the writer's own safe methods
	writer  *sqlite.Conn
	turn    turn
	// writeCatalog has the tables as last read by the writer. Every write transaction compares it with
	// the file's versions. Each reader has its own catalog.
	writeCatalog *catalog.Catalog
	// committed has the tables as last read by any connection in a committed state. Reading the tables
	// takes longer than most work on them, so a reader with an older catalog looks here first. Nothing
	// changes the parts of this catalog that readers use.
	committed atomic.Pointer[catalog.Catalog]

	// Short reads use quick, and reads through whole tables use bulk. So a ping does not wait for the
	// extraction of a backlog.
	quick reader
	bulk  reader

	forgot atomic.Uint64 // history.MostStable when Forget last forgot everything that was stable
}

// Close waits for the users of each connection and closes it. The -wal file stays as it is. It returns
// the first error.
func (s *Store) Close() error {
	for _, mutex := range []sync.Locker{s.quick.mutex, s.bulk.mutex, &s.writing} {
		mutex.Lock()
		defer mutex.Unlock()
	}
	var first error
	for _, c := range []*sqlite.Conn{s.quick.conn, s.bulk.conn, s.writer} {
		if c != nil {
			if err := c.Close(); err != nil && first == nil {
				first = err
			}
		}
	}
	return first
}

// Entries counts how write transactions got the lock beside the application.
type Entries = sqlite.Entries

// Entries returns these counts for the write transactions of this store so far.
func (s *Store) Entries() Entries { return s.writer.Entries() }

// Path returns the path of the database file.
func (s *Store) Path() string { return s.path }

// write runs f in one write transaction. It returns nil when the writes of f are durable. If it returns
// an error, they are undone.
func (s *Store) write(f func(tx *rows.Tx) error) error {
	_, err := s.transactIn(s.takeTurn, f)
	return s.durably(err)
}

// writeAtOnce is write without giving the application its turn first.
func (s *Store) writeAtOnce(f func(tx *rows.Tx) error) error {
	_, err := s.transactIn(s.writing.Lock, f)
	return s.durably(err)
}

// standBack unlocks writing, sleeps, and locks it again.
func (s *Store) standBack(d time.Duration) {
	s.writing.Unlock()
	time.Sleep(d)
	s.writing.Lock()
}

// transactIn runs transact while writing is locked by lock.
func (s *Store) transactIn(lock func(), f func(tx *rows.Tx) error) (moved bool, err error) {
	lock()
	defer s.writing.Unlock()
	return s.transact(f)
}

// durably returns when everything committed is on disk, or at once with err if err is not nil. The
// store calls it before it tells another site anything. The wait for the disk does not keep others from
// writing.
func (s *Store) durably(err error) error {
	if err != nil {
		return err
	}
	if err := s.writer.Durable(); err != nil {
		return sqlite.Explain(s.path, err)
	}
	return nil
}

// keepMarks is write for marks alone, such as how far the other side has come. Each connection begins
// by sending its marks anew, so they may be lost with the power. The next durable commit makes them
// durable too. So keepMarks syncs only if the transaction took a position, because other sites may hear
// of that.
func (s *Store) keepMarks(f func(tx *rows.Tx) error) (err error) {
	moved, err := s.transactIn(s.takeTurn, f)
	if err != nil || !moved {
		return err
	}
	return s.durably(nil)
}

// transact runs f in one write transaction and reports whether that took a position. The transaction is
// committed, but not durable yet.
func (s *Store) transact(f func(tx *rows.Tx) error) (moved bool, err error) {
	var locked time.Time
	err = s.writer.Write(s.standBack, func() error {
		locked = s.clock()
		s.turn.entered(locked, s.writer.Waited())
		// To begin may take positions as well: it seeds the rows that a migration wrote.
		st, err := rows.ReadState(s.writer)
		if err != nil {
			return err
		}
		before := *st
		tx, err := s.begin(st)
		if err != nil {
			return err
		}
		if err := f(tx); err != nil {
			return err
		}
		moved = tx.State.Position != before.Position
		if *tx.State == before {
			return nil
		}
		return tx.State.Write(tx.SQL)
	})
	if !locked.IsZero() {
		s.turn.took(locked, s.clock())
	}
	if err != nil {
		s.writeCatalog = nil // The undone transaction may have read it.
		if sqlite.FailureOf(err) != sqlite.OtherFailure && sqlite.FailureOf(err) != sqlite.Constraint {
			err = sqlite.Explain(s.path, err)
		}
		return false, err
	}
	if s.writeCatalog != nil {
		s.committed.Store(s.writeCatalog)
	}
	return moved, nil
}

// begin begins a transaction with the state and the tables. If the schema or the settings changed, it
// reads the tables anew, and puts back capture triggers that a rebuilt table has lost.
func (s *Store) begin(st *rows.State) (*rows.Tx, error) {
	tx := rows.Begin(s.writer, s.clock, st, nil, s.sliceRows)
	schemaVersion, err := s.writer.SchemaVersion()
	if err != nil {
		return nil, err
	}
	if !s.writeCatalog.Is(st.Catalog, schemaVersion) {
		if s.writeCatalog, err = install.Install(tx, false); err != nil {
			return nil, err
		}
	}
	tx.Cat = s.writeCatalog
	return tx, nil
}
