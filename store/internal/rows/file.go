package rows

import (
	"errors"
	"fmt"
	"os"

	"ravno/store/internal/capture"
	"ravno/store/internal/schema"
	"ravno/store/internal/sqlite"
)

// Unfolded is how many entries of the log are not folded.
func Unfolded(c *sqlite.Conn, st *State) (entries int64, err error) {
	last, _, err := capture.Last(c)
	return last - st.Folded, err
}

// OnFile runs f on a connection of its own.
func OnFile(path string, f func(*sqlite.Conn) error) error {
	c, err := sqlite.Open(path, sqlite.ReadWrite)
	if err != nil {
		return err
	}
	defer c.Close()
	return f(c)
}

// FileError says what is wrong with a database file and what to do.
type FileError struct {
	Path, Problem, Try string
	Disk               bool // the disk is full or does not work
}

func (e *FileError) Error() string { return e.Path + ": " + e.Problem + ". Try: " + e.Try }

func OpenWriter(path string) (*sqlite.Conn, error) {
	c, err := sqlite.OpenWriter(path)
	if err != nil {
		return nil, err
	}
	for _, sql := range []string{"PRAGMA foreign_keys=OFF", "PRAGMA recursive_triggers=OFF", "PRAGMA cache_size=-" + CacheKiB} {
		if err := c.Exec(sql); err != nil {
			c.Close()
			return nil, err
		}
	}
	if err := errors.Join(c.SetTriggers(false), schema.CheckModules(c)); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// CacheKiB is how much of the file the writing connection keeps in memory: a slice of rows with
// random keys goes all over the file's trees, and reads what it has not kept anew for each row.
// SQLite's own default is 2,000.
const CacheKiB = "16000"

// CheckFile finds out what is wrong with a file before SQLite touches it. It only looks at
// its attributes: reading and closing it outside SQLite would drop locks.
func CheckFile(path string, mayBeMissing bool) error {
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

// Explain puts SQLite's word for a file's trouble into the technician's.
func Explain(path string, err error) error {
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

var ErrUnfolded = errors.New("the application keeps writing between fold and snapshot")
