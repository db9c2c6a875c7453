package sqlite

import (
	"time"
)

// checkpoint copies a long -wal file into the database file, which keeps nobody out. Then whoever writes next
// begins it anew; but not a writer behind the gate, because that keeps the marks locked that have to be
// free for it. So if nobody else has begun it anew for long, and nobody reads, the file is cut off. What fails
// is tried again after the next commit, as SQLite does after its own.
func (c *Conn) checkpoint() {
	gate := c.writer.gate.Load()
	if gate == nil {
		return
	}
	all, left := gate.frames()
	if all < pagesOfOthers || all < pagesBeforeCheckpoint && left > fewPages {
		return
	}
	c.writer.open(true)
	if left > 0 {
		_, _ = c.First("PRAGMA wal_checkpoint(PASSIVE)")
	}
	if all, left = gate.frames(); left > 0 || all < pagesBeforeCheckpoint {
		return
	}
	c.writer.mutex.Lock()
	defer c.writer.mutex.Unlock()
	gate.alone(func() {
		_ = c.atOnce(func() error {
			_, err := c.First("PRAGMA wal_checkpoint(TRUNCATE)")
			return err
		})
	})
}

// UseWAL puts the file into WAL mode, if it is not, and returns the mode it is in then. It takes the
// file only at a moment when nobody else reads or writes, because SQLite, if it waits for that, lets
// nobody write who reads already.
func (c *Conn) UseWAL() (mode string, err error) {
	for waited := time.Duration(0); ; waited += lookEvery {
		err = c.atOnce(func() error {
			mode, err = c.Text("PRAGMA journal_mode=WAL")
			return err
		})
		if FailureOf(err) != Busy || waited >= BusyTimeout {
			return mode, err
		}
		time.Sleep(lookEvery)
	}
}
