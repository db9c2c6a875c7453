package store

import (
	"fmt"
	"slices"

	"ravno/crdt"
	"ravno/store/internal/shadow"
)

// CrossingError says that a delta and this site's own work have crossed on the way: the
// hub did not know of work here that the delta cannot be applied beside. Nothing was
// applied. Once the hub has that work, what it sends next has both.
type CrossingError struct{ Table string }

func (e *CrossingError) Error() string {
	return fmt.Sprintf("table %s: what came from the hub and what was written here have crossed; it comes again once the hub has both", e.Table)
}

// unsent reports whether a row has work of this site that the sender of the delta which is
// being applied did not have.
func (tx *transaction) unsent(row crdt.Row) bool {
	own := func(v crdt.Version) bool {
		return v.Stamp.Site == tx.state.site && v.Position > tx.span.Seen
	}
	return own(row.Birth) || own(row.Death) || own(row.Base) ||
		slices.ContainsFunc(row.Columns, func(c crdt.ColumnVersion) bool { return own(c.Version) })
}

// unsentDocuments are the documents in which this site has work that the sender did not
// have, among tables of which a row may be part of another's document.
func (tx *transaction) unsentDocuments() (map[reference]bool, error) {
	found := map[reference]bool{}
	for _, t := range tx.cat.tables {
		if t.own || t.class != Synced || t.alone && len(t.up)+len(t.down) == 0 {
			continue
		}
		err := tx.c.Rows("SELECT key, row, document FROM "+t.shadow+" WHERE position>?", []crdt.Value{integer(tx.span.Seen)},
			func(values []crdt.Value) error {
				row, err := shadow.Decode(values[1].Bytes())
				if err != nil || !tx.unsent(row) {
					return err
				}
				document, ok := decodeReference(values[2])
				if !ok {
					document = t.reference(t.keyOf(values[0]))
				}
				found[document] = true
				return nil
			})
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

// crossing refuses, at a node, a delta that cannot be applied beside own work which the hub
// did not know of when it sent.
func (tx *transaction) crossing() error {
	n := tx.news
	if n == nil || len(n.unsent) == 0 {
		return nil
	}
	for _, m := range n.died {
		if n.unsent[m.document] && (!m.t.alone || m.document != m.t.reference(m.key)) {
			return &CrossingError{Table: m.t.Name}
		}
		orphans, err := tx.orphansOf(m, tx.unsent)
		if err != nil {
			return err
		}
		if len(orphans) > 0 {
			return &CrossingError{Table: m.t.Name}
		}
	}
	for _, ref := range n.arrived {
		missing, err := tx.missingParents(ref.reference)
		if err != nil {
			return err
		}
		for _, parent := range missing {
			if row, _, _, err := tx.readShadow(parent.l.parent, parent.key); err != nil || tx.unsent(row) {
				if err != nil {
					return err
				}
				return &CrossingError{Table: parent.l.parent.Name}
			}
		}
	}
	return nil
}
