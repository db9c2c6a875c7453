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

// reader is a connection for reading, and the tables as it last saw them.
type reader struct {
	mutex longMutex // guards the rest
	conn  *sqlite.Conn
	cat   *catalog.Catalog
}

// read runs f in one read transaction: a snapshot.
func (s *Store) read(f func(tx *rows.Tx) error) error {
	return s.readOn(&s.quick, f)
}

// readBulk is read for what works through whole tables.
func (s *Store) readBulk(f func(tx *rows.Tx) error) error {
	return s.readOn(&s.bulk, f)
}

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

// look is read for what asks nothing of the tables.
func (s *Store) look(f func(tx *rows.Tx) error) error { return s.quick.look(s.clock, f) }

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

// FileVersion is a number that differs from the one before if anyone has committed anything in
// the file in between: this store, a command, the application. It says nothing beside another
// Store's number. It is the cheapest question there is, because it reads no table: whoever
// looks again and again asks this first.
func (s *Store) FileVersion() (int64, error) {
	s.quick.mutex.Lock()
	defer s.quick.mutex.Unlock()
	// Of a connection that commits nothing itself: its own commits are not counted.
	version, err := s.quick.conn.DataVersion()
	if err != nil {
		return 0, sqlite.Explain(s.path, err)
	}
	return version, nil
}

// foldTries bounds how often a snapshot is taken anew because the application wrote between
// the fold and it. The gap is well under a millisecond, so one or two are the rule.
const foldTries = 100

// readFolded is read in a snapshot in which everything is folded. In any other one, values
// in the tables are newer than the stamps in the shadows, and of a transaction that is not
// folded yet a delta would carry the part that touched rows which are to be sent anyway.
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
