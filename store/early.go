package store

import (
	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/store/internal/sqlite"
)

// A slice of a large delta has its documents whole, and so has rows with versions that are newer
// than its end. Its receiver says to have seen the slice's end and no more, so the sender
// remembers which rows went early: they are not sent again if the link is cut in between, and
// at the hub who changes one of them has seen it as it was.

// displacedWork stands for what extraction.displaced emits: all of it goes with the first slice.
var displacedWork = reference{}

// sentEarly remembers rows that are about to be sent in a slice up to one position, of a delta
// up to another. It takes no turn at the lock: an extraction waits for nobody.
func (s *Store) sentEarly(to causal.Site, rows []reference, slice, until causal.Position) error {
	return s.writeAtOnce(func(tx *transaction) error { return tx.sentEarly(to, rows, slice, until) })
}

func (tx *transaction) sentEarly(to causal.Site, rows []reference, slice, until causal.Position) error {
	if tx.state.isHub() {
		if err := tx.refuseRemoved(to); err != nil {
			return err // nobody would forget them
		}
	}
	for _, row := range rows {
		if err := tx.c.Exec("INSERT OR REPLACE INTO ravno_early(site, tab, key, slice, until) VALUES(?,?,?,?,?)",
			integer(to), integer(row.tab), blob(row.key), integer(slice), integer(until)); err != nil {
			return err
		}
	}
	return nil
}

// nothingEarly reports whether no row was sent early when it was first asked in this transaction. None is
// by the transactions that ask.
func (tx *transaction) nothingEarly() (bool, error) {
	if tx.noneEarly == nil {
		some, err := tx.c.Int("SELECT EXISTS(SELECT 1 FROM ravno_early)")
		if err != nil {
			return false, err
		}
		none := some == 0
		tx.noneEarly = &none
	}
	return *tx.noneEarly, nil
}

// gotEarly takes in how far a site has come. What was to go with slices up to there is there if
// it has got them of that very delta: a row can go early with a slice of one delta, and be
// another's by then with the slice of another that ends at the same position.
func (tx *transaction) gotEarly(site causal.Site, has causal.Reached) error {
	if none, err := tx.nothingEarly(); err != nil || none {
		return err
	}
	if err := tx.c.Exec("UPDATE ravno_early SET there=1 WHERE site=? AND until=? AND slice<=? AND NOT there",
		integer(site), integer(has.Until), integer(has.Position)); err != nil {
		return err
	}
	return tx.c.Exec("DELETE FROM ravno_early WHERE site=? AND slice<=? AND NOT there", integer(site), integer(has.Position))
}

// notSent forgets what was to go with slices that have not come: they will be cut elsewhere.
func (s *Store) notSent(site causal.Site) error {
	return s.writeAtOnce(func(tx *transaction) error { return tx.notSent(site) })
}

func (tx *transaction) notSent(site causal.Site) error {
	return tx.c.Exec("DELETE FROM ravno_early WHERE site=? AND NOT there", integer(site))
}

// someNotSent reports whether rows were to go early with slices that have not come.
func someNotSent(c *sqlite.Conn, site causal.Site) (bool, error) {
	some, err := c.Int("SELECT EXISTS(SELECT 1 FROM ravno_early WHERE site=? AND NOT there)", integer(site))
	return some != 0, err
}

// hasEarly are the rows of which the receiver of an extraction has more than it says to have
// seen, and up to where.
func hasEarly(c *sqlite.Conn, receiver causal.Site, from causal.Position) (map[reference]causal.Position, error) {
	var has map[reference]causal.Position
	err := c.Rows("SELECT tab, key, max(until) FROM ravno_early WHERE site=?1 AND there AND slice<=?2 AND until>?2 GROUP BY tab, key",
		[]crdt.Value{integer(receiver), integer(from)}, func(row []crdt.Value) error {
			if has == nil {
				has = map[reference]causal.Position{}
			}
			has[reference{tab: row[0].Int(), key: crdt.Key(row[1].Bytes())}] = causal.Position(row[2].Int())
			return nil
		})
	return has, err
}

// hasSeen is up to which of this site's positions another one has a row, given what it has seen
// of everything.
func (tx *transaction) hasSeen(site causal.Site, row reference, seen causal.Position) (causal.Position, error) {
	if none, err := tx.nothingEarly(); err != nil || none {
		return seen, err
	}
	until, err := tx.c.Int("SELECT max(until) FROM ravno_early WHERE site=? AND tab=? AND key=? AND slice<=? AND there",
		integer(site), integer(row.tab), blob(row.key), integer(seen))
	return max(seen, causal.Position(until)), err
}

// hubHas is, at a node, up to which position the hub has a row.
func (tx *transaction) hubHas(row reference) (causal.Position, error) {
	return tx.hasSeen(0, row, tx.state.hubHave)
}

// forgetEarly forgets what a site has got of early rows, once it has seen everything that was
// sent with them, in work it may still send, too.
func (tx *transaction) forgetEarly(site causal.Site, seen causal.Position) error {
	if none, err := tx.nothingEarly(); err != nil || none {
		return err
	}
	return tx.c.Exec("DELETE FROM ravno_early WHERE site=? AND until<=?", integer(site), integer(seen))
}
