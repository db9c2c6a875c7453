package rows

import "ravno/crdt/causal"

// rowsPerPosition is how many rows get one position: no slice that is sent on can be smaller. They are
// neighbours by their keys, and so are cheap to write where the slice goes.
const rowsPerPosition = 1024

// positions gives the rows of a transaction their positions.
type positions struct {
	rows   int  // how many rows get one position
	taken  bool // there is a position for the next row
	any    bool // the transaction has taken one
	logged bool // it has written to the log
	row    int  // rows that have this position
}

// Position is the position of this transaction, taken at the first change that needs one.
func (tx *Tx) Position() causal.Position {
	if !tx.positions.taken {
		tx.State.Position++
		tx.positions.taken, tx.positions.any = true, true
	}
	return tx.State.Position
}

// NextPosition counts a row that was changed, and begins a new position after some. What is sent on in
// slices is cut between positions, and rows that are next to each other here go together.
func (tx *Tx) NextPosition() {
	if tx.positions.row++; tx.positions.row >= tx.positions.rows {
		tx.positions.taken, tx.positions.row = false, 0
	}
}

// Wrote reports whether the transaction has taken a position or written to the log.
func (tx *Tx) Wrote() bool { return tx.positions.any || tx.positions.logged }
