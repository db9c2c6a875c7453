package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"ravno/store/internal/sqlite"
)

// FileError says what is wrong with a database file and what to do.
type FileError struct {
	Path, Problem, Try string
	Disk               bool // the disk is full or does not work
}

func (e *FileError) Error() string { return e.Path + ": " + e.Problem + ". Try: " + e.Try }

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
		return "", &FileError{Path: path, Problem: "its directory does not exist", Try: "mkdir -p " + filepath.Dir(abs)}
	}
	return filepath.Join(dir, filepath.Base(abs)), nil
}

// Open opens an enrolled database. The file's own triggers are off for what the store
// writes: what the application's triggers did at the site of origin arrives as data.
func Open(path string, clock Clock) (*Store, error) {
	if err := checkFile(path, false); err != nil {
		return nil, err
	}
	s := &Store{path: path, clock: clock, folding: make(longMutex, 1),
		quick: reader{mutex: make(longMutex, 1)}, bulk: reader{mutex: make(longMutex, 1)}}
	var err error
	if s.writer, err = openWriter(path); err != nil {
		return nil, explain(path, err)
	}
	if err := s.returnToWAL(); err != nil {
		s.Close()
		return nil, err
	}
	for _, r := range []*reader{&s.quick, &s.bulk} {
		if r.conn, err = sqlite.Open(path, sqlite.ReadWrite); err != nil {
			s.Close()
			return nil, explain(path, err)
		}
	}
	if err := s.bulk.conn.Exec("PRAGMA cache_size=-" + cacheKiB); err != nil {
		s.Close()
		return nil, explain(path, err)
	}
	if err := s.checkEnrolled(); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func openWriter(path string) (*sqlite.Conn, error) {
	c, err := sqlite.OpenWriter(path)
	if err != nil {
		return nil, err
	}
	for _, sql := range []string{"PRAGMA foreign_keys=OFF", "PRAGMA recursive_triggers=OFF", "PRAGMA cache_size=-" + cacheKiB} {
		if err := c.Exec(sql); err != nil {
			c.Close()
			return nil, err
		}
	}
	if err := c.SetTriggers(false); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// cacheKiB is how much of the file the writing connection keeps in memory: a slice of rows with
// random keys goes all over the file's trees, and reads what it has not kept anew for each row.
// SQLite's own default is 2,000.
const cacheKiB = "16000"

// returnToWAL puts the file back into WAL mode: an application that was started without ravno beside it may
// have taken it out of that. A file that is not enrolled stays as it is.
func (s *Store) returnToWAL() error {
	mode, err := s.writer.Text("PRAGMA journal_mode")
	if err == nil && !strings.EqualFold(mode, "wal") {
		var enrolled int64
		if enrolled, err = s.writer.Int("SELECT count(*) FROM sqlite_master WHERE name='ravno_state'"); err == nil && enrolled > 0 {
			mode, err = s.writer.UseWAL()
			if err == nil && !strings.EqualFold(mode, "wal") {
				return errNoWAL(s.path, mode)
			}
		}
	}
	if err != nil {
		return explain(s.path, err)
	}
	return nil
}

func (s *Store) checkEnrolled() error {
	n, err := s.writer.Int("SELECT count(*) FROM sqlite_master WHERE name='ravno_state'")
	if err != nil {
		return explain(s.path, err)
	}
	if n == 0 {
		return fmt.Errorf("%s: %w. Try: ravno init (at the hub) or ravno join (at a node)", s.path, ErrNotEnrolled)
	}
	if err := upgrade(s.writer); err != nil {
		return explain(s.path, err)
	}
	_, err = readState(s.writer)
	return err
}

// checkFile finds out what is wrong with a file before SQLite touches it. It only looks at
// its attributes: reading and closing it outside SQLite would drop locks.
func checkFile(path string, mayBeMissing bool) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist) && mayBeMissing:
		return nil
	case errors.Is(err, os.ErrNotExist):
		return &FileError{Path: path, Problem: "no such file", Try: "give the path of the application's database with --db"}
	case err != nil:
		return &FileError{Path: path, Problem: err.Error(), Try: "check the path and its permissions"}
	case info.IsDir():
		return &FileError{Path: path, Problem: "is a directory", Try: "give the database file itself"}
	}
	return nil
}

// explain puts SQLite's word for a file's trouble into the technician's.
func explain(path string, err error) error {
	switch sqlite.FailureOf(err) {
	case sqlite.NotADatabase:
		return &FileError{Path: path, Problem: "is not an SQLite database, or is encrypted or damaged", Try: "give the application's database file"}
	case sqlite.ReadOnlyFile:
		return &FileError{Path: path, Problem: "is read-only", Try: "let this user write the file and its directory (chmod, chown, mount)"}
	case sqlite.CannotOpenFile:
		return &FileError{Path: path, Problem: "cannot be opened", Try: "check that this user may read and write the file and its directory"}
	case sqlite.DiskFull:
		return &FileError{Path: path, Problem: "no space left on its disk; nothing was lost and nothing acknowledged", Try: "free some space: ravno goes on by itself", Disk: true}
	case sqlite.DiskError:
		return &FileError{Path: path, Problem: "its disk does not read or write", Try: "check the disk and the system's log: " + err.Error(), Disk: true}
	case sqlite.Busy:
		return &FileError{Path: path, Problem: "is locked by another program for longer than " + sqlite.BusyTimeout.String(), Try: "end the transaction that program has open, then again"}
	}
	return fmt.Errorf("%s: %w", path, err)
}
