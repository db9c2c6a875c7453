package store

import (
	"fmt"
	"slices"

	"ravno/store/internal/catalog"
	"ravno/store/internal/conflict"
	"ravno/store/internal/install"
	"ravno/store/internal/rows"
	"ravno/store/internal/schema"
)

// Notices lists the unusual facts about this database, one line each. They are tables and rows that do
// not sync, rows that are held or incomplete, and indexes that grow stale.
func (s *Store) Notices() (notices []string, err error) {
	err = s.read(func(tx *rows.Tx) error {
		for _, r := range tx.Cat.Refused {
			notices = append(notices, fmt.Sprintf("table %s does not sync: %s. Try: %s", r.Table, r.Reason, r.Try))
		}
		for _, r := range tx.Cat.NullKeys {
			notices = append(notices, fmt.Sprintf("some rows of table %s do not sync: %s. Try: %s", r.Table, r.Reason, r.Try))
		}
		held, partial, err := conflict.CountKept(tx)
		if err != nil {
			return err
		}
		if held > 0 {
			notices = append(notices, fmt.Sprintf("held rows: %d. A unique value of theirs is taken by an older row, or a "+
				"constraint does not allow them; they come back by themselves", held))
		}
		if partial > 0 {
			notices = append(notices, fmt.Sprintf("rows that wait for values that were deleted here and edited elsewhere: %d",
				partial))
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	stale, err := s.unmirrored()
	for _, r := range stale {
		notices = append(
			notices, fmt.Sprintf("index or table %s is not kept fresh here by what comes from elsewhere: %s. Try: %s", r.Table,
				r.Reason, r.Try))
	}
	return notices, err
}

// unmirrored lists the indexes and tables of this file that grow stale, and why.
func (s *Store) unmirrored() (refused []schema.Refusal, err error) {
	written := catalog.Catalog{}
	s.writing.Lock()
	if s.writeCatalog != nil {
		written = *s.writeCatalog
		written.Unmirrored = slices.Clone(written.Unmirrored)
	}
	s.writing.Unlock()
	err = s.read(func(tx *rows.Tx) error {
		if refused = written.Unmirrored; written.Version == tx.Cat.Version && written.SchemaVersion == tx.Cat.SchemaVersion {
			return nil
		}
		// No write has used this schema yet. Try the mirrors on a connection that only reads.
		refused, err = install.TryMirrors(tx.SQL, tx.Cat)
		return err
	})
	return refused, err
}
