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

// Outgoing emits all work of this site above a position that a receiver may lack. It reads one snapshot
// and returns the span and the number of changes. A node of 0 is the hub, which gets this node's own
// work. A node gets from the hub the work of every other site. A row that changed a thousand times
// travels once.
//
// A large delta comes in slices of about count rows, or of FirstSlice rows if count is 0. Each slice
// begins where the one before ended, and emit is told the slice of each section. An empty slice is not
// emitted, and the next one begins where it did.
//
// If the returned Until is above zero, the span is only a beginning, and Until is the end of the whole
// delta. At a node a span that ends where it begins says that there is nothing to send.
func (s *Store) Outgoing(node causal.Site, from causal.Position, count int,
	emit func(slice history.Span, section *crdt.Section) error) (span history.Span, changes int, err error) {
	err = s.readFolded(func(tx *rows.Tx) error {
		if err := s.durably(nil); err != nil { // The snapshot may have commits that are not durable yet.
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

// sentEarly remembers rows that are about to be shipped ahead with a slice. It takes no turn at the
// lock, because the extraction must not wait.
func (s *Store) sentEarly(to causal.Site, refs []catalog.Reference, slice, until causal.Position) error {
	return s.writeAtOnce(func(tx *rows.Tx) error { return history.ShipAhead(tx, to, refs, slice, until) })
}

// notSent forgets the rows of slices that have not arrived, because the next delta is cut elsewhere.
func (s *Store) notSent(site causal.Site) error {
	return s.writeAtOnce(func(tx *rows.Tx) error { return history.NotSent(tx, site) })
}

// Pending counts the rows that a receiver may still lack, including entries that are not folded. At a
// node the receiver is the hub (node 0). At the hub it is a node at position from.
func (s *Store) Pending(node causal.Site, from causal.Position) (count int64, err error) {
	err = s.read(func(tx *rows.Tx) error {
		if count, err = history.Pending(tx, from); err != nil {
			return err
		}
		// A fold may have to wait for an application that reads. Until then the log entries count.
		unfolded, err := capture.Unfolded(tx.SQL, tx.State.Folded)
		count += max(unfolded, 0)
		return err
	})
	return count, err
}

// Acknowledged records, at a node, that the hub has committed its work up to a position. It forgets
// everything that was kept only for the hub up to there.
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
