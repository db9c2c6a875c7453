package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// drawScenario draws a course of events over a design. Equal seeds draw equal scenarios.
func drawScenario(d *design, seed uint64) scenario {
	rng := rand.New(rand.NewPCG(seed, seed))
	sc := scenario{about: []string{fmt.Sprintf("Drawn with seed %d.", seed)}, sites: siteNames[:3+rng.IntN(2)],
		schema: d.schema, settings: d.settings, always: d.always}
	if rng.IntN(3) == 0 {
		// What is more than a slice comes in several, each of whole documents; a transaction over
		// several documents may be cut in two.
		sc.slices = 1 + rng.IntN(12)
		sc.always = slices.DeleteFunc(slices.Clone(sc.always), func(q question) bool { return q.overDocuments })
	}
	c := &course{Rand: rng, design: d, sites: slices.Clone(sc.sites), cut: map[string]bool{}}
	for _, site := range sc.sites[1:] {
		if rng.IntN(4) == 0 {
			c.add(step{do: "clock", site: site, span: c.wrong()})
		}
	}
	for range 45 + rng.IntN(35) {
		c.next()
	}
	sc.steps = c.steps
	return sc
}

// course is a scenario as far as it is drawn.
type course struct {
	*rand.Rand
	design *design
	sites  []string
	cut    map[string]bool
	copies int
	joined bool
	steps  []step
}

func (c *course) add(s step) { c.steps = append(c.steps, s) }

func (c *course) any() string { return c.sites[c.IntN(len(c.sites))] }

func (c *course) node() string { return c.sites[1+c.IntN(len(c.sites)-1)] }

// wrong is by how much a clock can be wrong.
func (c *course) wrong() time.Duration {
	return []time.Duration{-time.Hour, -3 * time.Second, 40 * time.Second, 3 * time.Hour, 24 * 365 * time.Hour,
		-24 * 365 * time.Hour}[c.IntN(6)]
}

// How often each kind of step comes, in a hundred; the rest are waits.
const (
	singles, bursts, cuts, faults, repairs, calms = 30, 13, 20, 7, 14, 2
)

func (c *course) next() {
	switch p := c.IntN(100); {
	case p < singles:
		c.write(0)
	case p < singles+bursts:
		c.write(5 + c.IntN(85))
	case p < singles+bursts+cuts:
		c.partition()
	case p < singles+bursts+cuts+faults:
		c.fault()
	case p < singles+bursts+cuts+faults+repairs:
		c.repair()
	case p < singles+bursts+cuts+faults+repairs+calms:
		c.calm()
	default:
		c.add(step{do: "wait", span: []time.Duration{
			time.Millisecond, 20 * time.Millisecond, 100 * time.Millisecond, 300 * time.Millisecond,
			2 * time.Second, 15 * time.Second}[c.IntN(6)]})
	}
}

// write draws one transaction of one to three writes, to run once or many times.
func (c *course) write(times int) {
	m := &maker{Rand: c.Rand, site: c.any(), step: len(c.steps) + 1, many: times > 0}
	text := ""
	for i := range []int{1, 1, 1, 2, 3}[c.IntN(5)] {
		if i > 0 {
			text += "; "
		}
		text += c.design.writes[c.IntN(len(c.design.writes))](m)
	}
	c.add(step{do: "try", site: m.site, times: times, sql: text})
}

// partition cuts a link, mostly one that is good; or heals one and cuts it again soon.
func (c *course) partition() {
	node := c.node()
	if c.cut[node] {
		c.add(step{do: "heal", site: node})
		c.add(step{do: "wait", span: []time.Duration{
			10 * time.Millisecond, 60 * time.Millisecond, 400 * time.Millisecond}[c.IntN(3)]})
	}
	c.cut[node] = true
	c.add(step{do: []string{"cut", "cut", "cut", "deafen", "mute", "drop"}[c.IntN(6)], site: node})
}

func (c *course) fault() {
	switch c.IntN(7) {
	case 0:
		c.add(step{do: "crash", site: c.any()})
	case 1:
		c.add(step{do: "restart", site: c.any()})
	case 2:
		c.add(step{do: "clock", site: c.node(), span: c.wrong()})
	case 3:
		c.copies++
		c.add(step{do: "copy", site: c.sites[c.IntN(2)]}) // of the hub, or of the first node
	case 4:
		c.add(step{do: "deliver", n: 1 + c.IntN(max(c.copies, 1))})
	case 5:
		c.add(step{do: "bad-network"})
	case 6:
		if !c.joined && c.IntN(3) == 0 {
			late := siteNames[len(siteNames)-1]
			c.add(step{do: "join", site: late})
			c.sites = append(c.sites, late)
			c.joined = true
			return
		}
		c.add(step{do: "crash", site: c.sites[0]})
	}
}

// calm lets all be well for so long that everything levels, settles and is forgotten, here and
// there: a server may go away in the middle of it.
func (c *course) calm() {
	c.add(step{do: "good-network"})
	for _, site := range c.sites {
		if c.cut[site] {
			c.add(step{do: "heal", site: site})
			c.cut[site] = false
		}
		c.add(step{do: "restart", site: site})
	}
	c.add(step{do: "wait", span: []time.Duration{3 * time.Second, 6 * time.Second, 12 * time.Second}[c.IntN(3)]})
}

func (c *course) repair() {
	switch c.IntN(8) {
	case 0:
		c.add(step{do: "good-network"})
	case 1:
		c.add(step{do: "resolve", site: c.any(), word: fmt.Sprint(c.IntN(3))})
	case 2, 3:
		c.add(step{do: "restart", site: c.any()})
	default:
		for _, node := range c.sites[1:] { // some that is cut
			if c.cut[node] {
				c.cut[node] = false
				c.add(step{do: "heal", site: node})
				return
			}
		}
	}
}
