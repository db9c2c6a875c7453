package fold

import (
	"ravno/store/internal/capture"
	"ravno/store/internal/rows"
)

// WantsWhole reports whether the entries of the log above one have to be folded in one go. Rows were deleted
// or replaced, or values taken from that others refer to, and are kept for the whole log. Or rows are held,
// and readmitting one could take others out of their tables that are not folded yet.
func WantsWhole(tx *rows.Tx, above int64) (bool, error) {
	whole, err := capture.Removals(tx.SQL, above)
	if err == nil && !whole {
		whole, err = tx.SomeHeld()
	}
	for _, t := range tx.Cat.Tables {
		if err != nil || whole {
			return whole, err
		}
		if t.BeforeImages == "" {
			continue
		}
		none := false
		none, err = tx.Empty(t.BeforeImages)
		whole = !none
	}
	return whole, err
}
