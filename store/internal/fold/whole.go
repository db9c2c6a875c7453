package fold

import (
	"ravno/store/internal/capture"
	"ravno/store/internal/rows"
)

// WantsWhole reports whether the log above an entry must be folded in one go. There are three reasons.
// The log deletes rows or may replace them. Before-images are kept, and they cover the whole log. Or rows are
// held, and readmitting one could exclude others that are not folded yet.
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
