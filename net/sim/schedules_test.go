package sim

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"sync"
	"testing"
	"time"
)

var (
	leastSchedules = flag.Int("schedules", 100, "play at least so many random schedules")
	schedulesFor   = flag.Duration("schedules.for", 0, "and go on for so long")
	schedulesSeed  = flag.Uint64("schedules.seed", ordinarySeed,
		"draw everything from this seed; 0 stands for a new one each time")
	figuresFile = flag.String("schedules.figures", "", "write what was counted to this file, as one line of JSON")
	savesTo     = flag.String("schedules.save", "", "save what fails in this directory, shrunk, as scenarios")
)

const (
	// ordinarySeed is the seed of an ordinary test run, so that it judges a change and not its luck.
	// The simulation and the soak draw anew.
	ordinarySeed = 1
	// schemasAtOnce is how many random schemas a run keeps enrolled chains of. Making one takes as
	// long as playing a schedule.
	schemasAtOnce = 48
	// schemaUses is how many schedules a schema is used for before it gives way to a new one.
	schemaUses = 40
	// shrinkFor is how long a failing schedule is made smaller, in real time.
	shrinkFor = 45 * time.Second
	// garbagePercent lets the heap grow before it is collected. The heap is small, and time is short.
	garbagePercent = 400
	// failuresShown is after how many failures a run ends.
	failuresShown = 5
)

// schedules is a run of random schedules on all processors.
type schedules struct {
	mutex   sync.Mutex // guards the rest
	seed    uint64
	began   time.Time
	total   figures
	pool    []*enrolled
	playing int
}

// enrolled is a design and the chain at rest that was made of it.
type enrolled struct {
	design  *design
	dir     string
	make    sync.Once
	tpl     *template
	err     error
	uses    int
	players int
}

// next is the number of the next schedule, and its design. It is false when there are enough.
func (s *schedules) next() (n uint64, e *enrolled, ok bool) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.total.Failed >= failuresShown || s.playing >= *leastSchedules && time.Since(s.began) >= *schedulesFor {
		return 0, nil, false
	}
	n = uint64(s.playing)
	s.playing++
	slot := int(n % schemasAtOnce)
	if e = s.pool[slot]; e == nil || e.uses >= schemaUses {
		seed := s.seed + n
		e = &enrolled{design: drawDesign(&maker{Rand: rand.New(rand.NewPCG(seed, 1)), site: "hub"})}
		s.pool[slot] = e
		s.total.Schemas++
	}
	e.uses++
	e.players++
	return n, e, true
}

// done gives a design back, and its files to the disk when nobody will need them.
func (s *schedules) done(e *enrolled, f figures) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.total.add(f)
	e.players--
	if e.players == 0 && e.uses >= schemaUses {
		os.RemoveAll(e.dir)
	}
}

func (f *figures) add(g figures) {
	f.Schedules += g.Schedules
	f.Partitions += g.Partitions
	f.Transactions += g.Transactions
	f.Refused += g.Refused
	f.Crashes += g.Crashes
	f.Joins += g.Joins
	f.Looks += g.Looks
	f.Conflicts += g.Conflicts
	f.Resolved += g.Resolved
	f.Held += g.Held
	f.Settled += g.Settled
	f.Renumbered += g.Renumbered
	f.Lost += g.Lost
	f.Stuck += g.Stuck
	f.Halves += g.Halves
	f.Orphans += g.Orphans
	f.Different += g.Different
	f.Miscounted += g.Miscounted
	f.Failed += g.Failed
}

// judged counts a verdict.
func (f *figures) judged(v *verdict) {
	f.Schedules = 1
	if v == nil {
		return
	}
	f.Failed = 1
	switch v.kind {
	case "stuck":
		f.Stuck++
	case "different":
		f.Different++
	case "half":
		f.Halves++
	}
}

// TestSchedules plays random schedules over random schemas and judges each. Nothing may be lost, no
// server stuck and no half of anything seen, and all files must be the same and valid.
func TestSchedules(t *testing.T) {
	s := &schedules{seed: *schedulesSeed, began: time.Now(), pool: make([]*enrolled, schemasAtOnce)}
	if s.seed == 0 {
		s.seed = rand.Uint64N(1 << 48)
	}
	defer debug.SetGCPercent(debug.SetGCPercent(garbagePercent))
	t.Run("", func(t *testing.T) { // ends when all players have
		for range runtime.GOMAXPROCS(0) {
			t.Run("", func(t *testing.T) {
				t.Parallel()
				for {
					n, e, ok := s.next()
					if !ok {
						return
					}
					s.one(t, s.seed+n, e)
				}
			})
		}
	})
	for _, e := range s.pool {
		if e != nil {
			os.RemoveAll(e.dir)
		}
	}
	s.total.Seconds = time.Since(s.began).Round(time.Millisecond).Seconds()
	line, err := json.Marshal(s.total)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s", line)
	if *figuresFile != "" {
		if err := os.WriteFile(*figuresFile, append(line, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// one plays and judges one schedule, and shrinks it if it is not good.
func (s *schedules) one(t *testing.T, seed uint64, e *enrolled) {
	sc := drawScenario(e.design, seed)
	e.make.Do(func() {
		full := sc
		full.sites = siteNames[:len(siteNames)-1]
		if e.dir, e.err = scratchDir(); e.err == nil {
			e.tpl, e.err = templateOf(t, full, e.dir)
		}
	})
	if e.err != nil {
		s.done(e, figures{Failed: 1})
		t.Errorf("seed %d: %v in\n%s", seed, e.err, sc)
		return
	}
	f, v := play(t, e.tpl, sc)
	f.judged(v)
	defer s.done(e, f)
	if v == nil {
		return
	}
	smaller, last := smallest(t, e.tpl, sc, v, shrinkFor)
	smaller.about = []string{fmt.Sprintf("%s. Drawn as schedule %d of seed %d.", v.kind, seed-s.seed, s.seed)}
	t.Errorf("schedule %d of seed %d: %s\nas a scenario:\n\n%s", seed-s.seed, s.seed, last, smaller)
	if *savesTo != "" {
		file := filepath.Join(*savesTo, fmt.Sprintf("%s-%d.txt", v.kind, seed))
		if err := os.WriteFile(file, []byte(smaller.String()), 0o644); err != nil {
			t.Error(err)
		}
	}
}

// smallest shrinks a scenario whose verdict is v, and returns it with its own verdict.
func smallest(t *testing.T, tpl *template, sc scenario, v *verdict, within time.Duration) (scenario, *verdict) {
	last := v
	fails := func(tpl *template) func(scenario) *verdict {
		return func(try scenario) *verdict {
			_, w := play(t, tpl, try)
			if w != nil && w.kind == v.kind {
				last = w
			}
			return w
		}
	}
	smaller := shrink(sc, v.kind, time.Now().Add(within), fails(tpl))
	return narrowed(t, smaller, v.kind, fails), last
}

// narrowed is a scenario without the tables it has no use for, if it fails as well without.
func narrowed(t *testing.T, sc scenario, kind string, fails func(*template) func(scenario) *verdict) scenario {
	smaller := narrow(sc)
	dir, err := scratchDir()
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if tpl, err := templateOf(t, smaller, dir); err == nil {
		if v := fails(tpl)(smaller); v != nil && v.kind == kind {
			return smaller
		}
	}
	return sc
}
