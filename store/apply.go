package store

import (
	"errors"
	"fmt"
	"io"
	"os"

	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/crdt/hlc"
)

// Span says of a delta what it covers: the sender's work above From up to To. Seen is the
// receiver's position that the sender had applied when it extracted the delta, so what the
// receiver has done above it the sender did not know.
type Span struct {
	From, To, Seen causal.Position
	// Until is where the delta ends of which this is a slice; 0: it is the last, or the only one.
	Until causal.Position
	// Highest are the highest keys of the rows that come in this slice of a delta and in those
	// after it, by the names of tables whose rows may get fresh keys. Of a node's work only; nil,
	// as Newest is zero, if the delta is one slice.
	Highest map[string]int64
	// Newest is the time of the newest birth up to To: a slice may have newer ones, too, because
	// it has documents whole.
	Newest hlc.Time
}

// Delta is everything of one site above a position, on its way in.
type Delta struct {
	Span
	// Open begins to read: next returns the sections one after the other and then io.EOF. A
	// delta may be read more than once.
	Open func() (next func() (*crdt.Section, error), err error)
}

// each calls f with every section.
func (d Delta) each(f func(*crdt.Section) error) error {
	next, err := d.Open()
	if err != nil {
		return err
	}
	for {
		section, err := next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := f(section); err != nil {
			return err
		}
	}
}

// Applied says what applying a delta did.
type Applied struct {
	Changes   int
	Conflicts int             // found or extended
	Position  causal.Position // of this site, after it
	// At a node, after it: the least hub position its unsent work may have seen, and whether there is
	// anything that the hub may not have.
	Floor  causal.Seen
	Unsent bool
}

// OutOfOrderError says that a delta does not begin where this site's knowledge ends: it is
// a repetition, or the sender is wrong about what we have. Nothing was applied.
type OutOfOrderError struct {
	From causal.Position
	Have causal.Reached
}

func (e *OutOfOrderError) Error() string {
	return fmt.Sprintf("delta begins at position %d, have %d", e.From, e.Have.Position)
}

// SchemaError says that a change names a table or column this site does not have. Nothing
// was applied; it can be sent again once the application here is upgraded.
type SchemaError struct{ Table, Column string }

func (e *SchemaError) Error() string {
	if e.Column != "" {
		return fmt.Sprintf("column %s of table %s is not in this database. Try: upgrade the application here", e.Column, e.Table)
	}
	return fmt.Sprintf("table %s is not in this database, or does not sync here. Try: upgrade the application here", e.Table)
}

// IdentityError says that a node submitted work under another site's identity.
type IdentityError struct {
	Node, Claimed causal.Site
	Table         string
}

func (e *IdentityError) Error() string {
	return fmt.Sprintf("site %d submitted a change of table %s under the identity of site %d", e.Node, e.Table, e.Claimed)
}

// ApplyFromHub merges a delta of the hub into this node's tables, in one transaction, and
// returns once it is durable. A delta without a change is only a mark.
func (s *Store) ApplyFromHub(delta Delta) (applied Applied, err error) {
	apply := func(tx *transaction) (err error) {
		applied, err = tx.applyFromHub(delta, s.foldFirst)
		s.turn.changes = applied.Changes
		return err
	}
	// Durable, although there may be nothing in it: what this node has seen it must never again
	// not have seen, because others forget what everybody has.
	s.warm(delta)
	err = s.writeFolded(apply)
	if err == nil && applied.Changes > 0 {
		s.touchFile()
	}
	return applied, err
}

// applyFromHub merges a delta of the hub. fold folds what the log has, and returns the rows that are held.
func (tx *transaction) applyFromHub(delta Delta, fold func(*transaction) (*heldSet, error)) (applied Applied, err error) {
	if delta.From != tx.state.seen {
		return applied, &OutOfOrderError{From: delta.From, Have: causal.Reached{Position: tx.state.seen, Until: tx.state.until}}
	}
	held, err := fold(tx)
	if err != nil {
		return applied, err
	}
	in := newIncoming(tx, held, 0, delta)
	if err := in.applyAll(); err != nil {
		return applied, err
	}
	tx.state.seen, tx.state.until = delta.To, delta.Until
	none, err := tx.nothingEarly()
	applied = in.applied
	applied.Position, applied.Floor, applied.Unsent = tx.state.position, tx.state.seenFloor(), tx.state.hasFloor || !none
	return applied, err
}

// touchFile moves the file's modification time: in WAL mode it stands still, and there are
// applications that reload when it moves.
func (s *Store) touchFile() {
	now := s.clock()
	os.Chtimes(s.path, now, now) // only a hint: the data is there either way
}

// errRemoved refuses what was on its way from a node when it was removed: nobody waits for it any
// more, so what it has not seen may be forgotten.
var errRemoved = errors.New("this node was removed. Try: ravno join with a new token")

func (tx *transaction) refuseRemoved(node causal.Site) error {
	removed, err := tx.c.Int("SELECT removed FROM ravno_site WHERE site=?", integer(node))
	if err == nil && removed != 0 {
		err = errRemoved
	}
	return err
}

// ApplyFromNode merges a node's own changes into the hub's tables, in one transaction, and
// returns once it is durable: then, and not before, the node may be told.
func (s *Store) ApplyFromNode(node causal.Site, delta Delta, floor causal.Seen) (applied Applied, err error) {
	s.warm(delta)
	err = s.writeFolded(func(tx *transaction) (err error) {
		applied, err = tx.applyFromNode(node, delta, floor, s.foldFirst)
		s.turn.changes = applied.Changes
		return err
	})
	if err == nil && applied.Changes > 0 {
		s.touchFile()
	}
	return applied, err
}

// applyFromNode merges a node's own changes, at the hub. fold folds what the log has, and returns the rows
// that are held.
func (tx *transaction) applyFromNode(node causal.Site, delta Delta, floor causal.Seen, fold func(*transaction) (*heldSet, error)) (applied Applied, err error) {
	have, heard, err := tx.hasOf(node)
	if err != nil {
		return applied, err
	}
	if delta.From != have.Position {
		return applied, &OutOfOrderError{From: delta.From, Have: have}
	}
	if err := tx.refuseRemoved(node); err != nil {
		return applied, err
	}
	held, err := fold(tx)
	if err != nil {
		return applied, err
	}
	in := newIncoming(tx, held, node, delta)
	in.hears, in.rekeying.heard, in.rekeying.sliced = heard, heard, have.Until > 0
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
	applied.Position = tx.state.position
	return applied, tx.gotFromNode(node, delta.Span, floor, hears)
}

// hasOf is what of a node's work is here, and the newest stamp in it.
func (tx *transaction) hasOf(node causal.Site) (have causal.Reached, heard hlc.Time, err error) {
	peer, err := tx.c.Row("SELECT have, until, heard FROM ravno_peer WHERE site=?", integer(node))
	if err != nil || peer == nil {
		return have, heard, err
	}
	return causal.Reached{Position: causal.Position(peer[0].Int()), Until: causal.Position(peer[1].Int())}, hlc.Time(peer[2].Int()), nil
}

// gotFromNode records that a delta of a node is here.
func (tx *transaction) gotFromNode(node causal.Site, of Span, floor causal.Seen, heard hlc.Time) error {
	return tx.c.Exec("UPDATE ravno_peer SET have=?, until=?, floor=max(floor, ?), heard=?, last_transfer=? WHERE site=?",
		integer(of.To), integer(of.Until), integer(floor), integer(heard), integer(tx.now()), integer(node))
}

// incoming is one delta on its way into the tables, in one transaction.
type incoming struct {
	tx       *transaction
	held     *heldSet
	delta    Delta
	author   causal.Site // the node it comes from; 0: the hub
	applied  Applied
	merging  merging         // the change in hand: they are large, and there is one at a time
	began    causal.Position // the position before the first change
	hears    hlc.Time        // at the hub: the newest stamp in what the node has sent, this delta too
	rekeying *rekeying
	effects  *effects
	touches  *knownTouches
	// decided are documents whose conflict two sites have resolved at once, with its identifier.
	decided map[reference]string
}

func newIncoming(tx *transaction, held *heldSet, author causal.Site, delta Delta) *incoming {
	return &incoming{tx: tx, held: held, delta: delta, author: author, began: tx.state.position,
		rekeying: &rekeying{tx: tx, author: author, seen: delta.Seen, began: tx.state.position},
		effects:  newEffects(tx, author, delta.Seen), touches: &knownTouches{tx: tx}}
}

func (in *incoming) applyAll() error {
	tx := in.tx
	restore, err := tx.ownSequences()
	if err != nil {
		return err
	}
	if in.author != 0 {
		if err := in.rekeying.findCollisions(in.delta.each, in.delta.Highest); err != nil {
			return err
		}
	}
	if err := in.delta.each(in.applySection); err != nil {
		return err
	}
	if in.applied.Changes > 0 {
		tx.state.lastTransfer = tx.now()
	}
	if in.author == 0 {
		if err := in.effects.crossing(); err != nil {
			return err
		}
	} else if err := in.repair(); err != nil {
		return err
	}
	if err := tx.readmitHeld(in.held); err != nil {
		return err
	}
	return restore()
}

// merging is one change on its way into a row.
type merging struct {
	t       *table
	author  causal.Site // the node it comes from; 0: the hub
	change  crdt.Change
	row     crdt.Row // before
	present bool
	was     *image // values before
	state   imageState
	out     crdt.Outcome
	// seen is, at the hub, what the author had seen of the row: more than of everything, if that
	// was sent early.
	seen causal.Seen
	// remade is, at the hub, when the author had made the row anew before it deleted it, unheard.
	remade hlc.Stamp
}

func (in *incoming) applyChange(t *table, change crdt.Change) error {
	tx, author := in.tx, in.author
	here, err := tx.readRow(t, change.Key)
	if err != nil {
		return err
	}
	if author != 0 && change.Seen < tx.state.settled {
		return fmt.Errorf("site %d sent a change of table %s that had seen the hub's position %d, and up to %d is settled. Try: ravno leave --force at the node, then ravno join --keep-local with a new token", author, t.Name, change.Seen, tx.state.settled)
	}
	document, sent := here.document, here.sent
	m := &in.merging
	*m = merging{t: t, author: author, change: change, row: here.row, was: here.table, state: imageTable}
	if m.was == nil {
		if m.was, m.state, err = tx.readImage(t, change.Key); err != nil {
			return err
		}
	}
	m.present = sent.found || m.state == imageTable
	in.sameRow(m)
	if author == 0 && t.renumbers && m.collides(tx.state.site, in.delta.Seen) {
		return &CrossingError{Table: t.Name}
	}
	if author != 0 {
		if err := m.admit(); err != nil {
			return err
		}
	}
	m.readCounters()
	m.out = crdt.Merge(m.row, m.present, m.change, tx.position())
	m.ignoreBases()
	m.rewrite(tx)
	if author == 0 {
		m.comesBack(tx.state.site, in.delta.Seen)
	} else if !m.present && m.change.Whole && m.change.Birth.IsZero() && m.out.Row.Live() {
		m.out.Row.Revived = tx.position() // its birth is news to nobody, so this says that whoever lacks the row gets it whole
	}
	// Whatever is written here from now on is newer than what it could see.
	newest := newestTime(m.change)
	tx.state.clock.Observe(newest)
	position := sent.position
	if author != 0 {
		position = tx.position()
		in.hears = max(in.hears, newest)
		if document, err = in.judgeWork(m, here); err != nil {
			return err
		}
	} else {
		if err := in.displace(m); err != nil {
			return err
		}
		if m.offersWhole(tx.state.site) {
			position = tx.position()
			tx.holdFloor() // it is work that the hub does not have
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
	if author == 0 && m.offersWhole(tx.state.site) {
		// Who deleted the row has forgotten what was newer in which column, and others may know
		// more of it than we do. The whole row is offered as the edit that keeps it alive.
		m.out.Row.Base = crdt.Version{Stamp: m.out.Row.Newest(), Position: position, Seen: tx.state.seen}
		m.out.Row.Columns = nil
	}
	return tx.writeShadow(t, change.Key, m.out.Row, document, position)
}

// judgeWork is what the hub does with a node's change besides merging it: it finds out what the node
// had seen, whether that is a conflict, and which documents the row left and came to. It returns the
// document that the row belongs to now.
func (in *incoming) judgeWork(m *merging, here rowHere) (document reference, err error) {
	tx := in.tx
	self := m.t.reference(m.change.Key)
	if m.seen, err = tx.hasSeen(m.author, self, m.change.Seen); err != nil {
		return document, err
	}
	if err := in.noteDecision(m); err != nil {
		return document, err
	}
	if document, err = in.judge(m); err != nil {
		return document, err
	}
	if m.out.Changed && here.sent.found && m.t.parent != nil {
		former := here.document
		if former == (reference{}) {
			former = self
		}
		if err := tx.moves(former, document); err != nil {
			return document, err
		}
	}
	return document, in.recordMadeOver(m, document)
}

// rewrite takes in, at the hub, that the author had made the row anew before it deleted it. It has all
// columns at that time, and has forgotten their values: older ones would not count there, should the
// row live on.
func (m *merging) rewrite(tx *transaction) {
	if m.remade.IsZero() || m.out.Outlived {
		return
	}
	m.out.Row.Rewrite(crdt.Version{Stamp: m.remade, Position: tx.position(), Seen: m.change.Seen})
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
		return fmt.Errorf("table %s: a stamp of site %d is beyond the last time there is: the clock of that server is broken", m.t.Name, m.author)
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
	_, known := m.was.get(column)
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
