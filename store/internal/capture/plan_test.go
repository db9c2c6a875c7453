package capture

import (
	"strings"
	"testing"

	"ravno/crdt"
	"ravno/store/internal/sqlite"
)

// A search for victims runs for every row the application writes: each must be one seek.
func TestVictimsSearchedByTheirIndex(t *testing.T) {
	c := install(
		t, open(t,
			forms+`CREATE TABLE made(k INT, l TEXT COLLATE NOCASE, g AS (k * 2) UNIQUE, UNIQUE(l, k), PRIMARY KEY(k, l));`))
	for _, s := range c.specs {
		for _, update := range []bool{false, true} {
			for _, statement := range s.victims(update) {
				_, query, _ := strings.Cut(statement, "SELECT ")
				// A row of the same table, one scope further out, stands in for NEW and OLD.
				query = strings.NewReplacer("NEW.", "n.", "OLD.", "n.").Replace(query)
				plan := "EXPLAIN QUERY PLAN SELECT EXISTS(SELECT " + query + ") FROM (SELECT *, " + hiddenRowid(s) +
					" FROM " + sqlite.Quote(s.Table.Name) + " LIMIT 1) AS n"
				must(t, c.Rows(plan, nil, func(row []crdt.Value) error {
					if detail := row[3].Bytes(); strings.HasPrefix(detail, "SCAN r") {
						t.Errorf("%s\nfor %s", detail, statement)
					}
					return nil
				}))
			}
		}
	}
}

func hiddenRowid(s Spec) string {
	if s.Table.WithoutRowid || s.Table.RowidKey {
		return "1 AS none"
	}
	return "rowid AS rowid"
}
