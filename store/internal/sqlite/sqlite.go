// Package sqlite is ravno's connection to a database file: exact values in and out,
// prepared statements kept, triggers switched off where asked, and no checkpoint on close.
// It refuses to know ravno's tables. It goes around database/sql on purpose: a pool may
// close a connection or use another one, while triggers, temporary tables and transactions
// belong to one; and mattn/go-sqlite3 turns columns declared DATE or BOOLEAN into Go times
// and bools, which would not come back as the same bytes.
package sqlite

// #cgo linux LDFLAGS: -Wl,--unresolved-symbols=ignore-in-object-files
// #cgo darwin LDFLAGS: -Wl,-undefined,dynamic_lookup
// int ravno_register(void);
import "C"

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"sync"
	"time"
	"unsafe"

	driver3 "github.com/mattn/go-sqlite3"

	"ravno/crdt"
	"ravno/store/internal/fts5"
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
	if code := fts5.Register(); code != 0 {
		return fmt.Errorf("sqlite: cannot register FTS5 (code %d)", code)
	}
	return nil
})

// Version is the version of the SQLite library linked in.
func Version() string {
	version, _, _ := driver3.Version()
	return version
}

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
	raw        *driver3.SQLiteConn
	path       string
	statements map[string]*Stmt
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
	return &Conn{raw: opened.(*driver3.SQLiteConn), path: path, statements: map[string]*Stmt{}}, nil
}

// Path is the file the connection was opened on.
func (c *Conn) Path() string { return c.path }

// Close closes the connection and its statements. The -wal and -shm files stay.
func (c *Conn) Close() error {
	for _, s := range c.statements {
		s.raw.Close()
	}
	c.statements = nil
	return c.raw.Close()
}

// SetTriggers switches the file's triggers on or off for this connection.
func (c *Conn) SetTriggers(on bool) error {
	_, err := c.Int("SELECT ravno_triggers(?)", boolean(on)) // read to its end: an open statement would stop a VACUUM
	return err
}

// SetBusyTimeout changes how long this connection waits for another one's lock.
func (c *Conn) SetBusyTimeout(d time.Duration) error {
	return c.Exec(fmt.Sprintf("PRAGMA busy_timeout=%d", d.Milliseconds()))
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

// Int runs a query for one number: 0 if there is no row or the value is no integer.
func (c *Conn) Int(sql string, args ...crdt.Value) (int64, error) {
	row, err := c.Row(sql, args...)
	if err != nil || row == nil {
		return 0, err
	}
	return row[0].Int(), nil
}

// Text runs a query for one text: empty if there is no row or the value is no text.
func (c *Conn) Text(sql string, args ...crdt.Value) (string, error) {
	row, err := c.Row(sql, args...)
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
	raw, err := c.raw.Prepare(sql)
	if err != nil {
		return nil, describe(sql, err)
	}
	s := &Stmt{raw: raw.(*driver3.SQLiteStmt), sql: sql, conn: c}
	c.statements[sql] = s
	return s, nil
}

// Forget closes all kept statements: after a change of the schema the set of columns they
// were written for may be another one.
func (c *Conn) Forget() {
	for _, s := range c.statements {
		s.raw.Close()
	}
	clear(c.statements)
}

// Transaction runs f inside BEGIN kind (DEFERRED, IMMEDIATE) and COMMIT; an error or a
// panic rolls everything back.
func (c *Conn) Transaction(kind string, f func() error) (err error) {
	if err := c.execKept("BEGIN " + kind); err != nil {
		return err
	}
	done := false
	defer func() {
		if !done {
			c.raw.Exec("ROLLBACK", nil) // the error that led here is the one to report
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

// Stmt is a prepared statement of one connection.
type Stmt struct {
	raw  *driver3.SQLiteStmt
	sql  string
	conn *Conn
	args []driver.NamedValue
	busy bool
	// The current row, as the driver and as Rows gives it.
	scanned []driver.Value
	values  []crdt.Value
}

// query binds the arguments and takes the first step, in one call of the driver: Exec of the
// driver would cross into C once for every argument.
func (s *Stmt) query(args []crdt.Value) (driver.Rows, error) {
	rows, err := s.raw.QueryContext(context.Background(), s.bind(args))
	if err != nil {
		return nil, describe(s.sql, err)
	}
	return rows, nil
}

// Exec runs the statement to its end.
func (s *Stmt) Exec(args ...crdt.Value) error {
	rows, err := s.query(args)
	if err != nil {
		return err
	}
	if rows.Next(nil) == io.EOF {
		return nil // it has ended, and holds nothing
	}
	return rows.Close()
}

// Rows runs the statement and calls each with every row; the slice is reused.
func (s *Stmt) Rows(args []crdt.Value, each func(row []crdt.Value) error) error {
	if s.busy { // the same query inside its own iteration: give it a statement of its own
		raw, err := s.conn.raw.Prepare(s.sql)
		if err != nil {
			return describe(s.sql, err)
		}
		defer raw.Close()
		inner := &Stmt{raw: raw.(*driver3.SQLiteStmt), sql: s.sql, conn: s.conn}
		return inner.Rows(args, each)
	}
	s.busy = true
	defer func() { s.busy = false }()
	rows, err := s.query(args)
	if err != nil {
		return err
	}
	ended := false
	defer func() {
		if !ended {
			rows.Close()
		}
	}()
	if n := len(rows.Columns()); n != len(s.scanned) {
		s.scanned, s.values = make([]driver.Value, n), make([]crdt.Value, n)
	}
	for {
		if err := rows.Next(s.scanned); err == io.EOF {
			ended = true // and holds nothing any more: closing would only cost another call
			return nil
		} else if err != nil {
			return describe(s.sql, err)
		}
		for i, v := range s.scanned {
			if s.values[i], err = fromDriver(v); err != nil {
				return fmt.Errorf("%w (%s)", err, s.sql)
			}
		}
		if err := each(s.values); err != nil {
			return err
		}
	}
}

var errFirst = errors.New("first row")

// Row runs the statement and returns a copy of its first row, or nil if there is none.
func (s *Stmt) Row(args ...crdt.Value) ([]crdt.Value, error) {
	var first []crdt.Value
	err := s.Rows(args, func(row []crdt.Value) error {
		first = append([]crdt.Value{}, row...)
		return errFirst
	})
	if err != nil && err != errFirst {
		return nil, err
	}
	return first, nil
}

func (s *Stmt) bind(args []crdt.Value) []driver.NamedValue {
	for i := len(s.args); i < len(args); i++ {
		s.args = append(s.args, driver.NamedValue{Ordinal: i + 1})
	}
	for i, v := range args {
		s.args[i].Value = toDriver(v)
	}
	return s.args[:len(args)]
}

func toDriver(v crdt.Value) driver.Value {
	switch v.Kind() {
	case crdt.Integer:
		return v.Int()
	case crdt.Real:
		return v.Float()
	case crdt.Text:
		return v.Bytes()
	case crdt.Blob:
		if v.Bytes() == "" {
			return []byte{} // not nil: nil would be bound as NULL
		}
		return unsafe.Slice(unsafe.StringData(v.Bytes()), len(v.Bytes())) // the driver copies it, and writes nothing
	}
	return nil
}

func fromDriver(v driver.Value) (crdt.Value, error) {
	switch v := v.(type) {
	case nil:
		return crdt.Value{}, nil
	case int64:
		return crdt.IntegerValue(v), nil
	case float64:
		return crdt.RealValue(v), nil
	case string:
		return crdt.TextValue(v), nil
	case []byte:
		return crdt.BlobValue(unsafe.String(unsafe.SliceData(v), len(v))), nil // the driver made it for this row alone
	}
	// The driver makes times and bools of columns by their declared type. Queries for an
	// application's columns read an expression (+column), which has none.
	return crdt.Value{}, fmt.Errorf("sqlite: a column was read by its declared type as %T", v)
}

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

func describe(sql string, err error) error {
	if len(sql) > 200 {
		sql = sql[:200] + "..."
	}
	return fmt.Errorf("%w (%s)", err, sql)
}
