// Package store is the only door to SQL: what the application's file holds, what was
// captured in it, and what came from elsewhere. One change goes through it like this:
// the application's statement fires a capture trigger, which appends to ravno_log; fold
// turns the log into registers with stamps; a delta of everything above a position is
// extracted for the next site, and there merged and applied in one transaction. The
// package refuses to know the network, flags and the real clock.
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

// ErrNotEnrolled says that the file is a database, but not yet ravno's.
var ErrNotEnrolled = errors.New("not enrolled with ravno")

// Clock tells the physical time. The real one is read only in cmd.
type Clock func() time.Time

// Store is one enrolled database file. Its methods are safe for concurrent use: writes take
// turns on one connection, reads on another, each read in one snapshot.
type Store struct {
	path      string
	clock     Clock
	sliceRows int // that a slice has; 0: as many as suit

	folding longMutex  // held while the log is folded, over several transactions; locked before writing
	writing sync.Mutex // guards writer, turn and writeCatalog; not needed for what the writer says is safe
	writer  *sqlite.Conn
	turn    turn
	// writeCatalog is the tables as last read, compared with the file's versions at the start
	// of every transaction; each reader has its own.
	writeCatalog *catalog.Catalog
	// committed is the tables as last read by anyone in a state of the file that is committed.
	// Reading them takes longer than most of what is done with them, so a reader that has older
	// ones looks here first. Nobody changes what readers use of a catalog that is here.
	committed atomic.Pointer[catalog.Catalog]

	// Questions that are answered at once and work through whole tables have a connection
	// each: a ping does not wait for the extraction of a backlog.
	quick reader
	bulk  reader

	forgot atomic.Uint64 // what had settled when all of that was last forgotten
}

// Close closes the connections, once whoever uses one is done with it. The -wal file stays as
// it is.
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

// Entries counts how write transactions came to the file beside the application.
type Entries = sqlite.Entries

// Entries tells how the write transactions of this store came to the file so far.
func (s *Store) Entries() Entries { return s.writer.Entries() }

// Path is the database file.
func (s *Store) Path() string { return s.path }

// write runs f in one write transaction. What f did is durable when write returns nil, and
// undone if it returns an error.
func (s *Store) write(f func(tx *rows.Tx) error) error {
	_, err := s.transactIn(s.takeTurn, f)
	return s.durably(err)
}

// writeAtOnce is write for whoever may not wait for the application to have its turn.
func (s *Store) writeAtOnce(f func(tx *rows.Tx) error) error {
	_, err := s.transactIn(s.writing.Lock, f)
	return s.durably(err)
}

// standBack lets time pass without writing locked.
func (s *Store) standBack(d time.Duration) {
	s.writing.Unlock()
	time.Sleep(d)
	s.writing.Lock()
}

// transactIn is transact while writing is locked.
func (s *Store) transactIn(lock func(), f func(tx *rows.Tx) error) (moved bool, err error) {
	lock()
	defer s.writing.Unlock()
	return s.transact(f)
}

// durably returns when everything that is committed is on disk, unless there was an error. It is what
// comes before anything is said to others. Who waits for the disk keeps nobody from writing.
func (s *Store) durably(err error) error {
	if err != nil {
		return err
	}
	if err := s.writer.Durable(); err != nil {
		return sqlite.Explain(s.path, err)
	}
	return nil
}

// keepMarks is write for marks alone: what the other side has, and what was last said of it.
// They need not survive a loss of power, because each link begins by telling them anew, and
// the next commit of anything else makes them durable as well. So they cost no sync of the
// disk, unless it turns out that there is work to commit which others are to hear of.
func (s *Store) keepMarks(f func(tx *rows.Tx) error) (err error) {
	moved, err := s.transactIn(s.takeTurn, f)
	if err != nil || !moved {
		return err
	}
	return s.durably(nil)
}

// transact runs f in one write transaction, and reports whether that took a position. It is not durable
// yet.
func (s *Store) transact(f func(tx *rows.Tx) error) (moved bool, err error) {
	var locked time.Time
	err = s.writer.Write(s.standBack, func() error {
		locked = s.clock()
		s.turn.entered(locked, s.writer.Waited())
		tx, err := s.begin()
		if err != nil {
			return err
		}
		before := *tx.State
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
		s.writeCatalog = nil // what was read in a transaction that is undone proves nothing
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

// begin reads the state and, where the schema or the settings changed, the tables, and puts
// back capture triggers that a rebuilt table has lost.
func (s *Store) begin() (*rows.Tx, error) {
	st, err := rows.ReadState(s.writer)
	if err != nil {
		return nil, err
	}
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
