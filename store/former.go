package store

import (
	"slices"

	"ravno/crdt"
	"ravno/crdt/causal"
)

// A row may refer to another by a unique value instead of its key. The hub remembers by what
// values a row could be referred to before somebody changed them, for as long as a node may
// send work whose author knew the row by them.

// referredOtherwise reports whether rows refer to those of a table by other values than their
// keys.
func (t *table) referredOtherwise() bool {
	return slices.ContainsFunc(t.down, func(l *link) bool { return !l.byKey() })
}

// renamed remembers at the hub what a row was called until now; by is who called it otherwise,
// 0 if it was never called so in force. Of rows that are only referred to by their keys there
// is nothing to remember.
func (tx *transaction) renamed(t *table, key crdt.Key, was *image, by causal.Site) error {
	names := newImage(0)
	for _, name := range t.referredNames() {
		number := t.column(name)
		if v, known := was.get(number); known {
			names.set(number, v)
		}
	}
	if names.size() == 0 {
		return nil
	}
	return tx.c.Exec("INSERT INTO ravno_former(tab, key, site, position, names) VALUES(?,?,?,?,?)",
		integer(t.number), blob(key), integer(by), integer(tx.position()), names.encode())
}

// renamedHere remembers what a row that was folded at the hub was called before.
func (tx *transaction) renamedHere(t *table, key crdt.Key) error {
	if !t.referredOtherwise() {
		return nil
	}
	was, err := tx.gone(t, key, true)
	if err != nil || was == nil {
		return err
	}
	return tx.renamed(t, key, was, tx.state.site)
}

// renamed remembers what a row was called before a decision made at the hub.
func (d *decision) renamed(r *decided) error {
	if !d.tx.state.isHub() || !slices.ContainsFunc(r.t.down, func(l *link) bool { return !l.byKey() && r.changed(l.refers) }) {
		return nil
	}
	return d.tx.renamed(r.t, r.key, r.before, d.tx.state.site)
}

// formerly finds the row that had the values of a reference until somebody, and not a given
// site, changed them after a position; empty if there is none. Of several it is the first to
// give them up: the one whoever had seen no more knew by them.
func (tx *transaction) formerly(l *link, reference []crdt.Value, not causal.Site, seen causal.Position) (key crdt.Key, err error) {
	err = tx.c.Rows("SELECT key, names FROM ravno_former WHERE tab=? AND site<>? AND position>? ORDER BY position DESC, id DESC",
		[]crdt.Value{integer(l.parent.number), integer(not), integer(seen)}, func(row []crdt.Value) error {
			names, err := decodeImage(row[1])
			if err != nil {
				return err
			}
			if was, ok := l.referred(names); ok && l.sameReference(reference, was) {
				key = crdt.Key(row[0].Bytes())
			}
			return nil
		})
	return key, err
}
