package store

import (
	"fmt"
	"strings"

	"ravno/crdt"
)

// What the hub's own application deletes is kept until the next fold, and then as remains:
// a node may have edited the row, or refer to it, without knowing, and then the hub brings
// it back. Rows that a node deletes need no such place, because the hub has them until it
// hears; only where the log cannot tell what a row was is it kept there too: what its counters
// last said, and the unique values by which others refer to it.

// goneColumns are the columns of the table that takes deleted rows: by number, so that
// they stay when a column goes and comes back.
func (t *table) goneColumns() []string {
	names := make([]string, len(t.numbers))
	for i, number := range t.numbers {
		names[i] = fmt.Sprintf("c%d", number)
	}
	return names
}

func (tx *transaction) installGone(t *table) error {
	present := map[string]bool{}
	err := tx.c.Rows("SELECT name FROM pragma_table_info(?)", []crdt.Value{text(strings.Trim(t.gone, `"`))}, func(row []crdt.Value) error {
		present[row[0].Bytes()] = true
		return nil
	})
	if err != nil {
		return err
	}
	if len(present) == 0 { // no types: values stay as they were
		return tx.c.Exec("CREATE TABLE " + t.gone + "(" + strings.Join(t.goneColumns(), ", ") + ")")
	}
	for _, name := range t.goneColumns() {
		if !present[name] {
			if err := tx.c.Exec("ALTER TABLE " + t.gone + " ADD COLUMN " + name); err != nil {
				return err
			}
		}
	}
	return nil
}

// gone is the values of a row the application here deleted or replaced since the last fold;
// nil where they were not kept. Of several under one key reborn asks for the first, which was
// the row that others knew: what came and went after it nobody else ever saw.
func (tx *transaction) gone(t *table, key crdt.Key, reborn bool) (*image, error) {
	if t.gone == "" {
		return nil, nil
	}
	taken, ok := tx.deleted[t]
	if !ok {
		var err error
		if taken, err = tx.readGone(t); err != nil {
			return nil, err
		}
		if tx.deleted == nil {
			tx.deleted = map[*table]map[crdt.Key]goneRow{}
		}
		tx.deleted[t] = taken
	}
	if reborn {
		return taken[key].first, nil
	}
	return taken[key].last, nil
}

// goneRow is what a key held when it was first and last deleted since the last fold.
type goneRow struct{ first, last *image }

func (tx *transaction) readGone(t *table) (map[crdt.Key]goneRow, error) {
	taken := map[crdt.Key]goneRow{}
	err := tx.c.Rows("SELECT "+strings.Join(t.goneColumns(), ", ")+" FROM "+t.gone+" ORDER BY rowid", nil, func(values []crdt.Value) error {
		m, stored := newImage(len(values)), make([]crdt.Value, len(t.Key))
		for i, v := range values {
			m.set(crdt.Column(t.numbers[i]), v)
		}
		for i, k := range t.Key {
			stored[i] = values[k]
		}
		key, err := t.CanonicalKey(stored)
		if err != nil {
			return nil
		}
		kept := taken[key]
		if kept.first == nil {
			kept.first = m
		}
		kept.last = m
		taken[key] = kept
		return nil
	})
	return taken, err
}

// forgetGone removes what gone has read.
func (tx *transaction) forgetGone() error {
	for t, taken := range tx.deleted {
		if len(taken) == 0 {
			continue
		}
		if err := tx.c.Exec("DELETE FROM " + t.gone); err != nil {
			return err
		}
	}
	tx.deleted = nil
	return nil
}
