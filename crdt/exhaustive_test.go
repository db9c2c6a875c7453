package crdt_test

import (
	"fmt"
	"strings"
	"testing"

	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/crdt/hlc"
)

// The small world: a hub and two nodes, one row of two columns, and every sequence of a few
// steps. What does not level here cannot level anywhere.

const (
	smallSites   = 3 // 0 is the hub
	smallColumns = 2
	// smallStepsInShort is enough for a deletion that meets an edit, and takes a blink.
	smallStepsInShort = 4
	smallRounds       = 2 // of final syncing: the second carries on what the first revived
	// smallCounter is the column that is a counter, where the rules say that one is.
	smallCounter = 1
)

// place is one site of the small world, in a form that can be compared and be a map's key.
type place struct {
	present            bool
	birth, death, base hlc.Stamp
	stamps             [smallColumns]hlc.Stamp
	known              [smallColumns]bool
	values             [smallColumns]crdt.Value
	counted            [smallSites]hlc.Time // each site's part of the counter: when it was last written
	totals             [smallSites]int8     // and what it says
	counts             int8                 // how often the application here has counted since the birth
	clock              hlc.Clock
	turned             bool // a merge let the row die, revived it or replaced it here, at any time
}

type world [smallSites]place

// smallRules is what may differ between two explorations.
type smallRules struct {
	name string
	skew [smallSites]int64 // of the physical clocks, in milliseconds
	// steps is the length of the longest sequences.
	steps int
	// settled starts with a row that was there before ravno, otherwise there is none.
	settled bool
	// bare is how the store does it: an application that deletes a row takes its values, so
	// the site forgets what its registers held, and a dead row travels as a birth and a death.
	// Otherwise dead rows keep their registers and travel whole.
	bare bool
	// counting makes column b a counter, in which the application counts in place of
	// updating it. What a site has counted it never forgets before the next birth, bare
	// deaths or not: its part is a total.
	counting bool
}

func (p place) live() bool { return p.present && p.row().Live() }

func (p place) row() crdt.Row {
	row := crdt.Row{
		Birth: crdt.Version{Stamp: p.birth},
		Death: crdt.Version{Stamp: p.death},
		Base:  crdt.Version{Stamp: p.base},
	}
	for column, stamp := range p.stamps {
		row.Set(crdt.Column(column), crdt.Version{Stamp: stamp})
	}
	for _, part := range p.parts() {
		row.SetBase(smallCounter, p.values[smallCounter])
		counter := &row.Counters[0]
		counter.Parts = append(counter.Parts, crdt.Part{Version: crdt.Version{Stamp: part.Stamp}, Total: part.Total})
	}
	return row
}

// parts are what the place knows of everyone's counting.
func (p place) parts() (parts []crdt.ChangePart) {
	for at, time := range p.counted {
		if time != 0 {
			parts = append(parts, crdt.ChangePart{Column: smallCounter, Stamp: smallStamp(time, at),
				Total: crdt.IntegerValue(int64(p.totals[at]))})
		}
	}
	return parts
}

func smallStamp(time hlc.Time, at int) hlc.Stamp {
	return hlc.Stamp{Time: time, Site: causal.Hub + causal.Site(at)}
}

// count takes one from the counter, as an application does that reads it first.
func (p *place) count(stamp hlc.Stamp) {
	row := p.row()
	row.SetBase(smallCounter, p.values[smallCounter])
	counter, _ := row.Counter(smallCounter)
	row.Count(smallCounter, crdt.IntegerValue(counter.Sum().Int()-1), crdt.Version{Stamp: stamp})
	p.take(row)
	p.counts++
}

// take notes the parts of a row.
func (p *place) take(row crdt.Row) {
	p.counted, p.totals = [smallSites]hlc.Time{}, [smallSites]int8{}
	counter, _ := row.Counter(smallCounter)
	for _, part := range counter.Parts {
		at := part.Stamp.Site - causal.Hub
		p.counted[at], p.totals[at] = part.Stamp.Time, int8(part.Total.Int())
	}
}

// smallValue is the value of the write with this stamp: a number, because numbers hash fast.
func smallValue(column int, stamp hlc.Stamp) crdt.Value {
	return crdt.IntegerValue(int64(stamp.Time)<<8 | int64(stamp.Site)<<1 | int64(column))
}

func (p *place) write(column int, stamp hlc.Stamp) {
	p.stamps[column], p.values[column], p.known[column] = stamp, smallValue(column, stamp), true
}

// A step happens at one site, or between a node and the hub. It reports whether it is
// possible and does anything.
type step struct {
	name string
	do   func(w *world, rules smallRules, millis int64) bool
}

func (p *place) insert(stamp hlc.Stamp) {
	*p = place{present: true, birth: stamp, base: stamp, clock: p.clock, turned: p.turned}
	for column := range smallColumns {
		p.write(column, stamp)
	}
}

func (p *place) delete(stamp hlc.Stamp, rules smallRules) {
	p.death = stamp
	if rules.bare {
		p.base, p.stamps = p.birth, [smallColumns]hlc.Stamp{p.birth, p.birth}
		p.known, p.values = [smallColumns]bool{}, [smallColumns]crdt.Value{}
	}
}

func (p place) change(rules smallRules) crdt.Change {
	change := crdt.Change{Birth: p.birth, Death: p.death, Parts: p.parts()}
	if rules.bare && !p.live() {
		return change
	}
	change.Whole = true
	for column, stamp := range p.stamps {
		if p.known[column] {
			change.Registers = append(change.Registers,
				crdt.Register{Column: crdt.Column(column), Stamp: stamp, Value: p.values[column], Class: classOf(
					rules.counting && column == smallCounter)})
		}
	}
	return change
}

func (p *place) receive(from place, rules smallRules) bool {
	if !from.present {
		return false
	}
	before := *p
	change := from.change(rules)
	out := crdt.Merge(p.row(), p.present, change, 1)
	*p = place{
		present: true, birth: out.Row.Birth.Stamp, death: out.Row.Death.Stamp, base: out.Row.Base.Stamp,
		clock: p.clock, turned: p.turned || out.Died || out.Revived || out.Reborn,
	}
	if !out.Reborn {
		p.known, p.values, p.counts = before.known, before.values, before.counts
	}
	p.take(out.Row)
	for _, i := range out.Won {
		column := change.Registers[i].Column
		p.known[column], p.values[column] = true, change.Registers[i].Value
	}
	for column := range smallColumns {
		p.stamps[column] = out.Row.Version(crdt.Column(column)).Stamp
	}
	for _, reg := range change.Registers {
		if !out.Outlived && !p.known[reg.Column] && reg.Stamp == p.stamps[reg.Column] {
			p.known[reg.Column], p.values[reg.Column] = true, reg.Value
		}
	}
	p.clock.Observe(from.clock.Last())
	return *p != before
}

// smallStepsOf are the sixteen things that can happen.
func smallStepsOf(counting bool) []step {
	var steps []step
	local := func(at int, what string, possible func(place) bool, do func(*place, hlc.Stamp, smallRules)) {
		steps = append(
			steps, step{name: fmt.Sprintf("%s at %d", what, at), do: func(w *world, rules smallRules, millis int64) bool {
				p := &w[at]
				if !possible(*p) {
					return false
				}
				stamp := smallStamp(p.clock.Tick(millis+rules.skew[at]), at)
				do(p, stamp, rules)
				return true
			}})
	}
	sync := func(from, to int) {
		steps = append(
			steps, step{name: fmt.Sprintf("%d to %d", from, to), do: func(w *world, rules smallRules, _ int64) bool {
				return w[to].receive(w[from], rules)
			}})
	}
	for at := range smallSites {
		local(at, "insert", func(p place) bool { return !p.live() },
			func(p *place, s hlc.Stamp, _ smallRules) { p.insert(s) })
		local(at, "update a", place.live, func(p *place, s hlc.Stamp, _ smallRules) { p.write(0, s) })
		if counting {
			local(at, "count b", place.live, func(p *place, s hlc.Stamp, _ smallRules) { p.count(s) })
		} else {
			local(at, "update b", place.live, func(p *place, s hlc.Stamp, _ smallRules) { p.write(1, s) })
		}
		local(at, "delete", place.live, func(p *place, s hlc.Stamp, r smallRules) { p.delete(s, r) })
		if at != 0 {
			sync(at, 0)
			sync(0, at)
		}
	}
	return steps
}

// level syncs until nothing moves and says how the sites differ then, if they do.
func (w world) level(rules smallRules) (after world, problem string) {
	for round := 0; ; round++ {
		moved := false
		for node := 1; node < smallSites; node++ {
			moved = w[0].receive(w[node], rules) || moved
		}
		for node := 1; node < smallSites; node++ {
			moved = w[node].receive(w[0], rules) || moved
		}
		if !moved {
			break
		}
		if round == smallRounds {
			return w, "still moving"
		}
	}
	for at := range smallSites {
		if w[at].evident() != w[0].evident() {
			return w, "not the same"
		}
		if w[at].live() && w[0].totals[at] != -w[at].counts {
			return w, "a count that is lost, or counted twice"
		}
		for column := range smallColumns {
			if w[at].live() && w[at].values[column] != smallValue(column, w[at].stamps[column]) {
				return w, "a value that does not belong to its stamp, or none"
			}
		}
	}
	return w, ""
}

// evident is what of a place must be the same everywhere: registers only of a live row.
func (p place) evident() place {
	e := place{present: p.present, birth: p.birth, death: p.death}
	if p.live() {
		e.stamps, e.known, e.values, e.counted, e.totals = p.stamps, p.known, p.values, p.counted, p.totals
	}
	return e
}

func (w world) String() string {
	var b strings.Builder
	for at, p := range w {
		fmt.Fprintf(&b, "  %d: present %v live %v birth %v death %v a %v b %v known %v counts %d parts %v %v\n",
			at, p.present, p.live(), p.birth, p.death, p.stamps[0], p.stamps[1], p.known, p.counts, p.counted, p.totals)
	}
	return b.String()
}

func (rules smallRules) start() world {
	var w world
	if rules.settled {
		for at := range w {
			w[at].present = true
			for column := range smallColumns {
				w[at].write(column, hlc.Stamp{})
			}
		}
	}
	return w
}

// road remembers how a world came about, for the report of a failure.
type road struct {
	from *road
	step string
}

func (r *road) String() string {
	if r == nil {
		return ""
	}
	return r.from.String() + "  " + r.step + "\n"
}

func TestShortHistoriesLevel(t *testing.T) {
	all := []smallRules{
		{name: "clocks agree", steps: 6},
		{name: "clocks agree, settled", steps: 5, settled: true},
		{name: "clocks agree, bare deaths", steps: 6, bare: true},
		{name: "clocks agree, settled, bare deaths", steps: 6, settled: true, bare: true},
		{name: "one node ahead, one behind, settled, bare deaths", steps: 5, settled: true, bare: true,
			skew: [smallSites]int64{100, 200, 0}},
		{name: "hub ahead, settled", steps: 5, settled: true, skew: [smallSites]int64{200, 100, 0}},
		{name: "hub behind, bare deaths", steps: 6, bare: true, skew: [smallSites]int64{0, 100, 200}},
		{name: "a counter", steps: 6, counting: true},
		{name: "a counter, settled", steps: 5, counting: true, settled: true},
		{name: "a counter, settled, bare deaths", steps: 5, counting: true, settled: true, bare: true},
		{name: "a counter, hub behind, bare deaths", steps: 6, counting: true, bare: true,
			skew: [smallSites]int64{0, 100, 200}},
	}
	for _, rules := range all {
		if testing.Short() {
			rules.steps = min(rules.steps, smallStepsInShort)
		}
		t.Run(rules.name, func(t *testing.T) {
			worlds, turned := rules.explore(t, smallStepsOf(rules.counting))
			if turned == 0 {
				t.Fatal("no world in which a merge let a row die, revived it or replaced it")
			}
			t.Logf("%d worlds, %d of them with a row that a merge killed, revived or replaced", worlds, turned)
		})
	}
}

// explore goes through every world that can be reached, all worlds of one number of steps
// before those of the next: physical time goes on by a millisecond with each step, so the
// same world can only be met twice within one layer. It counts the worlds.
func (rules smallRules) explore(t *testing.T, steps []step) (worlds, turned int) {
	layer := map[world]*road{rules.start(): nil}
	for depth := 0; ; depth++ {
		next := map[world]*road{}
		for w, r := range layer {
			worlds++
			if w.turned() {
				turned++
			}
			if after, problem := w.level(rules); problem != "" {
				t.Fatalf("%s after\n%sthen\n%slevelled\n%s", problem, r, w, after)
			}
			if depth == rules.steps {
				continue
			}
			for _, s := range steps {
				then := w
				if !s.do(&then, rules, int64(depth)) {
					continue
				}
				if _, met := next[then]; !met {
					next[then] = &road{from: r, step: s.name}
				}
			}
		}
		if depth == rules.steps {
			return worlds, turned
		}
		layer = next
	}
}

func (w world) turned() bool {
	for _, p := range w {
		if p.turned {
			return true
		}
	}
	return false
}
