// Command mutants plants known bugs, one at a time, and sees whether the tests find them.
// Each file *.txt beside it is one mutant: what the bug is, the text to replace and the
// replacement, and the tests of which one must fail. The tree is never edited: the go
// command compiles the changed file in place of the real one (go help build, -overlay), and
// the tests of packages that use rapid are told to keep no failing cases.
//
//	go run ./testdata/mutants [NAME...]
//
// It ends with 1 if a mutant slipped through, no longer fits the code, or does not compile.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	directory = "testdata/mutants"
	// testLimit is how long one test command may take before it counts as hanging, which is a
	// way to be found: the tests named here take seconds.
	testLimit = 90 * time.Second
	// mutantLimit bounds one mutant, compiling included, which the go command never ends by itself.
	mutantLimit = 5 * time.Minute
	// atOnce is how many mutants are tried at the same time: as many as a small machine has cores.
	atOnce = 2
)

func main() {
	mutants, err := readAll(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	results := make([]result, len(mutants))
	var wait sync.WaitGroup
	turns := make(chan struct{}, atOnce)
	for i, m := range mutants {
		wait.Go(func() {
			turns <- struct{}{}
			defer func() { <-turns }()
			began := time.Now()
			results[i] = m.try()
			fmt.Printf("%-8s %-34s %5.1fs  %s\n", results[i].word, m.name, time.Since(began).Seconds(), results[i].detail)
		})
	}
	wait.Wait()
	if !report(mutants, results) {
		os.Exit(1)
	}
}

// readAll reads the mutants of these names, or all.
func readAll(names []string) ([]mutant, error) {
	files, err := filepath.Glob(filepath.Join(directory, "*.txt"))
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("no mutants in %s. Try: at the top of the tree, make mutants", directory)
	}
	var mutants []mutant
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".txt")
		if len(names) > 0 && !slices.Contains(names, name) {
			continue
		}
		m, err := read(file)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		m.name = name
		mutants = append(mutants, m)
	}
	if len(mutants) < len(names) {
		return nil, fmt.Errorf("not every one of %s is in %s", strings.Join(names, ", "), directory)
	}
	return mutants, nil
}

// mutant is one planted bug.
type mutant struct {
	name, bug, file, from, to string
	tests                     [][]string // arguments of go test, the cheapest first
}

// read reads a mutant: "bug:" and "file:" lines, then the parts "--- replace", "--- by" and
// "--- tests", each up to the next.
func read(file string) (m mutant, err error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return m, err
	}
	head, rest, ok1 := strings.Cut(string(raw), "--- replace\n")
	from, rest, ok2 := strings.Cut(rest, "--- by\n")
	to, tests, ok3 := strings.Cut(rest, "--- tests\n")
	if !ok1 || !ok2 || !ok3 {
		return m, errors.New("wants the parts --- replace, --- by, --- tests")
	}
	m.from, m.to = from, to
	for line := range strings.Lines(head) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		switch key {
		case "bug":
			m.bug = value
		case "file":
			m.file = value
		}
	}
	for line := range strings.Lines(tests) {
		if fields := strings.Fields(line); len(fields) > 0 {
			m.tests = append(m.tests, fields)
		}
	}
	if m.bug == "" || m.file == "" || m.from == "" || len(m.tests) == 0 {
		return m, errors.New("wants bug:, file:, a text to replace and at least one test")
	}
	return m, nil
}

// result is what became of a mutant.
type result struct{ word, detail string }

const (
	found   = "found"
	slipped = "SLIPPED"
	stale   = "STALE"
	broken  = "BROKEN"
)

func (m mutant) try() result {
	ctx, cancel := context.WithTimeout(context.Background(), mutantLimit)
	defer cancel()
	source, err := os.ReadFile(m.file)
	if err != nil {
		return result{stale, err.Error()}
	}
	if n := strings.Count(string(source), m.from); n != 1 {
		return result{stale, fmt.Sprintf("the text to replace is %d times in %s, not once", n, m.file)}
	}
	scratch, err := os.MkdirTemp("", "mutant-*")
	if err != nil {
		return result{broken, err.Error()}
	}
	defer os.RemoveAll(scratch)
	overlay, err := m.plant(scratch, string(source))
	if err != nil {
		return result{broken, err.Error()}
	}
	if output, err := run(ctx, "build", overlay, "./"+filepath.Dir(m.file)); err != nil {
		return result{broken, "does not compile: " + firstLine(output, err)}
	}
	for _, test := range m.tests {
		output, err := run(ctx, append([]string{"test", overlay, "-failfast", "-timeout=" + testLimit.String()}, test...)...)
		if strings.Contains(output, "[build failed]") || strings.Contains(output, "[setup failed]") || ctx.Err() != nil {
			return result{broken, "the test does not compile: " + firstLine(output, err)}
		}
		if strings.Contains(output, "[no tests to run]") {
			return result{stale, "there is no such test: " + strings.Join(test, " ")}
		}
		if err != nil {
			return result{found, "by " + finder(output) + " (" + test[0] + ")"}
		}
	}
	return result{slipped, m.bug}
}

// plant writes the changed file and the overlay that puts it in the real one's place, and
// returns the flag for that.
func (m mutant) plant(scratch, source string) (string, error) {
	original, err := filepath.Abs(m.file)
	if err != nil {
		return "", err
	}
	changed := filepath.Join(scratch, filepath.Base(m.file))
	if err := os.WriteFile(changed, []byte(strings.Replace(source, m.from, m.to, 1)), 0o600); err != nil {
		return "", err
	}
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {original: changed}})
	if err != nil {
		return "", err
	}
	file := filepath.Join(scratch, "overlay.json")
	return "-overlay=" + file, os.WriteFile(file, overlay, 0o600)
}

func run(ctx context.Context, args ...string) (string, error) {
	output, err := exec.CommandContext(ctx, "go", args...).CombinedOutput()
	return string(output), err
}

var failure = regexp.MustCompile(`(?m)^\s*--- FAIL: (\S+)`)

// finder is the test that found the bug, as the output tells.
func finder(output string) string {
	if strings.Contains(output, "panic: test timed out") {
		return "hanging until the limit"
	}
	all := failure.FindAllStringSubmatch(output, -1)
	if all == nil {
		return "a crash"
	}
	return all[0][1]
}

func firstLine(output string, err error) string {
	for line := range strings.Lines(output) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			return line
		}
	}
	return fmt.Sprint(err)
}

// report sums up, and reports whether every mutant was found.
func report(mutants []mutant, results []result) bool {
	count := 0
	for i, r := range results {
		if r.word == found {
			count++
			continue
		}
		fmt.Printf("%s: %s: %s\n", r.word, mutants[i].name, r.detail)
	}
	fmt.Printf("%d of %d planted bugs found\n", count, len(mutants))
	return count == len(mutants)
}
