package merge

import (
	"ravno/crdt/hlc"
	"ravno/store/internal/catalog"
	"ravno/store/internal/fold"
	"ravno/store/internal/repair"
)

// One server deletes a row while another refers to it, or edits its document. Row by row both
// writes are right. Together they leave an orphan, or half a document. The hub repairs that in the
// transaction that finds it. The referred row comes back. Of a document deleted and edited at once,
// the newer side is in force as a whole, and the other side is in the conflict.
//
// A node decides nothing when a delta has crossed with own work. It leaves the delta with the hub
// until the hub has seen that work and repaired.

// repair repairs, at the hub, the references and documents that a node's delta has broken. It records
// each repair, and folds the writes of the repairs.
func (in *incoming) repair() error {
	tx := in.tx
	x := &repair.Repairs{Tx: tx, Held: in.held, Author: in.author, Effects: in.effects, Back: map[catalog.Reference]bool{}}
	for _, gone := range in.rekeying.Superseded {
		if err := supersede(x, gone.Row, gone.Birth); err != nil {
			return err
		}
	}
	if err := x.References(); err != nil {
		return err
	}
	for _, d := range in.effects.Clashed {
		if err := x.Document(d); err != nil {
			return err
		}
	}
	followed, err := in.rekeying.FollowFresh()
	if err != nil {
		return err
	}
	if err := in.rekeying.RecordCollisions(); err != nil {
		return err
	}
	in.applied.Conflicts += x.Recorded
	if x.Wrote || followed {
		return fold.FoldRepairs(tx, in.held)
	}
	return nil
}

// supersede deletes a rekeyed row that its maker has replaced. It leaves the row alone if its key has
// another birth by now, because an application may have reused the key.
func supersede(x *repair.Repairs, ref catalog.Reference, birth hlc.Time) error {
	t := x.Tx.Cat.ByNumber[ref.Tab]
	row, err := x.Tx.ReadShadow(t, ref.Key)
	if err != nil || row.Birth.Stamp != (hlc.Stamp{Time: birth, Site: x.Author}) {
		return err
	}
	return x.Kill(t, ref.Key)
}
