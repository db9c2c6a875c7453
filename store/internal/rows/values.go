package rows

import (
	"slices"
	"strings"

	"ravno/crdt"
	"ravno/store/internal/catalog"
	"ravno/store/internal/sqlite"
)

// ReadTable reads a row from its table; nil if it is not there.
func (tx *Tx) ReadTable(t *catalog.Table, key crdt.Key) (*catalog.Values, error) {
	values, err := key.Values()
	if err != nil {
		return nil, err
	}
	row, err := tx.SQL.First(t.Sql.Image, values...)
	if err != nil || row == nil {
		return nil, err
	}
	m := catalog.NewValues(len(row))
	for i, v := range row {
		m.Set(crdt.Column(t.Numbers[i]), v)
	}
	return m, nil
}

// ReadKept reads what is kept of a row outside its table.
func (tx *Tx) ReadKept(t *catalog.Table, key crdt.Key) (*catalog.Values, catalog.Whereabouts, error) {
	if tx.noneKept() {
		return nil, catalog.Nowhere, nil
	}
	row, err := tx.SQL.First("SELECT state, image FROM ravno_image WHERE tab=? AND key=?", catalog.Integer(t.Number),
		catalog.Blob(key))
	if err != nil || row == nil {
		return nil, catalog.Nowhere, err
	}
	m, err := catalog.DecodeValues(row[1])
	return m, catalog.Whereabouts(row[0].Bytes()), err
}

// noneKept reports whether no row's values are kept outside its table.
func (tx *Tx) noneKept() bool {
	none, err := tx.Empty("ravno_image")
	return none && err == nil // what the next statement cannot read, it says itself
}

// SomeHeld reports whether a row is held.
func (tx *Tx) SomeHeld() (bool, error) {
	if tx.noneKept() {
		return false, nil
	}
	n, err := tx.SQL.Int("SELECT EXISTS(SELECT 1 FROM ravno_image WHERE state='held')")
	return n != 0, err
}

// EachKept goes through the rows whose values are kept outside their table, by table and key. t: of one
// table; nil: of all.
func (tx *Tx) EachKept(t *catalog.Table, f func(row catalog.Reference, values *catalog.Values) error,
	where ...catalog.Whereabouts) error {
	if tx.noneKept() {
		return nil
	}
	sql, args := "SELECT tab, key, image FROM ravno_image WHERE state IN (?"+strings.Repeat(",?", len(where)-1)+")",
		make([]crdt.Value, len(where))
	for i, w := range where {
		args[i] = catalog.Text(string(w))
	}
	if t != nil {
		sql, args = sql+" AND tab=?", append(args, catalog.Integer(t.Number))
	}
	return tx.SQL.Rows(sql+" ORDER BY tab, key", args, func(row []crdt.Value) error {
		values, err := catalog.DecodeValues(row[2])
		if err != nil {
			return err
		}
		return f(catalog.Reference{Tab: row[0].Int(), Key: crdt.Key(row[1].Bytes())}, values)
	})
}

func (tx *Tx) Keep(t *catalog.Table, key crdt.Key, state catalog.Whereabouts, m *catalog.Values) error {
	tx.filled("ravno_image", true)
	return tx.SQL.Exec("INSERT OR REPLACE INTO ravno_image(tab, key, state, image) VALUES(?,?,?,?)",
		catalog.Integer(t.Number), catalog.Blob(key), catalog.Text(string(state)), m.Encode())
}

func (tx *Tx) Drop(t *catalog.Table, key crdt.Key) error {
	if tx.noneKept() {
		return nil
	}
	return tx.SQL.Exec("DELETE FROM ravno_image WHERE tab=? AND key=?", catalog.Integer(t.Number), catalog.Blob(key))
}

// Insert puts a row into its table. Columns that are not in the image get their
// defaults, as they do from SQLite when a column is added.
func (tx *Tx) Insert(t *catalog.Table, m *catalog.Values) error {
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

// Update writes some columns of a row that is in its table.
func (tx *Tx) Update(t *catalog.Table, key crdt.Key, columns []crdt.Column, m *catalog.Values) error {
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

// EachRow goes through every row that syncs: its columns in the order of their names, so that servers whose
// columns were added in another order agree.
func (tx *Tx) EachRow(t *catalog.Table, each func(key crdt.Key, values []crdt.Value) error) error {
	names := slices.Sorted(slices.Values(t.ColumnNames()))
	stored := make([]crdt.Value, len(t.Key))
	return tx.SQL.Rows("SELECT "+sqlite.QuoteAll("+", append(t.KeyNames(), names...))+" FROM "+sqlite.Quote(t.Name), nil,
		func(row []crdt.Value) error {
			copy(stored, row)
			key, err := t.CanonicalKey(stored)
			if err != nil {
				return nil // a row that cannot sync is not compared
			}
			return each(key, row[len(stored):])
		})
}
