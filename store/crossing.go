package store

import (
	"fmt"
	"slices"

	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/store/internal/shadow"
)

// CrossingError says that a delta and this site's own work have crossed on the way: the
// hub did not know of work here that the delta cannot be applied beside. Nothing was
// applied. Once the hub has that work, what it sends next has both.
type CrossingError struct{ Table string }

func (e *CrossingError) Error() string {
	return fmt.Sprintf("table %s: what came from the hub and what was written here have crossed; it comes again once the hub has both", e.Table)
}

// unsentRow reports whether a row has work of this site that the sender of the delta which is
// being applied did not have, given what it had seen of this site.
func (tx *transaction) unsentRow(row crdt.Row, seen causal.Position) bool {
	return tx.unsentVersion(row.Birth, seen) || tx.unsentVersion(row.Death, seen) || tx.unsentVersion(row.Base, seen) ||
		slices.ContainsFunc(row.Columns, func(c crdt.ColumnVersion) bool { return tx.unsentVersion(c.Version, seen) })
}

func (tx *transaction) unsentVersion(v crdt.Version, seen causal.Position) bool {
	return v.Stamp.Site == tx.state.site && v.Position > seen
}

func (n *effects) isUnsent(row crdt.Row) bool { return n.tx.unsentRow(row, n.seen) }

// unsentDocuments are the documents in which this site has work that the sender did not
// have, among tables of which a row may be part of another's document.
func (n *effects) unsentDocuments() (map[reference]bool, error) {
	found := map[reference]bool{}
	for _, t := range n.tx.cat.tables {
		if t.own || t.class != Synced || t.alone && len(t.up)+len(t.down) == 0 {
			continue
		}
		err := n.eachUnsent(t, func(_ crdt.Row, key, document crdt.Value) {
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
func (n *effects) eachUnsent(t *table, each func(row crdt.Row, key, document crdt.Value)) error {
	return n.tx.c.Rows("SELECT key, row, document FROM "+t.shadow+" WHERE "+hasPosition+" AND position>?", []crdt.Value{integer(n.seen)},
		func(values []crdt.Value) error {
			row, err := shadow.Decode(values[1].Bytes())
			if err == nil && n.isUnsent(row) {
				each(row, values[0], values[2])
			}
			return err
		})
}

// crossing refuses, at a node, a delta that cannot be applied beside own work which the hub
// did not know of when it sent.
func (n *effects) crossing() error {
	if len(n.unsent) == 0 {
		return nil
	}
	for _, m := range n.died {
		if n.unsent[m.document] && (!m.t.alone || m.document != m.t.reference(m.key)) {
			return &CrossingError{Table: m.t.Name}
		}
	}
	for _, m := range slices.Concat(n.died, n.moved) {
		orphans, err := n.orphansOf(m, n.isUnsent)
		if err != nil {
			return err
		}
		if len(orphans) > 0 {
			return &CrossingError{Table: m.t.Name}
		}
	}
	for _, ref := range n.arrived {
		if err := n.crossingParents(ref); err != nil {
			return err
		}
	}
	return nil
}

// crossingParents refuses a delta with a row that refers to nothing, where own work which the
// hub did not know of can be the reason: a row that is deleted here, or, of a reference by a
// unique value, one that has another value here.
func (n *effects) crossingParents(arrived arrival) error {
	tx := n.tx
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
		crossed := deleted && n.isUnsent(row)
		if !crossed && !l.byKey() {
			crossed, err = n.unsentNames(l)
		}
		if crossed && err == nil {
			err = &CrossingError{Table: l.parent.Name}
		}
		return err
	})
}

// unsentNames reports whether work that the sender did not have can have changed by what values
// rows of a link's parent are referred to. What was written to other columns cannot.
func (n *effects) unsentNames(l *link) (any bool, err error) {
	err = n.eachUnsent(l.parent, func(row crdt.Row, _, _ crdt.Value) {
		any = any || n.tx.unsentVersion(row.Birth, n.seen) || n.tx.unsentVersion(row.Death, n.seen) || slices.ContainsFunc(l.refers, func(i int) bool {
			return n.tx.unsentVersion(row.Version(crdt.Column(l.parent.numbers[i])), n.seen)
		})
	})
	return any, err
}
