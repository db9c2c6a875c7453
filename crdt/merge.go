package crdt

import (
	"ravno/crdt/causal"
	"ravno/crdt/hlc"
)

// Outcome is the result of merging a change into a row.
type Outcome struct {
	// Row is the merged row.
	Row Row
	// Won are the indexes of the change's registers that are in force now and were not before.
	Won []int
	// Lost are the indexes of the change's registers that an older or other row, or a newer
	// write of the column, kept out. A register the row already had is in neither list.
	Lost []int
	// Counted are the columns of counters in which a site's part is newer now, ascending.
	Counted []Column
	// Reborn says the change brought a newer birth. Nothing of the row before is left in Row.
	Reborn bool
	// Outlived says the change belongs to an older birth than the row here. It has no effect.
	Outlived bool
	// Died and Revived say that liveness changed.
	Died, Revived bool
	// Changed says that anything at all changed. If not, nothing needs to be written.
	Changed bool
}

// Merge merges a change that arrives at the given position into a row. present says whether the
// site knows the row at all, by a shadow or in its table. A row it does not know is older than
// any other. Parts of counters belong to a birth like registers, and of each site's parts the
// newest is in force. A part is a total, so it is counted once however often it comes. Before a
// change with counters is merged, the row must have the bases the site knows, or the counters
// would start from nothing (Row.SetBase).
//
// Merge never fails. Each step takes the greater of two totally ordered stamps, the birth first
// and then the parts that belong to that birth. So it is commutative, associative and idempotent.
func Merge(row Row, present bool, change Change, at causal.Position) Outcome {
	order := change.Birth.Compare(row.Birth.Stamp)
	switch {
	case !present || order > 0:
		return begin(row, present, change, at)
	case order < 0:
		return Outcome{Row: row, Outlived: true, Lost: allOf(change)}
	}
	wasLive := row.Live()
	out := Outcome{Row: row.Clone()}
	for i, reg := range change.Registers {
		switch order := reg.Stamp.Compare(row.Version(reg.Column).Stamp); {
		case order > 0:
			out.Row.Set(reg.Column, Version{Stamp: reg.Stamp, Position: at, Seen: change.Seen})
			out.Row.setBaseOf(reg)
			out.Won = append(out.Won, i)
			out.Changed = true
		case order < 0:
			out.Lost = append(out.Lost, i)
		case out.Row.lacksBase(reg):
			out.Row.setBaseOf(reg)
			out.Changed = true
		}
	}
	out.count(change, at)
	if change.Death.After(row.Death.Stamp) {
		out.Row.Death = version(change.Death, change, at)
		out.Changed = true
	}
	live := out.Row.Live()
	out.Died = wasLive && !live
	out.Revived = !wasLive && live
	if out.Revived || live && change.Death.After(row.Death.Stamp) {
		out.Row.Revived = at // someone has deleted the values of a row that lives on
	}
	return out
}

// begin makes a row of the change alone. The row was not known here, or was an older row of the
// same key.
func begin(row Row, present bool, change Change, at causal.Position) Outcome {
	wasLive := present && row.Live()
	birth := version(change.Birth, change, at)
	out := Outcome{
		Row:     Row{Birth: birth, Base: birth, Death: version(change.Death, change, at)},
		Won:     allOf(change),
		Reborn:  present,
		Changed: true,
	}
	for _, reg := range change.Registers {
		out.Row.Set(reg.Column, Version{Stamp: reg.Stamp, Position: at, Seen: change.Seen})
		out.Row.setBaseOf(reg)
	}
	out.count(change, at)
	live := out.Row.Live()
	out.Died = wasLive && !live
	out.Revived = present && !wasLive && live
	return out
}

// count takes in the parts of counters that are newer than those the row has.
func (out *Outcome) count(change Change, at causal.Position) {
	for _, p := range change.Parts {
		if !out.Row.take(p, Version{Stamp: p.Stamp, Position: at, Seen: change.Seen}) {
			continue
		}
		out.Changed = true
		if last := len(out.Counted) - 1; last < 0 || out.Counted[last] != p.Column {
			out.Counted = append(out.Counted, p.Column)
		}
	}
}

func version(stamp hlc.Stamp, change Change, at causal.Position) Version {
	if stamp.IsZero() {
		return Version{}
	}
	return Version{Stamp: stamp, Position: at, Seen: change.Seen}
}

func allOf(change Change) []int {
	if len(change.Registers) == 0 {
		return nil
	}
	all := make([]int, len(change.Registers))
	for i := range all {
		all[i] = i
	}
	return all
}
