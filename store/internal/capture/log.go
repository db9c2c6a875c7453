package capture

import (
	"fmt"
	"strings"

	"ravno/crdt"
	"ravno/store/internal/sqlite"
)

// The log, one row for each entry, in the order of the writes:
//
//	id        integer, ascending; the highest entry is never removed, so none is used twice
//	t         integer: the table's number
//	m         what was seen: an Op below zero, or the mask of changed columns. Column n is bit
//	          n of an integer; a table with numbers of 62 and more writes a text of decimal
//	          groups of 62 columns, "g0,g1,...": column n is bit n%62 of group n/62
//	ms        integer: the writer's wall clock in Unix milliseconds
//	k1..kN    the key as stored; NULL beyond the table's own width
//	p1..pM    the reference to the parent before the write, likewise; NULL for an Insert
//
// Only id has a type: the others keep every value's storage class and bytes.
const logTable = "ravno_log"

// Op is what an entry says was seen.
type Op int8

// The kinds of entries. The numbers below zero are those of column m.
const (
	Update Op = 0  // Columns of the row changed
	Insert Op = -1 // a row was inserted under this key, or came to it by an update
	Delete Op = -2 // the row was deleted
	Look   Op = -3 // the row may have been replaced, or an update took it to another key
)

// String names the kind.
func (o Op) String() string {
	switch o {
	case Update:
		return "update"
	case Insert:
		return "insert"
	case Delete:
		return "delete"
	case Look:
		return "look"
	}
	return fmt.Sprintf("op %d", int8(o))
}

// Entry is one entry of the log. Key and Parent are as stored, not canonical, and only
// valid until the function they were passed to returns.
type Entry struct {
	ID      int64
	Table   int64 // Spec.Number
	Millis  int64 // the writer's wall clock, Unix milliseconds
	Op      Op
	Columns ColumnSet // of an Update
	Key     []crdt.Value
	Parent  []crdt.Value // the parent before the write; nil for an Insert and for a root
}

// LogWidth is the width of the log that is there; zero if there is none.
func LogWidth(c *sqlite.Conn) (Width, error) {
	var w Width
	err := c.Rows("SELECT name FROM pragma_table_info(?, 'main')", []crdt.Value{crdt.TextValue(logTable)},
		func(row []crdt.Value) error {
			switch name := row[0].Bytes(); {
			case strings.HasPrefix(name, "k"):
				w.Key++
			case strings.HasPrefix(name, "p"):
				w.Parent++
			}
			return nil
		})
	return w, err
}

// columns are the names of the log's columns for keys and parents, each after a prefix.
func (w Width) columns(prefix string) string {
	var b strings.Builder
	for i := range w.Key {
		fmt.Fprintf(&b, ", %sk%d", prefix, i+1)
	}
	for i := range w.Parent {
		fmt.Fprintf(&b, ", %sp%d", prefix, i+1)
	}
	return b.String()
}

// ensureLog makes the log, or makes it wider. ALTER TABLE fails on any table while a view
// calls a function only the application has, so a wider one is made by copying the entries
// out, dropping the table and copying them back under their ids.
func ensureLog(c *sqlite.Conn, need Width) error {
	have, err := LogWidth(c)
	if err != nil || have.Key >= need.Key && have.Parent >= need.Parent {
		return err
	}
	wide := Width{Key: max(have.Key, need.Key), Parent: max(have.Parent, need.Parent)}
	create := "CREATE TABLE main." + logTable + "(id INTEGER PRIMARY KEY, t, m, ms" + wide.columns("") + ")"
	if have.Key == 0 {
		return c.Exec(create)
	}
	columns := "id, t, m, ms" + have.columns("")
	for _, statement := range []string{
		"CREATE TEMP TABLE ravno_log_kept(" + columns + ")",
		"INSERT INTO temp.ravno_log_kept SELECT " + columns + " FROM main." + logTable,
		"DROP TABLE main." + logTable,
		create,
		"INSERT INTO main." + logTable + "(" + columns + ") SELECT " + columns + " FROM temp.ravno_log_kept ORDER BY id",
		"DROP TABLE temp.ravno_log_kept",
	} {
		if err := c.Exec(statement); err != nil {
			return err
		}
	}
	return nil
}

// Last is the id of the newest entry, and when it was written, in Unix milliseconds; zero if there
// has never been one.
func Last(c *sqlite.Conn) (id, millis int64, err error) {
	row, err := c.First("SELECT id, ms FROM main." + logTable + " ORDER BY id DESC LIMIT 1")
	if err != nil || row == nil {
		return 0, 0, err
	}
	return row[0].Int(), row[1].Int(), nil
}

// Removals reports whether rows were deleted, or may have been replaced, in the entries above after.
// What the entries before say of such a row can only be told together with its end.
func Removals(c *sqlite.Conn, after int64) (bool, error) {
	some, err := c.Int("SELECT EXISTS(SELECT 1 FROM main."+logTable+" WHERE id > ? AND m IN (?, ?))",
		crdt.IntegerValue(after), crdt.IntegerValue(int64(Delete)), crdt.IntegerValue(int64(Look)))
	return some != 0, err
}

// Cut says up to which entry to read if one reads about limit of those above after: where the clock
// moved most between two entries, among the last half of the limit, because that is where a
// transaction is least likely to be cut in two.
func Cut(c *sqlite.Conn, after int64, limit int) (upTo int64, err error) {
	last, _, err := Last(c)
	if err != nil || last-after <= int64(limit) {
		return last, err
	}
	read, before, moved, widest := 0, int64(0), int64(0), int64(-1)
	err = c.Rows("SELECT id, ms FROM main."+logTable+" WHERE id > ? ORDER BY id LIMIT ?",
		[]crdt.Value{crdt.IntegerValue(after + int64(limit/2)), crdt.IntegerValue(int64(limit-limit/2) + 1)},
		func(row []crdt.Value) error {
			id, ms := row[0].Int(), row[1].Int()
			if gap := max(ms-moved, 0); read > 0 && gap >= widest {
				upTo, widest = before, gap
			}
			read++
			before, moved = id, ms
			return nil
		})
	if err == nil && upTo == 0 {
		upTo = last
	}
	return upTo, err
}

// Read calls each with every entry whose id is above after and not above upTo, in order, of a log
// that is so wide. widths are those of the captured tables by number; an entry of any other table comes with
// all its columns. An error from each ends the reading and is returned.
func Read(c *sqlite.Conn, wide Width, after, upTo int64, widths map[int64]Width, each func(Entry) error) error {
	for number, w := range widths {
		if w.Key > wide.Key || w.Parent > wide.Parent {
			return fmt.Errorf("capture: the log of %s is too narrow for table %d: install the triggers again", c.Path(), number)
		}
	}
	const fixed = 4 // id, t, m, ms
	return c.Rows("SELECT id, t, m, ms"+wide.columns("")+" FROM main."+logTable+" WHERE id > ? AND id <= ? ORDER BY id",
		[]crdt.Value{crdt.IntegerValue(after), crdt.IntegerValue(upTo)}, func(row []crdt.Value) error {
			e := Entry{ID: row[0].Int(), Table: row[1].Int(), Millis: row[3].Int()}
			if err := e.meaning(row[2]); err != nil {
				return fmt.Errorf("capture: %s, log entry %d: %w", c.Path(), e.ID, err)
			}
			w, known := widths[e.Table]
			if !known {
				w = wide
			}
			e.Key = row[fixed : fixed+w.Key : fixed+w.Key]
			if from := fixed + wide.Key; w.Parent > 0 && e.Op != Insert {
				e.Parent = row[from : from+w.Parent : from+w.Parent]
			}
			return each(e)
		})
}

// meaning decodes column m.
func (e *Entry) meaning(m crdt.Value) (err error) {
	switch n := m.Int(); {
	case m.Kind() == crdt.Text:
		e.Columns, err = parseColumns(m.Bytes())
	case m.Kind() != crdt.Integer || n < int64(Look) || n >= 1<<groupBits:
		return fmt.Errorf("%v is neither a kind of entry nor a mask of columns", m)
	case n < 0:
		e.Op = Op(n)
	default:
		e.Columns = ColumnSet{first: uint64(n)}
	}
	return err
}

// Append writes an entry for a write of ravno's own, which is made with triggers off.
func Append(c *sqlite.Conn, number int64, op Op, columns ColumnSet, millis int64, key []crdt.Value) error {
	m := crdt.IntegerValue(int64(op))
	if op == Update {
		m = columns.value()
	}
	args := append([]crdt.Value{crdt.IntegerValue(number), m, crdt.IntegerValue(millis)}, key...)
	return c.Exec("INSERT INTO main."+logTable+"(t, m, ms"+Width{Key: len(key)}.columns("")+") VALUES(?"+
		strings.Repeat(", ?", len(args)-1)+")", args...)
}

// TrimSome is Trim for a long log: it removes the first of those entries, at most so many, and reports
// whether there may be more.
func TrimSome(c *sqlite.Conn, upTo int64, limit int) (more bool, err error) {
	first, err := c.Int("SELECT min(id) FROM main." + logTable)
	if err != nil {
		return false, err
	}
	some := min(upTo, first+int64(limit)-1)
	return some < upTo, Trim(c, some)
}

// Trim removes the entries up to and including upTo, except the one with the highest id:
// SQLite numbers on from the highest row there is, and ids are positions that others keep.
func Trim(c *sqlite.Conn, upTo int64) error {
	return c.Exec("DELETE FROM main."+logTable+" WHERE id <= ? AND id < (SELECT max(id) FROM main."+logTable+")",
		crdt.IntegerValue(upTo))
}

// Unfolded is how many entries of the log come after one.
func Unfolded(c *sqlite.Conn, folded int64) (entries int64, err error) {
	last, _, err := Last(c)
	return last - folded, err
}
