package repair

import (
	"slices"

	"ravno/crdt"
	"ravno/store/internal/catalog"
	"ravno/store/internal/history"
)

// isUnsent reports whether a row has work of this site that the sender of the delta did not have.
func (n *Effects) isUnsent(row crdt.Row) bool { return history.UnsentRow(n.tx, row, n.Seen) }

// unsentDocuments finds the documents with work of this site that the sender did not have. It skips
// tables whose rows are documents by themselves and have no foreign keys either way.
func (n *Effects) unsentDocuments() (map[catalog.Reference]bool, error) {
	found := map[catalog.Reference]bool{}
	for _, t := range n.tx.Cat.Tables {
		if t.Own || t.Class != catalog.Synced || t.Alone && len(t.Up)+len(t.Down) == 0 {
			continue
		}
		err := n.eachUnsent(t, func(_ crdt.Row, key, document crdt.Value) {
			ref, ok := catalog.DecodeReference(document)
			if !ok {
				ref = t.Reference(t.KeyOf(key))
			}
			found[ref] = true
		})
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

// eachUnsent calls each for the rows of a table with work that the sender did not have. The stored key
// and document are valid during the call only.
func (n *Effects) eachUnsent(t *catalog.Table, each func(row crdt.Row, key, document crdt.Value)) error {
	return history.EachChanged(n.tx, t, n.Seen, func(c history.ChangedShadow) {
		if n.isUnsent(c.Row) {
			each(c.Row, c.Stored, c.StoredDocument)
		}
	})
}

// Crossing returns a CrossingError, at a node, for a delta that cannot be applied beside own work. The
// hub did not know of that work when it sent the delta. The caller must then undo the transaction.
func (n *Effects) Crossing() error {
	if len(n.unsent) == 0 {
		return nil
	}
	for _, m := range n.Died {
		if n.unsent[m.Document] && (!m.T.Alone || m.Document != m.T.Reference(m.Key)) {
			return &history.CrossingError{Table: m.T.Name}
		}
	}
	for _, m := range slices.Concat(n.Died, n.Moved) {
		orphans, err := n.orphansOf(m, n.isUnsent)
		if err != nil {
			return err
		}
		if len(orphans) > 0 {
			return &history.CrossingError{Table: m.T.Name}
		}
	}
	for _, ref := range n.Arrived {
		if err := n.crossingParents(ref); err != nil {
			return err
		}
	}
	return nil
}

// crossingParents returns a CrossingError for a row that refers to nothing because of own work. Either
// own work deleted the referred row, or it changed the unique value that the reference holds.
func (n *Effects) crossingParents(arrived Arrival) error {
	tx := n.tx
	t := tx.Cat.ByNumber[arrived.Tab]
	m, err := tx.ReadTable(t, arrived.Key)
	if err != nil || m == nil {
		return err
	}
	return eachDangling(tx, t, m, func(l *catalog.ForeignKey, reference []crdt.Value) error {
		_, row, deleted, err := deletedParent(tx, l, reference)
		if err != nil {
			return err
		}
		crossed := deleted && n.isUnsent(row)
		if !crossed && !l.ByKey() {
			crossed, err = n.unsentReferences(l)
		}
		if crossed && err == nil {
			err = &history.CrossingError{Table: l.Parent.Name}
		}
		return err
	})
}

// unsentReferences reports whether work that the sender did not have can have changed the referred
// values of a foreign key. Writes to other columns of the parent table do not count.
func (n *Effects) unsentReferences(l *catalog.ForeignKey) (any bool, err error) {
	err = n.eachUnsent(l.Parent, func(row crdt.Row, _, _ crdt.Value) {
		any = any || history.UnsentVersion(n.tx, row.Birth, n.Seen) || history.UnsentVersion(n.tx, row.Death, n.Seen) ||
			slices.ContainsFunc(l.Refers, func(i int) bool {
				return history.UnsentVersion(n.tx, row.Version(crdt.Column(l.Parent.Numbers[i])), n.Seen)
			})
	})
	return any, err
}
