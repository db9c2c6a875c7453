package store

import (
	"os"

	"ravno/crdt/causal"
	"ravno/store/internal/merge"
	"ravno/store/internal/rows"
)

// ApplyFromHub merges a delta from the hub into this node's tables in one transaction. It returns when
// that is durable. A delta without a change only moves the position. It returns an OutOfOrderError, a
// CrossingError or a SchemaError for a delta that cannot be applied, and then nothing was applied.
func (s *Store) ApplyFromHub(delta merge.Delta) (applied merge.Applied, err error) {
	apply := func(tx *rows.Tx) (err error) {
		applied, err = merge.ApplyFromHub(tx, delta, s.foldFirst)
		s.turn.changes = applied.Changes
		return err
	}
	// An empty delta is durable too. This node must never lose a position that it has seen, because
	// other sites forget the work that every site has seen.
	s.warm(delta)
	err = s.writeFolded(apply)
	if err == nil && applied.Changes > 0 {
		s.touchFile()
	}
	return applied, err
}

// touchFile sets the file's modification time. In WAL mode that time stands still, and some
// applications reload when it changes.
func (s *Store) touchFile() {
	now := s.clock()
	_ = os.Chtimes(s.path, now, now) // only a hint, so errors are ignored
}

// ApplyFromNode merges a node's own changes into the hub's tables in one transaction. It returns when
// that is durable, and only then may the node be told. The floor is the least hub position that the
// node's unsent work may have seen. It returns an OutOfOrderError, an IdentityError or a SchemaError
// for a delta that cannot be applied, and then nothing was applied.
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
