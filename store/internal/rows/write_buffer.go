package rows

import (
	"strings"

	"ravno/crdt"
	"ravno/store/internal/catalog"
	"ravno/store/internal/sqlite"
)

// writeRun is how many rows of ravno's own tables one statement writes: rows in the order of
// their keys go into the tree side by side, which within one statement needs no way down from
// its root. More than this gains nothing.
const writeRun = 16

// writeBytes is how many bytes of rows wait at the most: values may be large.
const writeBytes = 64 << 10

// written is what a transaction writes many rows at a time: shadows, and records of who changed what.
type written struct {
	gathers  bool        // rows wait until there are several; else each is written at once
	shadows  writeBuffer // of one table
	of       *catalog.Table
	recorded writeBuffer // change records
}

// Gather runs f, which goes through so many rows of one table after the other, and lets it write shadows
// and change records many at a time.
func (tx *Tx) Gather(rows int, f func() error) error {
	tx.written.gathers = true
	err := tx.InOrder(rows, f)
	tx.written.gathers = false
	if err != nil {
		return err
	}
	return tx.Flush()
}

// Flush writes what waits to be written.
func (tx *Tx) Flush() error {
	if err := tx.written.recorded.flush(tx.SQL); err != nil {
		return err
	}
	return tx.written.shadows.flush(tx.SQL)
}

// write writes a row, or lets it wait for those that are written next.
func (w *written) write(c *sqlite.Conn, b *writeBuffer, values ...crdt.Value) error {
	if !w.gathers {
		return c.Exec(b.insert, values...)
	}
	return b.add(c, values)
}

// shadowsInto says that the next shadows are of a table: those of one go into one statement.
func (w *written) shadowsInto(c *sqlite.Conn, t *catalog.Table) error {
	if w.of == t {
		return nil
	}
	err := w.shadows.flush(c)
	w.of = t
	w.shadows.into(t.Sql.WriteShadow)
	return err
}

// landShadow writes a shadow that waits to be written.
func (w *written) landShadow(c *sqlite.Conn, t *catalog.Table, stored crdt.Value) error {
	if w.of == t && w.shadows.holds(stored) {
		return w.shadows.flush(c)
	}
	return nil
}

// landShadows writes the shadows of a table that wait, from a key on.
func (w *written) landShadows(c *sqlite.Conn, t *catalog.Table, from crdt.Value) error {
	if w.of != t {
		return nil
	}
	return w.shadows.flushFrom(c, from)
}

// writeBuffer are rows of one table on their way into it.
type writeBuffer struct {
	insert string       // what writes one of them
	full   string       // what writes writeRun of them; empty: not made yet
	width  int          // how many values each has, the one it is looked up by first
	values []crdt.Value // of all, one row after the other
	bytes  int          // of them
}

// into says what writes a row, now that none is on its way.
func (b *writeBuffer) into(insert string) {
	if b.insert != insert {
		b.insert, b.full = insert, ""
	}
}

func (b *writeBuffer) add(c *sqlite.Conn, values []crdt.Value) error {
	b.width = len(values)
	b.values = append(b.values, values...)
	for _, v := range values {
		b.bytes += len(v.Bytes())
	}
	if len(b.values) < writeRun*b.width && b.bytes < writeBytes {
		return nil
	}
	return b.flush(c)
}

// holds reports whether a row that is looked up by a value is on its way.
func (b *writeBuffer) holds(by crdt.Value) bool {
	for i := 0; i < len(b.values); i += b.width {
		if b.values[i] == by {
			return true
		}
	}
	return false
}

// flushFrom is flush if a row is on its way that is looked up by a value, or by one after it.
func (b *writeBuffer) flushFrom(c *sqlite.Conn, from crdt.Value) error {
	for i := 0; i < len(b.values); i += b.width {
		if catalog.CompareKeys(b.values[i], from) >= 0 {
			return b.flush(c)
		}
	}
	return nil
}

func (b *writeBuffer) flush(c *sqlite.Conn) error {
	if len(b.values) == 0 {
		return nil
	}
	rows := len(b.values) / b.width
	sql := b.insert
	if rows == writeRun && b.full != "" {
		sql = b.full
	} else if rows > 1 {
		sql += strings.Repeat(",(?"+strings.Repeat(",?", b.width-1)+")", rows-1)
	}
	if rows == writeRun {
		b.full = sql
	}
	err := c.Exec(sql, b.values...)
	b.values, b.bytes = b.values[:0], 0
	return err
}
