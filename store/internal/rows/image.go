package rows

import (
	"slices"
	"strings"

	"ravno/crdt"
	"ravno/store/internal/catalog"
	"ravno/store/internal/sqlite"
)

// ImageState says why a row's values are kept outside its table.
type ImageState string

const (
	ImageNone    ImageState = ""
	ImageTable   ImageState = "table"   // it is in its table
	ImageHeld    ImageState = "held"    // live, but a constraint keeps it out
	ImagePartial ImageState = "partial" // live, but some values are still to come
	ImageRemains ImageState = "remains" // deleted; kept in case an edit was newer
)

// TableImage reads a row from its table; nil if it is not there.
func (tx *Tx) TableImage(t *catalog.Table, key crdt.Key) (*catalog.Values, error) {
	values, err := key.Values()
	if err != nil {
		return nil, err
	}
	row, err := tx.C.First(t.Sql.Image, values...)
	if err != nil || row == nil {
		return nil, err
	}
	m := catalog.NewImage(len(row))
	for i, v := range row {
		m.Set(crdt.Column(t.Numbers[i]), v)
	}
	return m, nil
}

// ReadImage reads what is kept of a row outside its table.
func (tx *Tx) ReadImage(t *catalog.Table, key crdt.Key) (*catalog.Values, ImageState, error) {
	if tx.NoImages {
		return nil, ImageNone, nil
	}
	row, err := tx.C.First("SELECT state, image FROM ravno_image WHERE tab=? AND key=?", catalog.Integer(t.Number), catalog.Blob(key))
	if err != nil || row == nil {
		return nil, ImageNone, err
	}
	m, err := catalog.DecodeImage(row[1])
	return m, ImageState(row[0].Bytes()), err
}

// CountImages counts the rows that are held, and those with values still to come.
func CountImages(c *sqlite.Conn) (held, partial int64, err error) {
	if held, err = c.Int("SELECT count(*) FROM ravno_image WHERE state='held'"); err == nil {
		partial, err = c.Int("SELECT count(*) FROM ravno_image WHERE state='partial'")
	}
	return held, partial, err
}

// Values finds the values of a row, in its table or outside it.
func (tx *Tx) Values(t *catalog.Table, key crdt.Key) (*catalog.Values, ImageState, error) {
	m, err := tx.TableImage(t, key)
	if err != nil || m != nil {
		return m, ImageTable, err
	}
	return tx.ReadImage(t, key)
}

func (tx *Tx) KeepImage(t *catalog.Table, key crdt.Key, state ImageState, m *catalog.Values) error {
	tx.NoImages = false
	return tx.C.Exec("INSERT OR REPLACE INTO ravno_image(tab, key, state, image) VALUES(?,?,?,?)",
		catalog.Integer(t.Number), catalog.Blob(key), catalog.Text(string(state)), m.Encode())
}

func (tx *Tx) DropImage(t *catalog.Table, key crdt.Key) error {
	if tx.NoImages {
		return nil
	}
	return tx.C.Exec("DELETE FROM ravno_image WHERE tab=? AND key=?", catalog.Integer(t.Number), catalog.Blob(key))
}

// InsertImage puts a row into its table. Columns that are not in the image get their
// defaults, as they do from SQLite when a column is added.
func (tx *Tx) InsertImage(t *catalog.Table, m *catalog.Values) error {
	if m.Size() == len(t.Numbers) {
		tx.args = t.Ordered(tx.args[:0], m)
		return tx.Put(t, t.Sql.Insert, tx.args...)
	}
	var names []string // the rest gets its defaults
	var values []crdt.Value
	for i, number := range t.Numbers {
		if v, known := m.Get(crdt.Column(number)); known {
			names, values = append(names, t.Columns[i].Name), append(values, v)
		}
	}
	return tx.Put(t, "INSERT "+t.Sql.Or+"INTO "+sqlite.Quote(t.Name)+"("+sqlite.QuoteAll("", names)+") VALUES("+
		strings.TrimSuffix(strings.Repeat("?,", len(names)), ",")+")", values...)
}

// updating is an UPDATE of some columns of a table: one row after the other has often the same.
type updating struct {
	t       *catalog.Table
	columns []crdt.Column
	sql     string
}

// UpdateImage writes some columns of a row that is in its table.
func (tx *Tx) UpdateImage(t *catalog.Table, key crdt.Key, columns []crdt.Column, m *catalog.Values) error {
	if len(columns) == 0 {
		return nil
	}
	if u := &tx.updating; u.t != t || !slices.Equal(u.columns, columns) {
		names := make([]string, len(columns))
		for i, c := range columns {
			names[i] = t.Columns[t.ByNum[c]].Name
		}
		*u = updating{t, slices.Clone(columns), t.Update(names)}
	}
	values := tx.args[:0]
	for _, c := range columns {
		values = append(values, m.Value(c))
	}
	values, err := key.AppendValues(values)
	if err != nil {
		return err
	}
	tx.args = values
	return tx.Put(t, tx.updating.sql, values...)
}

func (tx *Tx) Remove(t *catalog.Table, key crdt.Key) error {
	values, err := key.Values()
	if err != nil {
		return err
	}
	return tx.Put(t, t.Sql.Remove, values...)
}

func (tx *Tx) Exists(t *catalog.Table, key crdt.Key) (bool, error) {
	values, err := key.Values()
	if err != nil {
		return false, err
	}
	row, err := tx.C.First(t.Sql.Exists, values...)
	return row != nil, err
}
