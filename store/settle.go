package store

import (
	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/crdt/hlc"
	"ravno/store/internal/sqlite"
)

// What is settled need not be remembered. A version is settled when every server has it and
// nobody can send anything more that was written without having seen it: then every write to
// come is newer than it, and nobody has to be told which row it is about.
//
// The hub takes a checkpoint: its position, and of each node's work what it has by then. Once
// every node has seen that, in work it may still send too (its floor), what the hub had at the
// checkpoint is settled. What came in between and had not seen it may still be news to some, so
// the hub says with it where it was when it knew: a node forgets nothing before it is there too.
// Each finds out which positions of its own are settled. Cf. causal stability in Baquero, Almeida
// and Shoker 2014, "Making operation-based CRDTs operation-based".

// settling is what of the state tells how far the settling has come; see layout.sql.
type settling struct {
	until, markSeen, mark, settledOwn causal.Position // at a node
	checkpoint, settledAt, settled    causal.Position
}

// Settlement is what the hub tells a node.
type Settlement struct {
	Hub causal.Position // what the hub had at this position of its own is settled
	Own causal.Position // and of the node's own work, what is up to this position of the node
	At  causal.Position // the hub's position when it knew: only who has seen that may forget
}

// Settle goes as many of the steps at the hub as can be gone now. It costs a look if there are none.
func (s *Store) Settle() error {
	due := false
	err := s.look(func(c *sqlite.Conn, st *state) error {
		some, err := st.stepDue(c)
		due = some
		return err
	})
	if err != nil || !due {
		return err
	}
	return s.write(func(tx *transaction) error { return tx.takeSteps() })
}

// takeSteps goes the steps that can be gone.
func (tx *transaction) takeSteps() error {
	known, err := knownToAll(tx.c, tx.state.position)
	if err != nil {
		return err
	}
	moved := tx.state.settled
	tx.state.steps(known, func() {
		err = tx.c.Exec("UPDATE ravno_peer SET checkpoint=have")
	})
	if err == nil && tx.state.settled != moved {
		err = tx.c.Exec("UPDATE ravno_peer SET settled=checkpoint")
	}
	if err == nil {
		err = tx.trimTouches() // at a hub without nodes nobody else does
	}
	return err
}

// stepDue reports whether there is a step to go.
func (st *state) stepDue(c *sqlite.Conn) (bool, error) {
	known, err := knownToAll(c, st.position)
	next := *st
	return st.isHub() && next.steps(known, func() {}), err
}

// steps goes the steps, given what every node has seen in all that it may still send. It reports
// whether anything changed; take is called where a checkpoint is taken.
func (st *state) steps(known causal.Position, take func()) (changed bool) {
	if st.checkpoint == 0 && st.position > st.settled {
		st.checkpoint, changed = st.position, true
		take()
	}
	if st.checkpoint > 0 && known >= st.checkpoint {
		st.settled, st.settledAt, st.checkpoint, changed = st.checkpoint, st.position, 0, true
	}
	return changed
}

// knownToAll is the hub's position that every enrolled node has seen, in work it may still send
// too; where it is, if there are none.
func knownToAll(c *sqlite.Conn, position causal.Position) (causal.Position, error) {
	known, err := c.Int(`SELECT coalesce(min(min(p.floor, p.acked)), ?) FROM ravno_peer p JOIN ravno_site s ON s.site=p.site
		WHERE NOT s.removed`, integer(position))
	return causal.Position(known), err
}

// Settled takes in at a node what the hub says is settled, and reports whether it could: who has
// not yet seen all that the hub sent before it said so has to hear it again.
func (s *Store) Settled(by Settlement) (taken bool, err error) {
	changes := false
	err = s.look(func(_ *sqlite.Conn, st *state) error {
		changes, taken = st.settle(by)
		return nil
	})
	if err != nil || !changes {
		return taken, err
	}
	err = s.write(func(tx *transaction) error {
		_, taken = tx.state.settle(by)
		return nil
	})
	return taken, err
}

// settle finds out which of this node's positions are settled by what the hub says. Work of
// others has no hub position here. But where no slice was on its way when the mark was made, all
// of it up to the mark was at the hub by mark_seen.
func (st *state) settle(by Settlement) (changed, taken bool) {
	if st.isHub() || by.Hub == 0 || st.seen < by.At || st.until > 0 {
		return false, false
	}
	before := st.settling
	st.settledOwn = max(st.settledOwn, by.Own)
	switch {
	case by.Hub >= st.seen:
		st.settled, st.mark, st.markSeen = st.position, 0, 0
	case st.mark > 0 && by.Hub >= st.markSeen:
		st.settled = max(st.settled, st.mark)
		st.mark, st.markSeen = st.position, st.seen
	case st.mark == 0:
		st.mark, st.markSeen = st.position, st.seen
	}
	return st.settling != before, true
}

// isSettled reports whether nothing in a row without counters has to be remembered.
func (st *state) isSettled(row crdt.Row) bool {
	is := func(v crdt.Version) bool {
		switch {
		case v.Stamp.IsZero():
			return true
		case v.Stamp.Site == st.site && !st.isHub():
			return v.Position <= st.settledOwn
		}
		return v.Position <= st.settled
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

// sameRow sees to it that a change and the row it is about call that row's birth the same, where
// one side remembers the birth and the other has forgotten it, settled: there it is zero.
func (in *incoming) sameRow(m *merging) {
	in.sameVersions(m)
	tx, heard := in.tx, in.rekeying.heard
	said, here := m.change.Birth, m.row.Birth
	switch {
	case !m.present:
		if m.author != 0 && m.change.Whole && (said.Site != m.author || said.Time <= heard && said.Time > firstSeed) {
			m.madeAnew()
		}
	case said == here.Stamp:
	case said.IsZero() && m.author != 0: // its author has forgotten it; unless another has taken its place since
		if here.Position <= tx.state.settled {
			m.change.Birth = here.Stamp
		}
	case said.IsZero(): // the hub has; unless the one here is made since, and the hub has yet to hear
		if !tx.unsentVersion(here, in.delta.Seen) {
			m.change.Birth = here.Stamp
		}
	case !here.Stamp.IsZero(), m.author == 0: // a node forgets no birth that the hub still speaks of
	case !m.change.Whole || said.Site != m.author || said.Time <= heard: // what is new comes whole, and first from its maker
		if said.Site == m.author && said.Time > heard {
			m.remade = said // made anew there, and deleted before anybody heard of it
		}
		m.change.Birth = here.Stamp
	}
}

// sameVersions does so for the versions of columns: what is forgotten there and remembered here is
// the same, as long as what is remembered is settled.
func (in *incoming) sameVersions(m *merging) {
	tx := in.tx
	for i := range m.change.Registers {
		reg := &m.change.Registers[i]
		if !reg.Stamp.IsZero() {
			continue
		}
		here := m.row.Version(reg.Column)
		if m.author == 0 && !tx.unsentVersion(here, in.delta.Seen) || m.author != 0 && here.Position <= tx.state.settled {
			reg.Stamp = here.Stamp
		}
	}
}

// madeAnew takes, at the hub, what a node says of a deleted row that it has brought back, by a
// decision on a conflict say, and of which nothing is remembered here any more: everybody has seen
// it go, so this is its author's word in all its columns.
func (m *merging) madeAnew() {
	m.change.Birth = hlc.Stamp{}
	own := hlc.Stamp{}
	for _, reg := range m.change.Registers {
		if reg.Stamp.Site == m.author && reg.Stamp.After(own) {
			own = reg.Stamp
		}
	}
	for i := range m.change.Registers {
		m.change.Registers[i].Stamp = own
	}
}
