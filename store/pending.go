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
		unfolded, err := (&transaction{c: c, state: st}).unfolded()
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
	position := has.Position
	return s.keepMarks(func(tx *transaction) error {
		if position > tx.state.position {
			return nil
		}
		if err := tx.gotEarly(0, has); err != nil || position <= tx.state.hubHave {
			return err
		}
		tx.state.hubHave = position
		tx.state.lastTransfer = tx.now()
		left, err := pending(tx.c, tx.state, tx.cat, position)
		if err != nil {
			return err
		}
		if left == 0 {
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
	})
}
