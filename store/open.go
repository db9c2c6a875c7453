package store

import (
	"fmt"

	"ravno/store/internal/install"
	"ravno/store/internal/rows"
	"ravno/store/internal/sqlite"
)

// Open opens an enrolled database. It returns ErrNotEnrolled for any other database. The file's own
// triggers do not fire for the writes of the store, because their effects at the site of origin arrive
// as data.
func Open(path string, clock Clock) (*Store, error) {
	if err := sqlite.CheckFile(path, false); err != nil {
		return nil, err
	}
	s := &Store{path: path, clock: clock, folding: make(longMutex, 1),
		quick: reader{mutex: make(longMutex, 1)}, bulk: reader{mutex: make(longMutex, 1)}}
	var err error
	if s.writer, err = install.OpenWriter(path); err != nil {
		return nil, sqlite.Explain(path, err)
	}
	if err := install.ReturnToWAL(s.writer, path); err != nil {
		s.Close()
		return nil, err
	}
	if s.quick.conn, err = sqlite.Open(path, sqlite.ReadWrite); err == nil {
		s.bulk.conn, err = install.OpenBulk(path)
	}
	if err != nil {
		s.Close()
		return nil, sqlite.Explain(path, err)
	}
	if err := s.checkEnrolled(); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// checkEnrolled returns ErrNotEnrolled for a file that is not enrolled. It upgrades a file that an
// older ravno wrote.
func (s *Store) checkEnrolled() error {
	enrolled, err := install.Enrolled(s.writer)
	if err != nil {
		return sqlite.Explain(s.path, err)
	}
	if !enrolled {
		return fmt.Errorf("%s: %w. Try: ravno init (at the hub) or ravno join (at a node)", s.path, ErrNotEnrolled)
	}
	if err := install.Upgrade(s.writer); err != nil {
		return sqlite.Explain(s.path, err)
	}
	_, err = rows.ReadState(s.writer)
	return err
}

// SQLiteVersion returns the version of the linked SQLite library, such as 3.50.4.
func SQLiteVersion() string { return sqlite.Version() }

// HasFTS5 reports whether that library can keep FTS5 indexes. See package sqlite.
func HasFTS5() bool { return sqlite.HasFTS5() }
