package extract

import (
	"strings"

	"ravno/crdt/causal"
	"ravno/store/internal/catalog"
	"ravno/store/internal/history"
	"ravno/store/internal/rows"
	"ravno/store/internal/sqlite"
)

func Pending(c *sqlite.Conn, st *rows.State, cat *catalog.Catalog, from causal.Position) (int64, error) {
	if st.Position <= from {
		return 0, nil
	}
	var parts []string
	for _, t := range cat.Tables {
		if t.Class == catalog.Synced || t.Class == catalog.Journal && !st.IsHub() {
			parts = append(parts, "SELECT count(*) AS n FROM "+t.Shadow+" WHERE "+catalog.HasPosition+" AND position>?1")
		}
	}
	parts = append(parts, "SELECT count(*) FROM ravno_displaced WHERE position>?1")
	total := int64(0)
	for len(parts) > 0 { // a compound SELECT has at most 500 terms
		some := parts[:min(len(parts), 400)]
		parts = parts[len(some):]
		n, err := c.Int("SELECT sum(n) FROM ("+strings.Join(some, " UNION ALL ")+")", catalog.Integer(from))
		if err != nil {
			return 0, err
		}
		total += n
	}
	return total, nil
}

// HubGot takes in what the hub says to have of this node, and reports whether that is news.
func HubGot(tx *rows.Tx, has causal.Reached) (news bool, err error) {
	if has.Position > tx.State.Position {
		return false, nil
	}
	if err := history.GotEarly(tx, 0, has); err != nil || has.Position <= tx.State.HubHave {
		return false, err
	}
	tx.State.HubHave = has.Position
	tx.State.LastTransfer = tx.Now()
	return true, nil
}

// ForgetAcknowledged forgets what was only kept for the hub, up to a position. everything: the hub has all
// there is.
func ForgetAcknowledged(tx *rows.Tx, position causal.Position, everything bool) error {
	if everything {
		tx.State.HasFloor = false
	}
	if err := history.ForgetEarly(tx, 0, position); err != nil {
		return err
	}
	for _, table := range []string{"ravno_displaced", "ravno_moved"} {
		if err := tx.C.Exec("DELETE FROM "+table+" WHERE position<=?", catalog.Integer(position)); err != nil {
			return err
		}
	}
	return nil
}
