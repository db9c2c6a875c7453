package schema

import (
	"testing"

	"ravno/crdt"
)

func TestSpellingsOfOneKeyAreOne(t *testing.T) {
	for _, c := range []struct {
		declared string
		a, b     crdt.Value
		one      bool
	}{
		{"TEXT COLLATE NOCASE", crdt.TextValue("abc"), crdt.TextValue("ABC"), true},
		{"TEXT", crdt.TextValue("abc"), crdt.TextValue("ABC"), false},
		{"TEXT COLLATE NOCASE", crdt.TextValue("щ"), crdt.TextValue("Щ"), false}, // ASCII alone has no case
		{"TEXT COLLATE NOCASE", crdt.BlobValue("abc"), crdt.BlobValue("ABC"), false},
		{"TEXT COLLATE RTRIM", crdt.TextValue("abc"), crdt.TextValue("abc  "), true},
		{"TEXT", crdt.TextValue("abc"), crdt.TextValue("abc  "), false},
		{"", crdt.IntegerValue(1), crdt.RealValue(1), true},
		{"", crdt.IntegerValue(1), crdt.TextValue("1"), false},
		{"", crdt.IntegerValue(1<<53 + 1), crdt.RealValue(1 << 53), false},
	} {
		s, conn := read(t, "CREATE TABLE t(k "+c.declared+" PRIMARY KEY NOT NULL, v)")
		keyed := table(t, s, "t")
		keyA, errA := keyed.CanonicalKey([]crdt.Value{c.a})
		keyB, errB := keyed.CanonicalKey([]crdt.Value{c.b})
		if errA != nil || errB != nil || (keyA == keyB) != c.one {
			t.Errorf("%q: %v and %v are one key: %v", c.declared, c.a, c.b, keyA == keyB)
		}
		first, second := conn.Exec("INSERT INTO t(k) VALUES(?)", c.a), conn.Exec("INSERT INTO t(k) VALUES(?)", c.b)
		if first != nil || (second != nil) != c.one {
			t.Errorf("%q: SQLite says of %v and %v: %v %v", c.declared, c.a, c.b, first, second)
		}
	}
}
