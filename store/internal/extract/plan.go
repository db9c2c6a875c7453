package extract

import (
	"cmp"
	"errors"
	"hash/maphash"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/crdt/hlc"
	"ravno/store/internal/catalog"
	"ravno/store/internal/history"
)

// errSlices says that a delta is larger than one slice.
var errSlices = errors.New("more than one slice")

// delta emits a delta at once if it fits one slice, and in planned slices otherwise. It returns the
// span that it covered. That span is shorter than asked for if reading on would delay the application's
// checkpoints.
func (x *Extraction) delta(span history.Span, limit int, emit func(history.Span, *crdt.Section) error) (
	covered history.Span, err error) {
	var whole []*crdt.Section
	x.limit, x.emit = limit, func(section *crdt.Section) error {
		whole = append(whole, section)
		return nil
	}
	began := x.tx.Clock()
	err = x.slice(x.from, span.To)
	if err == nil {
		for _, section := range whole {
			if err := emit(span, section); err != nil {
				return span, err
			}
		}
		return span, nil
	}
	if !errors.Is(err, errSlices) {
		return span, err
	}
	if x.plan, err = x.makePlan(span.To, limit); err != nil {
		return span, err
	}
	planned := x.tx.Clock()
	readUntil := planned.Add(max(SnapshotAtMost, planShare*planned.Sub(began)))
	x.limit, x.Changes, x.held = 0, 0, 0
	end := span.To
	done, next := x.from, x.from
	x.emit = func(section *crdt.Section) error {
		done = next
		return emit(span, section)
	}
	span.Highest = x.plan.highest
	above := x.from
	for _, cut := range x.plan.slices {
		next = cut.to
		span.From, span.To, span.Until = done, next, 0
		if next < end {
			span.Until = end
		}
		if x.node == 0 {
			span.Newest = cut.newest
		}
		if err := x.shipAhead(next); err != nil {
			return span, err
		}
		if err := x.slice(above, next); err != nil {
			return span, err
		}
		above = next
		if next < end && x.tx.Clock().After(readUntil) {
			span.From = done // The last slices may have been empty.
			return span, nil
		}
	}
	span.To = end
	return span, nil
}

// A snapshot keeps checkpoints from beginning the -wal file anew, so the file grows meanwhile.
const (
	// SnapshotAtMost is how long a delta is read in one snapshot. In a second even a busy application
	// writes only some megabytes. The rest is read in another snapshot.
	SnapshotAtMost = time.Second
	// planShare extends that time to this multiple of the time that planning took. Otherwise a very
	// long delta would be planned again and again.
	planShare = 4
)

// shipAhead records the rows that are shipped ahead with a slice, before they can arrive.
func (x *Extraction) shipAhead(slice causal.Position) error {
	var early []catalog.Reference
	if x.node == 0 && slice == x.plan.slices[0].to {
		newest, err := history.NewestOverwritten(x.tx)
		if err != nil {
			return err
		}
		if newest > slice {
			early = append(early, history.OverwrittenWork)
		}
	}
	for t, strays := range x.plan.ahead {
		for _, row := range strays {
			if row.first > slice {
				break
			}
			if row.position > slice {
				early = append(early, t.Reference(t.KeyOf(row.key)))
			}
		}
	}
	if len(early) == 0 {
		return nil
	}
	slices.SortFunc(early, func(a, b catalog.Reference) int {
		return cmp.Or(cmp.Compare(a.Tab, b.Tab), strings.Compare(string(a.Key), string(b.Key)))
	})
	return x.ShipAhead(early, slice, x.tx.State.Position)
}

// slice emits the work above one position, up to another.
func (x *Extraction) slice(above, upTo causal.Position) error {
	x.above, x.upTo = above, upTo
	if x.node == 0 && above == x.from {
		// Overwritten work goes first, because it is older than the rows in the tables. The hub
		// judges it against its rows as they were, in their documents of that time.
		if err := x.overwritten(); err != nil {
			return err
		}
	}
	// ravno's own tables go first. Settings, fresh keys and resolutions govern the rest.
	for _, own := range []bool{true, false} {
		for _, t := range x.tx.Cat.Tables {
			if t.Own == own && x.sends(t) {
				if err := x.table(t); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// plan assigns each row of a large delta to a slice. Slices are cut between positions. Each slice has
// every version up to its end, so its receiver truly has seen that position. A row, or a document, goes
// whole with its oldest version.
type plan struct {
	slices []planned
	ahead  map[*catalog.Table][]shippedAhead // sorted by first
	// highest has the highest keys to send, by table name, for tables whose rows may get fresh keys.
	highest map[string]int64

	seed maphash.Seed
	// first has the position of the oldest version of each document with several rows, by hash of
	// the document. Two documents that collide go together, which does no harm.
	first map[uint64]causal.Position
}

// planned is one slice: its end, and a time. All births up to that time lie at or before that end.
type planned struct {
	to     causal.Position
	newest hlc.Time
}

// shippedAhead is a row that is planned at a position below that of its newest version.
type shippedAhead struct {
	first, position causal.Position
	key             crdt.Value // as the shadow table stores it
}

// pendingRow is a row of which the receiver lacks something.
type pendingRow struct {
	key, document    crdt.Value // as the shadow table stores them
	oldest, position causal.Position
	birth            crdt.Version
}

// document returns the hash of a row's document, which is the row itself if the stored document is
// NULL.
func (p *plan) document(t *catalog.Table, key, document crdt.Value) uint64 {
	if document.Kind() == crdt.Null {
		document = t.Reference(t.KeyOf(key)).Encode()
	}
	return maphash.String(p.seed, document.Bytes())
}

// firstOf returns the position whose slice a row goes with, given the position of its own oldest
// version.
func (p *plan) firstOf(t *catalog.Table, key, document crdt.Value, oldest causal.Position) causal.Position {
	if t.Alone {
		return oldest
	}
	return min(oldest, p.first[p.document(t, key, document)])
}

// makePlan goes through all pending rows twice and plans the slices up to a position.
func (x *Extraction) makePlan(to causal.Position, limit int) (*plan, error) {
	p := &plan{seed: maphash.MakeSeed(), first: map[uint64]causal.Position{}, ahead: map[*catalog.Table][]shippedAhead{},
		highest: map[string]int64{}}
	err := x.eachPending(func(t *catalog.Table) bool { return !t.Alone }, func(t *catalog.Table, row pendingRow) {
		d := p.document(t, row.key, row.document)
		if known, ok := p.first[d]; !ok || row.oldest < known {
			p.first[d] = row.oldest
		}
	})
	if err != nil {
		return nil, err
	}
	if err := x.joinMoved(p); err != nil {
		return nil, err
	}
	at := map[causal.Position]content{}
	err = x.eachPending(func(*catalog.Table) bool { return true }, func(t *catalog.Table, row pendingRow) {
		first := p.firstOf(t, row.key, row.document, row.oldest)
		c := at[first]
		c.rows++
		at[first] = c
		if first < row.position {
			p.ahead[t] = append(p.ahead[t], shippedAhead{first: first, position: row.position, key: row.key})
		}
		if x.node != 0 {
			return
		}
		if t.Renumbers && row.key.Int() < catalog.MaxFreshKey {
			p.highest[t.Name] = max(p.highest[t.Name], row.key.Int())
		}
		if x.isNew(row.birth) && row.birth.Stamp.Time > catalog.FirstSeed {
			c := at[row.birth.Position]
			if c.newest = max(c.newest, row.birth.Stamp.Time); c.oldest == 0 || row.birth.Stamp.Time < c.oldest {
				c.oldest = row.birth.Stamp.Time
			}
			at[row.birth.Position] = c
		}
	})
	if err != nil {
		return nil, err
	}
	for _, strays := range p.ahead {
		slices.SortFunc(strays, func(a, b shippedAhead) int {
			return cmp.Or(cmp.Compare(a.first, b.first), catalog.CompareKeys(a.key, b.key))
		})
	}
	// A fresh key must travel no later than the row that kept the old key.
	rekeyed, err := history.NewestRekeyed(x.tx, x.node)
	p.cut(at, rekeyed, to, limit)
	return p, err
}

// joinMoved gives documents that have exchanged rows the same first position.
func (x *Extraction) joinMoved(p *plan) error {
	leader := map[uint64]uint64{} // union-find over the documents that go together (Tarjan 1975)
	find := func(d uint64) uint64 {
		for up, ok := leader[d]; ok; up, ok = leader[d] {
			d = up
		}
		return d
	}
	err := history.EachMoved(x.tx, x.from, func(former, document crdt.Value) {
		if a, b := find(maphash.String(p.seed, former.Bytes())), find(maphash.String(p.seed, document.Bytes())); a != b {
			leader[a] = b
		}
	})
	least := func(a, b uint64) {
		if first, ok := p.first[a]; ok {
			if known, ok := p.first[b]; !ok || first < known {
				p.first[b] = first
			}
		}
	}
	for d := range leader {
		least(d, find(d))
	}
	for d := range leader {
		least(find(d), d)
	}
	return err
}

// content describes the rows planned at one position: their number, and the times of the oldest and
// newest birth at it.
type content struct {
	rows           int
	oldest, newest hlc.Time // 0: no birth
}

// cut ends a slice where the next position would exceed the limit of rows. It ends no slice before
// position before.
func (p *plan) cut(at map[causal.Position]content, before, to causal.Position, limit int) {
	positions := slices.Sorted(maps.Keys(at))
	later := hlc.Time(math.MaxInt64) // the time of the oldest birth at a later position
	for _, position := range slices.Backward(positions) {
		c := at[position]
		c.newest = min(c.newest, later-1)
		at[position] = c
		if c.oldest > 0 {
			later = min(later, c.oldest)
		}
	}
	rows, s := 0, planned{newest: catalog.FirstSeed}
	for _, position := range positions {
		if rows > 0 && rows+at[position].rows > limit && position > before {
			p.slices = append(p.slices, s)
			rows = 0
		}
		rows += at[position].rows
		s = planned{to: position, newest: max(s.newest, at[position].newest)}
	}
	s.to = to
	p.slices = append(p.slices, s)
}

// eachPending calls each for the pending rows of the tables that the function of selects.
func (x *Extraction) eachPending(of func(*catalog.Table) bool, each func(*catalog.Table, pendingRow)) error {
	for _, t := range x.tx.Cat.Tables {
		if !x.sends(t) || !of(t) {
			continue
		}
		err := history.EachChanged(x.tx, t, x.from, func(c history.ChangedShadow) {
			x.look(t, c.Stored)
			if oldest, any := x.oldest(c.Row); any {
				each(t, pendingRow{key: c.Stored, document: c.StoredDocument, oldest: oldest, position: c.Position, birth: c.Birth})
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// oldest returns the least position of the versions of a row that the receiver lacks, and whether there
// are any.
func (x *Extraction) oldest(row crdt.Row) (oldest causal.Position, any bool) {
	note := func(at causal.Position) {
		if !any || at < oldest {
			oldest, any = at, true
		}
	}
	for _, v := range [...]crdt.Version{row.Birth, row.Death, row.Base} {
		if x.isNew(v) {
			note(v.Position)
		}
	}
	for _, c := range row.Columns {
		if x.isNew(c.Version) {
			note(c.Position)
		}
	}
	for _, c := range row.Counters {
		for _, part := range c.Parts {
			if x.isNew(part.Version) {
				note(part.Position)
			}
		}
	}
	if row.Revived > x.has {
		note(row.Revived)
	}
	return oldest, any
}
