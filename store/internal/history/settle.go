package history

import (
	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/store/internal/catalog"
	"ravno/store/internal/rows"
	"ravno/store/internal/sqlite"
)

// Settlement is what the hub tells a node.
type Settlement struct {
	Hub causal.Position // what the hub had at this position of its own is settled
	Own causal.Position // and of the node's own work, what is up to this position of the node
	At  causal.Position // the hub's position when it knew: only who has seen that may forget
}

// TakeSteps goes the steps that can be gone.
func TakeSteps(tx *rows.Tx) error {
	known, err := knownToAll(tx.SQL, tx.State.Position)
	if err != nil {
		return err
	}
	moved := tx.State.Settled
	steps(tx.State, known, func() {
		err = tx.SQL.Exec("UPDATE ravno_peer SET checkpoint=have")
	})
	if err == nil && tx.State.Settled != moved {
		err = tx.SQL.Exec("UPDATE ravno_peer SET settled=checkpoint")
	}
	if err == nil {
		err = ForgetSeenByAll(tx) // at a hub without nodes nobody else does
	}
	return err
}

// StepDue reports whether there is a step to go.
func StepDue(tx *rows.Tx) (bool, error) {
	known, err := knownToAll(tx.SQL, tx.State.Position)
	next := *tx.State
	return tx.State.IsHub() && steps(&next, known, func() {}), err
}

// steps goes the steps, given what every node has seen in all that it may still send. It reports
// whether anything changed; take is called where a checkpoint is taken.
func steps(st *rows.State, known causal.Position, take func()) (changed bool) {
	if st.Checkpoint == 0 && st.Position > st.Settled {
		st.Checkpoint, changed = st.Position, true
		take()
	}
	if st.Checkpoint > 0 && known >= st.Checkpoint {
		st.Settled, st.SettledAt, st.Checkpoint, changed = st.Checkpoint, st.Position, 0, true
	}
	return changed
}

// knownToAll is the hub's position that every enrolled node has seen, in work it may still send
// too; where it is, if there are none.
func knownToAll(c *sqlite.Conn, position causal.Position) (causal.Position, error) {
	known, err := c.Int(`SELECT coalesce(min(min(p.floor, p.acked)), ?) FROM ravno_peer p JOIN ravno_site s ON
		s.site=p.site
		WHERE NOT s.removed`, catalog.Integer(position))
	return causal.Position(known), err
}

// Settle finds out which of this node's positions are settled by what the hub says. Work of
// others has no hub position here. But where no slice was on its way when the mark was made, all
// of it up to the mark was at the hub by mark_seen.
func Settle(st *rows.State, by Settlement) (changed, taken bool) {
	if st.IsHub() || by.Hub == 0 || st.Seen < by.At || st.Until > 0 {
		return false, false
	}
	before := *st
	st.SettledOwn = max(st.SettledOwn, by.Own)
	switch {
	case by.Hub >= st.Seen:
		st.Settled, st.Mark, st.MarkSeen = st.Position, 0, 0
	case st.Mark > 0 && by.Hub >= st.MarkSeen:
		st.Settled = max(st.Settled, st.Mark)
		st.Mark, st.MarkSeen = st.Position, st.Seen
	case st.Mark == 0:
		st.Mark, st.MarkSeen = st.Position, st.Seen
	}
	return *st != before, true
}

// isStable reports whether nothing in a row without counters has to be remembered.
func isStable(st *rows.State, row crdt.Row) bool {
	is := func(v crdt.Version) bool {
		switch {
		case v.Stamp.IsZero():
			return true
		case v.Stamp.Site == st.Site && !st.IsHub():
			return v.Position <= st.SettledOwn
		}
		return v.Position <= st.Settled
	}
	if !is(row.Birth) || !is(row.Death) || !is(row.Base) {
		return false
	}
	for _, c := range row.Columns {
		if !is(c.Version) {
			return false
		}
	}
	return true
}

// SeenFloor is the least hub position that work not yet at the hub may have seen.
func SeenFloor(s *rows.State) causal.Seen {
	if s.HasFloor {
		return s.Floor
	}
	return s.Seen
}
