package install

import (
	"errors"
	"strings"

	"ravno/store/internal/schema"
	"ravno/store/internal/sqlite"
)

// cacheKiB is how much of the file the writing connection keeps in memory: a slice of rows with
// random keys goes all over the file's trees, and reads what it has not kept anew for each row.
// SQLite's own default is 2,000.
const cacheKiB = "16000"

// OpenWriter opens the connection that writes. It fires none of the application's triggers.
func OpenWriter(path string) (*sqlite.Conn, error) {
	c, err := sqlite.OpenWriter(path)
	if err != nil {
		return nil, err
	}
	for _, sql := range []string{"PRAGMA foreign_keys=OFF", "PRAGMA recursive_triggers=OFF", "PRAGMA cache_size=-" +
		cacheKiB} {
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

// OpenBulk opens a connection for reading through whole tables.
func OpenBulk(path string) (*sqlite.Conn, error) {
	c, err := sqlite.Open(path, sqlite.ReadWrite)
	if err != nil {
		return nil, err
	}
	if err := c.Exec("PRAGMA cache_size=-" + cacheKiB); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// Enrolled reports whether a file has ravno's tables.
func Enrolled(c *sqlite.Conn) (bool, error) {
	n, err := c.Int("SELECT count(*) FROM sqlite_master WHERE name='ravno_state'")
	return n > 0, err
}

// ReturnToWAL puts an enrolled file back into WAL mode: an application that was started without ravno beside
// it may have taken it out of that. A file that is not enrolled stays as it is.
func ReturnToWAL(c *sqlite.Conn, path string) error {
	mode, err := c.Text("PRAGMA journal_mode")
	if err == nil && !strings.EqualFold(mode, "wal") {
		var enrolled bool
		if enrolled, err = Enrolled(c); err == nil && enrolled {
			mode, err = c.UseWAL()
			if err == nil && !strings.EqualFold(mode, "wal") {
				return ErrNoWAL(path, mode)
			}
		}
	}
	if err != nil {
		return sqlite.Explain(path, err)
	}
	return nil
}

func ErrNoWAL(path, mode string) error {
	return &sqlite.FileError{Path: path, Problem: "cannot be put into WAL mode (it is in " + mode + " mode)",
		Try: "close the application, then again; the file must be on a local disk"}
}
