package store

import (
	"strings"
	"time"

	"ravno/crdt"
	"ravno/store/internal/catalog"
	"ravno/store/internal/merge"
	"ravno/store/internal/rows"
)

// Merging under the lock is no harm: a slice is as large as fits into a turn, whatever a row takes, and
// a row takes microseconds. To wait for the disk there is: a file that is not in memory is read at
// random, some milliseconds a page, while the application is kept out. So where rows take that long,
// those of a delta are read before, in a snapshot that keeps nobody out, and are in memory then.
// What is decided is decided under the lock, from what is there by then.

// slowRow is from when on the rows of a slice have waited for a disk: in memory they take a tenth.
const slowRow = 100 * time.Microsecond

// waitsForDisk reports whether the last slice that was applied has.
func (t *turn) waitsForDisk() bool {
	return t.apply.rows > 0 && t.apply.took/time.Duration(t.apply.rows) > slowRow
}

// warm reads the rows of a delta, if they are likely to be on disk only. What fails here fails again, and is
// told then.
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
