package sim

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var scenarioFiles = flag.String("scenarios", filepath.Join("..", "..", "testdata", "scenario", "*.txt"),
	"play the scenarios in these files")

var shrinkScenarios = flag.Duration("scenarios.shrink", 0, "for so long, look for less that fails in the same way")

// TestEveryScenario plays all that people wrote, or saved when something failed.
func TestEveryScenario(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(*scenarioFiles)
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios in %s: %v", *scenarioFiles, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			sc, err := parseScenario(string(text))
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			tpl, err := templateOf(t, sc, t.TempDir())
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			if _, v := play(t, tpl, sc); v != nil {
				step := "the end"
				if v.step <= len(sc.steps) {
					step = sc.steps[v.step-1].String()
				}
				t.Errorf("%s: at %s: %s", file, step, v)
				if *shrinkScenarios > 0 {
					smaller, _ := smallest(t, tpl, sc, v, *shrinkScenarios)
					t.Logf("shrunk:\n\n%s", smaller)
				}
			}
		})
	}
}
