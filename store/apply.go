package store

import (
	"os"

	"ravno/crdt/causal"
	"ravno/store/internal/merge"
	"ravno/store/internal/rows"
)

// ApplyFromHub merges a delta of the hub into this node's tables, in one transaction, and
// returns once it is durable. A delta without a change is only a mark.
func (s *Store) ApplyFromHub(delta merge.Delta) (applied merge.Applied, err error) {
	apply := func(tx *rows.Tx) (err error) {
		applied, err = merge.ApplyFromHub(tx, delta, s.foldFirst)
		s.turn.changes = applied.Changes
		return err
	}
	// Durable, although there may be nothing in it: what this node has seen it must never again
	// not have seen, because others forget what everybody has.
	s.warm(delta)
	err = s.writeFolded(apply)
	if err == nil && applied.Changes > 0 {
		s.touchFile()
	}
	return applied, err
}

// touchFile moves the file's modification time: in WAL mode it stands still, and there are
// applications that reload when it moves.
func (s *Store) touchFile() {
	now := s.clock()
	_ = os.Chtimes(s.path, now, now) // only a hint: the data is there either way
}

// ApplyFromNode merges a node's own changes into the hub's tables, in one transaction, and
// returns once it is durable: then, and not before, the node may be told.
func (s *Store) ApplyFromNode(node causal.Site, delta merge.Delta, floor causal.Seen) (
	applied merge.Applied, err error) {
	s.warm(delta)
	err = s.writeFolded(func(tx *rows.Tx) (err error) {
		applied, err = merge.ApplyFromNode(tx, node, delta, floor, s.foldFirst)
		s.turn.changes = applied.Changes
		return err
	})
	if err == nil && applied.Changes > 0 {
		s.touchFile()
	}
	return applied, err
}
