package store

import (
	"slices"

	"ravno/crdt"
	"ravno/store/internal/capture"
	"ravno/store/internal/sqlite"
)

// stepAside gives a fresh key to a row the application has just made under the key of a
// row that is held: it could not know that the key is taken. It reports whether the log has
// to be read again.
func (tx *transaction) stepAside(h *heldSet, made []reference) (again bool, err error) {
	if !h.any {
		return false, nil
	}
	for _, ref := range made {
		t := tx.cat.byNumber[ref.tab]
		if !t.renumbers {
			continue
		}
		exists, err := tx.exists(t, ref.key)
		if err != nil {
			return again, err
		}
		if held, err := h.isHeld(t, ref.key); err != nil || !held || !exists {
			if err != nil {
				return again, err
			}
			continue
		}
		new, err := tx.freshKey(t, 0)
		if err != nil {
			return again, err
		}
		values, err := ref.key.Values()
		if err != nil {
			return again, err
		}
		for _, d := range t.domain {
			if err := tx.moveWritten(d, values[0].Int(), new); err != nil {
				return again, err
			}
		}
		again = true
	}
	return again, nil
}

// moveWritten renames a key in a column, in the tables, and logs what changed: nothing of
// it is folded yet.
func (tx *transaction) moveWritten(d domainColumn, old, new int64) error {
	keys, err := tx.keysWith(d, old)
	if err != nil {
		return err
	}
	name := sqlite.Quote(d.t.Columns[d.column].Name)
	if err := tx.put(d.t, "UPDATE "+sqlite.Quote(d.t.Name)+" SET "+name+"=? WHERE "+name+"=?", integer(new), integer(old)); err != nil {
		return err
	}
	at := slices.Index(d.t.Key, d.column)
	for _, key := range keys {
		if at < 0 {
			err = tx.log(d.t, key, capture.Update, []string{d.t.Columns[d.column].Name})
		} else {
			values, problem := key.Values()
			if problem != nil {
				return problem
			}
			values[at] = integer(new)
			err = tx.log(d.t, crdt.NewKey(values...), capture.Insert, nil)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
