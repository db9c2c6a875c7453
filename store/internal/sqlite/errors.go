package sqlite

// #include <stdint.h>
// const char *ravno_message(int64_t connection, int code);
// int ravno_system_errno(int64_t connection);
import "C"

import (
	"errors"
	"fmt"
	"syscall"

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

// failed is an error of SQLite while a statement of ours was compiled or run. Errors of the
// driver, which opens connections and runs scripts, are driver3.Error.
type failed struct {
	code    driver3.ErrNoExtended
	message string
	system  syscall.Errno // what the system said, where SQLite passes it on
}

func (f *failed) Error() string {
	if f.system != 0 {
		return f.message + ": " + f.system.Error()
	}
	return f.message
}

// failure is the error behind a code, asked for before anything else runs on the connection.
func (s *Stmt) failure(code C.int) error {
	f := &failed{code: driver3.ErrNoExtended(code), message: C.GoString(C.ravno_message(s.conn.handle, code))}
	switch primary(f.code) {
	case driver3.ErrCantOpen, driver3.ErrIoErr:
		f.system = syscall.Errno(C.ravno_system_errno(s.conn.handle))
	}
	return describe(s.sql, f)
}

func describe(sql string, err error) error { return fmt.Errorf("%w (%s)", err, shorten(sql)) }

// shorten is a statement as an error quotes it.
func shorten(sql string) string {
	if len(sql) > 200 {
		return sql[:200] + "..."
	}
	return sql
}

// primary is an extended code without its extension.
func primary(code driver3.ErrNoExtended) driver3.ErrNo { return driver3.ErrNo(code & 0xff) }

// codeOf is the extended code of an error that came from SQLite, 0 of any other.
func codeOf(err error) driver3.ErrNoExtended {
	var ours *failed
	if errors.As(err, &ours) {
		return ours.code
	}
	var drivers driver3.Error
	if !errors.As(err, &drivers) {
		return 0
	}
	if drivers.ExtendedCode == 0 {
		return driver3.ErrNoExtended(drivers.Code)
	}
	return drivers.ExtendedCode
}

// FailureOf sorts an error that came from SQLite.
func FailureOf(err error) Failure {
	switch primary(codeOf(err)) {
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
	switch codeOf(err) {
	case driver3.ErrConstraintUnique, driver3.ErrConstraintPrimaryKey, driver3.ErrConstraintRowID:
		return true
	}
	return false
}
