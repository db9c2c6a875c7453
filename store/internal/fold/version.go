package fold

import (
	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/crdt/hlc"
	"ravno/store/internal/catalog"
	"ravno/store/internal/history"
	"ravno/store/internal/rows"
)

// overwrote handles the columns that were written before the row was deleted in the same fold.
//
// The hub stamps those columns, so a row that comes back has these values. A node sends no values of a
// deleted row that the hub does not have. So a node forgets those values, and takes any that come. It
// reports whether it stamped a column.
func (f *folding) overwrote(tx *rows.Tx, row *crdt.Row, tombstone *catalog.Values) bool {
	any := false
	note := func(column crdt.Column, at hlc.Time) {
		switch f.T.ClassOf(column) {
		case crdt.ClassCounter:
			return
		case crdt.ClassRegister, crdt.ClassNone:
		}
		if tx.State.IsHub() {
			row.Set(column, version(tx, f, at))
			any = true
			return
		}
		tombstone.Forget(column)
		row.Set(column, row.Birth)
	}
	for _, number := range f.T.Numbers {
		version := row.Version(crdt.Column(number))
		if !tx.State.IsHub() && f.T.HasRegister(crdt.Column(number)) && history.Unacknowledged(tx, version, f.has) {
			note(crdt.Column(number), 0)
		}
	}
	for _, number := range f.T.Numbers {
		if column := crdt.Column(number); f.replaced && f.T.HasRegister(column) {
			note(column, f.lastAt)
		}
	}
	for _, set := range f.sets {
		for number := range set.columns.All() {
			note(crdt.Column(number), set.At)
		}
	}
	return any
}

// version makes a version with a time, this site and the position of the transaction.
func version(tx *rows.Tx, f *folding, at hlc.Time) crdt.Version {
	return crdt.Version{Stamp: hlc.Stamp{Time: at, Site: tx.State.Site}, Position: tx.Position(), Seen: f.seen}
}

// seenBy returns the hub position that the author of a write to this row had seen. It is less than the
// applied position if the row holds unacknowledged own work. That work may have kept an incoming value
// out of the table, so its next author has not seen that value either. At the hub it is the hub's own
// position.
func seenBy(tx *rows.Tx, row crdt.Row, has causal.Position) causal.Seen {
	if tx.State.IsHub() {
		return tx.State.Position
	}
	seen := tx.State.Seen
	note := func(v crdt.Version) {
		if history.Unacknowledged(tx, v, has) {
			seen = min(seen, v.Seen)
		}
	}
	note(row.Birth)
	note(row.Death)
	note(row.Base)
	for _, c := range row.Columns {
		note(c.Version)
	}
	for _, c := range row.Counters {
		for _, p := range c.Parts {
			note(p.Version)
		}
	}
	return seen
}
