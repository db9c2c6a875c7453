// Command bench measures what ravno costs, and holds it against plain SQLite: the same
// driver, the same table, the same machine, in the same run. Every ratio is the median over
// pairs that alternate, so that a slow moment of the machine meets both sides. It writes a
// table and bench.json. It is no test: a target that is not met is reported and nothing more.
//
// What runs beside real daemons (flow.go, rest.go, crowd.go) uses the program itself, built
// from this tree; the rest calls the store. It refuses to know how the store does its work.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
	"syscall"
	"time"
)

// line is one subject that can be selected with -only.
type line struct {
	name string
	run  func(b *bench)
}

// lines are all subjects, in the order of the road of a change.
func lines() []line {
	return []line{
		{"capture", captureLine},
		{"fold", foldLine},
		{"extract", extractLine},
		{"apply", applyLine},
		{"size", sizeLine},
		{"wire", wireLine},
		{"backlog", backlogLine},
		{"latency", latencyLine},
		{"catch-up", catchUpLine},
		{"beside", besideLine},
		{"idle", idleLine},
		{"crowd", crowdLine},
		{"growth", growthLine},
	}
}

// options are the flags as given.
type options struct {
	only  string
	quick bool
	out   string
	dir   string
	pairs int
	nodes int
	// transactions is how many of each habit and gap the line beside makes.
	transactions int
	profile      string
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run() error {
	var o options
	var names []string
	for _, l := range lines() {
		names = append(names, l.name)
	}
	flag.StringVar(&o.only, "only", "", "lines to measure, separated by commas: "+strings.Join(names, ", "))
	flag.BoolVar(&o.quick, "quick", false, "a tenth of the sizes and few pairs: to see that it works, not how fast")
	flag.StringVar(&o.out, "out", "bench.json", "`file` for the figures as JSON")
	flag.StringVar(
		&o.dir, "dir", "", "`directory` for the databases, on the disk to be measured (default: that of temporary files)")
	flag.IntVar(&o.pairs, "pairs", 0, "pairs of each comparison (default 5, quick 3)")
	flag.IntVar(
		&o.nodes, "nodes", 0, "nodes of the line crowd (default 1000, or what the limit of open files allows; quick 20)")
	flag.IntVar(&o.transactions, "transactions", 0,
		"transactions of each habit and gap of the line beside (default: those of a second)")
	flag.StringVar(&o.profile, "cpuprofile", "", "write a CPU profile of this process to a `file`")
	flag.Parse()
	selected, err := selectLines(o.only)
	if err != nil {
		return err
	}
	scratch, err := os.MkdirTemp(o.dir, "ravno-bench-")
	if err != nil {
		return fmt.Errorf("making a directory for the databases: %w. Try: -dir with one that can be written", err)
	}
	defer os.RemoveAll(scratch)
	if o.profile != "" {
		file, err := os.Create(o.profile)
		if err != nil {
			return err
		}
		defer file.Close()
		if err := pprof.StartCPUProfile(file); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	b := newBench(o, scratch, raiseFileLimit())
	b.describe()
	for _, l := range selected {
		b.take(l)
	}
	b.report.Seconds = time.Since(b.report.At).Seconds()
	b.printEnd()
	return b.write(o.out)
}

func selectLines(only string) ([]line, error) {
	all := lines()
	if only == "" {
		return all, nil
	}
	var selected []line
	for name := range strings.SplitSeq(only, ",") {
		i := slices.IndexFunc(all, func(l line) bool { return l.name == strings.TrimSpace(name) })
		if i < 0 {
			return nil, fmt.Errorf("-only %s: there is no line %q. Try: -h", only, name)
		}
		selected = append(selected, all[i])
	}
	return selected, nil
}

// filesOfNode is how many open files a node of a crowd has, and some to spare.
const filesOfNode = 15

// raiseFileLimit asks for as many open files as the system grants, and returns how many those are.
func raiseFileLimit() (files int) {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return 0
	}
	if most := limit; limit.Cur < limit.Max {
		most.Cur = most.Max
		if syscall.Setrlimit(syscall.RLIMIT_NOFILE, &most) == nil {
			limit = most
		}
	}
	return int(min(limit.Cur, crowdSize*filesOfNode))
}

// newBench sets the sizes, given how many files may be open.
func newBench(o options, scratch string, files int) *bench {
	b := &bench{scratch: scratch, pairs: 5, rows: 100_000, nodes: files / filesOfNode, quick: o.quick,
		transactions: o.transactions, templates: map[fixture]string{}}
	if o.quick {
		b.pairs, b.rows, b.nodes = 3, 10_000, 20
	}
	if o.pairs > 0 {
		b.pairs = o.pairs
	}
	if o.nodes > 0 {
		b.nodes = o.nodes
	}
	b.report = report{At: time.Now(), Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH,
		Processors: runtime.NumCPU(),
		Quick:      o.quick, Rows: b.rows, Load: loadAverage(), LineSeconds: map[string]float64{}, Results: []result{}}
	return b
}

// take measures one line. One that fails says so in its place, and the others go on.
func (b *bench) take(l line) {
	b.line = l.name
	defer func() {
		if r := recover(); r != nil {
			f, ours := r.(failure)
			if !ours {
				panic(r)
			}
			b.add(result{What: "failed", Note: f.err.Error()})
		}
		b.dropTemplates()
	}()
	began := time.Now()
	l.run(b)
	took := time.Since(began).Seconds()
	b.report.LineSeconds[l.name] = took
	b.progress("took %.0f s", took)
}

// fresh is a new empty directory; done removes it.
func (b *bench) fresh() (dir string, done func()) {
	dir, err := os.MkdirTemp(b.scratch, "run-")
	b.must(err)
	return dir, func() { b.must(os.RemoveAll(dir)) }
}

// loadAverage is what else the machine does, where the system says it.
func loadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return ""
	}
	return strings.Join(strings.Fields(string(text))[:3], " ")
}

// describe measures what the disk and the loopback can do, which no program undercuts.
func (b *bench) describe() {
	b.line = "floor"
	dir, done := b.fresh()
	defer done()
	sync := b.syncTime(filepath.Join(dir, "sync"), 0)
	b.report.SyncMS = milliseconds(sync)
	fmt.Printf("%s, %d processors, SQLite %s, %s; load %s; one durable write takes %.2f ms here\n\n",
		b.report.System, b.report.Processors, sqliteVersion(), b.report.Go, b.report.Load, b.report.SyncMS)
	printHead()
}
