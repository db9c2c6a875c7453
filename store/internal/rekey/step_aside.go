package rekey

import (
	"slices"

	"ravno/crdt"
	"ravno/store/internal/capture"
	"ravno/store/internal/catalog"
	"ravno/store/internal/held"
	"ravno/store/internal/history"
	"ravno/store/internal/rows"
)

// StepAside gives fresh keys to rows that the application made under the keys of held rows. The
// application could not see that those keys are taken. The argument made lists the new rows in the log.
// It reports whether it wrote to the log, which the caller must then read again.
func StepAside(tx *rows.Tx, h *held.Set, made []catalog.Reference) (again bool, err error) {
	if !h.Any {
		return false, nil
	}
	for _, ref := range made {
		t := tx.Cat.ByNumber[ref.Tab]
		if !t.Renumbers {
			continue
		}
		made, err := tx.ReadTable(t, ref.Key)
		if err != nil {
			return again, err
		}
		if held, err := h.IsHeld(t, ref.Key); err != nil || !held || made == nil {
			if err != nil {
				return again, err
			}
			continue
		}
		new, err := freshKey(tx, t, 0)
		if err != nil {
			return again, err
		}
		values, err := ref.Key.Values()
		if err != nil {
			return again, err
		}
		for _, d := range t.Domain {
			if err := moveWritten(tx, d, values[0].Int(), new); err != nil {
				return again, err
			}
		}
		again = true
	}
	return again, nil
}

// moveWritten replaces a key in one column of the tables and logs each changed row. It leaves shadows
// alone, because nothing of the row has been folded yet.
func moveWritten(tx *rows.Tx, d catalog.DomainColumn, old, new int64) error {
	found, err := history.RowsWith(tx, d, []int64{old})
	if err != nil {
		return err
	}
	if err := history.Rekey(tx, d, old, new); err != nil {
		return err
	}
	at := slices.Index(d.T.Key, d.Column)
	for _, row := range found {
		if at < 0 {
			err = tx.Log(d.T, row.Key, capture.Update, []string{d.T.Columns[d.Column].Name})
		} else {
			values, problem := row.Key.Values()
			if problem != nil {
				return problem
			}
			values[at] = catalog.Integer(new)
			err = tx.Log(d.T, crdt.NewKey(values...), capture.Insert, nil)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
