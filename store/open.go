package store

import (
	"fmt"
	"path/filepath"

	"ravno/store/internal/install"
	"ravno/store/internal/rows"
	"ravno/store/internal/sqlite"
)

// RealPath returns the absolute path of a file without symbolic links. So two spellings of one path do
// not start two daemons. The file itself need not exist, but its directory must.
func RealPath(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if real, err := filepath.EvalSymlinks(abs); err == nil {
		return real, nil
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(abs))
	if err != nil {
		return "", &sqlite.FileError{Path: path, Problem: "its directory does not exist", Try: "mkdir -p " +
			filepath.Dir(abs)}
	}
	return filepath.Join(dir, filepath.Base(abs)), nil
}

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
