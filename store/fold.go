package store

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/crdt/hlc"
	"ravno/store/internal/capture"
)

var errKey = errors.New("malformed key")

// folding is one row that the log says to look at, while it is looked at.
type folding struct {
	*loggedRow
	sets []columnSet     // columns set, with the time of each update
	seen causal.Seen     // what its author had seen
	has  causal.Position // at a node: what the hub has of it
}

// pass is one fold, of the whole log or of a part of it.
type pass struct {
	tx   *transaction
	held *heldSet
	// parents are the foreign key values of rows that are gone from their tables, as the log has them.
	parents map[reference][]crdt.Value
	// repairs: it folds what the hub repaired, which is no side of its own in anybody's conflict.
	repairs bool
}

// folded is what a fold did.
type folded struct {
	rows    int   // that changed
	written int64 // when the application wrote the last entry, in Unix milliseconds; 0: there was none of it
}

// fold turns the log into registers: the only birthplace of stamps. It takes every entry
// there is, so it never covers half a transaction of the application, and because each
// apply folds first, inside its own transaction, whatever is still in the log afterwards
// was written by someone who had seen what was applied.
func (tx *transaction) fold(h *heldSet) (folded, error) { return tx.foldWhole(h, false) }

// foldRepairs is fold of what was repaired.
func (tx *transaction) foldRepairs(h *heldSet) error {
	_, err := tx.foldWhole(h, true)
	return err
}

func (tx *transaction) foldWhole(h *heldSet, repairs bool) (done folded, err error) {
	read, upTo, err := tx.readWholeLog()
	if err != nil || upTo <= tx.state.folded {
		return done, err
	}
	if again, err := tx.stepAside(h, read.made()); err != nil {
		return done, err
	} else if again { // what that wrote itself is at the log's end now
		if read, upTo, err = tx.readWholeLog(); err != nil {
			return done, err
		}
	}
	sortRows(read.order)
	done.written = read.written
	p := &pass{tx: tx, held: h, parents: read.parents, repairs: repairs}
	if done.rows, err = p.foldRows(read.order); err != nil {
		return done, err
	}
	tx.state.folded = upTo
	return done, capture.Trim(tx.c, upTo)
}

func (tx *transaction) readWholeLog() (read logged, upTo int64, err error) {
	if upTo, _, err = capture.Last(tx.c); err != nil || upTo <= tx.state.folded {
		return read, upTo, err
	}
	read, err = tx.readLog(upTo, tx.refuseRow)
	return read, upTo, err
}

// sortRows puts rows in the order of their keys, in which they lie side by side in the trees that
// are read and written: finding them is most of the time that the lock is held. Whatever is referred
// to comes before what refers to it, so that it gets no later position, and travels no later; rows of
// tables that refer to themselves stay in the order in which they were written.
func sortRows(order []*loggedRow) {
	sort := slices.SortFunc[[]*loggedRow] // which is faster, and enough where no two rows are alike
	if slices.ContainsFunc(order, func(w *loggedRow) bool { return w.t.cyclic }) {
		sort = slices.SortStableFunc
	}
	sort(order, func(a, b *loggedRow) int {
		if byTable := cmp.Or(cmp.Compare(a.t.depth, b.t.depth), cmp.Compare(a.t.circle, b.t.circle)); byTable != 0 || a.t.cyclic {
			return byTable
		}
		return strings.Compare(string(a.key), string(b.key))
	})
}

// foldRows folds what the log says of rows, which are in the order of their keys.
func (p *pass) foldRows(order []*loggedRow) (rows int, err error) {
	tx := p.tx
	err = tx.gatherShadows(len(order), func() error {
		f := new(folding)
		for _, w := range order {
			*f = folding{loggedRow: w, sets: w.sets()}
			changed, err := p.foldRow(f)
			if err != nil {
				return err
			}
			if changed {
				rows++
				tx.spreads()
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	if err := tx.forgetGone(); err != nil {
		return 0, err
	}
	if rows > 0 {
		tx.holdFloor()
	}
	restore, err := tx.ownSequences()
	if err != nil {
		return 0, err
	}
	p.held.try = true
	if err := tx.readmitHeld(p.held); err != nil {
		return 0, err
	}
	return rows, restore()
}

// holdFloor keeps in mind, at a node, that there is work the hub does not have yet, and what it
// has seen at least.
func (tx *transaction) holdFloor() {
	if !tx.state.isHub() && !tx.state.hasFloor {
		tx.state.floor, tx.state.hasFloor = tx.state.seen, true
	}
}

// foldRow compares what the log says with what is in the table and in the shadow.
func (p *pass) foldRow(f *folding) (bool, error) {
	tx := p.tx
	exists, here, err := tx.readLoggedRow(f.t, f.key)
	if err != nil {
		return false, err
	}
	inTable, row, former, found := exists, here.row, here.document, here.sent.found
	if !exists && found && !row.Live() && len(f.sets) > 0 {
		// Put back by ravno, but a constraint keeps it out of its table for now.
		if exists, err = p.held.isHeld(f.t, f.key); err != nil {
			return false, err
		}
	}
	changed, was := false, row
	if f.has, err = tx.hubHas(f.t.reference(f.key)); err != nil {
		return false, err
	}
	f.seen = tx.seenBy(row, f.has)
	if exists {
		var before crdt.Row
		if len(f.t.counters) > 0 {
			before = row.Clone()
		}
		if changed = tx.foldLive(f, &row, found); changed && len(f.t.counters) > 0 {
			differ, err := tx.foldCounters(f, &row, before)
			if err != nil {
				return false, err
			}
			if err := tx.updateImage(f.t, f.key, differ.columns(), differ); err != nil {
				return false, err
			}
		}
	} else if changed, err = p.foldGone(f, &row, found); err != nil {
		return false, err
	}
	if !changed {
		return false, nil
	}
	if inTable {
		p.held.noteInserted(f.t, f.key)
		if f.born {
			if err := p.madeOver(f, was); err != nil {
				return false, err
			}
		}
		if err := tx.dropImage(f.t, f.key); err != nil {
			return false, err
		}
	}
	document, err := tx.root(f.t, f.key, p.parents)
	if err == nil {
		err = p.leaves(f, former, found, document)
	}
	if err != nil {
		return false, err
	}
	if born := f.born && exists && f.t.alone; tx.state.isHub() && !f.t.own && !born && !p.repairs {
		if exists && f.onlyCounts() {
			err = tx.touchCounted(document, f.t, f.key, tx.state.site)
		} else {
			err = p.touchBoth(document, f, !exists)
		}
		if err != nil {
			return false, err
		}
	} else if born && tx.state.isHub() && !f.t.own && !p.repairs {
		if err := tx.renamedHere(f.t, f.key); err != nil { // made anew in the place of one that was called otherwise
			return false, err
		}
	}
	return true, tx.writeShadow(f.t, f.key, row, document, tx.position())
}

// leaves sees to a row that belongs to another document than before.
func (p *pass) leaves(f *folding, former reference, found bool, document reference) error {
	tx := p.tx
	if f.t.parent == nil {
		return nil
	}
	if !found { // settled: the log says where it was
		before := p.parents[f.t.reference(f.key)]
		if before == nil {
			return nil
		}
		up, ok, err := tx.parentKey(f.t, before)
		if err != nil || !ok {
			return err
		}
		if former, err = tx.root(f.t.parent.table, up, p.parents); err != nil {
			return err
		}
	} else if former == (reference{}) {
		former = f.t.reference(f.key)
	}
	return tx.moves(former, document)
}

// touchBoth touches the document a row belongs to and, if it was moved, the one it left.
func (p *pass) touchBoth(document reference, f *folding, dead bool) error {
	tx := p.tx
	before, err := tx.gone(f.t, f.key, false) // what others may refer to, if it changed
	if err != nil {
		return err
	}
	if err := tx.touch(document, f.t, f.key, tx.state.site, dead, before); err != nil {
		return err
	}
	if err := tx.renamedHere(f.t, f.key); err != nil {
		return err
	}
	former := p.parents[f.t.reference(f.key)]
	if f.t.parent == nil || former == nil || dead {
		return nil
	}
	up, ok, err := tx.parentKey(f.t, former)
	if err != nil || !ok {
		return err
	}
	left, err := tx.root(f.t.parent.table, up, p.parents)
	if err != nil || left == document {
		return err
	}
	return tx.touch(left, f.t, f.key, tx.state.site, dead, nil)
}

func (tx *transaction) foldLive(f *folding, row *crdt.Row, found bool) bool {
	if !f.born && found && !row.Live() && len(f.sets) > 0 {
		// A deleted row that ravno has put back: the same row, alive again by what was written,
		// and whoever has deleted its values gets them whole.
		row.Revived = tx.position()
	} else if found && !row.Live() {
		f.born = true
	}
	switch {
	case f.born, f.replaced && f.t.registers() == 0:
		// A row that is all key has no register that could carry the newer stamp of a REPLACE.
		if f.bornAt == 0 {
			f.bornAt = f.lastAt
		}
		birth := tx.version(f, f.bornAt)
		*row = crdt.Row{Birth: birth, Base: birth}
	case f.replaced:
		row.Base, row.Columns = tx.version(f, f.lastAt), nil
	case len(f.sets) == 0:
		return false
	default:
		for _, set := range f.sets {
			version := tx.version(f, set.at)
			for number := range set.columns.All() {
				if !f.t.isCounter(crdt.Column(number)) {
					row.Set(crdt.Column(number), version)
				}
			}
		}
	}
	return true
}

func (p *pass) foldGone(f *folding, row *crdt.Row, found bool) (bool, error) {
	tx := p.tx
	if found && !row.Live() || !found && f.first == capture.Insert {
		return false, nil // gone before, or it came and went between two folds: nobody ever saw it
	}
	remains, err := tx.gone(f.t, f.key, f.born)
	if err != nil {
		return false, err
	}
	m, state, err := tx.readImage(f.t, f.key) // of a row nobody has changed before, too
	switch {
	case err != nil:
		return false, err
	case state == imageHeld && f.first == capture.Delete: // a resolution gives it up
		remains, p.held.changed, p.held.try = m, true, true
	case state == imageHeld || state == imagePartial:
		return false, nil // it was not in the table to begin with
	case state == imageRemains: // ravno deleted it
		remains = m
	}
	at := f.lastAt
	if remains != nil && f.overwrote(tx, row, remains) {
		at = tx.state.clock.Tick(0) // later than what was written
	}
	for _, column := range f.t.counters { // what was counted before counts, should the row live on
		if c, known := row.Counter(column); known && remains != nil && c.Sum() != remains.value(column) {
			row.Count(column, remains.value(column), tx.version(f, f.lastAt))
			at = tx.state.clock.Tick(0) // later than what was counted
		}
	}
	row.Death = tx.version(f, at)
	if remains != nil {
		return true, tx.keepImage(f.t, f.key, imageRemains, remains)
	}
	// The values are gone, and so is what was known of their versions: should an edit made
	// elsewhere outlive this deletion, every value of the row is news here.
	row.Base, row.Columns = row.Birth, nil
	return true, nil
}

// overwrote stamps, at the hub, what was written of a row before it was deleted in the same
// fold: should the row come back, the hub brings it back with those values. A node does not
// send what the hub has not got of a deleted row, so there it is forgotten, and whatever comes
// is news. It reports whether there is anything newer.
func (f *folding) overwrote(tx *transaction, row *crdt.Row, remains *image) bool {
	any := false
	note := func(column crdt.Column, at hlc.Time) {
		switch {
		case f.t.isCounter(column):
		case tx.state.isHub():
			row.Set(column, tx.version(f, at))
			any = true
		default:
			remains.forget(column)
			row.Set(column, row.Birth)
		}
	}
	for _, number := range f.t.numbers {
		version := row.Version(crdt.Column(number))
		if !tx.state.isHub() && f.t.isRegister(crdt.Column(number)) && tx.unheard(version, f.has) {
			note(crdt.Column(number), 0)
		}
	}
	for _, number := range f.t.numbers {
		if column := crdt.Column(number); f.replaced && f.t.isRegister(column) {
			note(column, f.lastAt)
		}
	}
	for _, set := range f.sets {
		for number := range set.columns.All() {
			note(crdt.Column(number), set.at)
		}
	}
	return any
}

// version is a version written here and now.
func (tx *transaction) version(f *folding, at hlc.Time) crdt.Version {
	return crdt.Version{Stamp: hlc.Stamp{Time: at, Site: tx.state.site}, Position: tx.position(), Seen: f.seen}
}

// seenBy is what the author of a write to a row has seen: all that was applied here, or
// less, if the row holds own work the hub does not have yet. That work may have kept an
// incoming value out of the table, so whoever writes over it has not seen that value.
func (tx *transaction) seenBy(row crdt.Row, has causal.Position) causal.Seen {
	if tx.state.isHub() {
		return tx.state.position
	}
	seen := tx.state.seen
	note := func(v crdt.Version) {
		if tx.unheard(v, has) {
			seen = min(seen, v.Seen)
		}
	}
	note(row.Birth)
	note(row.Death)
	note(row.Base)
	for _, c := range row.Columns {
		note(c.Version)
	}
	for _, c := range row.Counters {
		for _, p := range c.Parts {
			note(p.Version)
		}
	}
	return seen
}
