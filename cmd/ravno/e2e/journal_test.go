package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func containsAll(text string, parts ...string) bool {
	return !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(text, part) })
}

// journalRow is one row in ravno journal list --json.
type journalRow struct {
	Site, Table string
	Key, Row    map[string]any
	ReceivedAt  *string `json:"received_at"`
}

func journal(s *server, flags ...string) (rows []journalRow) {
	s.t.Helper()
	parse(s.t, expect(s.t, 0, append([]string{"journal", "list", "--db", s.db, "--json"}, flags...)...), &rows)
	return rows
}

// events counts ravno's own events by their kind.
func events(s *server) map[string]int {
	s.t.Helper()
	count := map[string]int{}
	for _, row := range journal(s, "--table", "ravno_event") {
		count[fmt.Sprint(row.Row["kind"])]++
	}
	return count
}

// Two shops count their events from one, each. The hub has both, and neither shop has the other's.
func TestJournalsMeetOnlyAtTheHub(t *testing.T) {
	t.Parallel()
	c, plovdiv, varna := newChain(t, `CREATE TABLE audit(id INTEGER PRIMARY KEY, what TEXT)`, "--journal", "audit")
	c.private = []string{"audit"}
	c.hub.sql(`INSERT INTO audit VALUES(5, 'office opened')`)
	plovdiv.sql(`INSERT INTO audit VALUES(5, 'plovdiv opened')`, `INSERT INTO audit VALUES(6, 'plovdiv closed')`)
	varna.sql(`INSERT INTO audit VALUES(5, 'varna opened')`)
	c.identical()

	want := map[*server][]string{
		c.hub:   {"plovdiv 5 plovdiv opened", "plovdiv 6 plovdiv closed", "sofia 5 office opened", "varna 5 varna opened"},
		plovdiv: {"plovdiv 5 plovdiv opened", "plovdiv 6 plovdiv closed"},
		varna:   {"varna 5 varna opened"},
	}
	for s, lines := range want {
		var listed []string
		for _, row := range journal(s, "--table", "audit") {
			listed = append(listed, fmt.Sprint(row.Site, " ", row.Key["id"], " ", row.Row["what"]))
			if s == c.hub && row.Site != s.name && row.ReceivedAt == nil {
				t.Errorf("the hub does not say when it received %+v", row)
			}
		}
		slices.Sort(listed)
		if !slices.Equal(listed, lines) {
			t.Errorf("%s lists %q, want %q", s.name, listed, lines)
		}
	}
	const inView = `SELECT group_concat(line) FROM
		(SELECT ravno_site||' '||id||' '||what AS line FROM ravno_journal_audit ORDER BY 1)`
	if got := c.hub.value(inView); got != strings.Join(want[c.hub], ",") {
		t.Errorf("the view has %s", got)
	}
	for s, rows := range map[*server]string{c.hub: "1", plovdiv: "2", varna: "1"} {
		if got := s.value(`SELECT count(*) FROM audit`); got != rows {
			t.Errorf("%s has %s rows of audit, want its own %s", s.name, got, rows)
		}
	}
	if only := journal(c.hub, "--table", "audit", "--site", "varna"); len(only) != 1 {
		t.Errorf("--site varna lists %+v", only)
	}
	at := events(c.hub)
	for kind, least := range map[string]int{"node_added": 2, "link_up": 2} {
		if at[kind] < least {
			t.Errorf("the hub tells of %d %s, want %d: %v", at[kind], kind, least, at)
		}
	}
	if events(plovdiv)["link_up"] == 0 {
		t.Errorf("plovdiv tells of %v", events(plovdiv))
	}
}
