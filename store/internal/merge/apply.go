package merge

import (
	"fmt"

	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/crdt/hlc"
	"ravno/store/internal/catalog"
	"ravno/store/internal/conflict"
	"ravno/store/internal/held"
	"ravno/store/internal/history"
	"ravno/store/internal/rekey"
	"ravno/store/internal/repair"
	"ravno/store/internal/rows"
)

// ApplyFromHub merges a delta of the hub. fold folds what the log has, and returns the rows that are held.
func ApplyFromHub(tx *rows.Tx, delta Delta, fold func(*rows.Tx) (*held.Set, error)) (applied Applied, err error) {
	if delta.From != tx.State.Seen {
		return applied, &OutOfOrderError{From: delta.From,
			Have: causal.Reached{Position: tx.State.Seen, Until: tx.State.Until}}
	}
	held, err := fold(tx)
	if err != nil {
		return applied, err
	}
	in := newIncoming(tx, held, 0, delta)
	if err := in.applyAll(); err != nil {
		return applied, err
	}
	tx.State.Seen, tx.State.Until = delta.To, delta.Until
	none, err := history.NoneShippedAhead(tx)
	applied = in.applied
	applied.Position, applied.Floor, applied.Unsent = tx.State.Position, history.SeenFloor(tx.State), tx.State.HasFloor ||
		!none
	return applied, err
}

// ApplyFromNode merges a node's own changes, at the hub. fold folds what the log has, and returns the rows
// that are held.
func ApplyFromNode(tx *rows.Tx, node causal.Site, delta Delta, floor causal.Seen,
	fold func(*rows.Tx) (*held.Set, error)) (applied Applied, err error) {
	have, heard, err := history.HasOf(tx, node)
	if err != nil {
		return applied, err
	}
	if delta.From != have.Position {
		return applied, &OutOfOrderError{From: delta.From, Have: have}
	}
	if err := history.RefuseRemoved(tx, node); err != nil {
		return applied, err
	}
	held, err := fold(tx)
	if err != nil {
		return applied, err
	}
	in := newIncoming(tx, held, node, delta)
	in.hears, in.rekeying.Heard, in.rekeying.Sliced = heard, heard, have.Until > 0
	if err := in.applyAll(); err != nil {
		return applied, err
	}
	if in.applied.Conflicts > 0 { // stamp the records at once, so that they travel with the changes
		if _, err := fold(tx); err != nil {
			return applied, err
		}
	}
	hears := in.hears
	if delta.Newest > 0 {
		hears = max(heard, delta.Newest)
	}
	applied = in.applied
	applied.Position = tx.State.Position
	return applied, history.GotFromNode(tx, node, delta.Span, floor, hears)
}

// incoming is one delta on its way into the tables, in one transaction.
type incoming struct {
	tx       *rows.Tx
	held     *held.Set
	delta    Delta
	author   causal.Site // the node it comes from; 0: the hub
	applied  Applied
	merging  merging         // the change in hand: they are large, and there is one at a time
	began    causal.Position // the position before the first change
	hears    hlc.Time        // at the hub: the newest stamp in what the node has sent, this delta too
	rekeying *rekey.Rekeying
	effects  *repair.Effects
	changes  *history.KnownChanges
	// decided are documents whose conflict two sites have resolved at once, with its identifier.
	decided map[catalog.Reference]string
}

func newIncoming(tx *rows.Tx, held *held.Set, author causal.Site, delta Delta) *incoming {
	return &incoming{tx: tx, held: held, delta: delta, author: author, began: tx.State.Position,
		rekeying: &rekey.Rekeying{Tx: tx, Author: author, Seen: delta.Seen, Began: tx.State.Position},
		effects:  repair.NewEffects(tx, author, delta.Seen), changes: &history.KnownChanges{Tx: tx}}
}

func (in *incoming) applyAll() error {
	tx := in.tx
	restore, err := tx.OwnSequences()
	if err != nil {
		return err
	}
	if in.author != 0 {
		if err := in.rekeying.FindCollisions(in.delta.Each, in.delta.Highest); err != nil {
			return err
		}
	}
	if err := in.delta.Each(in.applySection); err != nil {
		return err
	}
	if in.applied.Changes > 0 {
		tx.State.LastTransfer = tx.Now()
	}
	if in.author == 0 {
		if err := in.effects.Crossing(); err != nil {
			return err
		}
	} else if err := in.repair(); err != nil {
		return err
	}
	if err := conflict.ReadmitHeld(tx, in.held); err != nil {
		return err
	}
	return restore()
}

// merging is one change on its way into a row.
type merging struct {
	t       *catalog.Table
	author  causal.Site // the node it comes from; 0: the hub
	change  crdt.Change
	row     crdt.Row // before
	present bool
	was     *catalog.Values // values before
	state   catalog.Whereabouts
	out     crdt.Outcome
	// seen is, at the hub, what the author had seen of the row: more than of everything, if that
	// was sent early.
	seen causal.Seen
	// remade is, at the hub, when the author had made the row anew before it deleted it, unheard.
	remade hlc.Stamp
}

func (in *incoming) applyChange(t *catalog.Table, change crdt.Change) error {
	tx, author := in.tx, in.author
	here, err := tx.ReadRow(t, change.Key, true)
	if err != nil {
		return err
	}
	if author != 0 && change.Seen < tx.State.Settled {
		return in.refuseUnstable(t, change)
	}
	document, position := here.Document, here.Position
	m := &in.merging
	*m = merging{t: t, author: author, change: change, row: here.Row, was: here.Table, state: catalog.InTable}
	if m.was == nil {
		if m.was, m.state, err = tx.ReadKept(t, change.Key); err != nil {
			return err
		}
	}
	m.present = here.Found || m.state == catalog.InTable
	in.sameRow(m)
	if author == 0 && t.Renumbers && m.collides(tx.State.Site, in.delta.Seen) {
		return &history.CrossingError{Table: t.Name}
	}
	if author != 0 {
		if err := m.admit(); err != nil {
			return err
		}
	}
	m.readCounters()
	m.out = crdt.Merge(m.row, m.present, m.change, tx.Position())
	m.ignoreBases()
	m.rewrite(tx)
	if author == 0 {
		m.comesBack(tx.State.Site, in.delta.Seen)
	} else if !m.present && m.change.Whole && m.change.Birth.IsZero() && m.out.Row.Live() {
		// its birth is news to nobody, so this says that whoever lacks the row gets it whole
		m.out.Row.Revived = tx.Position()
	}
	// Whatever is written here from now on is newer than what it could see.
	newest := newestTime(m.change)
	tx.State.Clock.Observe(newest)
	if author != 0 {
		position = tx.Position()
		in.hears = max(in.hears, newest)
		if document, err = in.judgeWork(m, here); err != nil {
			return err
		}
	} else {
		if err := in.keepOverwritten(m); err != nil {
			return err
		}
		if m.offersWhole(tx.State.Site) {
			position = tx.Position()
			tx.HoldFloor() // it is work that the hub does not have
		}
	}
	if err := in.materialise(m); err != nil {
		return err
	}
	if err := in.note(m, document); err != nil {
		return err
	}
	if !m.out.Changed {
		return nil
	}
	if author == 0 && m.offersWhole(tx.State.Site) {
		m.offer(position, tx.State.Seen)
	}
	return tx.WriteShadow(t, change.Key, m.out.Row, document, position)
}

// offer offers the whole row as the edit that keeps it alive. The site that deleted it has forgotten which
// column was newer, and others may know more of it than this one.
func (m *merging) offer(at causal.Position, seen causal.Seen) {
	m.out.Row.Base = crdt.Version{Stamp: m.out.Row.Newest(), Position: at, Seen: seen}
	m.out.Row.Columns = nil
}

// refuseUnstable says why a node's change cannot be merged that had not seen what is stable: this site has
// forgotten what it would have to be compared with.
func (in *incoming) refuseUnstable(t *catalog.Table, change crdt.Change) error {
	return fmt.Errorf("site %d sent a change of table %s that had seen the hub's position %d, and up to %d is settled. "+
		"Try: ravno leave --force at the node, then ravno join --keep-local with a new token", in.author, t.Name,
		change.Seen, in.tx.State.Settled)
}

// judgeWork is what the hub does with a node's change besides merging it: it finds out what the node
// had seen, whether that is a conflict, and which documents the row left and came to. It returns the
// document that the row belongs to now.
func (in *incoming) judgeWork(m *merging, here rows.RowHere) (document catalog.Reference, err error) {
	tx := in.tx
	self := m.t.Reference(m.change.Key)
	if m.seen, err = history.HasSeen(tx, m.author, self, m.change.Seen); err != nil {
		return document, err
	}
	if err := in.noteDecision(m); err != nil {
		return document, err
	}
	if document, err = in.judge(m); err != nil {
		return document, err
	}
	if m.out.Changed && here.Found && m.t.Parent != nil {
		former := here.Document
		if former == (catalog.Reference{}) {
			former = self
		}
		if err := history.Moves(tx, former, document); err != nil {
			return document, err
		}
	}
	return document, in.recordReinserted(m, document)
}

// rewrite takes in, at the hub, that the author had made the row anew before it deleted it. It has all
// columns at that time, and has forgotten their values: older ones would not count there, should the
// row live on.
func (m *merging) rewrite(tx *rows.Tx) {
	if m.remade.IsZero() || m.out.Outlived {
		return
	}
	m.out.Row.Rewrite(crdt.Version{Stamp: m.remade, Position: tx.Position(), Seen: m.change.Seen})
	m.out.Changed = true
}

// comesBack sees to what this node wrote itself, forgot, and gets back from the hub: it is no work
// that the hub has yet to hear of. The hub had it when it had this node's work up to a position.
func (m *merging) comesBack(self causal.Site, had causal.Position) {
	heard := func(v, before crdt.Version) crdt.Version {
		if v.Stamp.Site == self && v.Stamp != before.Stamp {
			v.Position = min(v.Position, had)
		}
		return v
	}
	row, before := &m.out.Row, &m.row
	row.Birth, row.Death = heard(row.Birth, before.Birth), heard(row.Death, before.Death)
	for i := range m.change.Registers {
		if reg := &m.change.Registers[i]; reg.Stamp.Site == self {
			row.Set(reg.Column, heard(row.Version(reg.Column), before.Version(reg.Column)))
		}
	}
	row.Base = heard(row.Base, before.Base)
}

// admit holds a node to its own identity. Registers of others, sent along with a whole row,
// may fill in values that were lost here with a deletion; they replace none.
func (m *merging) admit() error {
	kept := m.change.Registers[:0]
	for _, reg := range m.change.Registers {
		switch {
		case reg.Stamp.Site == m.author,
			m.present && m.change.Whole && m.change.Birth == m.row.Birth.Stamp && m.lacks(reg.Column):
			kept = append(kept, reg)
		case !m.change.Whole:
			return &IdentityError{Node: m.author, Claimed: reg.Stamp.Site, Table: m.t.Name}
		}
	}
	m.change.Registers = kept
	if err := m.ownParts(); err != nil {
		return err
	}
	if newest := newestTime(m.change); newest >= hlc.At(hlc.MaxMillis) {
		return fmt.Errorf("table %s: a stamp of site %d is beyond the last time there is: the clock of that server is broken",
			m.t.Name, m.author)
	}
	if b := m.change.Birth; b.Site != m.author && !b.IsZero() && (!m.present || b.After(m.row.Birth.Stamp)) {
		return &IdentityError{Node: m.author, Claimed: b.Site, Table: m.t.Name}
	}
	if d := m.change.Death; !d.IsZero() && d.Site != m.author {
		return &IdentityError{Node: m.author, Claimed: d.Site, Table: m.t.Name}
	}
	return nil
}

func (m *merging) lacks(column crdt.Column) bool {
	_, known := m.was.Get(column)
	return !known
}

// newestTime is the newest time in a change.
func newestTime(change crdt.Change) hlc.Time {
	newest := max(change.Birth.Time, change.Death.Time)
	for _, reg := range change.Registers {
		newest = max(newest, reg.Stamp.Time)
	}
	for _, p := range change.Parts {
		newest = max(newest, p.Stamp.Time)
	}
	return newest
}

// offersWhole reports whether this node's own edit just outlived a deletion made elsewhere:
// others have deleted the values, so the row must be sent to them whole.
func (m *merging) offersWhole(self causal.Site) bool {
	return m.out.Row.Live() && m.out.Row.Revived != m.row.Revived && m.out.Row.Newest().Site == self
}
