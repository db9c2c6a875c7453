package store

import (
	"slices"

	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/crdt/hlc"
	"ravno/store/internal/capture"
)

// One server deletes a row while another, not knowing, refers to it, or edits the document
// it belongs to. Row by row, both writes are right, and together they leave a row whose
// parent is gone, or half a document. The hub, which alone sees both, mends that with
// writes of its own, in the transaction in which it finds it: what is referred to comes
// back; of a document deleted and edited at once, the newer of the two is in force as a
// whole, and the other is in the conflict.
//
// A node in which a delta and own work have crossed does not decide. It leaves the delta
// until the hub has seen its work and mended.

// repair brings back, at the hub, what a node's delta and others' work have left half, and
// records what it did.
func (in *incoming) repair() error {
	tx := in.tx
	x := &repairs{tx: tx, held: in.held, author: in.author, effects: in.effects, back: map[reference]bool{}}
	for _, gone := range in.rekeying.superseded {
		if err := x.supersede(gone.row, gone.birth); err != nil {
			return err
		}
	}
	if err := x.references(); err != nil {
		return err
	}
	for _, d := range in.effects.clashed {
		if err := x.document(d); err != nil {
			return err
		}
	}
	followed, err := in.rekeying.followFresh()
	if err != nil {
		return err
	}
	if err := in.rekeying.recordCollisions(); err != nil {
		return err
	}
	in.applied.Conflicts += x.recorded
	if x.wrote || followed {
		return tx.foldRepairs(in.held)
	}
	return nil
}

// supersede deletes a row that its maker has not got any more, unless another has its key by now: a
// number that nobody had in a table is given by whoever adds a row next.
func (x *repairs) supersede(ref reference, birth hlc.Time) error {
	t := x.tx.cat.byNumber[ref.tab]
	row, _, _, err := x.tx.readShadow(t, ref.key)
	if err != nil || row.Birth.Stamp != (hlc.Stamp{Time: birth, Site: x.author}) {
		return err
	}
	return x.kill(t, ref.key)
}

// repairs is what the hub repairs after one delta.
type repairs struct {
	tx       *transaction
	held     *heldSet
	author   causal.Site        // of the delta
	effects  *effects           // of the delta
	back     map[reference]bool // rows brought back
	wrote    bool
	recorded int
}

// unknown reports whether somebody else has written a row, and the author of the delta did
// not know.
func (x *repairs) unknown(row crdt.Row, seen causal.Position) bool {
	other := func(v crdt.Version) bool { return v.Stamp.Site != x.author && v.Position > seen }
	return other(row.Birth) || other(row.Base) || slices.ContainsFunc(row.Columns, func(c crdt.ColumnVersion) bool { return other(c.Version) })
}

// references brings back the rows that are referred to by those who did not know of their
// deletion. Those of one document are left to document.
func (x *repairs) references() error {
	n := x.effects
	for _, m := range n.died {
		orphans, err := n.orphansOf(m, func(row crdt.Row) bool { return x.unknown(row, m.seen) })
		if err != nil {
			return err
		}
		for _, o := range orphans {
			if err := x.refer(o.l, o.key, o.row, m.t, m.key); err != nil {
				return err
			}
		}
	}
	for _, m := range n.moved {
		if err := x.followMoved(m); err != nil {
			return err
		}
	}
	for _, ref := range n.arrived {
		if err := x.followUnseen(ref); err != nil {
			return err
		}
		gone, err := x.tx.missingParents(ref.reference)
		if err != nil {
			return err
		}
		for _, g := range gone {
			if g.row.Death.Stamp.Site == x.author || g.row.Death.Position <= ref.seen {
				continue // its author knew: an application without foreign keys may do so
			}
			row, _, _, err := x.tx.readShadow(g.l.child, ref.key)
			if err != nil {
				return err
			}
			if err := x.refer(g.l, ref.key, row, g.l.parent, g.key); err != nil {
				return err
			}
		}
	}
	return nil
}

// refer mends one reference to a deleted row.
func (x *repairs) refer(l *link, child crdt.Key, row crdt.Row, t *table, key crdt.Key) error {
	if _, state, err := x.tx.readImage(t, key); err != nil {
		return err
	} else if l.document && state == imageRemains {
		if ref := t.reference(key); !slices.Contains(x.effects.clashed, ref) {
			x.effects.clashed = append(x.effects.clashed, ref)
		}
		return nil
	}
	parent, _, _, err := x.tx.readShadow(t, key)
	if err != nil {
		return err
	}
	ok, err := x.bringBack(t, key)
	if err != nil {
		return err
	}
	if !ok { // its values are nowhere here: then what refers to it cannot stay
		if err := x.kill(l.child, child); err != nil {
			return err
		}
	}
	return x.recordReference(l, child, row, t, key, parent)
}

// bringBack makes a deleted row live again, and with it what it refers to and what was
// deleted together with it from its document. ok is false if its values are not known here.
func (x *repairs) bringBack(t *table, key crdt.Key) (ok bool, err error) {
	tx, ref := x.tx, t.reference(key)
	if x.back[ref] {
		return true, nil
	}
	row, document, found, err := tx.readShadow(t, key)
	if err != nil || !found || row.Live() {
		return found && row.Live(), err
	}
	m, state, err := tx.readImage(t, key)
	if err != nil || state != imageRemains {
		return false, err
	}
	if whole, err := t.complete(key, m); err != nil || !whole {
		return false, err
	}
	x.back[ref], x.wrote = true, true
	if err := x.putBack(t, key, m); err != nil {
		return false, err
	}
	err = tx.eachDangling(t, m, func(l *link, reference []crdt.Value) error {
		parent, _, gone, err := tx.deletedParent(l, reference)
		switch {
		case err != nil:
		case gone:
			_, err = x.bringBack(l.parent, parent)
		default: // what it refers to is called otherwise by now
			err = x.followOrKill(l, key, reference)
		}
		return err
	})
	if err != nil {
		return false, err
	}
	if document == (reference{}) {
		document = ref
	}
	return true, x.bringBackRest(document, row.Death)
}

// bringBackRest brings back the rows of a document that one site deleted in one go.
func (x *repairs) bringBackRest(document reference, death crdt.Version) error {
	var rows []reference
	err := x.tx.c.Rows("SELECT tab, key FROM ravno_touch WHERE document=? AND dead=1 AND site=?",
		[]crdt.Value{document.encode(), integer(death.Stamp.Site)}, func(row []crdt.Value) error {
			rows = append(rows, reference{tab: row[0].Int(), key: crdt.Key(row[1].Bytes())})
			return nil
		})
	if err != nil {
		return err
	}
	for _, ref := range rows {
		t := x.tx.cat.byNumber[ref.tab]
		if t == nil {
			continue
		}
		row, _, found, err := x.tx.readShadow(t, ref.key)
		if err != nil {
			return err
		}
		if found && !row.Live() && row.Death.Stamp.Site == death.Stamp.Site && row.Death.Position == death.Position {
			if _, err := x.bringBack(t, ref.key); err != nil {
				return err
			}
		}
	}
	return nil
}

// putBack puts a deleted row into its table again, as an edit of one column that is newer
// than the deletion; or keeps it as held, if a constraint keeps it out.
func (x *repairs) putBack(t *table, key crdt.Key, m *image) error {
	tx := x.tx
	if err := tx.dropImage(t, key); err != nil {
		return err
	}
	if err := tx.restoreCounters(t, key, m); err != nil {
		return err
	}
	err := tx.insertImage(t, m)
	if isConstraint(err) {
		err = x.held.keep(t, key, m)
	}
	if err != nil {
		return err
	}
	for i, c := range t.Columns {
		if c.Register && !t.isCounter(crdt.Column(t.numbers[i])) {
			return tx.log(t, key, capture.Update, []string{c.Name})
		}
	}
	return tx.log(t, key, capture.Insert, nil)
}

// kill deletes a row and keeps what it was.
func (x *repairs) kill(t *table, key crdt.Key) error {
	m, state, err := x.tx.values(t, key)
	if err != nil || m == nil || state == imageRemains {
		return err
	}
	x.wrote = true
	if err := x.tx.remove(t, key); err != nil {
		return err
	}
	if state == imageTable {
		if err := x.tx.keepImage(t, key, imageRemains, m); err != nil {
			return err
		}
	}
	x.held.try = true
	return x.tx.log(t, key, capture.Delete, nil)
}
