package rows

import (
	"strings"

	"ravno/crdt"
	"ravno/store/internal/catalog"
)

// BeforeImage is the values of a row the application here deleted or replaced since the last fold;
// nil where they were not kept. Of several under one key reborn asks for the first, which was
// the row that others knew: what came and went after it nobody else ever saw.
func (tx *Tx) BeforeImage(t *catalog.Table, key crdt.Key, reborn bool) (*catalog.Values, error) {
	if t.BeforeImages == "" {
		return nil, nil
	}
	taken, ok := tx.deleted[t]
	if !ok {
		var err error
		if taken, err = tx.readBeforeImages(t); err != nil {
			return nil, err
		}
		if tx.deleted == nil {
			tx.deleted = beforeImageCache{}
		}
		tx.deleted[t] = taken
	}
	if reborn {
		return taken[key].first, nil
	}
	return taken[key].last, nil
}

// beforeImageCache are the rows the application deleted, of the tables that were asked about.
type beforeImageCache map[*catalog.Table]map[crdt.Key]beforeImages

// beforeImages is what a key held when it was first and last deleted since the last fold.
type beforeImages struct{ first, last *catalog.Values }

func (tx *Tx) readBeforeImages(t *catalog.Table) (map[crdt.Key]beforeImages, error) {
	taken := map[crdt.Key]beforeImages{}
	err := tx.SQL.Rows("SELECT "+strings.Join(t.BeforeImageColumns(), ", ")+" FROM "+t.BeforeImages+" ORDER BY rowid", nil,
		func(values []crdt.Value) error {
			m, stored := catalog.NewValues(len(values)), make([]crdt.Value, len(t.Key))
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

// ForgetBeforeImages removes what gone has read.
func (tx *Tx) ForgetBeforeImages() error {
	for t, taken := range tx.deleted {
		if len(taken) == 0 {
			continue
		}
		if err := tx.SQL.Exec("DELETE FROM " + t.BeforeImages); err != nil {
			return err
		}
	}
	tx.deleted = nil
	return nil
}
