package fold

import (
	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/crdt/hlc"
	"ravno/store/internal/catalog"
	"ravno/store/internal/history"
	"ravno/store/internal/rows"
)

// overwrote stamps, at the hub, what was written of a row before it was deleted in the same
// fold: should the row come back, the hub brings it back with those values. A node does not
// send what the hub has not got of a deleted row, so there it is forgotten, and whatever comes
// is news. It reports whether there is anything newer.
func (f *folding) overwrote(tx *rows.Tx, row *crdt.Row, remains *catalog.Values) bool {
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
		remains.Forget(column)
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

// version is a version written here and now.
func version(tx *rows.Tx, f *folding, at hlc.Time) crdt.Version {
	return crdt.Version{Stamp: hlc.Stamp{Time: at, Site: tx.State.Site}, Position: tx.Position(), Seen: f.seen}
}

// seenBy is what the author of a write to a row has seen: all that was applied here, or
// less, if the row holds own work the hub does not have yet. That work may have kept an
// incoming value out of the table, so whoever writes over it has not seen that value.
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
