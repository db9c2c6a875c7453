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

// folding is one row that the log says to look at, while it is looked at.
type folding struct {
	*LoggedRow
	sets []columnSet     // columns set, with the time of each update
	seen causal.Seen     // what its author had seen
	has  causal.Position // at a node: what the hub has of it
}

// Pass is one fold, of the whole log or of a part of it.
type Pass struct {
	Tx   *rows.Tx
	Held *held.Set
	// parents are the foreign key values of rows that are gone from their tables, as the log has them.
	Parents map[catalog.Reference][]crdt.Value
	// repairs: it folds what the hub repaired, which is no side of its own in anybody's conflict.
	repairs bool
}

// folded is what a fold did.
type folded struct {
	Rows    int   // that changed
	Written int64 // when the application wrote the last entry, in Unix milliseconds; 0: there was none of it
}

// Fold turns the log into registers: the only birthplace of stamps. It takes every entry
// there is, so it never covers half a transaction of the application, and because each
// apply folds first, inside its own transaction, whatever is still in the log afterwards
// was written by someone who had seen what was applied.
func Fold(tx *rows.Tx, h *held.Set) (folded, error) { return foldWhole(tx, h, false) }

// FoldRepairs is fold of what was repaired.
func FoldRepairs(tx *rows.Tx, h *held.Set) error {
	_, err := foldWhole(tx, h, true)
	return err
}

func foldWhole(tx *rows.Tx, h *held.Set, repairs bool) (done folded, err error) {
	read, upTo, err := readWholeLog(tx)
	if err != nil || upTo <= tx.State.Folded {
		return done, err
	}
	if again, err := rekey.StepAside(tx, h, read.made()); err != nil {
		return done, err
	} else if again { // what that wrote itself is at the log's end now
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

func readWholeLog(tx *rows.Tx) (read logged, upTo int64, err error) {
	if upTo, _, err = capture.Last(tx.SQL); err != nil || upTo <= tx.State.Folded {
		return read, upTo, err
	}
	read, err = ReadLog(tx, upTo, func(t *catalog.Table, cause error) error { return refuseRow(tx, t, cause) })
	return read, upTo, err
}

// SortRows puts rows in the order of their keys, in which they lie side by side in the trees that
// are read and written: finding them is most of the time that the lock is held. Whatever is referred
// to comes before what refers to it, so that it gets no later position, and travels no later; rows of
// tables that refer to themselves stay in the order in which they were written.
func SortRows(order []*LoggedRow) {
	sort := slices.SortFunc[[]*LoggedRow] // which is faster, and enough where no two rows are alike
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

// FoldRows folds what the log says of rows, which are in the order of their keys.
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

// foldRow compares what the log says with what is in the table and in the shadow.
func (p *Pass) foldRow(f *folding) (bool, error) {
	tx := p.Tx
	here, err := tx.ReadRow(f.T, f.Key, false)
	if err != nil {
		return false, err
	}
	exists, row, former, found := here.Exists, here.Row, here.Document, here.Found
	if !exists && found && !row.Live() && len(f.sets) > 0 {
		// Put back by ravno, but a constraint keeps it out of its table for now.
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

// recordChange records, at the hub, that its own application changed a row of a document. A row that is a
// document by itself and was just made needs no record.
func (p *Pass) recordChange(f *folding, document catalog.Reference, exists bool) error {
	switch {
	case f.born && exists && f.T.Alone:
		return history.NoteFormerHere(p.Tx, f.T, f.Key) // made anew in the place of one that was called otherwise
	case exists && f.onlyCounts():
		return history.RecordCount(p.Tx, document, f.T, f.Key, p.Tx.State.Site)
	}
	return p.recordBoth(document, f, !exists)
}

// leaves sees to a row that belongs to another document than before.
func (p *Pass) leaves(f *folding, former catalog.Reference, found bool, document catalog.Reference) error {
	tx := p.Tx
	if f.T.Parent == nil {
		return nil
	}
	if !found { // settled: the log says where it was
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

// recordBoth records a change in the document that a row belongs to and, if the row was moved, in the one
// that it left.
func (p *Pass) recordBoth(document catalog.Reference, f *folding, dead bool) error {
	tx := p.Tx
	before, err := tx.BeforeImage(f.T, f.Key, false) // what others may refer to, if it changed
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

func foldLive(tx *rows.Tx, f *folding, row *crdt.Row, found bool) bool {
	if !f.born && found && !row.Live() && len(f.sets) > 0 {
		// A deleted row that ravno has put back: the same row, alive again by what was written,
		// and whoever has deleted its values gets them whole.
		row.Revived = tx.Position()
	} else if found && !row.Live() {
		f.born = true
	}
	switch {
	case f.born, f.replaced && f.T.Registers() == 0:
		// A row that is all key has no register that could carry the newer stamp of a REPLACE.
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
				case crdt.ClassCounter: // foldCounters sees to it
				}
			}
		}
	}
	return true
}

func (p *Pass) foldGone(f *folding, row *crdt.Row, found bool) (bool, error) {
	tx := p.Tx
	if found && !row.Live() || !found && f.first == capture.Insert {
		return false, nil // gone before, or it came and went between two folds: nobody ever saw it
	}
	remains, err := tx.BeforeImage(f.T, f.Key, f.born)
	if err != nil {
		return false, err
	}
	m, state, err := tx.ReadKept(f.T, f.Key) // of a row nobody has changed before, too
	switch {
	case err != nil:
		return false, err
	case state == catalog.Held && f.first == capture.Delete: // a resolution gives it up
		remains, p.Held.Changed, p.Held.Try = m, true, true
	case state == catalog.Held || state == catalog.Incomplete:
		return false, nil // it was not in the table to begin with
	case state == catalog.Tombstone: // ravno deleted it
		remains = m
	}
	at := f.lastAt
	if remains != nil && f.overwrote(tx, row, remains) {
		at = tx.State.Clock.Tick(0) // later than what was written
	}
	for _, column := range f.T.Counters { // what was counted before counts, should the row live on
		if c, known := row.Counter(column); known && remains != nil && c.Sum() != remains.Value(column) {
			row.Count(column, remains.Value(column), version(tx, f, f.lastAt))
			at = tx.State.Clock.Tick(0) // later than what was counted
		}
	}
	row.Death = version(tx, f, at)
	if remains != nil {
		return true, tx.Keep(f.T, f.Key, catalog.Tombstone, remains)
	}
	// The values are gone, and so is what was known of their versions: should an edit made
	// elsewhere outlive this deletion, every value of the row is news here.
	row.Base, row.Columns = row.Birth, nil
	return true, nil
}
