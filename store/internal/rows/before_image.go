package rows

import (
	"strings"

	"ravno/crdt"
	"ravno/store/internal/catalog"
)

// Gone is the values of a row the application here deleted or replaced since the last fold;
// nil where they were not kept. Of several under one key reborn asks for the first, which was
// the row that others knew: what came and went after it nobody else ever saw.
func (tx *Tx) Gone(t *catalog.Table, key crdt.Key, reborn bool) (*catalog.Values, error) {
	if t.Gone == "" {
		return nil, nil
	}
	taken, ok := tx.deleted[t]
	if !ok {
		var err error
		if taken, err = tx.readGone(t); err != nil {
			return nil, err
		}
		if tx.deleted == nil {
			tx.deleted = deleted{}
		}
		tx.deleted[t] = taken
	}
	if reborn {
		return taken[key].first, nil
	}
	return taken[key].last, nil
}

// deleted are the rows the application deleted, of the tables that were asked about.
type deleted map[*catalog.Table]map[crdt.Key]goneRow

// goneRow is what a key held when it was first and last deleted since the last fold.
type goneRow struct{ first, last *catalog.Values }

func (tx *Tx) readGone(t *catalog.Table) (map[crdt.Key]goneRow, error) {
	taken := map[crdt.Key]goneRow{}
	err := tx.SQL.Rows("SELECT "+strings.Join(t.GoneColumns(), ", ")+" FROM "+t.Gone+" ORDER BY rowid", nil, func(values []crdt.Value) error {
		m, stored := catalog.NewImage(len(values)), make([]crdt.Value, len(t.Key))
		for i, v := range values {
			m.Set(crdt.Column(t.Numbers[i]), v)
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

// ForgetGone removes what gone has read.
func (tx *Tx) ForgetGone() error {
	for t, taken := range tx.deleted {
		if len(taken) == 0 {
			continue
		}
		if err := tx.SQL.Exec("DELETE FROM " + t.Gone); err != nil {
			return err
		}
	}
	tx.deleted = nil
	return nil
}
