package install

import (
	"errors"

	"ravno/store/internal/schema"
	"ravno/store/internal/sqlite"
)

// CacheKiB is how much of the file the writing connection keeps in memory: a slice of rows with
// random keys goes all over the file's trees, and reads what it has not kept anew for each row.
// SQLite's own default is 2,000.
const CacheKiB = "16000"

// OpenWriter opens the connection that writes. It fires none of the application's triggers.
func OpenWriter(path string) (*sqlite.Conn, error) {
	c, err := sqlite.OpenWriter(path)
	if err != nil {
		return nil, err
	}
	for _, sql := range []string{"PRAGMA foreign_keys=OFF", "PRAGMA recursive_triggers=OFF", "PRAGMA cache_size=-" + CacheKiB} {
		if err := c.Exec(sql); err != nil {
			c.Close()
			return nil, err
		}
	}
	if err := errors.Join(c.SetTriggers(false), schema.CheckModules(c)); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}
