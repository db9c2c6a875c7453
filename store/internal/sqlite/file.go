package sqlite

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// FileError says what is wrong with a database file and what to do.
type FileError struct {
	Path, Problem, Try string
	Disk               bool // the disk is full or does not work
}

func (e *FileError) Error() string { return e.Path + ": " + e.Problem + ". Try: " + e.Try }

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
	switch FailureOf(err) {
	case NotADatabase:
		return &FileError{Path: path, Problem: "is not an SQLite database, or is encrypted or damaged",
			Try: "give the application's database file"}
	case ReadOnlyFile:
		return &FileError{Path: path, Problem: "is read-only",
			Try: "let this user write the file and its directory (chmod, chown, mount)"}
	case CannotOpenFile:
		return &FileError{Path: path, Problem: "cannot be opened",
			Try: "check that this user may read and write the file and its directory"}
	case DiskFull:
		return &FileError{Path: path, Problem: "no space left on its disk; nothing was lost and nothing acknowledged",
			Try: "free some space: ravno goes on by itself", Disk: true}
	case DiskError:
		return &FileError{Path: path, Problem: "its disk does not read or write",
			Try: "check the disk and the system's log: " + err.Error(), Disk: true}
	case Busy:
		return &FileError{Path: path, Problem: "is locked by another program for longer than " + BusyTimeout.String(),
			Try: "end the transaction that program has open, then again"}
	case OtherFailure, Constraint:
	}
	return fmt.Errorf("%s: %w", path, err)
}

// IsOfFile reports whether an error is about the file or its disk, and not the statement.
func IsOfFile(err error) bool {
	switch FailureOf(err) {
	case Constraint, OtherFailure, NotADatabase: // an index can be malformed by itself
		return false
	case Busy, DiskFull, DiskError, ReadOnlyFile, CannotOpenFile:
	}
	return true
}

// With runs f on a connection of its own to a file.
func With(path string, f func(*Conn) error) error {
	c, err := Open(path, ReadWrite)
	if err != nil {
		return err
	}
	defer c.Close()
	return f(c)
}

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
		return "", &FileError{Path: path, Problem: "its directory does not exist", Try: "mkdir -p " +
			filepath.Dir(abs)}
	}
	return filepath.Join(dir, filepath.Base(abs)), nil
}
