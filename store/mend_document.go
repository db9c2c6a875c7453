package store

import (
	"slices"

	"ravno/crdt"
)

// document decides, of a document, or of a row in it with all that is below, which was
// deleted at one site and edited at another, which is in force: the newer one, as a whole.
func (x *repairs) document(d reference) error {
	tx, t := x.tx, x.tx.cat.byNumber[d.tab]
	if t == nil {
		return nil
	}
	root, document, found, err := tx.readShadow(t, d.key)
	if err != nil || !found || root.Death.Stamp.IsZero() {
		return err // only parts of it were deleted, and nothing is left below them
	}
	if document == (reference{}) {
		document = d
	}
	if x.back[d] {
		return nil
	}
	if root.Live() {
		return x.bringBackRest(document, root.Death)
	}
	parts, err := tx.leftOver(d, document)
	if err != nil || len(parts) == 0 {
		return err
	}
	newer := false
	for _, ref := range parts {
		row, _, _, err := tx.readShadow(tx.cat.byNumber[ref.tab], ref.key)
		if err != nil {
			return err
		}
		outside, err := tx.referredFromOutside(ref, parts)
		if err != nil {
			return err
		}
		newer = newer || outside || row.Newest().After(root.Death.Stamp)
	}
	if newer {
		if ok, err := x.bringBack(t, d.key); err != nil || ok {
			return err
		}
	}
	if err := x.recordKilled(document, root, parts); err != nil {
		return err
	}
	for _, ref := range slices.Backward(parts) {
		if err := x.kill(tx.cat.byNumber[ref.tab], ref.key); err != nil {
			return err
		}
	}
	return nil
}

// leftOver are the rows below a deleted row of a document that are in their tables all the
// same: those that refer to it, or to rows that were deleted below it.
func (tx *transaction) leftOver(d, document reference) (parts []reference, err error) {
	dead, err := tx.deadBelow(d, document)
	if err != nil {
		return nil, err
	}
	for ref, m := range dead {
		below, err := tx.parts(tx.cat.byNumber[ref.tab], m)
		if err != nil {
			return nil, err
		}
		for _, part := range below {
			if !slices.Contains(parts, part) {
				parts = append(parts, part)
			}
		}
	}
	return parts, nil
}

// deadBelow are the remains of a deleted row of a document and of the deleted rows below it.
func (tx *transaction) deadBelow(d, document reference) (map[reference]*image, error) {
	remains := map[reference]*image{}
	candidates := []reference{d}
	err := tx.c.Rows("SELECT DISTINCT tab, key FROM ravno_touch WHERE document=? AND dead=1", []crdt.Value{document.encode()}, func(row []crdt.Value) error {
		candidates = append(candidates, reference{tab: row[0].Int(), key: crdt.Key(row[1].Bytes())})
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, ref := range candidates {
		t := tx.cat.byNumber[ref.tab]
		if t == nil {
			continue
		}
		m, state, err := tx.readImage(t, ref.key)
		if err != nil {
			return nil, err
		}
		if state == imageRemains {
			remains[ref] = m
		}
	}
	below := map[reference]*image{}
	if m, ok := remains[d]; ok {
		below[d] = m
	}
	for grown := true; grown; {
		grown = false
		for ref, m := range remains {
			if _, known := below[ref]; !known && tx.isBelow(ref, m, below) {
				below[ref], grown = m, true
			}
		}
	}
	return below, nil
}

// isBelow reports whether a row's document reference is to one of some others.
func (tx *transaction) isBelow(ref reference, m *image, others map[reference]*image) bool {
	for _, l := range tx.cat.byNumber[ref.tab].up {
		reference, ok := l.reference(m)
		if !l.document || !ok {
			continue
		}
		for other, values := range others {
			if other.tab != l.parent.number {
				continue
			}
			if referred, ok := l.referred(values); ok && l.sameReference(reference, referred) {
				return true
			}
		}
	}
	return false
}

// parts are the rows below a row in its document that are in their tables.
func (tx *transaction) parts(t *table, m *image) (parts []reference, err error) {
	for _, l := range t.down {
		reference, ok := l.referred(m)
		if !l.document || !ok {
			continue
		}
		children, err := tx.childrenOf(l, reference)
		if err != nil {
			return nil, err
		}
		for _, key := range children {
			parts = append(parts, l.child.reference(key))
			values, err := tx.tableImage(l.child, key)
			if err != nil {
				return nil, err
			}
			below, err := tx.parts(l.child, values)
			if err != nil {
				return nil, err
			}
			parts = append(parts, below...)
		}
	}
	return parts, nil
}

// referredFromOutside reports whether a row that is not among some others refers to one of
// them.
func (tx *transaction) referredFromOutside(ref reference, parts []reference) (bool, error) {
	t := tx.cat.byNumber[ref.tab]
	m, err := tx.tableImage(t, ref.key)
	if err != nil {
		return false, err
	}
	for _, l := range t.down {
		reference, ok := l.referred(m)
		if l.document || !ok {
			continue
		}
		children, err := tx.childrenOf(l, reference)
		if err != nil {
			return false, err
		}
		for _, key := range children {
			if !slices.Contains(parts, l.child.reference(key)) {
				return true, nil
			}
		}
	}
	return false, nil
}
