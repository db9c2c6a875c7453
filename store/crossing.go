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
	return tx.unsentVersion(row.Birth) || tx.unsentVersion(row.Death) || tx.unsentVersion(row.Base) ||
		slices.ContainsFunc(row.Columns, func(c crdt.ColumnVersion) bool { return tx.unsentVersion(c.Version) })
}

func (tx *transaction) unsentVersion(v crdt.Version) bool {
	return v.Stamp.Site == tx.state.site && v.Position > tx.span.Seen
}

// unsentDocuments are the documents in which this site has work that the sender did not
// have, among tables of which a row may be part of another's document.
func (tx *transaction) unsentDocuments() (map[reference]bool, error) {
	found := map[reference]bool{}
	for _, t := range tx.cat.tables {
		if t.own || t.class != Synced || t.alone && len(t.up)+len(t.down) == 0 {
			continue
		}
		err := tx.eachUnsent(t, func(_ crdt.Row, key, document crdt.Value) {
			ref, ok := decodeReference(document)
			if !ok {
				ref = t.reference(t.keyOf(key))
			}
			found[ref] = true
		})
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

// eachUnsent goes through the rows of a table with work that the sender did not have.
func (tx *transaction) eachUnsent(t *table, each func(row crdt.Row, key, document crdt.Value)) error {
	return tx.c.Rows("SELECT key, row, document FROM "+t.shadow+" WHERE "+hasPosition+" AND position>?", []crdt.Value{integer(tx.span.Seen)},
		func(values []crdt.Value) error {
			row, err := shadow.Decode(values[1].Bytes())
			if err == nil && tx.unsent(row) {
				each(row, values[0], values[2])
			}
			return err
		})
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
	}
	for _, m := range slices.Concat(n.died, n.moved) {
		orphans, err := tx.orphansOf(m, tx.unsent)
		if err != nil {
			return err
		}
		if len(orphans) > 0 {
			return &CrossingError{Table: m.t.Name}
		}
	}
	for _, ref := range n.arrived {
		if err := tx.crossingParents(ref); err != nil {
			return err
		}
	}
	return nil
}

// crossingParents refuses a delta with a row that refers to nothing, where own work which the
// hub did not know of can be the reason: a row that is deleted here, or, of a reference by a
// unique value, one that has another value here.
func (tx *transaction) crossingParents(arrived arrival) error {
	t := tx.cat.byNumber[arrived.tab]
	m, err := tx.tableImage(t, arrived.key)
	if err != nil || m == nil {
		return err
	}
	return tx.eachDangling(t, m, func(l *link, reference []crdt.Value) error {
		_, row, deleted, err := tx.deletedParent(l, reference)
		if err != nil {
			return err
		}
		crossed := deleted && tx.unsent(row)
		if !crossed && !l.byKey() {
			crossed, err = tx.unsentNames(l)
		}
		if crossed && err == nil {
			err = &CrossingError{Table: l.parent.Name}
		}
		return err
	})
}

// unsentNames reports whether work that the sender did not have can have changed by what values
// rows of a link's parent are referred to. What was written to other columns cannot.
func (tx *transaction) unsentNames(l *link) (any bool, err error) {
	err = tx.eachUnsent(l.parent, func(row crdt.Row, _, _ crdt.Value) {
		any = any || tx.unsentVersion(row.Birth) || tx.unsentVersion(row.Death) || slices.ContainsFunc(l.refers, func(i int) bool {
			return tx.unsentVersion(row.Version(crdt.Column(l.parent.numbers[i])))
		})
	})
	return any, err
}
