package store

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"iter"
	"slices"
	"strings"

	"ravno/crdt"
	"ravno/store/internal/sqlite"
)

// image is the values of a row, by column number. A column that is missing is not known. A nil
// image is of no row at all.
type image struct {
	cells []columnValue // by column, ascending: a row has few columns, and a map costs more than its search
}

// columnValue is the value of one column.
type columnValue struct {
	column crdt.Column
	value  crdt.Value
}

// newImage is an image with nothing in it yet, and with room for so many columns.
func newImage(columns int) *image { return &image{cells: make([]columnValue, 0, columns)} }

// find is where a column is among the cells, or belongs.
func (m *image) find(column crdt.Column) (at int, known bool) {
	if m == nil {
		return 0, false
	}
	last := len(m.cells) - 1
	if last < 0 || m.cells[last].column < column {
		return last + 1, false // as when the columns of a table are taken in one after the other
	}
	if likely := int(column) - int(m.cells[0].column); likely >= 0 && likely <= last && m.cells[likely].column == column {
		return likely, true // as in every whole row of a table that has lost no columns
	}
	return slices.BinarySearchFunc(m.cells, column, func(c columnValue, column crdt.Column) int { return cmp.Compare(c.column, column) })
}

// get is the value of a column, where it is known.
func (m *image) get(column crdt.Column) (v crdt.Value, known bool) {
	at, known := m.find(column)
	if !known {
		return crdt.Value{}, false
	}
	return m.cells[at].value, true
}

// value is the value of a column; of one that is not known, NULL.
func (m *image) value(column crdt.Column) crdt.Value {
	v, _ := m.get(column)
	return v
}

func (m *image) set(column crdt.Column, v crdt.Value) {
	switch at, known := m.find(column); {
	case known:
		m.cells[at].value = v
	case at == len(m.cells):
		m.cells = append(m.cells, columnValue{column, v})
	default:
		m.cells = slices.Insert(m.cells, at, columnValue{column, v})
	}
}

func (m *image) forget(column crdt.Column) {
	if at, known := m.find(column); known {
		m.cells = slices.Delete(m.cells, at, at+1)
	}
}

// size is how many columns are known.
func (m *image) size() int {
	if m == nil {
		return 0
	}
	return len(m.cells)
}

// all are the columns that are known with their values, in the order of the columns.
func (m *image) all() iter.Seq2[crdt.Column, crdt.Value] {
	return func(yield func(crdt.Column, crdt.Value) bool) {
		if m == nil {
			return
		}
		for _, c := range m.cells {
			if !yield(c.column, c.value) {
				return
			}
		}
	}
}

// columns are those that are known.
func (m *image) columns() []crdt.Column {
	columns := make([]crdt.Column, m.size())
	for i := range columns {
		columns[i] = m.cells[i].column
	}
	return columns
}

// clone is a copy; of nil, nil.
func (m *image) clone() *image {
	if m == nil {
		return nil
	}
	return &image{cells: slices.Clone(m.cells)}
}

// imageState says why a row's values are kept outside its table.
type imageState string

const (
	imageNone    imageState = ""
	imageTable   imageState = "table"   // it is in its table
	imageHeld    imageState = "held"    // live, but a constraint keeps it out
	imagePartial imageState = "partial" // live, but some values are still to come
	imageRemains imageState = "remains" // deleted; kept in case an edit was newer
)

// encode packs an image: per column its number as an unsigned varint, then the length and
// bytes of its value in key encoding.
func (m *image) encode() crdt.Value {
	var b []byte
	for column, v := range m.all() {
		b = binary.AppendUvarint(b, uint64(column))
		value := crdt.NewKey(v)
		b = binary.AppendUvarint(b, uint64(len(value)))
		b = append(b, value...)
	}
	return crdt.BlobValue(string(b))
}

func decodeImage(v crdt.Value) (*image, error) {
	b := []byte(v.Bytes())
	m := newImage(0)
	for len(b) > 0 {
		column, used := binary.Uvarint(b)
		if used <= 0 {
			return nil, fmt.Errorf("malformed image of a row")
		}
		b = b[used:]
		size, used := binary.Uvarint(b)
		if used <= 0 || size > uint64(len(b)-used) {
			return nil, fmt.Errorf("malformed image of a row")
		}
		values, err := crdt.Key(b[used : used+int(size)]).Values()
		if err != nil || len(values) != 1 {
			return nil, fmt.Errorf("malformed image of a row: %v", err)
		}
		m.set(crdt.Column(column), values[0])
		b = b[used+int(size):]
	}
	return m, nil
}

// tableImage reads a row from its table; nil if it is not there.
func (tx *transaction) tableImage(t *table, key crdt.Key) (*image, error) {
	values, err := key.Values()
	if err != nil {
		return nil, err
	}
	row, err := tx.c.First(t.sql.image, values...)
	if err != nil || row == nil {
		return nil, err
	}
	m := newImage(len(row))
	for i, v := range row {
		m.set(crdt.Column(t.numbers[i]), v)
	}
	return m, nil
}

// readImage reads what is kept of a row outside its table.
func (tx *transaction) readImage(t *table, key crdt.Key) (*image, imageState, error) {
	if tx.noImages {
		return nil, imageNone, nil
	}
	row, err := tx.c.First("SELECT state, image FROM ravno_image WHERE tab=? AND key=?", integer(t.number), blob(key))
	if err != nil || row == nil {
		return nil, imageNone, err
	}
	m, err := decodeImage(row[1])
	return m, imageState(row[0].Bytes()), err
}

// countImages counts the rows that are held, and those with values still to come.
func countImages(c *sqlite.Conn) (held, partial int64, err error) {
	if held, err = c.Int("SELECT count(*) FROM ravno_image WHERE state='held'"); err == nil {
		partial, err = c.Int("SELECT count(*) FROM ravno_image WHERE state='partial'")
	}
	return held, partial, err
}

// values finds the values of a row, in its table or outside it.
func (tx *transaction) values(t *table, key crdt.Key) (*image, imageState, error) {
	m, err := tx.tableImage(t, key)
	if err != nil || m != nil {
		return m, imageTable, err
	}
	return tx.readImage(t, key)
}

func (tx *transaction) keepImage(t *table, key crdt.Key, state imageState, m *image) error {
	tx.noImages = false
	return tx.c.Exec("INSERT OR REPLACE INTO ravno_image(tab, key, state, image) VALUES(?,?,?,?)",
		integer(t.number), blob(key), text(string(state)), m.encode())
}

func (tx *transaction) dropImage(t *table, key crdt.Key) error {
	if tx.noImages {
		return nil
	}
	return tx.c.Exec("DELETE FROM ravno_image WHERE tab=? AND key=?", integer(t.number), blob(key))
}

// usualKey is how many columns keys have at most that need no memory of their own to be decoded.
const usualKey = 4

// complete fills in the key columns that the key itself determines, and reports whether
// every column is known.
func (t *table) complete(key crdt.Key, m *image) (bool, error) {
	values, err := key.AppendValues(make([]crdt.Value, 0, usualKey))
	if err != nil || len(values) != len(t.Key) {
		return false, fmt.Errorf("table %s: %w", t.Name, errKey)
	}
	for i, k := range t.Key {
		if number := crdt.Column(t.numbers[k]); !t.Columns[k].Register {
			m.set(number, values[i])
		}
	}
	for i := range t.Columns {
		if _, known := m.get(crdt.Column(t.numbers[i])); !known {
			return false, nil
		}
	}
	return true, nil
}

// insertImage puts a row into its table. Columns that are not in the image get their
// defaults, as they do from SQLite when a column is added.
func (tx *transaction) insertImage(t *table, m *image) error {
	if m.size() == len(t.numbers) {
		tx.args = t.ordered(tx.args[:0], m)
		return tx.put(t, t.sql.insert, tx.args...)
	}
	var names []string // the rest gets its defaults
	var values []crdt.Value
	for i, number := range t.numbers {
		if v, known := m.get(crdt.Column(number)); known {
			names, values = append(names, t.Columns[i].Name), append(values, v)
		}
	}
	return tx.put(t, "INSERT "+t.sql.or+"INTO "+sqlite.Quote(t.Name)+"("+sqlite.QuoteAll("", names)+") VALUES("+
		strings.TrimSuffix(strings.Repeat("?,", len(names)), ",")+")", values...)
}

// ordered appends the values of an image in the order of the table's columns.
func (t *table) ordered(values []crdt.Value, m *image) []crdt.Value {
	for _, number := range t.numbers {
		values = append(values, m.value(crdt.Column(number)))
	}
	return values
}

// updating is an UPDATE of some columns of a table: one row after the other has often the same.
type updating struct {
	t       *table
	columns []crdt.Column
	sql     string
}

// updateImage writes some columns of a row that is in its table.
func (tx *transaction) updateImage(t *table, key crdt.Key, columns []crdt.Column, m *image) error {
	if len(columns) == 0 {
		return nil
	}
	if u := &tx.updating; u.t != t || !slices.Equal(u.columns, columns) {
		names := make([]string, len(columns))
		for i, c := range columns {
			names[i] = t.Columns[t.byNum[c]].Name
		}
		*u = updating{t, slices.Clone(columns), t.update(names)}
	}
	values := tx.args[:0]
	for _, c := range columns {
		values = append(values, m.value(c))
	}
	values, err := key.AppendValues(values)
	if err != nil {
		return err
	}
	tx.args = values
	return tx.put(t, tx.updating.sql, values...)
}

// update is the text of an UPDATE of some columns by key.
func (t *table) update(names []string) string {
	set := ""
	for i, name := range names {
		if i > 0 {
			set += ", "
		}
		set += sqlite.Quote(name) + "=?"
	}
	return "UPDATE " + t.sql.or + sqlite.Quote(t.Name) + " SET " + set + " WHERE " + t.sql.keyWhere
}

func (tx *transaction) remove(t *table, key crdt.Key) error {
	values, err := key.Values()
	if err != nil {
		return err
	}
	return tx.put(t, t.sql.remove, values...)
}

func (tx *transaction) exists(t *table, key crdt.Key) (bool, error) {
	values, err := key.Values()
	if err != nil {
		return false, err
	}
	row, err := tx.c.First(t.sql.exists, values...)
	return row != nil, err
}
