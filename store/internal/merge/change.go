package merge

import (
	"fmt"

	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/crdt/hlc"
	"ravno/store/internal/catalog"
	"ravno/store/internal/history"
	"ravno/store/internal/rows"
)

// merging is one change while it is merged into its row.
type merging struct {
	t       *catalog.Table
	author  causal.Site // the node that sent it, or 0 for the hub
	change  crdt.Change
	row     crdt.Row // the row before the merge
	present bool
	was     *catalog.Values // the values before the merge
	state   catalog.Whereabouts
	out     crdt.Outcome
	// seen is, at the hub, up to which hub position the author had the row. It exceeds the author's
	// seen position for a row that was shipped ahead.
	seen causal.Seen
	// remade is, at the hub, the birth of a row that the author made anew and deleted again before
	// the hub heard of it.
	remade hlc.Stamp
}

// applyChange merges one change into its row, makes the table show the result, and writes the shadow.
// At the hub it also judges the change. At a node it keeps own work that the change overwrites.
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
		// Its birth is new to no site. Revived sends the row whole to the sites that lack it.
		m.out.Row.Revived = tx.Position()
	}
	// Every later write here gets a newer stamp than this change.
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
			tx.HoldFloor() // The hub does not have this work yet.
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

// offer gives every column the stamp of the edit that keeps the row alive. The site that deleted the
// row has forgotten its versions, and other sites may know more of it than this one.
func (m *merging) offer(at causal.Position, seen causal.Seen) {
	m.out.Row.Base = crdt.Version{Stamp: m.out.Row.Newest(), Position: at, Seen: seen}
	m.out.Row.Columns = nil
}

// refuseUnstable returns the error for a change whose author had not seen everything that is stable.
// This site has forgotten the versions that such a change must be compared with.
func (in *incoming) refuseUnstable(t *catalog.Table, change crdt.Change) error {
	return fmt.Errorf("site %d sent a change of table %s that had seen the hub's position %d, and up to %d is settled. "+
		"Try: ravno leave --force at the node, then ravno join --keep-local with a new token", in.author, t.Name,
		change.Seen, in.tx.State.Settled)
}

// judgeWork does the hub's work for a node's change besides merging it. It finds the position that the
// node had seen of the row, judges the change, and notes documents that the row left. It returns the
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

// rewrite gives all columns the birth of a row that its author made anew and deleted again. The author
// has forgotten the values of such a row. So older values do not count there, should the row live on.
func (m *merging) rewrite(tx *rows.Tx) {
	if m.remade.IsZero() || m.out.Outlived {
		return
	}
	m.out.Row.Rewrite(crdt.Version{Stamp: m.remade, Position: tx.Position(), Seen: m.change.Seen})
	m.out.Changed = true
}

// comesBack handles versions that this node wrote, forgot, and now gets back from the hub. They are no
// unacknowledged work, so their positions become at most had. The hub had this node's work up to that
// position.
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

// admit refuses a node's change that claims another site's identity, with an IdentityError. Registers
// of other sites that come with a whole row may fill in values that are lost here. It drops the other
// registers of other sites.
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

// lacks reports whether the value of a column is not known here.
func (m *merging) lacks(column crdt.Column) bool {
	_, known := m.was.Get(column)
	return !known
}

// newestTime returns the newest time in a change.
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

// offersWhole reports whether this node's own edit has just outlived a deletion elsewhere. Other sites
// have deleted the values, so this node must send them the row whole.
func (m *merging) offersWhole(self causal.Site) bool {
	return m.out.Row.Live() && m.out.Row.Revived != m.row.Revived && m.out.Row.Newest().Site == self
}
