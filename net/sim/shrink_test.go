package sim

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"ravno/store"
)

// shrink looks for a smaller scenario that fails in the same way, until time is over: fewer
// steps, fewer times, fewer statements. A schedule is data, so it is cut down itself and not
// the random numbers it was drawn from. fails plays a scenario and returns what is wrong.
func shrink(sc scenario, kind string, until time.Time, fails func(scenario) *verdict) scenario {
	try := func(steps ...[]step) bool {
		smaller := sc
		smaller.steps = slices.Concat(steps...)
		if time.Now().After(until) || smaller.check() != nil {
			return false
		}
		v := fails(smaller)
		if v == nil || v.kind != kind {
			return false
		}
		smaller.steps = smaller.steps[:min(v.step, len(smaller.steps))] // what comes after was not played
		sc = smaller
		return true
	}
	for before := -1; before != size(sc); {
		before = size(sc)
		for piece := max(len(sc.steps)/2, 1); piece >= 1; piece /= 2 {
			for at := 0; at < len(sc.steps); {
				if !try(sc.steps[:at], sc.steps[min(at+piece, len(sc.steps)):]) {
					at += piece
				}
			}
		}
		for i := 0; i < len(sc.steps); i++ {
			for _, simpler := range simplerSteps(sc.steps[i], kind != "half") { // else the application itself writes halves
				if try(sc.steps[:i], []step{simpler}, sc.steps[i+1:]) {
					i--
					break
				}
			}
		}
	}
	return sc
}

var created = regexp.MustCompile(`^CREATE TABLE ([a-z_]+)`)

// narrow leaves out of a scenario the tables that no step names, nor any table that is left.
func narrow(sc scenario) scenario {
	text := ""
	for _, s := range sc.steps {
		text += s.sql + "\n"
	}
	var unused []*regexp.Regexp
	for i := len(sc.schema) - 1; i >= 0; i-- { // children before parents
		found := created.FindStringSubmatch(sc.schema[i])
		if found == nil {
			continue
		}
		name := regexp.MustCompile(`\b` + found[1] + `\b`)
		if name.MatchString(text) {
			text += sc.schema[i] + "\n"
		} else {
			unused = append(unused, name)
		}
	}
	idle := func(text string) bool {
		return slices.ContainsFunc(unused, func(name *regexp.Regexp) bool { return name.MatchString(text) })
	}
	smaller := sc
	smaller.schema = slices.DeleteFunc(slices.Clone(sc.schema), idle)
	smaller.always = slices.DeleteFunc(slices.Clone(sc.always), func(q question) bool { return idle(q.sql) })
	smaller.settings = slices.DeleteFunc(slices.Clone(sc.settings), func(s store.Setting) bool { return idle(s.Table) })
	return smaller
}

// size is what shrinking makes less.
func size(sc scenario) (n int) {
	for _, s := range sc.steps {
		n += 1 + s.times + len(statements(s.sql))
	}
	return n
}

// simplerSteps are steps that say less than one; transactions are split only if they may be.
func simplerSteps(s step, split bool) (simpler []step) {
	if s.times > 1 {
		fewer := s
		fewer.times = s.times / 2
		one := s
		one.times = 1
		simpler = append(simpler, one, fewer)
	}
	if parts := statements(s.sql); split && len(parts) > 1 {
		for i := range parts {
			fewer := s
			rest := append(append([]string(nil), parts[:i]...), parts[i+1:]...)
			fewer.sql = strings.ReplaceAll(strings.Join(rest, "; "), "?1", "#")
			simpler = append(simpler, fewer)
		}
	}
	return simpler
}
