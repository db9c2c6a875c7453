package store

import (
	"fmt"

	"ravno/store/internal/sqlite"
)

// Notices is what is unusual about this database, one line each: tables that do not sync
// and why, rows that wait for their place.
func (s *Store) Notices() (notices []string, err error) {
	err = s.read(func(c *sqlite.Conn, _ *state, cat *catalog) error {
		for _, r := range cat.refused {
			notices = append(notices, fmt.Sprintf("table %s does not sync: %s. Try: %s", r.Table, r.Reason, r.Try))
		}
		for _, r := range cat.nullKeys {
			notices = append(notices, fmt.Sprintf("some rows of table %s do not sync: %s. Try: %s", r.Table, r.Reason, r.Try))
		}
		held, partial, err := countImages(c)
		if err != nil {
			return err
		}
		if held > 0 {
			notices = append(notices, fmt.Sprintf("held rows: %d. A unique value of theirs is taken by an older row, or a constraint does not allow them; they come back by themselves", held))
		}
		if partial > 0 {
			notices = append(notices, fmt.Sprintf("rows that wait for values that were deleted here and edited elsewhere: %d", partial))
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	stale, err := s.unmirrored()
	for _, r := range stale {
		notices = append(notices, fmt.Sprintf("index or table %s is not kept fresh here by what comes from elsewhere: %s. Try: %s", r.Table, r.Reason, r.Try))
	}
	return notices, err
}
