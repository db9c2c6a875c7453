package capture

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"ravno/crdt"
	"ravno/store/internal/schema"
	"ravno/store/internal/sqlite"
)

func version(t testing.TB, c *sqlite.Conn) int64 {
	t.Helper()
	v, err := c.Int("PRAGMA schema_version")
	must(t, err)
	return v
}

func isCurrent(t testing.TB, c *sqlite.Conn, specs []Spec) bool {
	t.Helper()
	yes, err := Current(c, specs)
	must(t, err)
	return yes
}

func TestInstallingTwiceChangesNothing(t *testing.T) {
	c := open(t, forms)
	specs := specsOf(t, c)
	if isCurrent(t, c, specs) {
		t.Error("current before the first installation")
	}
	must(t, Install(c, specs))
	first := version(t, c)
	must(t, Install(c, specs))
	if v := version(t, c); v != first || !isCurrent(t, c, specs) {
		t.Errorf("schema version %d -> %d", first, v)
	}
}

// What the applications migrations do to triggers is noticed and mended.
func TestMigrationHarmToTriggersMended(t *testing.T) {
	// Dropping a table and renaming a column change the triggers just as they ought to be.
	alreadyRight := []string{"a column renamed", "a table dropped"}
	for name, migration := range map[string]string{
		"a table rebuilt": "CREATE TABLE new(a, b TEXT, PRIMARY KEY(a, b)) WITHOUT ROWID; INSERT INTO new SELECT * FROM " +
			"t3; DROP TABLE t3; ALTER TABLE new RENAME TO t3",
		"a column renamed": "ALTER TABLE t2 RENAME COLUMN v TO w",
		"a column added":   "ALTER TABLE t2 ADD COLUMN w",
		"a table dropped":  "DROP TABLE t5",
		"a table added":    "CREATE TABLE t6(id INTEGER PRIMARY KEY)",
		"a unique index":   "CREATE UNIQUE INDEX later ON t2(v)",
		"the log dropped":  "DROP TABLE ravno_log",
		"a trigger of old": "CREATE TRIGGER ravno_9_insert AFTER INSERT ON t3 BEGIN SELECT 1; END",
	} {
		t.Run(name, func(t *testing.T) {
			c := install(t, open(t, forms))
			must(t, c.Exec(migration))
			specs := specsOf(t, c.Conn)
			if isCurrent(t, c.Conn, specs) != slices.Contains(alreadyRight, name) {
				t.Error("not noticed")
			}
			must(t, Install(c.Conn, specs))
			if !isCurrent(t, c.Conn, specs) {
				t.Error("not mended")
			}
			c.specs = specs
			if entries, err := c.run(t, "UPDATE t3 SET b = b || 'x'"); err != nil || len(entries) != 4 {
				t.Errorf("%s %v", describe(entries), err)
			}
		})
	}
}

func TestAWiderLogKeepsItsEntriesAndIds(t *testing.T) {
	c := open(t, "CREATE TABLE a(k PRIMARY KEY); CREATE VIEW broken AS SELECT only_the_application_has_this(k) FROM a")
	first := install(t, c)
	must(t, c.Exec("INSERT INTO a VALUES(1),(1.5),('1'),(x'01'); DELETE FROM a WHERE k = 1"))
	must(t, Trim(c, 2))
	want := first.news(t)
	must(t, c.Exec("CREATE TABLE b(k, l, p REFERENCES a ON DELETE CASCADE, PRIMARY KEY(k, l))"))
	second := install(t, c)
	if width, err := LogWidth(c); err != nil || width != (Width{Key: 2, Parent: 1}) {
		t.Errorf("width %+v %v", width, err)
	}
	if got := second.news(t); describe(got) != describe(want) || got[0].ID != 3 || got[2].ID != 5 {
		t.Errorf("%+v, want %+v", got, want)
	}
	if entries, err := second.run(t, "INSERT INTO b VALUES(1, 2, 1.5)"); err != nil || entries[0].ID != 6 {
		t.Errorf("%+v %v", entries, err)
	}
	must(t, c.Exec("DROP TABLE b"))
	install(t, c) // narrower needs are met by the wide log
	if width, _ := LogWidth(c); width.Key != 2 {
		t.Errorf("width %+v", width)
	}
}

func TestTrimNeverTakesTheHighestEntry(t *testing.T) {
	c := install(t, open(t, "CREATE TABLE a(id INTEGER PRIMARY KEY); INSERT INTO a VALUES(0)"))
	must(t, Trim(c.Conn, 10))
	must(t, c.Exec("INSERT INTO a VALUES(1),(2),(3)"))
	for upTo, left := range []int64{3, 2, 1, 1, 1} {
		must(t, Trim(c.Conn, int64(upTo)))
		if n, _ := c.Int("SELECT count(*) FROM ravno_log"); n != left {
			t.Errorf("trimmed up to %d: %d entries, want %d", upTo, n, left)
		}
	}
	c.news(t)
	if entries, _ := c.run(t, "INSERT INTO a VALUES(4)"); entries[len(entries)-1].ID != 4 {
		t.Errorf("ids were used again: %+v", entries)
	}
}

func TestOurOwnEntriesReadLikeTheTriggers(t *testing.T) {
	c := install(t, open(t, forms))
	key := []crdt.Value{crdt.IntegerValue(1), crdt.TextValue("p")}
	must(t, Append(c.Conn, 3, Insert, ColumnSet{}, 17, key))
	must(t, Append(c.Conn, 3, Update, Columns(3, 61), 18, key))
	must(t, Append(c.Conn, 3, Update, Columns(200), 19, key))
	must(t, Append(c.Conn, 77, Look, ColumnSet{}, 20, key[:1]))
	entries := c.news(t)
	if got := describe(entries); got != "insert 3[1 p]; update 3[1 p] c3 c61; update 3[1 p] c200; look 77[1 NULL]" ||
		entries[2].Millis != 19 {
		t.Error(got)
	}
	must(t, c.Exec("INSERT INTO ravno_log(t, m) VALUES(1, 'x')"))
	if err := Read(c.Conn, Width{Key: 2, Parent: 1}, 4, math.MaxInt64, nil,
		func(Entry) error { return nil }); err == nil || !strings.Contains(err.Error(), "entry 5") {
		t.Errorf("nonsense was read: %v", err)
	}
	if err := Read(c.Conn, Width{Key: 2, Parent: 1}, 0, math.MaxInt64, map[int64]Width{1: {Key: 9}},
		func(Entry) error { return nil }); err == nil {
		t.Error("a log too narrow was read")
	}
}

func TestRemoveLeavesTheFileAsItWas(t *testing.T) {
	c := open(t, forms)
	before, err := c.Text("SELECT group_concat(sql, ';') FROM sqlite_master")
	must(t, err)
	install(t, c)
	must(t, Remove(c))
	if after, _ := c.Text("SELECT group_concat(sql, ';') FROM sqlite_master"); after != before {
		t.Errorf("left over: %s", after)
	}
	must(t, Remove(c))
}

func TestSpecsThatCannotBeMeantAreRefused(t *testing.T) {
	c := open(t, forms)
	for name, spoil := range map[string]func([]Spec){
		"numbers missing":   func(s []Spec) { s[0].ColumnNumbers = s[0].ColumnNumbers[1:] },
		"a number twice":    func(s []Spec) { s[0].ColumnNumbers[1] = s[0].ColumnNumbers[0] },
		"below zero":        func(s []Spec) { s[0].ColumnNumbers[1] = -1 },
		"too high":          func(s []Spec) { s[0].ColumnNumbers[1] = MaxColumnNumber + 1 },
		"an unknown parent": func(s []Spec) { s[0].Parent = []string{"nobody"} },
		"a table's number":  func(s []Spec) { s[0].Number = s[1].Number },
		"no key":            func(s []Spec) { s[0].Table = &schema.Table{Name: "t1"} },
	} {
		specs := specsOf(t, c)
		spoil(specs)
		if err := Install(c, specs); err == nil || !strings.Contains(err.Error(), `"t1"`) &&
			!strings.Contains(err.Error(), `"t2"`) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A trigger that would break the application is not installed.
func TestTriggerBreakingWritesNotInstalled(t *testing.T) {
	c := open(t, forms)
	specs := specsOf(t, c)
	specs[1].Table.Unique[0].Where = "no_such_column > 1"
	err := c.Transaction("IMMEDIATE", func() error { return Install(c, specs) })
	if err == nil || !strings.Contains(err.Error(), `"t2"`) {
		t.Errorf("installed: %v", err)
	}
	if have, _ := installed(c); len(have) != 0 {
		t.Errorf("left over: %v", have)
	}
}

func TestColumnSetsHoldWhatWasAdded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		numbers := rapid.SliceOfDistinct(rapid.IntRange(0, MaxColumnNumber), rapid.ID[int]).Draw(t, "numbers")
		if rapid.Bool().Draw(t, "low") {
			numbers = slices.DeleteFunc(numbers, func(n int) bool { return n >= groupBits })
		}
		set := Columns(numbers...)
		slices.Sort(numbers)
		if got := slices.Collect(set.All()); !slices.Equal(got, numbers) || set.Empty() != (len(numbers) == 0) {
			t.Fatalf("%v became %v", numbers, got)
		}
		var e Entry
		must(t, e.meaning(set.value()))
		if got := slices.Collect(e.Columns.All()); !slices.Equal(got, numbers) {
			t.Fatalf("%v was read as %v", numbers, got)
		}
	})
	for _, text := range []string{"", ",", "1,", "-1", "4611686018427387904", strings.Repeat("0,", maxGroups) + "0"} {
		if _, err := parseColumns(text); err == nil {
			t.Errorf("%.20q was read", text)
		}
	}
}

func TestSampleDatabasesAreCapturedWhole(t *testing.T) {
	for _, name := range []string{"chinook", "northwind"} {
		raw, err := os.ReadFile(filepath.Join("..", "..", "..", "testdata", name+".sqlite"))
		must(t, err)
		path := filepath.Join(t.TempDir(), "sample.db")
		must(t, os.WriteFile(path, raw, 0o600))
		c, err := sqlite.Open(path, sqlite.ReadWrite)
		must(t, err)
		t.Cleanup(func() { c.Close() })
		must(t, c.Exec(quick))
		sample, logged := install(t, c), 0
		for _, s := range sample.specs {
			table := sqlite.Quote(s.Table.Name)
			last := sqlite.Quote(s.Table.Columns[len(s.Table.Columns)-1].Name)
			for _, sql := range []string{
				"UPDATE OR IGNORE " + table + " SET " + last + " = " + last + " || 'x' WHERE rowid % 97 = 1",
				"INSERT OR REPLACE INTO " + table + " SELECT * FROM " + table + " WHERE rowid % 89 = 1",
				"DELETE FROM " + table + " WHERE rowid % 83 = 1",
			} {
				entries, err := sample.run(t, sql)
				if err != nil && sqlite.FailureOf(err) != sqlite.Constraint {
					t.Errorf("%s: %v", sql, err)
				}
				logged += len(entries)
			}
		}
		if logged < 100 {
			t.Errorf("%s: only %d entries", name, logged)
		}
	}
}
