package store

import (
	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/store/internal/capture"
	"ravno/store/internal/catalog"
	"ravno/store/internal/extract"
	"ravno/store/internal/history"
	"ravno/store/internal/rows"
)

// Outgoing emits everything a receiver may not have, above a position of this site, read in
// one snapshot, and returns what it covers. Much of it comes in slices, each the work from where
// the one before ended: emit is told which slice a section belongs to. A slice in which there is
// nothing for the receiver is not emitted; the next one begins where it did. At a node a span
// that ends where it begins says that there is nothing at all. At a node the
// receiver is the hub (node 0) and gets this node's own work; at the hub it is a node, which gets
// everyone else's. It is state, not history: a row changed a thousand times travels once. The
// slices have about as many rows as asked for; 0 if the receiver has not said yet. Of very much, the span is
// only a beginning, and Until says where the rest ends.
func (s *Store) Outgoing(node causal.Site, from causal.Position, count int,
	emit func(slice history.Span, section *crdt.Section) error) (span history.Span, changes int, err error) {
	err = s.readFolded(func(tx *rows.Tx) error {
		if err := s.durably(nil); err != nil { // what this snapshot has, whoever has committed it
			return err
		}
		if some, err := history.SomeNotSent(tx, node); err != nil {
			return err
		} else if some {
			if err := s.notSent(node); err != nil {
				return err
			}
		}
		var x *extract.Extraction
		if x, err = extract.NewExtraction(tx, node, from); err != nil {
			return err
		}
		x.ShipAhead = func(rows []catalog.Reference, slice, until causal.Position) error {
			return s.sentEarly(node, rows, slice, until)
		}
		if count <= 0 {
			count = FirstSlice
		}
		if s.sliceRows > 0 {
			count = s.sliceRows
		}
		span, err = x.Run(count, emit)
		changes = x.Changes
		return err
	})
	return span, changes, err
}

// sentEarly remembers rows that are about to be shipped ahead, in a slice up to one position, of a delta
// up to another. It takes no turn at the lock: an extraction waits for nobody.
func (s *Store) sentEarly(to causal.Site, refs []catalog.Reference, slice, until causal.Position) error {
	return s.writeAtOnce(func(tx *rows.Tx) error { return history.ShipAhead(tx, to, refs, slice, until) })
}

// notSent forgets what was to go with slices that have not come: they will be cut elsewhere.
func (s *Store) notSent(site causal.Site) error {
	return s.writeAtOnce(func(tx *rows.Tx) error { return history.NotSent(tx, site) })
}

// Pending counts the rows a receiver may still have to get: at a node what the hub does
// not have (node 0), at the hub what a node at this position does not have.
func (s *Store) Pending(node causal.Site, from causal.Position) (count int64, err error) {
	err = s.read(func(tx *rows.Tx) error {
		if count, err = history.Pending(tx, from); err != nil {
			return err
		}
		// A fold may wait for an application that reads: until then its work counts by the log.
		unfolded, err := capture.Unfolded(tx.SQL, tx.State.Folded)
		count += max(unfolded, 0)
		return err
	})
	return count, err
}

// Acknowledged records at a node that the hub has committed its work up to a position, and
// forgets what was only kept for it.
func (s *Store) Acknowledged(has causal.Reached) error {
	return s.keepMarks(func(tx *rows.Tx) error {
		if news, err := history.HubGot(tx, has); err != nil || !news {
			return err
		}
		left, err := history.Pending(tx, has.Position)
		if err != nil {
			return err
		}
		return history.ForgetAcknowledged(tx, has.Position, left == 0)
	})
}
