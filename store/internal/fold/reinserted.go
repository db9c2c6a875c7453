package fold

import (
	"ravno/crdt"
	"ravno/crdt/hlc"
	"ravno/store/internal/catalog"
	"ravno/store/internal/conflict"
	"ravno/store/internal/history"
)

// reinserted handles a new row under the key of a held row, which the application could not see. The
// hub writes a conflict record with the held row. A node keeps the held row's work that the hub has not
// acknowledged.
func (p *Pass) reinserted(f *folding, was crdt.Row) error {
	tx := p.Tx
	if f.T.Own {
		return nil
	}
	m, state, err := tx.ReadKept(f.T, f.Key)
	if err != nil || state != catalog.Held {
		return err
	}
	p.Held.Changed = true
	if tx.State.IsHub() {
		document, err := tx.Root(f.T, f.Key, nil)
		if err != nil {
			return err
		}
		made, err := tx.ReadTable(f.T, f.Key)
		if err != nil {
			return err
		}
		self := tx.State.Site
		return conflict.KeepReinserted(tx, f.T, f.Key, was, m, document,
			crdt.Claim{Site: self, Stamp: hlc.Stamp{Site: self, Time: f.bornAt}}, conflict.WholeSide(f.T, self, f.Key, made))
	}
	return history.KeepOverwritten(tx, f.T, f.Key, was, m, f.T.Numbers, true)
}
