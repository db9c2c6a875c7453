package catalog

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"ravno/crdt"
	"ravno/store/internal/schema"
	"ravno/store/internal/sqlite"
)

// writeAhead writes the texts that read rows ahead. A table's own rows are, where its key is a
// rowid, or a text that is compared by its bytes.
func (t *Table) writeAhead(utf8 bool) {
	t.Sql.AheadShadows = "SELECT key, row, document, position FROM " + t.Shadow + " WHERE key>=? ORDER BY key LIMIT ?"
	if len(t.Key) != 1 {
		return
	}
	key := t.Columns[t.Key[0]]
	by := sqlite.Quote(key.Name)
	switch {
	case t.RowidKey:
	case utf8 && key.Affinity == schema.TextAffinity && key.Collation == schema.Binary:
		by += " COLLATE BINARY"
	default:
		return
	}
	from := " FROM " + sqlite.Quote(t.Name) + " WHERE " + by + ">=? ORDER BY " + by + " LIMIT ?"
	t.Sql.AheadKeys = "SELECT +" + sqlite.Quote(key.Name) + from
	t.Sql.AheadRows = "SELECT " + sqlite.QuoteAll("+", slices.Concat([]string{key.Name}, t.ColumnNames())) + from
}

// statements are the SQL texts of one table, written once.
type statements struct {
	KeyWhere, Exists, Image, Insert, Remove, ReadShadow, ReadRow, ReadLogged, WriteShadow, Changed, ChangedRow string
	// empty: that tree is not read ahead
	AheadShadows, AheadRows, AheadKeys string
	// or is the clause our own writes to the table need: one that its schema declares, REPLACE
	// say, must not act on them. Elsewhere there is none, because it would override the clauses
	// of statements inside triggers.
	Or string
}

// HasPosition is in every question that the index of positions is to answer: there are no other rows
// in it, and SQLite uses it only where it can see that none is asked for. It is no bound, or SQLite
// might begin there and not at the position in question.
const HasPosition = "position<>0"

// readBoth is the text that reads a row's shadow and some columns of the row itself, by the key of
// the one and the key of the other.
func (t *Table) readBoth(columns []string) string {
	var where []string
	for _, name := range t.KeyNames() {
		where = append(where, "t."+sqlite.Quote(name)+"=?")
	}
	return "SELECT s.row, s.document, s.position, " + sqlite.QuoteAll("+t.", columns) + " FROM (SELECT 1) LEFT JOIN " +
		t.Shadow +
		" s ON s.key=? LEFT JOIN " + sqlite.Quote(t.Name) + " t ON " + strings.Join(where, " AND ")
}

// ReadAll is the text that reads every row: its key, then its columns.
func (t *Table) ReadAll() string {
	return "SELECT " + sqlite.QuoteAll("+", append(t.KeyNames(), t.ColumnNames()...)) + " FROM " + sqlite.Quote(t.Name)
}

// usualKey is how many columns keys have at most that need no memory of their own to be decoded.
const usualKey = 4

// Complete fills in the key columns that the key itself determines, and reports whether
// every column is known.
func (t *Table) Complete(key crdt.Key, m *Values) (bool, error) {
	values, err := key.AppendValues(make([]crdt.Value, 0, usualKey))
	if err != nil || len(values) != len(t.Key) {
		return false, fmt.Errorf("table %s: %w", t.Name, ErrKey)
	}
	for i, k := range t.Key {
		if number := crdt.Column(t.Numbers[k]); !t.Columns[k].Register {
			m.Set(number, values[i])
		}
	}
	for i := range t.Columns {
		if _, known := m.Get(crdt.Column(t.Numbers[i])); !known {
			return false, nil
		}
	}
	return true, nil
}

// Ordered appends the values of an image in the order of the table's columns.
func (t *Table) Ordered(values []crdt.Value, m *Values) []crdt.Value {
	for _, number := range t.Numbers {
		values = append(values, m.Value(crdt.Column(number)))
	}
	return values
}

// ShadowColumns is how many columns of a shadow are read with a row.
const ShadowColumns = 3

// ShadowKey is the key as the shadow table stores it: the rowid itself where there is one.
func (t *Table) ShadowKey(key crdt.Key) (crdt.Value, error) {
	if !t.RowidKey {
		return Blob(key), nil
	}
	values, err := key.AppendValues(make([]crdt.Value, 0, usualKey))
	if err != nil || len(values) != 1 || values[0].Kind() != crdt.Integer {
		return crdt.Value{}, fmt.Errorf("table %s: %w: want one integer", t.Name, ErrKey)
	}
	return values[0], nil
}

// KeyOf turns a key as the shadow table stores it back into a key.
func (t *Table) KeyOf(stored crdt.Value) crdt.Key {
	if t.RowidKey {
		return crdt.NewKey(stored)
	}
	return crdt.Key(stored.Bytes())
}

// keyInShadow is what a row's key is in terms of its shadow, s, as SQL: the rowid, or a text, in
// crdt.NewKey's layout, whose length takes one byte. Of any other it is NULL, or empty if it cannot
// be said of the table at all.
func (t *Table) keyInShadow(utf8 bool) string {
	switch {
	case t.RowidKey:
		return "s.key"
	case len(t.Key) == 1 && t.Columns[t.Key[0]].Affinity == schema.TextAffinity && utf8:
		return fmt.Sprintf(
			"CASE WHEN substr(s.key, 1, 1)=x'%02x' AND length(s.key)<2+128 THEN CAST(substr(s.key, 3) AS TEXT) END",
			byte(crdt.Text))
	}
	return ""
}

// NumberOf is the number of a stored column.
func (t *Table) NumberOf(name string) crdt.Column {
	return crdt.Column(t.Numbers[t.ByName[strings.ToLower(name)]])
}

// Counts reports whether AUTOINCREMENT gives the table's ids here, and others send some too.
func (t *Table) Counts() bool { return t.Autoincrement && t.Class == Synced && !t.Own }

// CompareKeys compares keys as the trees do that are read ahead: integers, or bytes.
func CompareKeys(a, b crdt.Value) int {
	return cmp.Or(cmp.Compare(a.Kind(), b.Kind()), cmp.Compare(a.Int(), b.Int()), strings.Compare(a.Bytes(), b.Bytes()))
}
