package store

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	"ravno/crdt"
	"ravno/journal"
)

// maxChangedNamed is how many rows changed since a resolution an error names: enough to see
// what it is about, and still one line.
const maxChangedNamed = 3

// conflictUndone is the journal's word for a resolution that was taken back.
const conflictUndone journal.Kind = "conflict_undone"

// maxUndoBytes bounds what a record keeps for taking its resolution back. The record travels
// as one row, and one row has to fit a section of a delta beside what else it keeps.
const maxUndoBytes = 8 << 20

// undoing is what a record keeps as JSON so that its resolution can be taken back: the rows
// before it, and the resolutions before it. Values are as in detail.
type undoing struct {
	Rows    []replacedRow `json:"rows,omitempty"`
	History []pastRecord  `json:"history,omitempty"`
	TooLong bool          `json:"too_long,omitempty"` // the rows were more than maxUndoBytes
	kept    bool          // something was kept, if only that nothing was replaced
}

// replacedRow is what a resolution replaced in one row.
type replacedRow struct {
	Table   string            `json:"table"`
	Key     string            `json:"key"`
	Absent  bool              `json:"absent,omitempty"`  // the row was not there
	Held    bool              `json:"held,omitempty"`    // it was held out of its table
	Deleted bool              `json:"deleted,omitempty"` // the resolution deleted it
	Values  map[string]string `json:"values,omitempty"`  // the row before
	Wrote   map[string]string `json:"wrote,omitempty"`   // what the resolution wrote
}

// pastRecord is an earlier resolution at rest; times in Unix milliseconds.
type pastRecord struct {
	By         string `json:"by"`
	At         int64  `json:"at"`
	Note       string `json:"note,omitempty"`
	UndoneBy   string `json:"undone_by,omitempty"`
	UndoneAt   int64  `json:"undone_at,omitempty"`
	UndoneNote string `json:"undone_note,omitempty"`
}

// past are the record's resolutions up to now, the latest last.
func (x *Conflict) past() []pastRecord {
	if x.ResolvedBy == "" {
		return x.undo.History
	}
	return append(x.undo.History, pastRecord{By: x.ResolvedBy, At: x.ResolvedAt.UnixMilli(), Note: x.Note})
}

// replaced is what a decision, written but not yet folded, replaces.
func (d *decision) replaced() []replacedRow {
	var rows []replacedRow
	for _, r := range d.order {
		held := r.where == imageHeld
		if !r.deleted() && !r.written() && !held {
			continue
		}
		row := replacedRow{Table: r.t.Name, Key: hex.EncodeToString([]byte(r.key)), Absent: !r.wasLive(), Held: held, Deleted: r.deleted()}
		if r.wasLive() {
			row.Values = r.encode(r.before, nil)
		}
		if r.written() {
			row.Wrote = r.encode(r.after, r.columns)
		}
		rows = append(rows, row)
	}
	return rows
}

// encode writes registers by name; nil columns are all of them.
func (r *decided) encode(m *image, columns []crdt.Column) map[string]string {
	if columns == nil {
		for _, number := range r.t.numbers {
			columns = append(columns, crdt.Column(number))
		}
	}
	values := map[string]string{}
	for _, column := range columns {
		if v, known := m.get(column); known && r.t.isRegister(column) {
			values[r.t.Columns[r.t.byNum[column]].Name] = encodeValue(v)
		}
	}
	return values
}

// keepUndo is what the record keeps for taking a decision back. Where that is too much, the
// journal says that it cannot be.
func (d *decision) keepUndo() (string, error) {
	kept := undoing{Rows: d.replaced(), History: d.x.past()}
	encoded, err := json.Marshal(kept)
	if err != nil || len(encoded) <= maxUndoBytes {
		return string(encoded), err
	}
	kept.Rows, kept.TooLong = nil, true
	if encoded, err = json.Marshal(kept); err != nil {
		return "", err
	}
	return string(encoded), d.tx.record(journal.Event{Kind: journal.ConflictResolved, Server: d.tx.siteName(d.tx.state.site),
		Text: d.x.ID + " replaced more than a record can keep: the resolution cannot be taken back"})
}

// Taking is how to take a resolution back.
type Taking struct {
	By, Note string
	// Force takes it back where its rows were changed again since, over those changes.
	Force bool
	// DryRun says what would be written and writes nothing.
	DryRun bool
}

// Undo takes a resolution back: what it replaced is written again, by this site and in full
// knowledge of it, and the record is open again. Both travel like any other write.
//
// Where somebody has changed what the resolution wrote, taking it back would overwrite
// work that has nothing to do with it: then nothing is done, unless forced. Rows that were
// added to the document since never go unless forced.
func (s *Store) Undo(id string, how Taking) (writes []Write, err error) {
	return s.decide(func(tx *transaction, held *heldSet) ([]Write, error) { return undoResolution(tx, held, id, how) })
}

// undoResolution takes a resolution back. The log is folded.
func undoResolution(tx *transaction, held *heldSet, id string, how Taking) ([]Write, error) {
	x, err := readConflict(tx.c, tx.cat, id)
	if err != nil {
		return nil, err
	}
	if err := x.mayUndo(); err != nil {
		return nil, err
	}
	d, err := newDecision(tx, held, &x)
	if err != nil {
		return nil, err
	}
	d.cascade, d.undo = how.Force, true
	if err := d.takeBack(how.Force); err != nil {
		return nil, err
	}
	if err := d.write(); err != nil {
		return nil, err
	}
	if d.reclaim { // only then are the rows where the open record says
		if _, err := tx.fold(held); err != nil {
			return nil, err
		}
		if err := d.claimAgain(); err != nil {
			return nil, err
		}
	}
	if err := tx.reopen(&x, how); err != nil {
		return nil, err
	}
	return d.conclude(how.DryRun)
}

// mayUndo says why there is nothing to take back.
func (x *Conflict) mayUndo() error {
	switch {
	case x.Open && x.ResolvedBy != "":
		return fmt.Errorf("conflict %s: more was found after its resolution by %s, so it is open already. Try: ravno conflict resolve", x.ID, x.ResolvedBy)
	case x.Open && len(x.undo.History) > 0:
		return fmt.Errorf("conflict %s: its resolution was taken back already, so it is open. Try: ravno conflict resolve", x.ID)
	case x.Open:
		return fmt.Errorf("conflict %s was never resolved: there is nothing to take back. Try: ravno conflict resolve", x.ID)
	case x.ResolvedBy == byItself:
		return fmt.Errorf("conflict %s was closed by ravno itself%s: nobody decided anything that could be taken back. Try: an ordinary write in the application", x.ID, x.closedWhy())
	case x.undo.TooLong:
		return fmt.Errorf("conflict %s: its resolution replaced more than %d MB, which is more than a record can keep, so it cannot be taken back. Try: an ordinary write in the application", x.ID, maxUndoBytes>>20)
	case !x.undo.kept:
		return fmt.Errorf("conflict %s was resolved by an older ravno, which did not keep what it replaced. Try: an ordinary write in the application", x.ID)
	}
	return nil
}

// closedWhy is why ravno closed a record, as part of a sentence.
func (x *Conflict) closedWhy() string {
	if x.Note == "" {
		return ""
	}
	return " (" + x.Note + ")"
}

// reopen makes the record open again; the resolution becomes part of its history.
func (tx *transaction) reopen(x *Conflict, how Taking) error {
	past := x.past()
	last := &past[len(past)-1]
	last.UndoneBy, last.UndoneAt, last.UndoneNote = how.By, tx.now(), how.Note
	kept, err := json.Marshal(undoing{History: past})
	if err != nil {
		return err
	}
	if err := tx.changeOwn("ravno_conflict", crdt.NewKey(text(x.ID)), map[string]crdt.Value{"resolved": integer(0),
		"resolved_by": text(""), "resolved_at": integer(0), "note": text(""), "undo": text(string(kept))}); err != nil {
		return err
	}
	return tx.record(journal.Event{Kind: conflictUndone, Server: tx.siteName(tx.state.site), Text: x.ID + " taken back by " + how.By})
}

// takeBack plans what the resolution replaced into force again.
func (d *decision) takeBack(force bool) error {
	var changed []string
	for _, was := range d.x.undo.Rows {
		raw, err := hex.DecodeString(was.Key)
		if err != nil {
			return fmt.Errorf("conflict %s: a key of table %s: %w", d.x.ID, was.Table, err)
		}
		if d.tx.cat.byName[strings.ToLower(was.Table)] == nil && d.tx.state.isHub() {
			continue // dropped since
		}
		r, err := d.named(was.Table, crdt.Key(raw))
		if err != nil {
			return err
		}
		r.stepsAside = was.Held
		if was.Held && was.Wrote == nil && !was.Deleted {
			if r.where == imageTable {
				d.moved = append(d.moved, r)
			}
			continue
		}
		same, err := d.takeBackRow(r, was)
		if err != nil {
			return err
		}
		if !same {
			changed = append(changed, r.String())
		}
	}
	if len(changed) > 0 && !force {
		more := ""
		if len(changed) > maxChangedNamed {
			more = fmt.Sprintf(" and %d more rows", len(changed)-maxChangedNamed)
			changed = changed[:maxChangedNamed]
		}
		return fmt.Errorf("conflict %s: %s%s changed again since the resolution, and taking it back would overwrite that. Try: ravno conflict undo --force, or an ordinary write in the application",
			d.x.ID, strings.Join(changed, ", "), more)
	}
	return nil
}

// takeBackRow plans one row. same is false if it is not as the resolution left it.
func (d *decision) takeBackRow(r *decided, was replacedRow) (same bool, err error) {
	wrote := newImage(0)
	if err := r.decode(was.Wrote, wrote); err != nil {
		return false, err
	}
	same = r.live() != was.Deleted
	for column, v := range wrote.all() {
		same = same && r.after.value(column) == v
	}
	if was.Absent {
		same = same || !r.live() // gone again by itself
		r.delete()
		return same, nil
	}
	if !r.live() {
		whole, err := r.restore(was.Values)
		if err == nil && !whole {
			err = fmt.Errorf("conflict %s: not every value %s had before the resolution is known. Try: enter the row again", d.x.ID, r)
		}
		return same, err
	}
	before := newImage(0)
	if err := r.decode(was.Values, before); err != nil {
		return false, err
	}
	for column, v := range before.all() {
		if _, ours := wrote.get(column); ours || was.Deleted {
			r.set(column, v)
		}
	}
	return same, nil
}
