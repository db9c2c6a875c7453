package store

import (
	"errors"
	"fmt"

	"ravno/store/internal/capture"
	"ravno/store/internal/catalog"
	"ravno/store/internal/enrol"
	"ravno/store/internal/install"
	"ravno/store/internal/rows"
	"ravno/store/internal/sqlite"
)

// reader is a connection for reading, with the tables as it last read them.
type reader struct {
	mutex longMutex // guards the rest
	conn  *sqlite.Conn
	cat   *catalog.Catalog
}

// read runs f in one snapshot.
func (s *Store) read(f func(tx *rows.Tx) error) error {
	return s.readOn(&s.quick, f)
}

// readBulk is read for functions that go through whole tables.
func (s *Store) readBulk(f func(tx *rows.Tx) error) error {
	return s.readOn(&s.bulk, f)
}

// readOn runs f in one snapshot of a reader, with the current tables.
func (s *Store) readOn(r *reader, f func(tx *rows.Tx) error) error {
	return r.look(s.clock, func(tx *rows.Tx) error {
		schemaVersion, err := tx.SQL.SchemaVersion()
		if err != nil {
			return err
		}
		if !r.cat.Is(tx.State.Catalog, schemaVersion) {
			r.cat = s.committed.Load()
		}
		if !r.cat.Is(tx.State.Catalog, schemaVersion) {
			if r.cat, err = install.ReadCatalog(tx.SQL, tx.State.IsHub(), false); err != nil {
				return err
			}
			s.committed.Store(r.cat)
		}
		tx.Cat = r.cat
		return f(tx)
	})
}

// look is read for functions that do not need the tables.
func (s *Store) look(f func(tx *rows.Tx) error) error { return s.quick.look(s.clock, f) }

// look runs f in one snapshot with the state, but without the tables.
func (r *reader) look(clock Clock, f func(tx *rows.Tx) error) error {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return r.conn.Transaction("DEFERRED", func() error {
		st, err := rows.ReadState(r.conn)
		if err != nil {
			return err
		}
		return f(rows.Begin(r.conn, clock, st, nil, 0))
	})
}

// FileVersion returns a number that changes when any connection commits in the file: this store, a
// command or the application. Numbers of two Stores cannot be compared. The call reads no table, so it
// is the cheapest way to poll the file.
func (s *Store) FileVersion() (int64, error) {
	s.quick.mutex.Lock()
	defer s.quick.mutex.Unlock()
	// SQLite does not count a connection's own commits. This connection commits nothing.
	version, err := s.quick.conn.DataVersion()
	if err != nil {
		return 0, sqlite.Explain(s.path, err)
	}
	return version, nil
}

// foldTries bounds how often a snapshot is repeated because the application wrote after the fold. The
// gap is well under a millisecond, so one or two tries are the rule.
const foldTries = 100

// readFolded runs f in a snapshot in which everything is folded. In any other snapshot the tables may
// be newer than the stamps. A delta would then carry only a part of an unfolded transaction. It returns
// ErrUnfolded if the application never stops writing.
func (s *Store) readFolded(f func(tx *rows.Tx) error) error {
	for range foldTries {
		err := s.readBulk(func(tx *rows.Tx) error {
			if waiting, err := capture.Unfolded(tx.SQL, tx.State.Folded); err != nil {
				return err
			} else if waiting > 0 {
				return enrol.ErrUnfolded
			}
			return f(tx)
		})
		if !errors.Is(err, enrol.ErrUnfolded) {
			return err
		}
		if _, err := s.Fold(); err != nil {
			return err
		}
	}
	return fmt.Errorf("%s: %w", s.path, enrol.ErrUnfolded)
}
