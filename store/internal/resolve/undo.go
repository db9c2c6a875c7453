package resolve

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	"ravno/crdt"
	"ravno/journal"
	"ravno/store/internal/catalog"
	"ravno/store/internal/conflict"
	"ravno/store/internal/fold"
	"ravno/store/internal/held"
	"ravno/store/internal/rows"
)

// maxChangedNamed is how many changed rows an error names. The message then still fits one line.
const maxChangedNamed = 3

// conflictUndone is the journal's event for an undone resolution.
const conflictUndone journal.Kind = "conflict_undone"

// maxUndoBytes bounds the bytes that a record keeps for its undo. The record travels as one row, which
// must fit a section of a delta with its other columns.
const maxUndoBytes = 8 << 20

// past returns the record's resolutions so far, the latest last.
func past(x *conflict.Conflict) []conflict.PastRecord {
	if x.ResolvedBy == "" {
		return x.Undo.History
	}
	return append(x.Undo.History, conflict.PastRecord{By: x.ResolvedBy, At: x.ResolvedAt.UnixMilli(), Note: x.Note})
}

// replaced lists the rows that a decision replaces. The decision is written but not folded.
func (d *decision) replaced() []conflict.ReplacedRow {
	var found []conflict.ReplacedRow
	for _, r := range d.order {
		held := r.where == catalog.Held
		if !r.deleted() && !r.written() && !held {
			continue
		}
		row := conflict.ReplacedRow{Table: r.t.Name, Key: hex.EncodeToString([]byte(r.key)), Absent: !r.wasLive(), Held: held,
			Deleted: r.deleted()}
		if r.wasLive() {
			row.Values = r.encode(r.before, nil)
		}
		if r.written() {
			row.Wrote = r.encode(r.after, r.columns)
		}
		found = append(found, row)
	}
	return found
}

// encode writes registers by column name. If columns is nil, it writes all of them.
func (r *decided) encode(m *catalog.Values, columns []crdt.Column) map[string]string {
	if columns == nil {
		for _, number := range r.t.Numbers {
			columns = append(columns, crdt.Column(number))
		}
	}
	values := map[string]string{}
	for _, column := range columns {
		if v, known := m.Get(column); known && r.t.HasRegister(column) {
			values[r.t.Columns[r.t.ByNum[column]].Name] = catalog.EncodeValue(v)
		}
	}
	return values
}

// keepUndo returns the JSON that the record keeps for an undo. If that is too large, the journal says
// that the resolution cannot be undone.
func (d *decision) keepUndo() (string, error) {
	kept := conflict.Undoing{Rows: d.replaced(), History: past(d.x)}
	encoded, err := json.Marshal(kept)
	if err != nil || len(encoded) <= maxUndoBytes {
		return string(encoded), err
	}
	kept.Rows, kept.TooLong = nil, true
	if encoded, err = json.Marshal(kept); err != nil {
		return "", err
	}
	return string(encoded),
		d.tx.Record(journal.Event{Kind: journal.ConflictResolved, Server: d.tx.SiteName(d.tx.State.Site),
			Text: d.x.ID + " replaced more than a record can keep: the resolution cannot be taken back"})
}

// UndoOptions says how to undo a resolution.
type UndoOptions struct {
	By, Note string
	// Force undoes it even over changes made to its rows since.
	Force bool
	// DryRun reports the writes and makes none.
	DryRun bool
}

// UndoResolution undoes the resolution of the conflict whose identifier begins with id, and opens the
// record again. The caller has folded the log. It returns the writes, for a dry run with ErrDryRun.
// After any error the caller must undo the transaction.
func UndoResolution(tx *rows.Tx, held *held.Set, id string, how UndoOptions) ([]Write, error) {
	x, err := conflict.Find(tx, id)
	if err != nil {
		return nil, err
	}
	if err := mayUndo(&x); err != nil {
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
	if d.reclaim { // A newer priority puts the rows where the open record has them.
		if _, err := fold.Fold(tx, held); err != nil {
			return nil, err
		}
		if err := d.renewPriorities(); err != nil {
			return nil, err
		}
	}
	if err := reopen(tx, &x, how); err != nil {
		return nil, err
	}
	return d.conclude(how.DryRun)
}

// mayUndo returns an error if there is no resolution to undo.
func mayUndo(x *conflict.Conflict) error {
	switch {
	case x.Open && x.ResolvedBy != "":
		return fmt.Errorf(
			"conflict %s: more was found after its resolution by %s, so it is open already. Try: ravno conflict resolve", x.ID,
			x.ResolvedBy)
	case x.Open && len(x.Undo.History) > 0:
		return fmt.Errorf("conflict %s: its resolution was taken back already, so it is open. Try: ravno conflict resolve",
			x.ID)
	case x.Open:
		return fmt.Errorf("conflict %s was never resolved: there is nothing to take back. Try: ravno conflict resolve", x.ID)
	case x.ResolvedBy == conflict.ByItself:
		return fmt.Errorf("conflict %s was closed by ravno itself%s: nobody decided anything that could be taken back. "+
			"Try: an ordinary write in the application", x.ID, closedWhy(x))
	case x.Undo.TooLong:
		return fmt.Errorf("conflict %s: its resolution replaced more than %d MB, which is more than a record can keep, so "+
			"it cannot be taken back. Try: an ordinary write in the application", x.ID, maxUndoBytes>>20)
	case !x.Undo.Kept:
		return fmt.Errorf("conflict %s was resolved by an older ravno, which did not keep what it replaced. Try: an "+
			"ordinary write in the application", x.ID)
	}
	return nil
}

// closedWhy returns the reason why ravno closed a record, as part of a sentence.
func closedWhy(x *conflict.Conflict) string {
	if x.Note == "" {
		return ""
	}
	return " (" + x.Note + ")"
}

// reopen makes the record open again, and moves its resolution into the record's history.
func reopen(tx *rows.Tx, x *conflict.Conflict, how UndoOptions) error {
	past := past(x)
	last := &past[len(past)-1]
	last.UndoneBy, last.UndoneAt, last.UndoneNote = how.By, tx.Now(), how.Note
	kept, err := json.Marshal(conflict.Undoing{History: past})
	if err != nil {
		return err
	}
	if err := tx.ChangeOwn("ravno_conflict", crdt.NewKey(catalog.Text(x.ID)),
		map[string]crdt.Value{"resolved": catalog.Integer(0),
			"resolved_by": catalog.Text(""), "resolved_at": catalog.Integer(0), "note": catalog.Text(""),
			"undo": catalog.Text(string(kept))}); err != nil {
		return err
	}
	return tx.Record(journal.Event{Kind: conflictUndone, Server: tx.SiteName(tx.State.Site), Text: x.ID +
		" taken back by " + how.By})
}

// takeBack plans the values that the resolution replaced back into force. Without force it returns an
// error if rows have changed since the resolution.
func (d *decision) takeBack(force bool) error {
	var changed []string
	for _, was := range d.x.Undo.Rows {
		raw, err := hex.DecodeString(was.Key)
		if err != nil {
			return fmt.Errorf("conflict %s: a key of table %s: %w", d.x.ID, was.Table, err)
		}
		if d.tx.Cat.ByName[strings.ToLower(was.Table)] == nil && d.tx.State.IsHub() {
			continue // The table was dropped since.
		}
		r, err := d.named(was.Table, crdt.Key(raw))
		if err != nil {
			return err
		}
		r.stepsAside = was.Held
		if was.Held && was.Wrote == nil && !was.Deleted {
			if r.where == catalog.InTable {
				d.readmitted = append(d.readmitted, r)
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
		return fmt.Errorf("conflict %s: %s%s changed again since the resolution, and taking it back would overwrite that. "+
			"Try: ravno conflict undo --force, or an ordinary write in the application",
			d.x.ID, strings.Join(changed, ", "), more)
	}
	return nil
}

// takeBackRow plans one row. It reports whether the row is still as the resolution left it.
func (d *decision) takeBackRow(r *decided, was conflict.ReplacedRow) (same bool, err error) {
	wrote := catalog.NewValues(0)
	if err := r.decode(was.Wrote, wrote); err != nil {
		return false, err
	}
	same = r.live() != was.Deleted
	for column, v := range wrote.All() {
		same = same && r.after.Value(column) == v
	}
	if was.Absent {
		same = same || !r.live() // The row is gone again already.
		r.delete()
		return same, nil
	}
	if !r.live() {
		whole, err := r.restore(was.Values)
		if err == nil && !whole {
			err = fmt.Errorf("conflict %s: not every value %s had before the resolution is known. Try: enter the row again",
				d.x.ID, r)
		}
		return same, err
	}
	before := catalog.NewValues(0)
	if err := r.decode(was.Values, before); err != nil {
		return false, err
	}
	for column, v := range before.All() {
		if _, ours := wrote.Get(column); ours || was.Deleted {
			r.set(column, v)
		}
	}
	return same, nil
}
