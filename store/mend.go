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

// mend brings back, at the hub, what a node's delta and others' work have left half, and
// records what it did.
func (tx *transaction) mend(author causal.Site, applied *Applied) error {
	mending := &mending{tx: tx, author: author, back: map[reference]bool{}}
	for _, gone := range tx.superseded {
		if err := mending.supersede(gone); err != nil {
			return err
		}
	}
	if tx.news != nil {
		if err := mending.references(tx.news); err != nil {
			return err
		}
	}
	for _, d := range tx.clashed {
		if err := mending.document(d); err != nil {
			return err
		}
	}
	if err := mending.followFresh(tx.collisions); err != nil {
		return err
	}
	tx.news, tx.clashed, tx.superseded = nil, nil, nil
	if err := tx.recordCollisions(author); err != nil {
		return err
	}
	applied.Conflicts += mending.recorded
	if mending.wrote {
		tx.mending = true // what is mended is no side of its own in anybody's conflict
		_, err := tx.fold()
		tx.mending = false
		return err
	}
	return nil
}

// supersede deletes a row that its maker has not got any more, unless another has its key by now: a
// number that nobody had in a table is given by whoever adds a row next.
func (x *mending) supersede(gone superseded) error {
	t := x.tx.cat.byNumber[gone.row.tab]
	row, _, _, err := x.tx.readShadow(t, gone.row.key)
	if err != nil || row.Birth.Stamp != (hlc.Stamp{Time: gone.birth, Site: x.author}) {
		return err
	}
	return x.kill(t, gone.row.key)
}

type mending struct {
	tx       *transaction
	author   causal.Site
	back     map[reference]bool // rows brought back
	wrote    bool
	recorded int
}

// unknown reports whether somebody else has written a row, and the author of the delta did
// not know.
func (x *mending) unknown(row crdt.Row, seen causal.Position) bool {
	other := func(v crdt.Version) bool { return v.Stamp.Site != x.author && v.Position > seen }
	return other(row.Birth) || other(row.Base) || slices.ContainsFunc(row.Columns, func(c crdt.ColumnVersion) bool { return other(c.Version) })
}

// references brings back the rows that are referred to by those who did not know of their
// deletion. Those of one document are left to document.
func (x *mending) references(n *news) error {
	for _, m := range n.died {
		orphans, err := x.tx.orphansOf(m, func(row crdt.Row) bool { return x.unknown(row, m.seen) })
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
func (x *mending) refer(l *link, child crdt.Key, row crdt.Row, t *table, key crdt.Key) error {
	if _, state, err := x.tx.readImage(t, key); err != nil {
		return err
	} else if l.document && state == imageRemains {
		if ref := t.reference(key); !slices.Contains(x.tx.clashed, ref) {
			x.tx.clashed = append(x.tx.clashed, ref)
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
func (x *mending) bringBack(t *table, key crdt.Key) (ok bool, err error) {
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
	if err := tx.putBack(t, key, m); err != nil {
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
func (x *mending) bringBackRest(document reference, death crdt.Version) error {
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
func (tx *transaction) putBack(t *table, key crdt.Key, m *image) error {
	if err := tx.dropImage(t, key); err != nil {
		return err
	}
	if err := tx.restoreCounters(t, key, m); err != nil {
		return err
	}
	err := tx.insertImage(t, m)
	if isConstraint(err) {
		err = tx.keepHeld(t, key, m)
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
func (x *mending) kill(t *table, key crdt.Key) error {
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
	x.tx.tryHeld = true
	return x.tx.log(t, key, capture.Delete, nil)
}
