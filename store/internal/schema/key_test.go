package schema

import (
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"ravno/crdt"
	"ravno/store/internal/sqlite"
)

// keyDeclarations are key columns of every affinity and collation.
var keyDeclarations = []string{"", "TEXT", "INT", "REAL", "NUMERIC", "BLOB", "TEXT COLLATE NOCASE",
	"TEXT COLLATE RTRIM", "COLLATE NOCASE",
	"INT COLLATE NOCASE", "REAL COLLATE RTRIM"}

func TestKeysWithSpellingsAreRegisters(t *testing.T) {
	spellings := map[string]bool{"": true, "BLOB": true, "TEXT COLLATE NOCASE": true, "TEXT COLLATE RTRIM": true,
		"COLLATE NOCASE":     true,
		"INT COLLATE NOCASE": true, "REAL COLLATE RTRIM": true}
	for _, declared := range keyDeclarations {
		s, _ := read(t, "CREATE TABLE t(k "+declared+" PRIMARY KEY, v)")
		if got := table(t, s, "t").Columns[0].Register; got != spellings[declared] {
			t.Errorf("%q: register %v", declared, got)
		}
	}
	s, _ := read(
		t, "CREATE TABLE t(k ANY PRIMARY KEY, v ANY) STRICT; CREATE TABLE r(k INTEGER COLLATE NOCASE PRIMARY KEY)")
	if c := table(t, s, "t").Columns[0]; !c.Register || c.Affinity != BlobAffinity {
		t.Errorf("ANY in a STRICT table: %+v", c)
	}
	if table(t, s, "r").Columns[0].Register {
		t.Error("a rowid has one spelling")
	}
}

// values favours what is equal in one sense and different in another.
func values() *rapid.Generator[crdt.Value] {
	letters := rapid.StringOfN(rapid.SampledFrom([]rune{'a', 'A', 'b', ' ', 0, 'é', 'É', '1', '.'}), 0, 4, -1)
	return rapid.OneOf(
		rapid.Custom(func(t *rapid.T) crdt.Value { return crdt.TextValue(letters.Draw(t, "text")) }),
		rapid.Custom(func(t *rapid.T) crdt.Value { return crdt.BlobValue(letters.Draw(t, "blob")) }),
		rapid.SampledFrom([]crdt.Value{
			crdt.IntegerValue(0), crdt.IntegerValue(1), crdt.IntegerValue(1 << 53), crdt.IntegerValue(1<<53 + 1),
			crdt.IntegerValue(math.MaxInt64),
			crdt.IntegerValue(math.MinInt64), crdt.IntegerValue(math.MinInt64 + 1), crdt.RealValue(0),
			crdt.RealValue(math.Copysign(0, -1)),
			crdt.RealValue(1), crdt.RealValue(1.5), crdt.RealValue(1 << 53), crdt.RealValue(1 << 63), crdt.RealValue(-(1 << 63)),
			crdt.RealValue(math.Inf(1)), crdt.RealValue(math.Inf(-1)), crdt.RealValue(5e-324),
			crdt.TextValue("1"), crdt.TextValue("1.0"), crdt.TextValue("-9223372036854775808.0"),
		}))
}

// Two rows have one key exactly if SQLite takes them for one.
func TestKeysEqualAsInSQLite(t *testing.T) {
	for _, declared := range keyDeclarations {
		t.Run(declared, func(t *testing.T) {
			s, c := read(t, "CREATE TABLE t(k "+declared+" PRIMARY KEY, v)")
			keyed := table(t, s, "t")
			rapid.Check(t, func(t *rapid.T) {
				a, b := values().Draw(t, "a"), values().Draw(t, "b")
				must(t, c.Exec("DELETE FROM t"))
				storedA, keyA := store(t, c, keyed, a)
				must(t, c.Exec("DELETE FROM t"))
				storedB, keyB := store(t, c, keyed, b)
				err := c.Exec("INSERT INTO t(k) VALUES(?)", a)
				if same := keyA == keyB; same != sqlite.IsUnique(err) {
					t.Fatalf("%v (%s) and %v (%s): one key %v, SQLite says %v", storedA, storedA.Kind(), storedB, storedB.Kind(), same,
						err)
				}
				minInteger := crdt.RealValue(-(1 << 63)) // the one value hasSpellings leaves out
				if keyA == keyB && storedA != storedB && !keyed.Columns[0].Register && storedA != minInteger &&
					storedB != minInteger {
					t.Fatalf("%v and %v are two spellings of a key said to have one", storedA, storedB)
				}
			})
		})
	}
}

func store(t *rapid.T, c *sqlite.Conn, keyed *Table, v crdt.Value) (crdt.Value, crdt.Key) {
	must(t, c.Exec("INSERT INTO t(k) VALUES(?)", v))
	row, err := c.Row("SELECT +k FROM t")
	must(t, err)
	key, err := keyed.CanonicalKey(row)
	must(t, err)
	return row[0], key
}

func must(t *rapid.T, err error) {
	if err != nil {
		t.Fatal(err)
	}
}

// A key that is none is an error that names the table.
func TestKeyErrorNamesTable(t *testing.T) {
	s, _ := read(t, "CREATE TABLE orders(a, b, PRIMARY KEY(a, b)); CREATE TABLE r(id INTEGER PRIMARY KEY)")
	orders := table(t, s, "orders")
	for _, stored := range [][]crdt.Value{{crdt.IntegerValue(1), {}}, {crdt.IntegerValue(1)}, nil} {
		if key, err := orders.CanonicalKey(stored); err == nil || !strings.Contains(err.Error(), "orders") {
			t.Errorf("%v: key %q, error %v", stored, key, err)
		}
	}
	if _, err := table(t, s, "r").CanonicalKey([]crdt.Value{crdt.TextValue("1")}); err == nil {
		t.Error("a text passed for a rowid")
	}
	key, err := orders.CanonicalKey([]crdt.Value{crdt.RealValue(2), crdt.TextValue("B")})
	if want := crdt.NewKey(crdt.IntegerValue(2), crdt.TextValue("B")); err != nil || key != want {
		t.Errorf("%q %v", key, err)
	}
}
