package store

import (
	"strings"

	"ravno/crdt/causal"
	"ravno/store/internal/sqlite"
)

// Pending counts the rows a receiver may still have to get: at a node what the hub does
// not have (node 0), at the hub what a node at this position does not have.
func (s *Store) Pending(node causal.Site, from causal.Position) (rows int64, err error) {
	err = s.read(func(c *sqlite.Conn, st *state, cat *catalog) error {
		if rows, err = pending(c, st, cat, from); err != nil {
			return err
		}
		// A fold may wait for an application that reads: until then its work counts by the log.
		unfolded, err := unfolded(c, st)
		rows += max(unfolded, 0)
		return err
	})
	return rows, err
}

func pending(c *sqlite.Conn, st *state, cat *catalog, from causal.Position) (int64, error) {
	if st.position <= from {
		return 0, nil
	}
	var parts []string
	for _, t := range cat.tables {
		if t.class == Synced || t.class == Journal && !st.isHub() {
			parts = append(parts, "SELECT count(*) AS n FROM "+t.shadow+" WHERE "+hasPosition+" AND position>?1")
		}
	}
	parts = append(parts, "SELECT count(*) FROM ravno_displaced WHERE position>?1")
	total := int64(0)
	for len(parts) > 0 { // a compound SELECT has at most 500 terms
		some := parts[:min(len(parts), 400)]
		parts = parts[len(some):]
		n, err := c.Int("SELECT sum(n) FROM ("+strings.Join(some, " UNION ALL ")+")", integer(from))
		if err != nil {
			return 0, err
		}
		total += n
	}
	return total, nil
}

// Acknowledged records at a node that the hub has committed its work up to a position, and
// forgets what was only kept for it.
func (s *Store) Acknowledged(has causal.Reached) error {
	return s.keepMarks(func(tx *transaction) error {
		if news, err := tx.hubGot(has); err != nil || !news {
			return err
		}
		left, err := pending(tx.c, tx.state, tx.cat, has.Position)
		if err != nil {
			return err
		}
		return tx.forgetAcknowledged(has.Position, left == 0)
	})
}

// hubGot takes in what the hub says to have of this node, and reports whether that is news.
func (tx *transaction) hubGot(has causal.Reached) (news bool, err error) {
	if has.Position > tx.state.position {
		return false, nil
	}
	if err := tx.gotEarly(0, has); err != nil || has.Position <= tx.state.hubHave {
		return false, err
	}
	tx.state.hubHave = has.Position
	tx.state.lastTransfer = tx.now()
	return true, nil
}

// forgetAcknowledged forgets what was only kept for the hub, up to a position. everything: the hub has all
// there is.
func (tx *transaction) forgetAcknowledged(position causal.Position, everything bool) error {
	if everything {
		tx.state.hasFloor = false
	}
	if err := tx.forgetEarly(0, position); err != nil {
		return err
	}
	for _, table := range []string{"ravno_displaced", "ravno_moved"} {
		if err := tx.c.Exec("DELETE FROM "+table+" WHERE position<=?", integer(position)); err != nil {
			return err
		}
	}
	return nil
}
