package sqlite

import (
	"fmt"
	"sync"
	"sync/atomic"
)

// A commit behind the gate is not on disk when it ends: a sync takes milliseconds, and nobody may wait
// for it. Durable puts on disk what is committed, by the writer and by anybody else, once for as many
// commits as there are by then. Whoever tells others of a commit calls it first. SQLite syncs the -wal
// file itself before it copies pages from there into the database file (synchronous=NORMAL).

// logVersion is the header of the wal-index: it differs after every commit.
type logVersion [48]byte

// durable is what is known of the -wal file on disk.
type durable struct {
	syncs  atomic.Uint64 // that have begun
	mutex  sync.Mutex    // guards the rest; held during a sync
	done   uint64        // the last sync that succeeded
	synced logVersion    // what it put on disk
	broken error         // a sync has failed: what it was to put on disk may be lost, and no later one tells
}

// Durable returns when everything that was committed before the call is on disk. It is safe to call
// beside the connection's transactions.
func (c *Conn) Durable() error {
	if c.writer == nil || c.writer.gate.Load() == nil {
		return nil // its commits are durable when they end
	}
	d, gate := &c.writer.durable, c.writer.gate.Load()
	called := d.syncs.Load()
	d.mutex.Lock()
	defer d.mutex.Unlock()
	if d.broken != nil {
		return d.broken
	}
	version, whole := gate.version()
	if d.done > called || whole && version == d.synced {
		return nil
	}
	number := d.syncs.Add(1)
	if err := gate.sync(); err != nil {
		d.broken = fmt.Errorf("%w; what was written last may be lost if the machine stops now", err)
		return d.broken
	}
	d.done, d.synced = number, version
	if !whole {
		d.synced = logVersion{}
	}
	return nil
}
