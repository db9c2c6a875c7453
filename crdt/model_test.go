package crdt_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"pgregory.net/rapid"

	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/crdt/hlc"
)

// The model of one site holds the state of a store, without the store. It carries a merge out exactly
// as a store must (see held.merge), so that the laws are tried on values too.

// held is what a site holds of one row: the shadow and the values it knows. A row that is
// not in a state at all is one the site does not know.
type held struct {
	row    crdt.Row
	values map[crdt.Column]crdt.Value
}

// state is every row of one site.
type state map[crdt.Key]held

func (s state) clone() state {
	c := state{}
	for key, h := range s {
		c[key] = held{row: h.row.Clone(), values: maps.Clone(h.values)}
	}
	return c
}

// merge takes changes in, one after the other, at the given position of this site.
func (s state) merge(at causal.Position, changes ...crdt.Change) {
	for _, change := range changes {
		h, present := s[change.Key]
		s[change.Key], _ = h.merge(present, change, at)
	}
}

// merged is a copy of s with everything in other taken in.
func (s state) merged(other state) state {
	c := s.clone()
	c.merge(1, other.whole()...)
	return c
}

// merge takes one change in: the registers that won are in force with their values, and a
// value that was missing for a version the row already has is filled in.
func (h held) merge(present bool, change crdt.Change, at causal.Position) (held, crdt.Outcome) {
	out := crdt.Merge(h.row, present, change, at)
	after := held{row: out.Row, values: map[crdt.Column]crdt.Value{}}
	if present && !out.Reborn {
		maps.Copy(after.values, h.values)
	}
	if out.Outlived {
		return after, out
	}
	for _, i := range out.Won {
		after.values[change.Registers[i].Column] = change.Registers[i].Value
	}
	for _, reg := range change.Registers {
		if _, known := after.values[reg.Column]; !known && reg.Stamp == out.Row.Version(reg.Column).Stamp {
			after.values[reg.Column] = reg.Value
		}
	}
	return after, out
}

// whole is the whole state as changes, in the order of the keys.
func (s state) whole() []crdt.Change {
	var changes []crdt.Change
	for _, key := range slices.Sorted(maps.Keys(s)) {
		changes = append(changes, s[key].whole(key))
	}
	return changes
}

// whole is the row as a change with every register whose value the site knows.
func (h held) whole(key crdt.Key) crdt.Change {
	change := crdt.Change{Key: key, Birth: h.row.Birth.Stamp, Death: h.row.Death.Stamp, Whole: true}
	for _, column := range slices.Sorted(maps.Keys(h.values)) {
		change.Registers = append(change.Registers, crdt.Register{
			Column: column, Stamp: h.row.Version(column).Stamp, Value: h.values[column], Class: classOf(column == modelCounter),
		})
	}
	for _, counter := range h.row.Counters {
		for _, part := range counter.Parts {
			change.Parts = append(change.Parts, crdt.ChangePart{Column: counter.Column, Stamp: part.Stamp, Total: part.Total})
		}
	}
	return change
}

// String writes the state that must become the same everywhere. It has births, deaths, liveness, the
// stamp and the value of each register, and the counter with its parts. Positions and Seen belong to
// one site.
func (s state) String() string {
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(s)) {
		fmt.Fprintf(&b, "%q: %s\n", string(key), s[key])
	}
	return b.String()
}

func (h held) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "birth %v death %v live %v", h.row.Birth.Stamp, h.row.Death.Stamp, h.row.Live())
	for column := range modelColumns {
		value := "unknown"
		if v, known := h.values[column]; known {
			value = v.String()
		}
		fmt.Fprintf(&b, " | %d %v = %s", column, h.row.Version(column).Stamp, value)
	}
	counter, _ := h.row.Counter(modelCounter)
	fmt.Fprintf(&b, " | %v %q from %v", counter.Sum().Kind(), crdt.NewKey(counter.Sum()), counter.Base)
	for _, part := range counter.Parts {
		fmt.Fprintf(&b, ", %v by %v", part.Total, part.Stamp)
	}
	return b.String()
}

// modelColumns is the width of the model's tables, the last of which is a counter.
const (
	modelColumns crdt.Column = 3
	modelCounter crdt.Column = 2
)

// written is the one value that the write named by a stamp gave a column. A stamp names one
// write, so the model makes the value a function of it; the zero stamp is the value the
// row had everywhere before ravno came.
func written(column crdt.Column, stamp hlc.Stamp) crdt.Value {
	if column == modelCounter {
		return crdt.IntegerValue(100 + total(stamp).Int())
	}
	if stamp.IsZero() {
		return crdt.TextValue(fmt.Sprintf("initial %d", column))
	}
	return crdt.TextValue(fmt.Sprintf("%d by %v", column, stamp))
}

// total is what the part of a counter with this stamp says. One site in two counts in tenths,
// whose sum depends on the order.
func total(stamp hlc.Stamp) crdt.Value {
	if stamp.Site%2 == 1 {
		return crdt.RealValue(-0.1 * float64(stamp.Time))
	}
	return crdt.IntegerValue(-int64(stamp.Time))
}

// counting draws parts of the counter, at most one of each of four sites.
func counting(oldest hlc.Stamp) *rapid.Generator[[]crdt.ChangePart] {
	return rapid.Custom(func(t *rapid.T) (parts []crdt.ChangePart) {
		for site := causal.Site(2); site <= 5; site++ {
			stamp := stampAt(hlc.Time(rapid.IntRange(0, 5).Draw(t, "counted")), site)
			if stamp.Time > oldest.Time {
				parts = append(parts, crdt.ChangePart{Column: modelCounter, Stamp: stamp, Total: total(stamp)})
			}
		}
		return parts
	})
}

// stampAt is short for the stamp of a site's write at a small time.
func stampAt(time hlc.Time, site causal.Site) hlc.Stamp { return hlc.Stamp{Time: time, Site: site} }

// stampsFrom draws a stamp not older than another one. There are few times and two sites,
// so equal stamps and equal times are common.
func stampsFrom(oldest hlc.Stamp) *rapid.Generator[hlc.Stamp] {
	candidates := []hlc.Stamp{oldest}
	for time := hlc.Time(1); time <= 5; time++ {
		for site := causal.Site(2); site <= 3; site++ {
			if stamp := stampAt(time, site); stamp.After(oldest) {
				candidates = append(candidates, stamp)
			}
		}
	}
	return rapid.SampledFrom(candidates)
}

// births draws the zero birth of a row from before ravno, or one of a few others.
func births() *rapid.Generator[hlc.Stamp] {
	return rapid.SampledFrom([]hlc.Stamp{{}, {}, stampAt(1, 2), stampAt(1, 3), stampAt(3, 2)})
}

func deaths(birth hlc.Stamp) *rapid.Generator[hlc.Stamp] {
	return rapid.OneOf(rapid.Just(hlc.Stamp{}), stampsFrom(birth))
}

var modelKeys = []crdt.Key{crdt.NewKey(crdt.IntegerValue(1)), crdt.NewKey(crdt.TextValue("two"))}

// changes draws a change as it may travel: whole or in part, with a death or without. What
// belongs to a birth is never older than it.
func changes() *rapid.Generator[crdt.Change] {
	return rapid.Custom(func(t *rapid.T) crdt.Change {
		change := crdt.Change{
			Key:   rapid.SampledFrom(modelKeys).Draw(t, "key"),
			Birth: births().Draw(t, "birth"),
			Whole: rapid.Bool().Draw(t, "whole"),
		}
		change.Death = deaths(change.Birth).Draw(t, "death")
		for column := range modelColumns {
			if change.Whole || rapid.Bool().Draw(t, "sent") {
				stamp := stampsFrom(change.Birth).Draw(t, "stamp")
				change.Registers = append(change.Registers,
					crdt.Register{Column: column, Stamp: stamp, Value: written(column, stamp), Class: classOf(column == modelCounter)})
			}
		}
		if rapid.Bool().Draw(t, "counts") {
			change.Parts = counting(change.Birth).Draw(t, "parts")
		}
		return change
	})
}

// ownRows draws a row as a site's own fold leaves it: known whole, with a base that is the
// birth or, after a REPLACE, newer, and columns written since.
func ownRows() *rapid.Generator[held] {
	return rapid.Custom(func(t *rapid.T) held {
		birth := births().Draw(t, "birth")
		base := stampsFrom(birth).Draw(t, "base")
		h := held{
			row: crdt.Row{
				Birth: crdt.Version{Stamp: birth},
				Base:  crdt.Version{Stamp: base},
				Death: crdt.Version{Stamp: deaths(birth).Draw(t, "death")},
			},
			values: map[crdt.Column]crdt.Value{},
		}
		// The first column keeps the base, as some column does right after a REPLACE.
		for column := range modelColumns {
			if column > 0 {
				h.row.Set(column, crdt.Version{Stamp: stampsFrom(base).Draw(t, "stamp")})
			}
			h.values[column] = written(column, h.row.Version(column).Stamp)
		}
		h.row.SetBase(modelCounter, h.values[modelCounter])
		for _, part := range counting(birth).Draw(t, "counted") {
			h.row.Counters[0].Parts = append(h.row.Counters[0].Parts,
				crdt.Part{Version: crdt.Version{Stamp: part.Stamp}, Total: part.Total})
		}
		return h
	})
}

// states draws a site: rows of its own, rows from before ravno, rows it does not know, and
// on top of them any changes that arrived.
func states() *rapid.Generator[state] {
	return rapid.Custom(func(t *rapid.T) state {
		s := state{}
		for _, key := range modelKeys {
			if rapid.Bool().Draw(t, "known") {
				s[key] = ownRows().Draw(t, "row")
			}
		}
		s.merge(1, rapid.SliceOfN(changes(), 0, 4).Draw(t, "arrived")...)
		return s
	})
}
