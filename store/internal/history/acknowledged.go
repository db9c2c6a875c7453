package history

import (
	"strings"

	"ravno/crdt/causal"
	"ravno/crdt/hlc"
	"ravno/store/internal/catalog"
	"ravno/store/internal/rows"
)

// Pending counts the rows that were changed here above a position.
func Pending(tx *rows.Tx, from causal.Position) (int64, error) {
	if tx.State.Position <= from {
		return 0, nil
	}
	var parts []string
	for _, t := range tx.Cat.Tables {
		if t.Class == catalog.Synced || t.Class == catalog.Journal && !tx.State.IsHub() {
			parts = append(parts, "SELECT count(*) AS n FROM "+t.Shadow+" WHERE "+catalog.HasPosition+" AND position>?1")
		}
	}
	parts = append(parts, "SELECT count(*) FROM ravno_overwritten WHERE position>?1")
	total := int64(0)
	for len(parts) > 0 { // a compound SELECT has at most 500 terms
		some := parts[:min(len(parts), 400)]
		parts = parts[len(some):]
		n, err := tx.SQL.Int("SELECT sum(n) FROM ("+strings.Join(some, " UNION ALL ")+")", catalog.Integer(from))
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
	if err := GotAhead(tx, 0, has); err != nil || has.Position <= tx.State.HubHave {
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
	if err := ForgetAhead(tx, 0, position); err != nil {
		return err
	}
	for _, table := range []string{"ravno_overwritten", "ravno_moved"} {
		if err := tx.SQL.Exec("DELETE FROM "+table+" WHERE position<=?", catalog.Integer(position)); err != nil {
			return err
		}
	}
	return nil
}

// HasOf is how far a node's work is here, and the newest stamp in it.
func HasOf(tx *rows.Tx, node causal.Site) (have causal.Reached, newest hlc.Time, err error) {
	peer, err := tx.SQL.Row("SELECT have, until, heard FROM ravno_peer WHERE site=?", catalog.Integer(node))
	if err != nil || peer == nil {
		return have, newest, err
	}
	have = causal.Reached{Position: causal.Position(peer[0].Int()), Until: causal.Position(peer[1].Int())}
	return have, hlc.Time(peer[2].Int()), nil
}

// GotFromNode records that a delta of a node is here.
func GotFromNode(tx *rows.Tx, node causal.Site, of Span, floor causal.Seen, newest hlc.Time) error {
	return tx.SQL.Exec("UPDATE ravno_peer SET have=?, until=?, floor=max(floor, ?), heard=?, last_transfer=? WHERE site=?",
		catalog.Integer(of.To), catalog.Integer(of.Until), catalog.Integer(floor), catalog.Integer(newest),
		catalog.Integer(tx.Now()),
		catalog.Integer(node))
}
