package main

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"time"
)

// bench is one run.
type bench struct {
	scratch string
	pairs   int
	rows    int // of the workload table
	nodes   int // of the line crowd
	// transactions is how many the line beside makes of each habit and gap; 0: those of a second.
	transactions int
	quick        bool
	line         string
	program      string // ravno as built from this tree; empty until it is needed
	templates    map[fixture]string
	report       report
}

// report is the whole of bench.json.
type report struct {
	At         time.Time `json:"at"`
	Seconds    float64   `json:"seconds"`
	System     string    `json:"system"`
	Processors int       `json:"processors"`
	Go         string    `json:"go"`
	Load       string    `json:"load_average"` // of the machine, before the run
	LoadAfter  string    `json:"load_average_after"`
	SyncMS     float64   `json:"durable_write_ms"` // median time of a small durable write
	Quick      bool      `json:"quick"`
	Rows       int       `json:"rows"`
	// LineSeconds is how long each line took to measure.
	LineSeconds map[string]float64 `json:"line_seconds"`
	Results     []result           `json:"results"`
}

// result is one line of the table.
type result struct {
	Line     string  `json:"line"`
	What     string  `json:"what"`
	Unit     string  `json:"unit"`     // of measured and baseline
	Measured float64 `json:"measured"` // median
	Baseline float64 `json:"baseline"` // median; 0: there is none
	Against  string  `json:"against"`  // what the baseline is
	Ratio    float64 `json:"ratio"`    // median of the pairs' ratios; 0: the target is of measured
	Low      float64 `json:"low"`      // spread: smallest and largest of the pairs' ratios
	High     float64 `json:"high"`
	Pairs    int     `json:"pairs"`
	Target   float64 `json:"target"` // at most; 0: none
	HasGoal  bool    `json:"has_target"`
	Met      bool    `json:"met"`
	// the ratio of the least that the design can cost, where the target is missed; 0: not measured
	Limit   float64 `json:"limit"`
	LimitIs string  `json:"limit_is"` // what that is
	Note    string  `json:"note"`
}

// failure ends a line, and not the run.
type failure struct{ err error }

func (b *bench) must(err error) {
	if err != nil {
		panic(failure{fmt.Errorf("%s: %w", b.line, err)})
	}
}

// comparison is two ways to do the same work; each prepares, and returns how long the work
// itself took.
type comparison struct {
	what, against string
	target        float64 // of the ratio; 0: none
	note          string
	units         int // of work in one go; the figures are per unit
	pairs         int // 0: as many as usual, after one that does not count
	plain, ours   func() time.Duration
	// least is plain SQLite doing what the design has to do at the least, and leastIs says what. It is
	// measured where the target is missed.
	least   func() time.Duration
	leastIs string
}

// few is how many pairs are taken of what takes many seconds, and fewest of what takes half a minute
// or is only compared with itself; nothing warms up for those.
const few, fewest = 3, 2

// compare takes alternating pairs of the two sides.
func (b *bench) compare(c comparison) result {
	if c.units == 0 {
		c.units = 1
	}
	warm, pairs := 1, b.pairs
	if c.pairs > 0 {
		warm, pairs = 0, min(b.pairs, c.pairs)
	}
	var plain, ours, ratios []float64
	for i := range warm + pairs {
		var p, o time.Duration
		if i%2 == 0 {
			p = c.plain()
			o = c.ours()
		} else {
			o = c.ours()
			p = c.plain()
		}
		if i < warm {
			continue
		}
		plain = append(plain, microseconds(p)/float64(c.units))
		ours = append(ours, microseconds(o)/float64(c.units))
		ratios = append(ratios, float64(o)/float64(max(p, 1)))
	}
	limit := 0.0
	if c.least != nil && c.target > 0 && median(ratios) > c.target {
		limit = microseconds(c.least()) / float64(c.units) / median(plain) // once: it is no figure of ravno's
	}
	return b.add(result{Limit: limit, LimitIs: c.leastIs,
		What: c.what, Unit: "µs", Measured: median(ours), Baseline: median(plain), Against: c.against,
		Ratio: median(ratios), Low: slices.Min(ratios), High: slices.Max(ratios), Pairs: len(ratios), Target: c.target,
		HasGoal: c.target > 0, Note: c.note})
}

// add judges a result, prints it and keeps it.
func (b *bench) add(r result) result {
	r.Line = b.line
	if r.HasGoal {
		bounded := r.Ratio
		if bounded == 0 {
			bounded = r.Measured
		}
		r.Met = bounded <= r.Target
	}
	b.report.Results = append(b.report.Results, r)
	r.print()
	return r
}

const tableRow = "%-8s %-52s %11s %11s %7s %-13s %8s %-4s %s\n"

func printHead() {
	fmt.Printf(tableRow, "line", "what", "measured", "baseline", "ratio", "spread", "target", "met", "baseline is; notes")
}

func (r result) print() {
	measured, baseline, ratio, spread, target, met := number(r.Measured)+" "+r.Unit, "", "", "", "", ""
	if r.What == "failed" {
		measured = ""
	}
	if r.Baseline > 0 {
		baseline = number(r.Baseline) + " " + r.Unit
	}
	if r.Ratio > 0 {
		ratio = fmt.Sprintf("%.2fx", r.Ratio)
	}
	if r.Pairs > 0 {
		spread = fmt.Sprintf("%.2f..%.2f", r.Low, r.High)
	}
	if r.HasGoal {
		target, met = "<= "+number(r.Target), "no"
		if r.Met {
			met = "yes"
		}
	}
	notes := []string{r.Against, r.Note}
	if r.Limit > 0 {
		notes = append(notes, fmt.Sprintf("limit %.2fx: %s", r.Limit, r.LimitIs))
	}
	notes = slices.DeleteFunc(notes, func(note string) bool { return note == "" })
	fmt.Printf(tableRow, r.Line, r.What, measured, baseline, ratio, spread, target, met, strings.Join(notes, "; "))
}

// number shows three digits that mean something.
func number(v float64) string {
	switch a := math.Abs(v); {
	case v == math.Trunc(v) && a < 1e9:
		return fmt.Sprintf("%.0f", v)
	case a >= 100:
		return fmt.Sprintf("%.0f", v)
	case a >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// progress says on standard error how far long work is.
func (b *bench) progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "bench: %s: "+format+"\n", append([]any{b.line}, args...)...)
}

func (b *bench) printEnd() {
	b.report.LoadAfter = loadAverage()
	goals, met := 0, 0
	for _, r := range b.report.Results {
		if r.HasGoal {
			goals++
		}
		if r.Met {
			met++
		}
	}
	fmt.Printf("\n%d of %d targets met, in %.0f s; load %s before, %s after\n", met, goals, b.report.Seconds,
		b.report.Load, b.report.LoadAfter)
}

func (b *bench) write(path string) error {
	text, err := json.MarshalIndent(b.report, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}

// median is the middle value, or what is between the two middle ones; 0 of none.
func median(of []float64) float64 {
	if len(of) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(of))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

// quantile is the value below which a share of the values lies; 0 of none.
func quantile(of []float64, share float64) float64 {
	if len(of) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(of))
	return sorted[min(int(share*float64(len(sorted))), len(sorted)-1)]
}

func microseconds(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }
func milliseconds(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }

// timed is how long f takes.
func timed(f func()) time.Duration {
	began := time.Now()
	f()
	return time.Since(began)
}
