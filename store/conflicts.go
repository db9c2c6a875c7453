package store

import (
	"errors"

	"ravno/crdt/causal"
	"ravno/store/internal/conflict"
	"ravno/store/internal/held"
	"ravno/store/internal/resolve"
	"ravno/store/internal/rows"
)

// Conflicts lists the records, open ones only or all, oldest first.
func (s *Store) Conflicts(all bool) (list []conflict.Conflict, err error) {
	err = s.read(func(tx *rows.Tx) error {
		list, err = conflict.List(tx, all)
		return err
	})
	return list, err
}

// FindConflict finds the one record whose identifier begins with prefix.
func (s *Store) FindConflict(prefix string) (x conflict.Conflict, err error) {
	err = s.read(func(tx *rows.Tx) error {
		x, err = conflict.Find(tx, prefix)
		return err
	})
	return x, err
}

// OpenConflicts counts the open conflicts each site is in.
func (s *Store) OpenConflicts() (bySite map[causal.Site]int, total int, err error) {
	err = s.look(func(tx *rows.Tx) error {
		bySite, total, err = conflict.CountOpen(tx)
		return err
	})
	return bySite, total, err
}

// DocumentRows are all rows in force of a conflict's document: its root, and whatever
// belongs to it, each row before those below it. None if the document is not there. It
// returns an error if there is no such conflict.
func (s *Store) DocumentRows(id string) (found []conflict.DocumentRow, err error) {
	err = s.read(func(tx *rows.Tx) error {
		found, err = conflict.ReadDocument(tx, id)
		return err
	})
	return found, err
}

// Resolve carries out a decision: ordinary writes of this site, made in full knowledge of
// both sides, together with who decided, when and why, and with what they replaced, so that
// Undo can take it back. They travel like any other write. Of two resolutions of one
// conflict, made at two sites at once, the newer is the record's everywhere, and each value
// is that of the newer write.
//
// What cannot be done is refused with the reason, and nothing is written.
func (s *Store) Resolve(id string, r resolve.Resolution) (writes []resolve.Write, err error) {
	return s.decide(func(tx *rows.Tx, held *held.Set) ([]resolve.Write, error) {
		return resolve.ResolveConflict(tx, held, id, r)
	})
}

// decide runs a decision in one transaction. Of a dry run nothing stays.
func (s *Store) decide(f func(tx *rows.Tx, held *held.Set) ([]resolve.Write, error)) (
	writes []resolve.Write, err error) {
	err = s.write(func(tx *rows.Tx) error {
		held, err := s.foldFirst(tx)
		if err != nil {
			return err
		}
		writes, err = f(tx, held)
		return err
	})
	if errors.Is(err, resolve.ErrDryRun) {
		err = nil
	}
	return writes, err
}

// Undo takes a resolution back: what it replaced is written again, by this site and in full
// knowledge of it, and the record is open again. Both travel like any other write.
//
// Where somebody has changed what the resolution wrote, taking it back would overwrite
// work that has nothing to do with it: then nothing is done, unless forced. Rows that were
// added to the document since never go unless forced.
func (s *Store) Undo(id string, how resolve.UndoOptions) (writes []resolve.Write, err error) {
	return s.decide(func(tx *rows.Tx, held *held.Set) ([]resolve.Write, error) {
		return resolve.UndoResolution(tx, held, id, how)
	})
}
