package merge

import (
	"ravno/crdt/causal"
	"ravno/crdt/hlc"
	"ravno/store/internal/catalog"
	"ravno/store/internal/conflict"
	"ravno/store/internal/held"
	"ravno/store/internal/history"
	"ravno/store/internal/rekey"
	"ravno/store/internal/repair"
	"ravno/store/internal/rows"
)

// ApplyFromHub merges a delta from the hub at a node, inside the transaction tx. It calls fold first,
// which returns the held rows. It returns an OutOfOrderError if the delta does not begin at the
// position this node has seen. It returns a CrossingError if the delta has crossed with own work. After
// any error the caller must undo the transaction.
func ApplyFromHub(tx *rows.Tx, delta Delta, fold func(*rows.Tx) (*held.Set, error)) (applied Applied, err error) {
	if delta.From != tx.State.Seen {
		return applied, &OutOfOrderError{From: delta.From,
			Have: causal.Reached{Position: tx.State.Seen, Until: tx.State.Until}}
	}
	held, err := fold(tx)
	if err != nil {
		return applied, err
	}
	in := newIncoming(tx, held, 0, delta)
	if err := in.applyAll(); err != nil {
		return applied, err
	}
	tx.State.Seen, tx.State.Until = delta.To, delta.Until
	none, err := history.NoneShippedAhead(tx)
	applied = in.applied
	applied.Position, applied.Floor, applied.Unsent = tx.State.Position, history.SeenFloor(tx.State), tx.State.HasFloor ||
		!none
	return applied, err
}

// ApplyFromNode merges a node's own changes at the hub, inside the transaction tx. It calls fold first,
// which returns the held rows, and again after it recorded conflicts. The floor is the least hub
// position that the node's unsent work may have seen. It returns an OutOfOrderError if the delta does
// not begin at the position that the hub has of the node. It returns an IdentityError for work under
// another site's identity, and refuses a removed node. After any error the caller must undo the
// transaction.
func ApplyFromNode(tx *rows.Tx, node causal.Site, delta Delta, floor causal.Seen,
	fold func(*rows.Tx) (*held.Set, error)) (applied Applied, err error) {
	have, heard, err := history.HasOf(tx, node)
	if err != nil {
		return applied, err
	}
	if delta.From != have.Position {
		return applied, &OutOfOrderError{From: delta.From, Have: have}
	}
	if err := history.RefuseRemoved(tx, node); err != nil {
		return applied, err
	}
	held, err := fold(tx)
	if err != nil {
		return applied, err
	}
	in := newIncoming(tx, held, node, delta)
	in.hears, in.rekeying.Heard, in.rekeying.Sliced = heard, heard, have.Until > 0
	if err := in.applyAll(); err != nil {
		return applied, err
	}
	if in.applied.Conflicts > 0 { // Stamp the records at once. They then travel with the changes.
		if _, err := fold(tx); err != nil {
			return applied, err
		}
	}
	hears := in.hears
	if delta.Newest > 0 {
		hears = max(heard, delta.Newest)
	}
	applied = in.applied
	applied.Position = tx.State.Position
	return applied, history.GotFromNode(tx, node, delta.Span, floor, hears)
}

// incoming is one delta while it is applied, in one transaction.
type incoming struct {
	tx       *rows.Tx
	held     *held.Set
	delta    Delta
	author   causal.Site // the node that sent it, or 0 for the hub
	applied  Applied
	merging  merging         // the current change, kept here because the struct is large
	began    causal.Position // the position before the first change
	hears    hlc.Time        // at the hub: the newest stamp that the node has sent, including this delta
	rekeying *rekey.Rekeying
	effects  *repair.Effects
	changes  *history.KnownChanges
	// decided maps a document to the identifier of its conflict, where two sites have resolved that
	// conflict at once.
	decided map[catalog.Reference]string
}

// newIncoming begins a delta. An author of 0 is the hub.
func newIncoming(tx *rows.Tx, held *held.Set, author causal.Site, delta Delta) *incoming {
	return &incoming{tx: tx, held: held, delta: delta, author: author, began: tx.State.Position,
		rekeying: &rekey.Rekeying{Tx: tx, Author: author, Seen: delta.Seen, Began: tx.State.Position},
		effects:  repair.NewEffects(tx, author, delta.Seen), changes: &history.KnownChanges{Tx: tx}}
}

// applyAll merges every section, then repairs at the hub or checks for crossings at a node. At last it
// readmits held rows and restores the sequences.
func (in *incoming) applyAll() error {
	tx := in.tx
	restore, err := tx.OwnSequences()
	if err != nil {
		return err
	}
	if in.author != 0 {
		if err := in.rekeying.FindCollisions(in.delta.Each, in.delta.Highest); err != nil {
			return err
		}
	}
	if err := in.delta.Each(in.applySection); err != nil {
		return err
	}
	if in.applied.Changes > 0 {
		tx.State.LastTransfer = tx.Now()
	}
	if in.author == 0 {
		if err := in.effects.Crossing(); err != nil {
			return err
		}
	} else if err := in.repair(); err != nil {
		return err
	}
	if err := conflict.ReadmitHeld(tx, in.held); err != nil {
		return err
	}
	return restore()
}
