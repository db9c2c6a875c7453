package sqlite

import (
	"errors"

	driver3 "github.com/mattn/go-sqlite3"
)

// Failure sorts SQLite's errors by what can be done about them.
type Failure int

// The failures told apart.
const (
	OtherFailure   Failure = iota
	Busy                   // another connection holds a lock: try again
	Constraint             // UNIQUE, NOT NULL, CHECK or a key: the row does not fit
	DiskFull               // no space left, or the quota is used up
	DiskError              // reading or writing failed
	NotADatabase           // not an SQLite file, encrypted, or damaged
	ReadOnlyFile           // no permission to write
	CannotOpenFile         // missing, a directory, or no permission
)

// FailureOf sorts an error that came from SQLite.
func FailureOf(err error) Failure {
	var e driver3.Error
	if !errors.As(err, &e) {
		return OtherFailure
	}
	switch e.Code {
	case driver3.ErrBusy, driver3.ErrLocked:
		return Busy
	case driver3.ErrConstraint:
		return Constraint
	case driver3.ErrFull:
		return DiskFull
	case driver3.ErrIoErr:
		return DiskError
	case driver3.ErrNotADB, driver3.ErrCorrupt:
		return NotADatabase
	case driver3.ErrReadonly:
		return ReadOnlyFile
	case driver3.ErrCantOpen, driver3.ErrPerm:
		return CannotOpenFile
	}
	return OtherFailure
}

// IsUnique reports whether err is a clash of two rows over a UNIQUE index or a key.
func IsUnique(err error) bool {
	var e driver3.Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.ExtendedCode {
	case driver3.ErrConstraintUnique, driver3.ErrConstraintPrimaryKey, driver3.ErrConstraintRowID:
		return true
	}
	return false
}
