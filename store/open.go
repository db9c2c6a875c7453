package store

import (
	"fmt"
	"path/filepath"
	"strings"

	"ravno/store/internal/enrol"
	"ravno/store/internal/install"
	"ravno/store/internal/rows"
	"ravno/store/internal/sqlite"
)

// Resolve turns a path as given into the one the state beside the file goes by, so that
// two ways to write one file's name do not make two daemons.
func Resolve(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if real, err := filepath.EvalSymlinks(abs); err == nil {
		return real, nil
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(abs))
	if err != nil {
		return "", &sqlite.FileError{Path: path, Problem: "its directory does not exist", Try: "mkdir -p " + filepath.Dir(abs)}
	}
	return filepath.Join(dir, filepath.Base(abs)), nil
}

// Open opens an enrolled database. The file's own triggers are off for what the store
// writes: what the application's triggers did at the site of origin arrives as data.
func Open(path string, clock rows.Clock) (*Store, error) {
	if err := sqlite.CheckFile(path, false); err != nil {
		return nil, err
	}
	s := &Store{path: path, clock: clock, folding: make(longMutex, 1),
		quick: reader{mutex: make(longMutex, 1)}, bulk: reader{mutex: make(longMutex, 1)}}
	var err error
	if s.writer, err = install.OpenWriter(path); err != nil {
		return nil, sqlite.Explain(path, err)
	}
	if err := s.returnToWAL(); err != nil {
		s.Close()
		return nil, err
	}
	for _, r := range []*reader{&s.quick, &s.bulk} {
		if r.conn, err = sqlite.Open(path, sqlite.ReadWrite); err != nil {
			s.Close()
			return nil, sqlite.Explain(path, err)
		}
	}
	if err := s.bulk.conn.Exec("PRAGMA cache_size=-" + install.CacheKiB); err != nil {
		s.Close()
		return nil, sqlite.Explain(path, err)
	}
	if err := s.checkEnrolled(); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// returnToWAL puts the file back into WAL mode: an application that was started without ravno beside it may
// have taken it out of that. A file that is not enrolled stays as it is.
func (s *Store) returnToWAL() error {
	mode, err := s.writer.Text("PRAGMA journal_mode")
	if err == nil && !strings.EqualFold(mode, "wal") {
		var enrolled int64
		if enrolled, err = s.writer.Int("SELECT count(*) FROM sqlite_master WHERE name='ravno_state'"); err == nil && enrolled > 0 {
			mode, err = s.writer.UseWAL()
			if err == nil && !strings.EqualFold(mode, "wal") {
				return enrol.ErrNoWAL(s.path, mode)
			}
		}
	}
	if err != nil {
		return sqlite.Explain(s.path, err)
	}
	return nil
}

func (s *Store) checkEnrolled() error {
	n, err := s.writer.Int("SELECT count(*) FROM sqlite_master WHERE name='ravno_state'")
	if err != nil {
		return sqlite.Explain(s.path, err)
	}
	if n == 0 {
		return fmt.Errorf("%s: %w. Try: ravno init (at the hub) or ravno join (at a node)", s.path, ErrNotEnrolled)
	}
	if err := install.Upgrade(s.writer); err != nil {
		return sqlite.Explain(s.path, err)
	}
	_, err = rows.ReadState(s.writer)
	return err
}

// SQLiteVersion is the version of the SQLite library linked in, such as 3.50.4.
func SQLiteVersion() string { return sqlite.Version() }

// HasFTS5 reports whether that library can keep FTS5 indexes; see the package sqlite.
func HasFTS5() bool { return sqlite.HasFTS5() }
