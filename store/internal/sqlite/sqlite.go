// Package sqlite is ravno's connection to a database file: exact values in and out,
// prepared statements kept, triggers switched off where asked, and no checkpoint on close.
// It refuses to know ravno's tables. It goes around database/sql on purpose: a pool may
// close a connection or use another one, while triggers, temporary tables and transactions
// belong to one; and mattn/go-sqlite3 turns columns declared DATE or BOOLEAN into Go times
// and bools, which would not come back as the same bytes. The driver opens and closes the
// connection and runs scripts; statements are run here (statement.c), because through it each
// argument and column would be a call into C and an allocation of its own.
package sqlite

// #cgo linux LDFLAGS: -Wl,--unresolved-symbols=ignore-in-object-files
// #cgo darwin LDFLAGS: -Wl,-undefined,dynamic_lookup
// #include <stdint.h>
// int ravno_register(void);
// int ravno_has_fts5(void);
// int ravno_busy_timeout(int64_t connection, int milliseconds);
import "C"

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	driver3 "github.com/mattn/go-sqlite3"

	"ravno/crdt"
)

// BusyTimeout is how long a statement of ours waits for another process's lock: longer
// than any reasonable transaction of an application, and the daemon has nothing better to do.
const BusyTimeout = 10 * time.Second

// register arranges once per process that every connection is configured as it opens.
var register = sync.OnceValue(func() error {
	// First: there are settings that SQLite takes only before it is used for anything.
	if code := C.ravno_register(); code != 0 {
		return fmt.Errorf("sqlite: cannot register connection settings (code %d)", int(code))
	}
	return nil
})

// Version is the version of the SQLite library linked in.
func Version() string {
	version, _, _ := driver3.Version()
	return version
}

// HasFTS5 reports whether the SQLite library linked in has the full-text index FTS5. The driver
// leaves it out unless the program is built with -tags sqlite_fts5.
func HasFTS5() bool { return C.ravno_has_fts5() != 0 }

// Mode says what a connection may do.
type Mode string

// The modes of opening a file.
const (
	ReadOnly  Mode = "ro"  // must exist, is not changed
	ReadWrite Mode = "rw"  // must exist
	Create    Mode = "rwc" // is made if it does not exist
)

// Conn is one connection. It is not safe for concurrent use.
type Conn struct {
	raw        *driver3.SQLiteConn // opens, closes and runs scripts
	handle     C.int64_t           // of the same connection, for the statements; 0: closed
	path       string
	statements map[string]*Stmt
	compiled   []*Stmt // which of them SQLite has compiled
	// Buffers for what goes into C and what comes out.
	args  []uint64
	first []uint64
	row   []crdt.Value
	ahead []*ahead
	// writer is how its write transactions step aside for others; nil: they do not.
	writer *writer
}

// Open opens a connection to the database file at path.
func Open(path string, mode Mode) (*Conn, error) {
	if err := register(); err != nil {
		return nil, err
	}
	// No mutex of SQLite's own: one goroutine at a time uses a connection, and each of the many
	// calls that a row takes would lock and unlock it.
	dsn := "file:" + (&url.URL{Path: path}).EscapedPath() + "?mode=" + string(mode) +
		fmt.Sprintf("&_busy_timeout=%d&_mutex=no", BusyTimeout.Milliseconds())
	opened, err := (&driver3.SQLiteDriver{}).Open(dsn)
	if err != nil {
		return nil, fmt.Errorf("sqlite: open %s: %w", path, err)
	}
	c := &Conn{raw: opened.(*driver3.SQLiteConn), path: path, statements: map[string]*Stmt{},
		first: make([]uint64, firstWords), row: make([]crdt.Value, firstColumns)}
	if c.handle, err = handleOf(c.raw); err != nil {
		return nil, errors.Join(fmt.Errorf("sqlite: open %s: %w", path, err), c.raw.Close())
	}
	return c, nil
}

// handleOf asks SQLite for the address of a connection, which the driver keeps to itself.
func handleOf(raw *driver3.SQLiteConn) (C.int64_t, error) {
	rows, err := raw.Query("SELECT ravno_handle()", nil)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	row := make([]driver.Value, 1)
	if err := rows.Next(row); err != nil {
		return 0, err
	}
	return C.int64_t(row[0].(int64)), nil
}

// Path is the file the connection was opened on.
func (c *Conn) Path() string { return c.path }

// Close closes the connection and its statements. The -wal and -shm files stay.
func (c *Conn) Close() error {
	c.Forget()
	c.handle = 0
	err := c.raw.Close() // if a query still runs, the connection goes when that has ended
	return errors.Join(err, c.writer.close())
}

// SetTriggers switches the file's triggers on or off for this connection.
func (c *Conn) SetTriggers(on bool) error {
	_, err := c.Int("SELECT ravno_triggers(?)", boolean(on)) // read to its end: an open statement would stop a VACUUM
	return err
}

// SetBusyTimeout changes how long this connection waits for another one's lock.
func (c *Conn) SetBusyTimeout(d time.Duration) error {
	if code := C.ravno_busy_timeout(c.handle, C.int(d.Milliseconds())); code != 0 {
		return fmt.Errorf("sqlite: cannot set the busy timeout of %s (code %d)", c.path, int(code))
	}
	return nil
}

func boolean(b bool) crdt.Value {
	if b {
		return crdt.IntegerValue(1)
	}
	return crdt.IntegerValue(0)
}

// Exec runs one statement, or several without arguments.
func (c *Conn) Exec(sql string, args ...crdt.Value) error {
	if len(args) == 0 {
		if _, err := c.raw.Exec(sql, nil); err != nil {
			return describe(sql, err)
		}
		return nil
	}
	s, err := c.Prepare(sql)
	if err != nil {
		return err
	}
	return s.Exec(args...)
}

// Rows runs a query and calls each with every row. The slice is only valid during the
// call. An error from each ends the query and is returned.
func (c *Conn) Rows(sql string, args []crdt.Value, each func(row []crdt.Value) error) error {
	s, err := c.Prepare(sql)
	if err != nil {
		return err
	}
	return s.Rows(args, each)
}

// Row runs a query and returns its first row, or nil if there is none.
func (c *Conn) Row(sql string, args ...crdt.Value) ([]crdt.Value, error) {
	s, err := c.Prepare(sql)
	if err != nil {
		return nil, err
	}
	return s.Row(args...)
}

// First is Row, but the slice is only valid until the next First, Int or Text.
func (c *Conn) First(sql string, args ...crdt.Value) ([]crdt.Value, error) {
	s, err := c.Prepare(sql)
	if err != nil {
		return nil, err
	}
	return s.first(args, c.row)
}

// Int runs a query for one number: 0 if there is no row or the value is no integer.
func (c *Conn) Int(sql string, args ...crdt.Value) (int64, error) {
	row, err := c.First(sql, args...)
	if err != nil || row == nil {
		return 0, err
	}
	return row[0].Int(), nil
}

// Text runs a query for one text: empty if there is no row or the value is no text.
func (c *Conn) Text(sql string, args ...crdt.Value) (string, error) {
	row, err := c.First(sql, args...)
	if err != nil || row == nil {
		return "", err
	}
	return row[0].Bytes(), nil
}

// Prepare returns the statement for sql, compiling it at first use. The connection keeps
// it; SQLite recompiles it by itself after a change of the schema.
func (c *Conn) Prepare(sql string) (*Stmt, error) {
	if s, ok := c.statements[sql]; ok {
		return s, nil
	}
	s := &Stmt{conn: c, sql: sql}
	if err := s.compile(); err != nil {
		return nil, err
	}
	c.statements[sql] = s
	return s, nil
}

// Forget closes all kept statements: after a change of the schema the set of columns they
// were written for may be another one.
func (c *Conn) Forget() {
	for _, s := range c.compiled {
		s.close()
	}
	c.compiled = nil
	clear(c.statements)
}

// Transaction runs f inside BEGIN kind (DEFERRED, IMMEDIATE) and COMMIT; an error or a
// panic rolls everything back. What a writer commits is on disk when it returns.
func (c *Conn) Transaction(kind string, f func() error) (err error) {
	if c.writer == nil || kind != "IMMEDIATE" {
		return c.transaction(kind, f)
	}
	if err := c.Write(time.Sleep, f); err != nil {
		return err
	}
	return c.Durable()
}

func (c *Conn) transaction(kind string, f func() error) error {
	if err := c.execKept("BEGIN " + kind); err != nil {
		return err
	}
	return c.begun(f)
}

// begun runs f inside a transaction that has begun, and ends that.
func (c *Conn) begun(f func() error) (err error) {
	done := false
	defer func() {
		if !done {
			_, _ = c.raw.Exec("ROLLBACK", nil) // the error that led here is the one to report
		}
	}()
	if err := f(); err != nil {
		return err
	}
	if err := c.execKept("COMMIT"); err != nil {
		return err
	}
	done = true
	return nil
}

// execKept is Exec for a statement without arguments that is worth keeping.
func (c *Conn) execKept(sql string) error {
	s, err := c.Prepare(sql)
	if err != nil {
		return err
	}
	return s.Exec()
}

// Changes is the number of rows the last statement changed.
func (c *Conn) Changes() (int64, error) { return c.Int("SELECT changes()") }

// Quote writes a name as an SQL identifier.
func Quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// Literal writes a text as an SQL string literal.
func Literal(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }

// QuoteAll quotes names, each behind a prefix such as "NEW.", and joins them with commas.
func QuoteAll(prefix string, names []string) string {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = prefix + Quote(n)
	}
	return strings.Join(quoted, ", ")
}

// SchemaVersion changes with the schema of the file.
func (c *Conn) SchemaVersion() (int64, error) { return c.Int("PRAGMA schema_version") }

// DataVersion changes when anyone but this connection has committed in the file. It reads no table.
func (c *Conn) DataVersion() (int64, error) { return c.Int("PRAGMA main.data_version") }
