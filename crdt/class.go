package crdt

// ColumnClass says how a column merges. The set is closed: who adds a class is led by the linter to each
// place that must know it.
type ColumnClass uint8

const (
	// ClassRegister is the zero value: of two writes the newer wins.
	ClassRegister ColumnClass = iota
	// ClassCounter adds up what the sites have counted (see Counter).
	ClassCounter
	// ClassNone has no register: the key says the column's value, or the table has no such column.
	ClassNone
)
