package history

import (
	"fmt"
	"slices"

	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/crdt/hlc"
	"ravno/store/internal/rows"
)

// Span says of a delta what it covers: the sender's work above From up to To. Seen is the
// receiver's position that the sender had applied when it extracted the delta, so what the
// receiver has done above it the sender did not know.
type Span struct {
	From, To, Seen causal.Position
	// Until is where the delta ends of which this is a slice; 0: it is the last, or the only one.
	Until causal.Position
	// Highest are the highest keys of the rows that come in this slice of a delta and in those
	// after it, by the names of tables whose rows may get fresh keys. Of a node's work only; nil,
	// as Newest is zero, if the delta is one slice.
	Highest map[string]int64
	// Newest is the time of the newest birth up to To: a slice may have newer ones, too, because
	// it has documents whole.
	Newest hlc.Time
}

// CrossingError says that a delta and this site's own work have crossed on the way: the
// hub did not know of work here that the delta cannot be applied beside. Nothing was
// applied. Once the hub has that work, what it sends next has both.
type CrossingError struct{ Table string }

func (e *CrossingError) Error() string {
	return fmt.Sprintf(
		"table %s: what came from the hub and what was written here have crossed; it comes again once the hub has both",
		e.Table)
}

// UnsentRow reports whether a row has work of this site that the sender of the delta which is
// being applied did not have, given what it had seen of this site.
func UnsentRow(tx *rows.Tx, row crdt.Row, seen causal.Position) bool {
	return UnsentVersion(tx, row.Birth, seen) || UnsentVersion(tx, row.Death, seen) || UnsentVersion(tx, row.Base, seen) ||
		slices.ContainsFunc(row.Columns, func(c crdt.ColumnVersion) bool { return UnsentVersion(tx, c.Version, seen) })
}

func UnsentVersion(tx *rows.Tx, v crdt.Version, seen causal.Position) bool {
	return v.Stamp.Site == tx.State.Site && v.Position > seen
}
