package store

import (
	"strings"
	"time"

	"ravno/crdt"
	"ravno/store/internal/catalog"
	"ravno/store/internal/merge"
	"ravno/store/internal/rows"
)

// Merging a row takes microseconds, and a slice is sized to fit into one turn. So merging under the
// lock does no harm, but waiting for the disk does. A file that is not in memory costs some
// milliseconds a page, while the application is locked out. Where rows take that long, the store reads
// the rows of a delta first, in a snapshot that locks nobody out. They are in memory then. The merge
// itself reads them again under the lock.

// slowRow is the time per row from which the last slice must have waited for a disk. In memory a row
// takes a tenth of it.
const slowRow = 100 * time.Microsecond

// waitsForDisk reports whether the last slice that was applied waited for a disk.
func (t *turn) waitsForDisk() bool {
	return t.apply.rows > 0 && t.apply.took/time.Duration(t.apply.rows) > slowRow
}

// warm reads the rows of a delta before the lock if they are likely not in memory. It ignores errors,
// because the apply meets them again and returns them.
func (s *Store) warm(delta merge.Delta) {
	s.writing.Lock()
	defer s.writing.Unlock()
	if !s.turn.waitsForDisk() {
		return
	}
	_ = s.readWithWriter(func(tx *rows.Tx) error {
		return delta.Each(func(section *crdt.Section) error {
			t := tx.Cat.ByName[strings.ToLower(section.Table)]
			if t == nil || t.Class == catalog.Journal {
				return nil
			}
			for _, change := range section.Changes {
				if _, err := tx.ReadRow(t, change.Key, true); err != nil {
					return err
				}
				s.turn.warmed++
			}
			return nil
		})
	})
}
