package history

import (
	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/store/internal/catalog"
	"ravno/store/internal/rows"
)

// NoteFormer remembers at the hub what a row was called until now; by is who called it otherwise,
// 0 if it was never called so in force. Of rows that are only referred to by their keys there
// is nothing to remember.
func NoteFormer(tx *rows.Tx, t *catalog.Table, key crdt.Key, was *catalog.Values, by causal.Site) error {
	names := catalog.NewValues(0)
	for _, name := range t.ReferredNames() {
		number := t.NumberOf(name)
		if v, known := was.Get(number); known {
			names.Set(number, v)
		}
	}
	if names.Size() == 0 {
		return nil
	}
	return tx.SQL.Exec("INSERT INTO ravno_former(tab, key, site, position, names) VALUES(?,?,?,?,?)",
		catalog.Integer(t.Number), catalog.Blob(key), catalog.Integer(by), catalog.Integer(tx.Position()), names.Encode())
}

// NoteFormerHere remembers what a row that was folded at the hub was called before.
func NoteFormerHere(tx *rows.Tx, t *catalog.Table, key crdt.Key) error {
	if !t.ReferredOtherwise() {
		return nil
	}
	was, err := tx.BeforeImage(t, key, true)
	if err != nil || was == nil {
		return err
	}
	return NoteFormer(tx, t, key, was, tx.State.Site)
}

// FindFormer finds the row that had the values of a reference until somebody, and not a given
// site, changed them after a position; empty if there is none. Of several it is the first to
// give them up: the one whoever had seen no more knew by them.
func FindFormer(tx *rows.Tx, l *catalog.ForeignKey, reference []crdt.Value, not causal.Site, seen causal.Position) (
	key crdt.Key, err error) {
	err = tx.SQL.Rows(
		"SELECT key, names FROM ravno_former WHERE tab=? AND site<>? AND position>? ORDER BY position DESC, id DESC",
		[]crdt.Value{catalog.Integer(l.Parent.Number), catalog.Integer(not), catalog.Integer(seen)},
		func(row []crdt.Value) error {
			names, err := catalog.DecodeValues(row[1])
			if err != nil {
				return err
			}
			if was, ok := l.Referred(names); ok && l.SameReference(reference, was) {
				key = crdt.Key(row[0].Bytes())
			}
			return nil
		})
	return key, err
}
