package store

import (
	"errors"

	"ravno/crdt/causal"
	"ravno/store/internal/conflict"
	"ravno/store/internal/held"
	"ravno/store/internal/resolve"
	"ravno/store/internal/rows"
)

// Conflicts lists the conflict records, oldest first. If all is false, it lists the open ones only.
func (s *Store) Conflicts(all bool) (list []conflict.Conflict, err error) {
	err = s.read(func(tx *rows.Tx) error {
		list, err = conflict.List(tx, all)
		return err
	})
	return list, err
}

// FindConflict returns the one record whose identifier begins with prefix. It returns an error if there
// is none, or more than one.
func (s *Store) FindConflict(prefix string) (x conflict.Conflict, err error) {
	err = s.read(func(tx *rows.Tx) error {
		x, err = conflict.Find(tx, prefix)
		return err
	})
	return x, err
}

// OpenConflicts counts the open conflicts of each site, and all of them.
func (s *Store) OpenConflicts() (bySite map[causal.Site]int, total int, err error) {
	err = s.look(func(tx *rows.Tx) error {
		bySite, total, err = conflict.CountOpen(tx)
		return err
	})
	return bySite, total, err
}

// DocumentRows returns the rows in force of a conflict's document. The root comes first, and each row
// before those below it. The list is empty if the document is not there. It returns an error if there
// is no such conflict.
func (s *Store) DocumentRows(id string) (found []conflict.DocumentRow, err error) {
	err = s.read(func(tx *rows.Tx) error {
		found, err = conflict.ReadDocument(tx, id)
		return err
	})
	return found, err
}

// Resolve carries out a decision on a conflict. It makes ordinary writes of this site, made in full
// knowledge of both sides. The record keeps who decided, when and why, and the replaced values, so that
// Undo can take the decision back. Everything travels like any other write.
//
// Two sites may resolve one conflict at once. The newer resolution is then the record's everywhere, and
// each value is that of the newer write.
//
// If the decision cannot be carried out, Resolve returns an error with the reason, and nothing is
// written.
func (s *Store) Resolve(id string, r resolve.Resolution) (writes []resolve.Write, err error) {
	return s.decide(func(tx *rows.Tx, held *held.Set) ([]resolve.Write, error) {
		return resolve.ResolveConflict(tx, held, id, r)
	})
}

// decide runs a decision in one transaction. It undoes a dry run and returns its writes.
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

// Undo takes a resolution back. This site writes the replaced values again, in full knowledge of the
// resolution, and opens the record. Both travel like any other write.
//
// If somebody has changed the resolution's values since, Undo would overwrite that work. It then
// returns an error and writes nothing, unless it is forced. Rows that were added to the document since
// are deleted only if it is forced.
func (s *Store) Undo(id string, how resolve.UndoOptions) (writes []resolve.Write, err error) {
	return s.decide(func(tx *rows.Tx, held *held.Set) ([]resolve.Write, error) {
		return resolve.UndoResolution(tx, held, id, how)
	})
}
