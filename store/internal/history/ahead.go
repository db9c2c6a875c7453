package history

import (
	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/store/internal/catalog"
	"ravno/store/internal/rows"
)

// A slice of a large delta has its documents whole, and so has rows with versions that are newer
// than its end. Its receiver says to have seen the slice's end and no more, so the sender
// remembers which rows it shipped ahead: they are not sent again if the link is cut in between, and
// at the hub who changes one of them has seen it as it was.

// OverwrittenWork stands for all overwritten work of a node, which goes with the first slice.
var OverwrittenWork = catalog.Reference{}

func ShipAhead(tx *rows.Tx, to causal.Site, rows []catalog.Reference, slice, until causal.Position) error {
	if tx.State.IsHub() {
		if err := RefuseRemoved(tx, to); err != nil {
			return err // nobody would forget them
		}
	}
	for _, row := range rows {
		if err := tx.SQL.Exec("INSERT OR REPLACE INTO ravno_ahead(site, tab, key, slice, until) VALUES(?,?,?,?,?)",
			catalog.Integer(to), catalog.Integer(row.Tab), catalog.Blob(row.Key), catalog.Integer(slice),
			catalog.Integer(until)); err != nil {
			return err
		}
	}
	return nil
}

// NoneShippedAhead reports whether no row was shipped ahead when this transaction first asked. The transactions
// that ask ship none themselves.
func NoneShippedAhead(tx *rows.Tx) (bool, error) { return tx.Empty("ravno_ahead") }

// GotAhead takes in how far a site has come. What was to go with slices up to there is there if
// it has got them of that very delta: a row can go early with a slice of one delta, and be
// another's by then with the slice of another that ends at the same position.
func GotAhead(tx *rows.Tx, site causal.Site, has causal.Reached) error {
	if none, err := NoneShippedAhead(tx); err != nil || none {
		return err
	}
	if err := tx.SQL.Exec("UPDATE ravno_ahead SET there=1 WHERE site=? AND until=? AND slice<=? AND NOT there",
		catalog.Integer(site), catalog.Integer(has.Until), catalog.Integer(has.Position)); err != nil {
		return err
	}
	return tx.SQL.Exec("DELETE FROM ravno_ahead WHERE site=? AND slice<=? AND NOT there", catalog.Integer(site),
		catalog.Integer(has.Position))
}

func NotSent(tx *rows.Tx, site causal.Site) error {
	return tx.SQL.Exec("DELETE FROM ravno_ahead WHERE site=? AND NOT there", catalog.Integer(site))
}

// SomeNotSent reports whether rows were to go early with slices that have not come.
func SomeNotSent(tx *rows.Tx, site causal.Site) (bool, error) {
	some, err := tx.SQL.Int("SELECT EXISTS(SELECT 1 FROM ravno_ahead WHERE site=? AND NOT there)", catalog.Integer(site))
	return some != 0, err
}

// AheadOf are the rows of which the receiver of an extraction has more than it says to have
// seen, and up to where.
func AheadOf(tx *rows.Tx, receiver causal.Site, from causal.Position) (map[catalog.Reference]causal.Position, error) {
	var has map[catalog.Reference]causal.Position
	err := tx.SQL.Rows(
		"SELECT tab, key, max(until) FROM ravno_ahead WHERE site=?1 AND there AND slice<=?2 AND until>?2 GROUP BY tab, key",
		[]crdt.Value{catalog.Integer(receiver), catalog.Integer(from)}, func(row []crdt.Value) error {
			if has == nil {
				has = map[catalog.Reference]causal.Position{}
			}
			has[catalog.Reference{Tab: row[0].Int(), Key: crdt.Key(row[1].Bytes())}] = causal.Position(row[2].Int())
			return nil
		})
	return has, err
}

// HasSeen is up to which of this site's positions another one has a row, given what it has seen
// of everything.
func HasSeen(tx *rows.Tx, site causal.Site, row catalog.Reference, seen causal.Position) (causal.Position, error) {
	if none, err := NoneShippedAhead(tx); err != nil || none {
		return seen, err
	}
	until, err := tx.SQL.Int("SELECT max(until) FROM ravno_ahead WHERE site=? AND tab=? AND key=? AND slice<=? AND there",
		catalog.Integer(site), catalog.Integer(row.Tab), catalog.Blob(row.Key), catalog.Integer(seen))
	return max(seen, causal.Position(until)), err
}

// HubHas is, at a node, up to which position the hub has a row.
func HubHas(tx *rows.Tx, row catalog.Reference) (causal.Position, error) {
	return HasSeen(tx, 0, row, tx.State.HubHave)
}

// ForgetAhead forgets what a site has got of early rows, once it has seen everything that was
// sent with them, in work it may still send, too.
func ForgetAhead(tx *rows.Tx, site causal.Site, seen causal.Position) error {
	if none, err := NoneShippedAhead(tx); err != nil || none {
		return err
	}
	return tx.SQL.Exec("DELETE FROM ravno_ahead WHERE site=? AND until<=?", catalog.Integer(site), catalog.Integer(seen))
}
