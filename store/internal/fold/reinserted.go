package fold

import (
	"ravno/crdt"
	"ravno/crdt/hlc"
	"ravno/store/internal/catalog"
	"ravno/store/internal/conflict"
	"ravno/store/internal/history"
)

// reinserted sees to a row that is held when the application makes another under the same key:
// it cannot see the held one. The hub records it. A node keeps what was written to it here and
// the hub does not have yet.
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
