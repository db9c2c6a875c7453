package fold

import (
	"cmp"
	"slices"
	"strings"

	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/store/internal/capture"
	"ravno/store/internal/catalog"
	"ravno/store/internal/conflict"
	"ravno/store/internal/held"
	"ravno/store/internal/history"
	"ravno/store/internal/rekey"
	"ravno/store/internal/rows"
)

// folding is one row of the log while a pass folds it.
type folding struct {
	*LoggedRow
	sets []columnSet     // the updates, oldest first
	seen causal.Seen     // the hub position that the author had seen
	has  causal.Position // at a node: up to which position the hub has the row
}

// Pass is one fold of the whole log or of a part of it. It runs inside one write transaction.
type Pass struct {
	Tx   *rows.Tx
	Held *held.Set
	// Parents holds the foreign key values of rows that are gone from their tables, as the log has
	// them.
	Parents map[catalog.Reference][]crdt.Value
	// repairs is set while the hub folds its own repairs. A repair is no side of a conflict.
	repairs bool
}

// folded is the result of a fold.
type folded struct {
	Rows    int   // the rows that changed
	Written int64 // when the application wrote the last entry, in Unix milliseconds, or 0 without one
}

// Fold turns the whole log into registers. It is the only birthplace of stamps.
//
// It takes every entry, so it never covers half a transaction of the application. Every apply folds
// first, inside its own transaction. So the author of any later entry had seen the applied rows.
func Fold(tx *rows.Tx, h *held.Set) (folded, error) { return foldWhole(tx, h, false) }

// FoldRepairs is Fold for the hub's own repairs. It writes no change records.
func FoldRepairs(tx *rows.Tx, h *held.Set) error {
	_, err := foldWhole(tx, h, true)
	return err
}

// foldWhole folds every entry of the log in one pass, and removes the entries from the log.
func foldWhole(tx *rows.Tx, h *held.Set, repairs bool) (done folded, err error) {
	read, upTo, err := readWholeLog(tx)
	if err != nil || upTo <= tx.State.Folded {
		return done, err
	}
	if again, err := rekey.StepAside(tx, h, read.made()); err != nil {
		return done, err
	} else if again { // StepAside wrote to the end of the log.
		if read, upTo, err = readWholeLog(tx); err != nil {
			return done, err
		}
	}
	SortRows(read.Order)
	done.Written = read.written
	p := &Pass{Tx: tx, Held: h, Parents: read.Parents, repairs: repairs}
	if done.Rows, err = p.FoldRows(read.Order); err != nil {
		return done, err
	}
	tx.State.Folded = upTo
	return done, capture.Trim(tx.SQL, upTo)
}

// readWholeLog reads every entry of the log, and returns the number of the last one. It reads nothing
// if nothing is new.
func readWholeLog(tx *rows.Tx) (read logged, upTo int64, err error) {
	if upTo, _, err = capture.Last(tx.SQL); err != nil || upTo <= tx.State.Folded {
		return read, upTo, err
	}
	read, err = ReadLog(tx, upTo, func(t *catalog.Table, cause error) error { return refuseRow(tx, t, cause) })
	return read, upTo, err
}

// SortRows sorts rows by table and key. In that order they lie side by side in the trees, and finding
// them takes most of the time under the lock.
//
// A table comes after the tables that it refers to. So a referred row gets no later position and
// travels no later. Rows of tables that refer to themselves stay in the order in which they were
// written.
func SortRows(order []*LoggedRow) {
	sort := slices.SortFunc[[]*LoggedRow] // faster than a stable sort, and enough while no two rows compare equal
	if slices.ContainsFunc(order, func(w *LoggedRow) bool { return w.T.Cyclic }) {
		sort = slices.SortStableFunc
	}
	sort(order, func(a, b *LoggedRow) int {
		if byTable := cmp.Or(cmp.Compare(a.T.Depth, b.T.Depth), cmp.Compare(a.T.Circle, b.T.Circle)); byTable != 0 ||
			a.T.Cyclic {
			return byTable
		}
		return strings.Compare(string(a.Key), string(b.Key))
	})
}

// FoldRows folds rows that SortRows has put in order, then readmits held rows. It returns the number of
// rows that changed.
func (p *Pass) FoldRows(order []*LoggedRow) (rows int, err error) {
	tx := p.Tx
	err = tx.Gather(len(order), func() error {
		f := new(folding)
		for _, w := range order {
			*f = folding{LoggedRow: w, sets: w.Sets()}
			changed, err := p.foldRow(f)
			if err != nil {
				return err
			}
			if changed {
				rows++
				tx.NextPosition()
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	if err := tx.ForgetBeforeImages(); err != nil {
		return 0, err
	}
	if rows > 0 {
		tx.HoldFloor()
	}
	restore, err := tx.OwnSequences()
	if err != nil {
		return 0, err
	}
	p.Held.Try = true
	if err := conflict.ReadmitHeld(tx, p.Held); err != nil {
		return 0, err
	}
	return rows, restore()
}

// foldRow compares the log with the table and the shadow, and writes the shadow of one row. It reports
// whether the row changed.
func (p *Pass) foldRow(f *folding) (bool, error) {
	tx := p.Tx
	here, err := tx.ReadRow(f.T, f.Key, false)
	if err != nil {
		return false, err
	}
	exists, row, former, found := here.Exists, here.Row, here.Document, here.Found
	if !exists && found && !row.Live() && len(f.sets) > 0 {
		// ravno put the row back, but a constraint excludes it from its table for now.
		if exists, err = p.Held.IsHeld(f.T, f.Key); err != nil {
			return false, err
		}
	}
	changed, was := false, row
	if f.has, err = history.HubHas(tx, f.T.Reference(f.Key)); err != nil {
		return false, err
	}
	f.seen = seenBy(tx, row, f.has)
	if exists {
		var before crdt.Row
		if len(f.T.Counters) > 0 {
			before = row.Clone()
		}
		if changed = foldLive(tx, f, &row, found); changed && len(f.T.Counters) > 0 {
			differ, err := foldCounters(tx, f, &row, before)
			if err != nil {
				return false, err
			}
			if err := tx.Update(f.T, f.Key, differ.Columns(), differ); err != nil {
				return false, err
			}
		}
	} else if changed, err = p.foldGone(f, &row, found); err != nil {
		return false, err
	}
	if !changed {
		return false, nil
	}
	if here.Exists {
		p.Held.NoteInserted(f.T, f.Key)
		if f.born {
			if err := p.reinserted(f, was); err != nil {
				return false, err
			}
		}
		if err := tx.Drop(f.T, f.Key); err != nil {
			return false, err
		}
	}
	document, err := tx.Root(f.T, f.Key, p.Parents)
	if err == nil {
		err = p.leaves(f, former, found, document)
	}
	if err != nil {
		return false, err
	}
	if tx.State.IsHub() && !f.T.Own && !p.repairs {
		if err := p.recordChange(f, document, exists); err != nil {
			return false, err
		}
	}
	return true, tx.WriteShadow(f.T, f.Key, row, document, tx.Position())
}

// recordChange records, at the hub, that its application changed a row of a document. A new row that is
// a document by itself needs no record.
func (p *Pass) recordChange(f *folding, document catalog.Reference, exists bool) error {
	switch {
	case f.born && exists && f.T.Alone:
		return history.NoteFormerHere(p.Tx, f.T, f.Key) // It may replace a row with other unique values.
	case exists && f.onlyCounts():
		return history.RecordCount(p.Tx, document, f.T, f.Key, p.Tx.State.Site)
	}
	return p.recordBoth(document, f, !exists)
}

// leaves notes that a row has moved to another document. It does nothing for tables without a parent.
func (p *Pass) leaves(f *folding, former catalog.Reference, found bool, document catalog.Reference) error {
	tx := p.Tx
	if f.T.Parent == nil {
		return nil
	}
	if !found { // The row was stable and forgotten. The log has its former foreign key.
		before := p.Parents[f.T.Reference(f.Key)]
		if before == nil {
			return nil
		}
		up, ok, err := tx.ParentKey(f.T, before)
		if err != nil || !ok {
			return err
		}
		if former, err = tx.Root(f.T.Parent.Table, up, p.Parents); err != nil {
			return err
		}
	} else if former == (catalog.Reference{}) {
		former = f.T.Reference(f.Key)
	}
	return history.Moves(tx, former, document)
}

// recordBoth records a change in the document of a row. If the row was moved, it also records the
// change in the document that the row left.
func (p *Pass) recordBoth(document catalog.Reference, f *folding, dead bool) error {
	tx := p.Tx
	before, err := tx.BeforeImage(f.T, f.Key, false) // its unique values may be referred to
	if err != nil {
		return err
	}
	if err := history.RecordChange(tx, document, f.T, f.Key, tx.State.Site, dead, before); err != nil {
		return err
	}
	if err := history.NoteFormerHere(tx, f.T, f.Key); err != nil {
		return err
	}
	former := p.Parents[f.T.Reference(f.Key)]
	if f.T.Parent == nil || former == nil || dead {
		return nil
	}
	up, ok, err := tx.ParentKey(f.T, former)
	if err != nil || !ok {
		return err
	}
	left, err := tx.Root(f.T.Parent.Table, up, p.Parents)
	if err != nil || left == document {
		return err
	}
	return history.RecordChange(tx, left, f.T, f.Key, tx.State.Site, dead, nil)
}

// foldLive gives new versions to a row that is in its table or held. It reports whether the row
// changed.
func foldLive(tx *rows.Tx, f *folding, row *crdt.Row, found bool) bool {
	if !f.born && found && !row.Live() && len(f.sets) > 0 {
		// ravno put this deleted row back. Newer writes revive it. Its values travel whole, because
		// other sites have deleted them.
		row.Revived = tx.Position()
	} else if found && !row.Live() {
		f.born = true
	}
	switch {
	case f.born, f.replaced && f.T.Registers() == 0:
		// A row of nothing but its key has no register to carry the newer stamp of a REPLACE.
		if f.bornAt == 0 {
			f.bornAt = f.lastAt
		}
		birth := version(tx, f, f.bornAt)
		*row = crdt.Row{Birth: birth, Base: birth}
	case f.replaced:
		row.Base, row.Columns = version(tx, f, f.lastAt), nil
	case len(f.sets) == 0:
		return false
	default:
		for _, set := range f.sets {
			version := version(tx, f, set.At)
			for number := range set.columns.All() {
				switch column := crdt.Column(number); f.T.ClassOf(column) {
				case crdt.ClassRegister, crdt.ClassNone:
					row.Set(column, version)
				case crdt.ClassCounter: // left to foldCounters
				}
			}
		}
	}
	return true
}

// foldGone writes the death of a row that is not in its table, and keeps its tombstone values. It
// reports whether the row changed.
func (p *Pass) foldGone(f *folding, row *crdt.Row, found bool) (bool, error) {
	tx := p.Tx
	if found && !row.Live() || !found && f.first == capture.Insert {
		return false, nil // It was dead already, or it came and went between two folds.
	}
	tombstone, err := tx.BeforeImage(f.T, f.Key, f.born)
	if err != nil {
		return false, err
	}
	m, state, err := tx.ReadKept(f.T, f.Key) // also for a row without a shadow
	switch {
	case err != nil:
		return false, err
	case state == catalog.Held && f.first == capture.Delete: // A resolution deleted the held row.
		tombstone, p.Held.Changed, p.Held.Try = m, true, true
	case state == catalog.Held || state == catalog.Incomplete:
		return false, nil // The row was not in its table.
	case state == catalog.Tombstone: // ravno deleted the row.
		tombstone = m
	}
	at := f.lastAt
	if tombstone != nil && f.overwrote(tx, row, tombstone) {
		at = tx.State.Clock.Tick(0) // later than those writes
	}
	for _, column := range f.T.Counters { // Counts made before the deletion stay, should the row live on.
		if c, known := row.Counter(column); known && tombstone != nil && c.Sum() != tombstone.Value(column) {
			row.Count(column, tombstone.Value(column), version(tx, f, f.lastAt))
			at = tx.State.Clock.Tick(0) // later than those counts
		}
	}
	row.Death = version(tx, f, at)
	if tombstone != nil {
		return true, tx.Keep(f.T, f.Key, catalog.Tombstone, tombstone)
	}
	// The values are lost, so their versions are forgotten too. Should an edit elsewhere outlive
	// this deletion, this site takes every value of that row.
	row.Base, row.Columns = row.Birth, nil
	return true, nil
}
