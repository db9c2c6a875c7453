package main

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func demoTill(t *testing.T, place string) (*demoApp, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "restaurant.db")
	a, err := openDemoApp(context.Background(), path, place, true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	return a, path
}

func demoRead(t *testing.T, path string) []demoTable {
	t.Helper()
	tables, err := readDemoTables(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	return tables
}

func TestFreshTillsAreIdentical(t *testing.T) {
	_, one := demoTill(t, "plovdiv")
	_, other := demoTill(t, "varna")
	a, b := demoRead(t, one), demoRead(t, other)
	if d := compareDemoTables(a, b); len(d) > 0 {
		t.Fatal(d)
	}
	for i := range a {
		if a[i].digest() != b[i].digest() {
			t.Fatalf("%s: %s and %s", a[i].name, a[i].digest(), b[i].digest())
		}
	}
	if len(a) != 7 {
		t.Fatalf("%d tables were compared, not 7", len(a))
	}
}

func TestCompareFindsSmallestDifference(t *testing.T) {
	for _, c := range []struct{ name, sql, table string }{
		{"a value", "UPDATE product SET price = price + 1 WHERE id = 7", "product"},
		{"a storage class", "UPDATE stock SET on_hand = CAST(on_hand AS BLOB) WHERE product_id = 3", "stock"},
		{"text and blob of the same bytes", "UPDATE product SET name = CAST(name AS BLOB) WHERE id = 1", "product"},
		{"a row too few", "DELETE FROM dining_table WHERE id = 12", "dining_table"},
		{"NULL and the empty string",
			"INSERT INTO orders(place, table_id, guests, waiter, opened_at) VALUES('varna',NULL,1,'','')", "orders"},
		{"a table", "CREATE TABLE more(x)", "more"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, one := demoTill(t, "plovdiv")
			a, other := demoTill(t, "varna")
			if _, err := a.db.Exec(c.sql); err != nil {
				t.Fatal(err)
			}
			for _, d := range [][]string{compareDemoTables(demoRead(t, one), demoRead(t, other)),
				compareDemoTables(demoRead(t, other), demoRead(t, one))} {
				if len(d) != 1 || !strings.HasPrefix(d[0], c.table) {
					t.Fatalf("found %q, want one difference in %s", d, c.table)
				}
			}
		})
	}
}

func TestCompareSkipsTheJournal(t *testing.T) {
	_, one := demoTill(t, "plovdiv")
	a, other := demoTill(t, "varna")
	if _, err := a.db.Exec("INSERT INTO event_log(at, who, what) VALUES('', '', 'opened')"); err != nil {
		t.Fatal(err)
	}
	if d := compareDemoTables(demoRead(t, one), demoRead(t, other)); len(d) > 0 {
		t.Fatal(d)
	}
}

// Every replicated table of ravno's own is compared.
func TestCompareCoversRavnosTables(t *testing.T) {
	layout, err := os.ReadFile("../../store/internal/install/layout.sql")
	if err != nil {
		t.Fatal(err)
	}
	var replicated []string
	create := regexp.MustCompile(`(?m)^CREATE TABLE (ravno_\w+)`)
	for _, part := range strings.Split(string(layout), "\n\n") {
		if !strings.Contains(part, "-- Replicated:") {
			continue
		}
		for _, m := range create.FindAllStringSubmatch(part, -1) {
			if m[1] != "ravno_rename" { // it goes to one server only
				replicated = append(replicated, m[1])
			}
		}
	}
	slices.Sort(replicated)
	if !slices.Equal(replicated, demoReplicated) {
		t.Fatalf("replicated are %q, compared are %q", replicated, demoReplicated)
	}
}
