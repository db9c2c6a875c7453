package history

import (
	"errors"

	"ravno/crdt/causal"
	"ravno/store/internal/catalog"
	"ravno/store/internal/rows"
)

// ErrRemoved refuses what was on its way from a node when it was removed: nobody waits for it any
// more, so what it has not seen may be forgotten.
var ErrRemoved = errors.New("this node was removed. Try: ravno join with a new token")

func RefuseRemoved(tx *rows.Tx, node causal.Site) error {
	removed, err := tx.SQL.Int("SELECT removed FROM ravno_site WHERE site=?", catalog.Integer(node))
	if err == nil && removed != 0 {
		err = ErrRemoved
	}
	return err
}
