package rows

import (
	"time"

	"ravno/crdt"
	"ravno/store/internal/catalog"
	"ravno/store/internal/sqlite"
)

// Tx is one write transaction: the state and the tables as of its start. It is used by one goroutine.
type Tx struct {
	SQL   *sqlite.Conn // for the rooms that speak SQL
	State *State
	Cat   *catalog.Catalog
	Clock func() time.Time

	positions positions        // position.go
	empty     empty            // empty.go
	deleted   beforeImageCache // before_image.go
	written   written          // write_buffer.go
	ahead     readAhead        // read_ahead.go
	updating  updating         // values.go

	args   []crdt.Value // of the last statement, to be used again
	packed []byte       // the last shadow, likewise
}

// Begin is a transaction on a connection that has begun one. sliceRows is how many rows get one position
// and are read ahead for; 0 leaves that to the transaction.
func Begin(c *sqlite.Conn, clock func() time.Time, state *State, cat *catalog.Catalog, sliceRows int) *Tx {
	tx := &Tx{SQL: c, State: state, Cat: cat, Clock: clock}
	tx.positions.rows, tx.ahead.least = rowsPerPosition, leastInOrder
	if sliceRows > 0 {
		tx.positions.rows, tx.ahead.least = sliceRows, 1
	}
	return tx
}

// Now is the physical time in Unix milliseconds.
func (tx *Tx) Now() int64 { return tx.Clock().UnixMilli() }
