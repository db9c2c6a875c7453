package conflict

import (
	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/store/internal/catalog"
	"ravno/store/internal/rows"
)

// KeepReinserted keeps such a row whole in a conflict of its own, beside what was made of it if
// that is another site's.
func KeepReinserted(tx *rows.Tx, t *catalog.Table, key crdt.Key, row crdt.Row, was *catalog.Values,
	document catalog.Reference, maker crdt.Claim, made Side) error {
	ref, former := t.Reference(key), crdt.Claim{Site: Owner(row.Newest()), Stamp: row.Newest()}
	sides := []Side{WholeSide(t, former.Site, key, was)}
	if former.Site != maker.Site {
		sides = append(sides, made)
	}
	return Write(tx, New{Kind: crdt.KeyCollision, Row: ref, Document: document,
		Sites:  []causal.Site{former.Site, maker.Site},
		Detail: Detail{Sides: sides}, Id: IDOf(crdt.KeyCollision, ref, t, former, maker)})
}
