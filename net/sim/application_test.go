package sim

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"

	sqlite3 "github.com/mattn/go-sqlite3"

	"ravno/store"
)

// connection is one connection of the application, below database/sql: schedules write half
// a million transactions.
type connection struct {
	*sqlite3.SQLiteConn
	prepared map[string]*sqlite3.SQLiteStmt
}

func connect(path string) (*connection, error) {
	// What the application commits need not survive a power cut here, so it does not wait for
	// the disk; what ravno commits does, as always.
	// SQLite waits in real time, and the daemon's turns at the lock are taken in false time, which
	// stands still meanwhile: so it may work on without a pause, for longer than a busy machine's second.
	conn, err := (&sqlite3.SQLiteDriver{}).Open("file:" + path + "?_busy_timeout=10000&_synchronous=OFF&_foreign_keys=1")
	if err != nil {
		return nil, err
	}
	return &connection{conn.(*sqlite3.SQLiteConn), map[string]*sqlite3.SQLiteStmt{}}, nil
}

func (c *connection) close() {
	for _, s := range c.prepared {
		s.Close()
	}
	c.Close()
}

// statement compiles one statement, once.
func (c *connection) statement(sql string) (*sqlite3.SQLiteStmt, error) {
	if s := c.prepared[sql]; s != nil {
		return s, nil
	}
	s, err := c.Prepare(sql)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", sql, err)
	}
	c.prepared[sql] = s.(*sqlite3.SQLiteStmt)
	return c.prepared[sql], nil
}

// exec runs one statement. Of the values it takes as many as it has places for.
func (c *connection) exec(sql string, values ...driver.Value) error {
	s, err := c.statement(sql)
	if err != nil {
		return err
	}
	if _, err = s.Exec(values[:min(len(values), s.NumInput())]); err != nil {
		return fmt.Errorf("%s: %w", sql, err)
	}
	return nil
}

// rows reads all rows of a query. The values are valid until the next row.
func (c *connection) rows(sql string, each func(row []driver.Value), values ...driver.Value) error {
	s, err := c.statement(sql)
	if err != nil {
		return err
	}
	r, err := s.Query(values)
	if err != nil {
		return fmt.Errorf("%s: %w", sql, err)
	}
	defer r.Close()
	row := make([]driver.Value, len(r.Columns()))
	for {
		switch err := r.Next(row); {
		case err == io.EOF:
			return nil
		case err != nil:
			return fmt.Errorf("%s: %w", sql, err)
		}
		each(row)
	}
}

// number is the one number that a query yields.
func (c *connection) number(sql string, values ...driver.Value) (n int64, err error) {
	err = c.rows(sql, func(row []driver.Value) { n, _ = row[0].(int64) }, values...)
	return n, err
}

// answer is what a query yields, for people: columns joined by "|", rows by ", ".
func (c *connection) answer(sql string) (string, error) {
	var rows []string
	err := c.rows(sql, func(row []driver.Value) {
		cells := make([]string, len(row))
		for i, v := range row {
			switch v := v.(type) {
			case nil:
				cells[i] = "NULL"
			case []byte:
				cells[i] = string(v)
			default:
				cells[i] = fmt.Sprint(v)
			}
		}
		rows = append(rows, strings.Join(cells, "|"))
	})
	return strings.Join(rows, ", "), err
}

// typed is a value by storage class and bytes, so that 1, 1.0, '1' and x'31' are four values.
func typed(b []byte, v driver.Value) []byte {
	switch v := v.(type) {
	case nil:
		return append(b, 'n')
	case int64:
		return strconv.AppendInt(append(b, 'i'), v, 10)
	case float64:
		return strconv.AppendUint(append(b, 'r'), math.Float64bits(v), 16)
	case string:
		return strconv.AppendQuote(append(b, 't'), v)
	case []byte:
		return strconv.AppendQuote(append(b, 'b'), string(v))
	}
	panic(fmt.Sprintf("a value of type %T", v)) // the schemas have no column whose type makes the driver convert
}

// refused reports whether a constraint of the schema kept a statement from being carried out.
func refused(err error) bool {
	var e sqlite3.Error
	return errors.As(err, &e) && e.Code == sqlite3.ErrConstraint
}

// statements splits a text into its statements, at semicolons outside quotes, and turns "#"
// outside quotes into the parameter that counts how many times the text has run.
func statements(text string) []string {
	var all []string
	var b strings.Builder
	quote := rune(0)
	for _, r := range text {
		switch {
		case quote != 0:
			if r == quote {
				quote = 0
			}
		case r == '\'' || r == '"' || r == '`':
			quote = r
		case r == '#':
			b.WriteString("?1")
			continue
		case r == ';':
			all = append(all, b.String())
			b.Reset()
			continue
		}
		b.WriteRune(r)
	}
	all = append(all, b.String())
	kept := all[:0]
	for _, s := range all {
		if s = strings.TrimSpace(s); s != "" {
			kept = append(kept, s)
		}
	}
	return kept
}

// column is one column of a table as the judge sees it.
type column struct {
	name    string
	key     bool
	nocase  bool // of the key: who differs only in upper and lower case is the same row
	counter bool
}

// relation is a table as the judge sees it, read from the file and not from ravno.
type relation struct {
	name      string
	columns   []column
	rowidKey  bool // INTEGER PRIMARY KEY
	numbered  bool // and of its own, no reference: a row can get another
	journal   bool
	noColumns bool // all of it is key
	quoted    string
}

// relations reads the tables that sync, and the journals.
func (c *connection) relations(settings []store.Setting) (all []*relation, err error) {
	var names []string
	if err := c.rows(`SELECT name FROM sqlite_master WHERE type='table' AND name NOT LIKE 'ravno\_%' ESCAPE '\' AND name
		NOT LIKE 'sqlite\_%' ESCAPE '\' ORDER BY name`,
		func(row []driver.Value) { names = append(names, row[0].(string)) }); err != nil {
		return nil, err
	}
	for _, name := range names {
		r := &relation{name: name, quoted: quoted(name), noColumns: true}
		var set store.Setting
		for _, s := range settings {
			if strings.EqualFold(s.Table, name) {
				set = s
			}
		}
		if set.Class == store.Local {
			continue
		}
		r.journal = set.Class == store.Journal
		keys := 0
		err := c.rows("SELECT name, pk, upper(type) FROM pragma_table_xinfo(?1) WHERE hidden=0 ORDER BY cid",
			func(row []driver.Value) {
				col := column{name: row[0].(string), key: row[1].(int64) > 0}
				for _, counter := range set.Counters {
					col.counter = col.counter || strings.EqualFold(counter, col.name)
				}
				if col.key {
					keys++
					r.rowidKey = row[2].(string) == "INTEGER"
				} else {
					r.noColumns = false
				}
				r.columns = append(r.columns, col)
			}, name)
		if err != nil {
			return nil, err
		}
		r.rowidKey = r.rowidKey && keys == 1
		err = c.rows("SELECT x.name FROM pragma_index_list(?1) l, pragma_index_xinfo(l.name) x WHERE l.origin='pk' AND "+
			"x.key AND upper(x.coll)='NOCASE'", func(row []driver.Value) {
			for i := range r.columns {
				r.columns[i].nocase = r.columns[i].nocase || r.columns[i].name == row[0].(string)
			}
		}, name)
		if err != nil {
			return nil, err
		}
		referring, err := c.number(`SELECT count(*) FROM pragma_foreign_key_list(?1) f JOIN pragma_table_xinfo(?1)
			x ON lower(f."from")=lower(x.name) WHERE x.pk>0`, name)
		if err != nil {
			return nil, err
		}
		r.numbered = r.rowidKey && referring == 0
		all = append(all, r)
	}
	return all, nil
}

func quoted(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// scratchDir is where cases keep their files: in memory where there is such a place.
func scratchDir() (string, error) {
	base := "/dev/shm"
	if info, err := os.Stat(base); err != nil || !info.IsDir() {
		base = os.TempDir()
	}
	dir, err := os.MkdirTemp(base, "ravno-sim-*")
	if err != nil {
		dir, err = os.MkdirTemp("", "ravno-sim-*")
	}
	return dir, err
}
