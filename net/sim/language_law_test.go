package sim

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"ravno/store"
)

// anyStep draws a step of any form, with any text that a form can carry.
func anyStep(sites []string) *rapid.Generator[step] {
	verbs := make([]string, 0, len(stepForms))
	for verb := range stepForms {
		verbs = append(verbs, verb)
	}
	slices.Sort(verbs)
	word := rapid.StringMatching(`[a-z_0-9]{1,8}`)
	line := rapid.StringMatching(`[a-zA-Z'=:#(;][ a-zA-Z'=:#(;]{0,30}[a-zA-Z'#(;]`)
	return rapid.Custom(func(t *rapid.T) step {
		s := step{do: rapid.SampledFrom(verbs).Draw(t, "verb")}
		for _, part := range strings.Fields(stepForms[s.do]) {
			switch part {
			case "SITE":
				s.site = rapid.SampledFrom(sites).Draw(t, "site")
			case "WORD":
				s.word = word.Draw(t, "word")
			case "N":
				s.n = rapid.IntRange(0, 99).Draw(t, "n")
			case "SPAN":
				s.span = time.Duration(rapid.Int64Range(-1e15, 1e15).Draw(t, "span"))
			case "SQL":
				s.sql = strings.Join(rapid.SliceOfN(line, 1, 3).Draw(t, "sql"), "\n")
				s.times = rapid.IntRange(0, 50).Draw(t, "times")
			case "WANT":
				s.want = word.Draw(t, "want")
			}
		}
		return s
	})
}

func TestScenarioReadsBackTheSame(t *testing.T) {
	t.Parallel()
	sites := []string{"hub", "varna", "burgas"}
	rapid.Check(t, func(t *rapid.T) {
		want := scenario{about: []string{"What it is about.", "And why."}, sites: sites,
			schema: []string{"CREATE TABLE a(b);", "\tINSERT INTO a VALUES('# no comment');"},
			settings: []store.Setting{{Table: "a", Class: store.Synced, Document: "b", Counters: []string{"c", "d"}},
				{Table: "h", Class: store.Journal}},
			always: []question{{"SELECT a = b FROM c", "0", false}},
			slices: rapid.IntRange(0, 9).Draw(t, "slices"),
			steps:  rapid.SliceOf(anyStep(sites)).Draw(t, "steps")}
		if len(want.steps) == 0 {
			want.steps = nil
		}
		got, err := parseScenario(want.String())
		if err != nil {
			t.Fatalf("%v in\n%s", err, want)
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(scenario{}, step{}, question{})); diff != "" {
			t.Fatalf("%s\n%s", want, diff)
		}
	})
}

func TestScenarioErrorNamesTheLine(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"sites hub\njump hub":                "line 2: \"jump\" is no step",
		"sites hub\nat hub UPDATE a SET b=1": "line 2: at: want a colon and a space before the SQL",
		"sites hub\nwait long":               "line 2: wait: want SPAN, got \"long\"",
		"sites hub\ncut hub now":             "line 2: cut: \"now\" is too much",
		"sites hub\ncut varna":               "step 1, cut: there is no site varna",
		"sites hub\nexpect hub: SELECT 1":    "line 2: expect: want QUERY = ANSWER",
		"sites hub\ntable a sometimes":       "line 2: table a: \"sometimes\" is not understood",
		"":                                   "line 1: no sites",
	} {
		if _, err := parseScenario(text); err == nil || err.Error() != want {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
}
