package history

import (
	"errors"

	"ravno/crdt"
	"ravno/store/internal/catalog"
	"ravno/store/internal/rows"
	"ravno/store/internal/shadow"
)

// ForgetLook is how many rows one snapshot looks for at most: it is short, and their keys are
// held in memory.
const ForgetLook = 16384

// ForgetRows is how many rows are forgotten in one transaction: some ten milliseconds.
const ForgetRows = 1024

// Forgettable is a shadow row that need not be remembered, as the shadow table stores it.
type Forgettable struct {
	t        *catalog.Table
	key, row crdt.Value
}

// MostStable is a number that moves when anything settles.
func MostStable(s rows.State) uint64 { return uint64(s.Settled) + uint64(s.SettledOwn) }

// FindForgettable finds shadow rows of which nothing has to be remembered. Of tables with
// counters all is: the parts of a counter are a total since its base. So it is where rows are
// held, because which of two rows has claimed a value longer is known by their stamps. Rows that
// are needed for something else are, because an admin may bring them back.
func FindForgettable(tx *rows.Tx, needed map[catalog.Reference]bool) (found []Forgettable, err error) {
	keeps := map[int64]bool{}
	err = tx.SQL.Rows("SELECT tab FROM ravno_counting UNION SELECT tab FROM ravno_image WHERE state='held'", nil,
		func(row []crdt.Value) error {
			keeps[row[0].Int()] = true
			return nil
		})
	if err != nil {
		return nil, err
	}
	// at the hub, where a row's position is that of its newest version
	last, where := tx.State.Settled, catalog.HasPosition+" AND position<=?"
	if !tx.State.IsHub() {
		// at a node it is that of the newest which the hub is to get; most have none
		last, where = tx.State.SettledOwn, "+position<=?"
	}
	for _, t := range tx.Cat.Tables {
		if keeps[t.Number] || t.Class != catalog.Synced && t.Class != catalog.Journal {
			continue
		}
		if err == nil {
			err = tx.SQL.Rows("SELECT key, row FROM "+t.Shadow+" WHERE "+where, []crdt.Value{catalog.Integer(last)},
				func(values []crdt.Value) error {
					row, err := shadow.Decode(values[1].Bytes())
					if err != nil || !isStable(tx.State, row) || len(needed) > 0 && needed[t.Reference(t.KeyOf(values[0]))] {
						return err
					}
					if found = append(found, Forgettable{t, values[0], values[1]}); len(found) == ForgetLook {
						return catalog.ErrEnough
					}
					return nil
				})
		}
	}
	if errors.Is(err, catalog.ErrEnough) {
		err = nil
	}
	return found, err
}

// ForgetRow forgets a row whatever is remembered of it.
func ForgetRow(tx *rows.Tx, t *catalog.Table, key crdt.Key) error {
	stored, err := t.ShadowKey(key)
	if err == nil {
		err = tx.SQL.Exec("DELETE FROM "+t.Shadow+" WHERE key=?", stored)
	}
	if err == nil {
		err = tx.Drop(t, key)
	}
	return err
}

// Forget forgets rows that are as they were when they were found, and not kept elsewhere for
// lack of a place or of values.
func Forget(tx *rows.Tx, some []Forgettable) error {
	for _, f := range some {
		key := f.t.KeyOf(f.key)
		_, state, err := tx.ReadKept(f.t, key)
		if err != nil {
			return err
		}
		if state == catalog.Held || state == catalog.Incomplete {
			continue
		}
		if err := tx.SQL.Exec("DELETE FROM "+f.t.Shadow+" WHERE key=? AND row=?", f.key, f.row); err != nil {
			return err
		}
		if state == catalog.Nowhere {
			continue
		}
		changed, err := tx.SQL.Changes()
		if err == nil && changed > 0 {
			err = tx.Drop(f.t, key)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
