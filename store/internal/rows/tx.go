package rows

import (
	"time"

	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/store/internal/catalog"
	"ravno/store/internal/sqlite"
)

const (
	// LeastInOrder is how many rows are gone through for reading ahead to be tried at all: of a
	// sale and its lines each is soon found.
	LeastInOrder = 16
)

const (
	// Spread is how many rows get one position: no slice that is sent on can be smaller. They are
	// neighbours by their keys, and so are cheap to write where the slice goes.
	Spread = 1024
)

// Clock tells the physical time. The real one is read only in cmd.
type Clock func() time.Time

// Tx is one write transaction: the state and the tables as of its start.
type Tx struct {
	C         *sqlite.Conn
	Clock     Clock
	State     *State
	Cat       *catalog.Catalog
	placed    bool                                    // this transaction has a position for the next row
	Moved     bool                                    // it has taken one
	Wrote     bool                                    // it has taken one, or written to the log
	Spread    int                                     // how many rows get one position
	changed   int                                     // rows changed at this position
	NoImages  bool                                    // ravno_image is empty
	NoneEarly *bool                                   // ravno_early is; nil: not asked yet
	deleted   map[*catalog.Table]map[crdt.Key]goneRow // rows the application deleted, as far as they were asked for
	// What is written many rows at a time, while gathers.
	gathers     bool
	shadows     unwritten // of one table
	shadowsOf   *catalog.Table
	Touched     unwritten
	nearby      *nearby      // rows read ahead, while rows are gone through in their order
	InOrderFrom int          // so many of them
	args        []crdt.Value // of the last statement, to be used again
	packed      []byte       // the last shadow, likewise
	updating    updating     // the last UPDATE of a table, likewise
}

// Position is the position of this transaction, taken at the first change that needs one.
func (tx *Tx) Position() causal.Position {
	if !tx.placed {
		tx.State.Position++
		tx.placed, tx.Moved, tx.Wrote = true, true, true
	}
	return tx.State.Position
}

// Spreads counts a row that was changed, and begins a new position after some: what is sent on
// in slices is cut between positions, and rows that are next to each other here go together.
func (tx *Tx) Spreads() {
	if tx.changed++; tx.changed >= tx.Spread {
		tx.placed, tx.changed = false, 0
	}
}

// Now is the physical time in Unix milliseconds.
func (tx *Tx) Now() int64 { return tx.Clock().UnixMilli() }

// ReadShadow reads what is remembered of a row; found is false for a row that is settled
// or was never here.
func (tx *Tx) ReadShadow(t *catalog.Table, key crdt.Key) (row crdt.Row, document catalog.Reference, found bool, err error) {
	row, document, sent, err := tx.ReadShadowAt(t, key)
	return row, document, sent.Found, err
}
