package rows

import (
	"strings"

	"ravno/crdt"
	"ravno/store/internal/sqlite"
)

// WriteRun is how many rows of ravno's own tables one statement writes: rows in the order of
// their keys go into the tree side by side, which within one statement needs no way down from
// its root. More than this gains nothing.
const WriteRun = 16

// writeBytes is how many bytes of rows wait at the most: values may be large.
const writeBytes = 64 << 10

// unwritten are rows of one table on their way into it.
type unwritten struct {
	insert string       // what writes one of them
	full   string       // what writes writeRun of them; empty: not made yet
	width  int          // how many values each has, the one it is looked up by first
	values []crdt.Value // of all, one row after the other
	bytes  int          // of them
}

// Into says what writes a row, now that none is on its way.
func (u *unwritten) Into(insert string) {
	if u.insert != insert {
		u.insert, u.full = insert, ""
	}
}

// WriteOwn writes a row of ravno's own, or gathers it with those that are written next.
func (tx *Tx) WriteOwn(u *unwritten, values ...crdt.Value) error {
	if !tx.gathers {
		return tx.C.Exec(u.insert, values...)
	}
	u.width = len(values)
	u.values = append(u.values, values...)
	for _, v := range values {
		u.bytes += len(v.Bytes())
	}
	if len(u.values) < WriteRun*u.width && u.bytes < writeBytes {
		return nil
	}
	return u.flush(tx.C)
}

// Holds reports whether a row that is looked up by a value is on its way.
func (u *unwritten) Holds(by crdt.Value) bool {
	for i := 0; i < len(u.values); i += u.width {
		if u.values[i] == by {
			return true
		}
	}
	return false
}

// flushFrom is flush if a row is on its way that is looked up by a value, or by one after it.
func (u *unwritten) flushFrom(c *sqlite.Conn, from crdt.Value) error {
	for i := 0; i < len(u.values); i += u.width {
		if CompareKeys(u.values[i], from) >= 0 {
			return u.flush(c)
		}
	}
	return nil
}

func (u *unwritten) flush(c *sqlite.Conn) error {
	if len(u.values) == 0 {
		return nil
	}
	rows := len(u.values) / u.width
	sql := u.insert
	if rows == WriteRun && u.full != "" {
		sql = u.full
	} else if rows > 1 {
		sql += strings.Repeat(",(?"+strings.Repeat(",?", u.width-1)+")", rows-1)
	}
	if rows == WriteRun {
		u.full = sql
	}
	err := c.Exec(sql, u.values...)
	u.values, u.bytes = u.values[:0], 0
	return err
}
