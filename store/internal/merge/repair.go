package merge

import (
	"ravno/crdt/hlc"
	"ravno/store/internal/catalog"
	"ravno/store/internal/fold"
	"ravno/store/internal/repair"
)

// One server deletes a row while another, not knowing, refers to it, or edits the document
// it belongs to. Row by row, both writes are right, and together they leave a row whose
// parent is gone, or half a document. The hub, which alone sees both, mends that with
// writes of its own, in the transaction in which it finds it: what is referred to comes
// back; of a document deleted and edited at once, the newer of the two is in force as a
// whole, and the other is in the conflict.
//
// A node in which a delta and own work have crossed does not decide. It leaves the delta
// until the hub has seen its work and mended.

// repair brings back, at the hub, what a node's delta and others' work have left half, and
// records what it did.
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

// supersede deletes a row that its maker has not got any more, unless another has its key by now: a
// number that nobody had in a table is given by whoever adds a row next.
func supersede(x *repair.Repairs, ref catalog.Reference, birth hlc.Time) error {
	t := x.Tx.Cat.ByNumber[ref.Tab]
	row, err := x.Tx.ReadShadow(t, ref.Key)
	if err != nil || row.Birth.Stamp != (hlc.Stamp{Time: birth, Site: x.Author}) {
		return err
	}
	return x.Kill(t, ref.Key)
}
