package sqlite

// #include <stdint.h>
// #include <stdlib.h>
// typedef struct sqlite3_stmt sqlite3_stmt;
// int ravno_prepare(int64_t connection, const char *sql, int length, sqlite3_stmt **statement, int *used,
//     int *parameters);
// void ravno_finalize(sqlite3_stmt *);
// void ravno_reset(sqlite3_stmt *);
// int ravno_exec(sqlite3_stmt *, const int64_t *args);
// struct ravno_outcome { int64_t *large, words; int code; };
// struct ravno_outcome ravno_row(sqlite3_stmt *, const int64_t *args, int64_t *out, int64_t room);
// struct ravno_outcome ravno_rows(sqlite3_stmt *, const int64_t *args, int64_t *out, int64_t room);
//
// // None of them keeps an address of ours, and there is no function in Go that SQLite could call.
// #cgo noescape ravno_prepare
// #cgo nocallback ravno_prepare
// #cgo noescape ravno_exec
// #cgo nocallback ravno_exec
// #cgo noescape ravno_row
// #cgo nocallback ravno_row
// #cgo noescape ravno_rows
// #cgo nocallback ravno_rows
import "C"

import (
	"fmt"
	"strings"
	"unsafe"

	"ravno/crdt"
)

// What the functions in C answer when nothing failed: SQLITE_ROW and SQLITE_DONE.
const (
	codeRow  = 100
	codeDone = 101
)

// Stmt is a statement of one connection. It is compiled when it is first run, and again after
// Forget, and may be kept as long as the connection.
type Stmt struct {
	conn   *Conn
	sql    string
	raw    *C.sqlite3_stmt // nil: not compiled
	params int
	open   bool // Rows is between two fetches of it
	once   bool // to be closed at the end of the run
}

// compile makes SQLite compile the statement, if it has not.
func (s *Stmt) compile() error {
	if s.raw != nil {
		return nil
	}
	if s.conn.handle == 0 {
		return fmt.Errorf("sqlite: the connection to %s is closed (%s)", s.conn.path, shorten(s.sql))
	}
	var used, params C.int
	sql := C.CString(s.sql)
	defer C.free(unsafe.Pointer(sql))
	if code := C.ravno_prepare(s.conn.handle, sql, C.int(len(s.sql)), &s.raw, &used, &params); code != 0 {
		return s.failure(code)
	}
	if rest := strings.Trim(s.sql[used:], " \t\r\n;"); s.raw == nil || rest != "" {
		s.close()
		return fmt.Errorf("sqlite: not exactly one statement: %s", s.sql)
	}
	s.params = int(params)
	if !s.once {
		s.conn.compiled = append(s.conn.compiled, s)
	}
	return nil
}

// close gives up what SQLite has compiled; while Rows runs it, that is left to Rows.
func (s *Stmt) close() {
	if s.open {
		s.once = true
		return
	}
	C.ravno_finalize(s.raw) // of nothing it does nothing
	s.raw = nil
}

// ready is the statement to run with so many arguments: itself, or inside its own iteration
// one of its own.
func (s *Stmt) ready(args int) (*Stmt, error) {
	if s.open {
		s = &Stmt{conn: s.conn, sql: s.sql, once: true}
	}
	if s.raw == nil {
		if err := s.compile(); err != nil {
			return nil, err
		}
	}
	if args != s.params {
		s.end()
		return nil, fmt.Errorf("sqlite: %d values for %d parameters (%s)", args, s.params, shorten(s.sql))
	}
	return s, nil
}

// end is the end of a run.
func (s *Stmt) end() {
	if s.open {
		C.ravno_reset(s.raw)
		s.open = false
	}
	if s.once {
		s.once = false
		s.close()
	}
}

// Exec runs the statement to its end.
func (s *Stmt) Exec(args ...crdt.Value) error {
	run, err := s.ready(len(args))
	if err != nil {
		return err
	}
	code := C.ravno_exec(run.raw, run.conn.pack(args))
	if code != codeDone {
		err = run.failure(code)
	}
	run.end()
	return err
}

// Row runs the statement and returns its first row, or nil if there is none.
func (s *Stmt) Row(args ...crdt.Value) ([]crdt.Value, error) { return s.first(args, nil) }

// first is Row into values, if there is room in them.
func (s *Stmt) first(args, values []crdt.Value) (row []crdt.Value, err error) {
	run, err := s.ready(len(args))
	if err != nil {
		return nil, err
	}
	c := run.conn
	outcome := C.ravno_row(run.raw, c.pack(args), address(c.first), C.int64_t(len(c.first)))
	switch {
	case outcome.code == codeRow && outcome.large == nil:
		row, _ = unpack(c.first, values)
	case outcome.code == codeRow:
		row, _ = unpack(large(outcome), nil) // not into what is kept
	case outcome.code != codeDone:
		err = run.failure(outcome.code)
	}
	if outcome.large != nil {
		C.free(unsafe.Pointer(outcome.large))
	}
	run.end()
	return row, err
}

// large is a row in C's memory.
func large(outcome C.struct_ravno_outcome) []uint64 {
	return unsafe.Slice((*uint64)(unsafe.Pointer(outcome.large)), int(outcome.words))
}

// Rows runs the statement and calls each with every row; the slice is reused. Rows are read
// ahead: what each writes into the tables that are read need not show in those that follow.
func (s *Stmt) Rows(args []crdt.Value, each func(row []crdt.Value) error) error {
	run, err := s.ready(len(args))
	if err != nil {
		return err
	}
	defer run.end()
	ahead := run.conn.readAhead()
	defer run.conn.giveBack(ahead)
	for packed := run.conn.pack(args); ; packed = nil {
		outcome := C.ravno_rows(run.raw, packed, address(ahead.words), C.int64_t(len(ahead.words)-1))
		run.open = outcome.code == codeRow
		if !run.open && outcome.code != codeDone {
			err = run.failure(outcome.code) // to be asked for before anything else runs; the rows before it count
		}
		if failed := ahead.deliver(outcome, each); failed != nil {
			return failed
		}
		if !run.open {
			return err
		}
	}
}

// deliver calls each with the rows in the buffer, and then with the large one, which it frees.
func (a *ahead) deliver(outcome C.struct_ravno_outcome, each func(row []crdt.Value) error) error {
	if outcome.large != nil {
		defer C.free(unsafe.Pointer(outcome.large))
	}
	for rest := a.words; rest[0] != endOfRows; {
		a.row, rest = unpack(rest, a.row)
		if err := each(a.row); err != nil {
			return err
		}
	}
	if outcome.large == nil {
		return nil
	}
	row, _ := unpack(large(outcome), nil) // not into what is kept
	return each(row)
}
