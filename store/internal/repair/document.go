package repair

import (
	"slices"

	"ravno/store/internal/catalog"
	"ravno/store/internal/history"
	"ravno/store/internal/rows"
)

// Document decides a document that one site deleted and another edited. The newer side is in force as a
// whole. The reference d may also be a row in a document, with the rows below it.
func (x *Repairs) Document(d catalog.Reference) error {
	tx, t := x.Tx, x.Tx.Cat.ByNumber[d.Tab]
	if t == nil {
		return nil
	}
	root, err := tx.ReadShadow(t, d.Key)
	if err != nil || !root.Found || root.Death.Stamp.IsZero() {
		return err // This row was never deleted, so no rows are left without it.
	}
	document := root.Document
	if document == (catalog.Reference{}) {
		document = d
	}
	if x.Back[d] {
		return nil
	}
	if root.Live() {
		return x.bringBackRest(document, root.Death)
	}
	parts, err := leftOver(tx, d, document)
	if err != nil || len(parts) == 0 {
		return err
	}
	newer := false
	for _, ref := range parts {
		row, err := tx.ReadShadow(tx.Cat.ByNumber[ref.Tab], ref.Key)
		if err != nil {
			return err
		}
		outside, err := referredFromOutside(tx, ref, parts)
		if err != nil {
			return err
		}
		newer = newer || outside || row.Newest().After(root.Death.Stamp)
	}
	if newer {
		if ok, err := x.bringBack(t, d.Key); err != nil || ok {
			return err
		}
	}
	if err := x.recordKilled(document, root.Row, parts); err != nil {
		return err
	}
	for _, ref := range slices.Backward(parts) {
		if err := x.Kill(tx.Cat.ByNumber[ref.Tab], ref.Key); err != nil {
			return err
		}
	}
	return nil
}

// leftOver finds the rows that are still in their tables below a deleted row of a document. They refer
// to that row, or to rows that were deleted below it.
func leftOver(tx *rows.Tx, d, document catalog.Reference) (parts []catalog.Reference, err error) {
	dead, err := deadBelow(tx, d, document)
	if err != nil {
		return nil, err
	}
	for ref, m := range dead {
		below, err := partsOf(tx, tx.Cat.ByNumber[ref.Tab], m)
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

// deadBelow returns the tombstone values of a deleted row of a document and of the deleted rows below
// it.
func deadBelow(tx *rows.Tx, d, document catalog.Reference) (map[catalog.Reference]*catalog.Values, error) {
	tombstones := map[catalog.Reference]*catalog.Values{}
	deleted, err := history.DeletedIn(tx, document, 0)
	if err != nil {
		return nil, err
	}
	for _, ref := range append(deleted, d) {
		t := tx.Cat.ByNumber[ref.Tab]
		if t == nil {
			continue
		}
		m, state, err := tx.ReadKept(t, ref.Key)
		if err != nil {
			return nil, err
		}
		if state == catalog.Tombstone {
			tombstones[ref] = m
		}
	}
	below := map[catalog.Reference]*catalog.Values{}
	if m, ok := tombstones[d]; ok {
		below[d] = m
	}
	for grown := true; grown; {
		grown = false
		for ref, m := range tombstones {
			if _, known := below[ref]; !known && isBelow(tx, ref, m, below) {
				below[ref], grown = m, true
			}
		}
	}
	return below, nil
}

// isBelow reports whether a row's document reference points at one of the given rows.
func isBelow(tx *rows.Tx, ref catalog.Reference, m *catalog.Values, others map[catalog.Reference]*catalog.Values) bool {
	for _, l := range tx.Cat.ByNumber[ref.Tab].Up {
		reference, ok := l.Reference(m)
		if !l.Document || !ok {
			continue
		}
		for other, values := range others {
			if other.Tab != l.Parent.Number {
				continue
			}
			if referred, ok := l.Referred(values); ok && l.SameReference(reference, referred) {
				return true
			}
		}
	}
	return false
}

// partsOf returns the rows below a row in its document that are in their tables, each before the rows
// below it.
func partsOf(tx *rows.Tx, t *catalog.Table, m *catalog.Values) (parts []catalog.Reference, err error) {
	for _, l := range t.Down {
		reference, ok := l.Referred(m)
		if !l.Document || !ok {
			continue
		}
		children, err := tx.ChildrenOf(l, reference)
		if err != nil {
			return nil, err
		}
		for _, key := range children {
			parts = append(parts, l.Child.Reference(key))
			values, err := tx.ReadTable(l.Child, key)
			if err != nil {
				return nil, err
			}
			below, err := partsOf(tx, l.Child, values)
			if err != nil {
				return nil, err
			}
			parts = append(parts, below...)
		}
	}
	return parts, nil
}

// referredFromOutside reports whether a row outside parts refers to the row ref. Document references do
// not count.
func referredFromOutside(tx *rows.Tx, ref catalog.Reference, parts []catalog.Reference) (bool, error) {
	t := tx.Cat.ByNumber[ref.Tab]
	m, err := tx.ReadTable(t, ref.Key)
	if err != nil {
		return false, err
	}
	for _, l := range t.Down {
		reference, ok := l.Referred(m)
		if l.Document || !ok {
			continue
		}
		children, err := tx.ChildrenOf(l, reference)
		if err != nil {
			return false, err
		}
		for _, key := range children {
			if !slices.Contains(parts, l.Child.Reference(key)) {
				return true, nil
			}
		}
	}
	return false, nil
}
