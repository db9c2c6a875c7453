package schema

import (
	"fmt"
	"math"
	"strings"

	"ravno/crdt"
)

// The collations every SQLite has: the only ones whose equality can be folded here.
const (
	Binary = "BINARY" // bytes
	NoCase = "NOCASE" // ASCII letters without case
	RTrim  = "RTRIM"  // without trailing spaces
)

func knownCollation(name string) bool { return name == Binary || name == NoCase || name == RTrim }

// hasSpellings reports whether a key column can hold different bytes for one canonical
// key, by what each affinity can store:
//
//   - A collation other than BINARY equates texts, and every affinity can hold text.
//   - BLOB converts nothing: 1, 1.0, 0.0 and -0.0 all stay as they are.
//   - TEXT turns numbers into text, so equal values are equal bytes.
//   - REAL holds only reals among numbers, and -0.0 is stored as 0.0.
//   - INTEGER and NUMERIC turn every real that equals an integer into that integer; 1.5
//     stays and equals nothing else. One value escapes SQLite's own test: the real -2^63.
//     It counts as the integer -2^63 and may come out as that at another site.
//   - The rowid is always an integer.
func hasSpellings(c Column, rowidKey bool) bool {
	if rowidKey {
		return false
	}
	return c.Collation != Binary || c.Affinity == BlobAffinity
}

// CanonicalKey turns the key columns of a row as stored, in the order of the key, into the
// one key of all spellings SQLite takes for that row. It fails if a value is NULL, which
// SQLite never takes for the same as another, or if the number of values is wrong.
func (t *Table) CanonicalKey(stored []crdt.Value) (crdt.Key, error) {
	if len(stored) != len(t.Key) {
		return "", fmt.Errorf("schema: table %q: %d key values for %d key columns", t.Name, len(stored), len(t.Key))
	}
	var fixed [MaxKeyColumns]crdt.Value
	canonical := append(fixed[:0], stored...)
	for i, v := range canonical {
		column := &t.Columns[t.Key[i]]
		switch {
		case v.Kind() == crdt.Null:
			return "", fmt.Errorf("schema: table %q: key column %q is NULL, so the row has no identity", t.Name, column.Name)
		case t.RowidKey && v.Kind() != crdt.Integer:
			return "", fmt.Errorf("schema: table %q: key column %q is %s, a rowid is an integer", t.Name, column.Name, v.Kind())
		}
		canonical[i] = canonicalValue(v, column.Collation)
	}
	return crdt.NewKey(canonical...), nil
}

func canonicalValue(v crdt.Value, collation string) crdt.Value {
	switch v.Kind() {
	case crdt.Real:
		return canonicalReal(v)
	case crdt.Text:
		switch collation {
		case NoCase:
			return crdt.TextValue(foldNoCase(v.Bytes()))
		case RTrim:
			return crdt.TextValue(strings.TrimRight(v.Bytes(), " "))
		}
	case crdt.Null, crdt.Integer, crdt.Blob:
	}
	return v
}

// canonicalReal is the integer that equals the real exactly, if there is one. -2^63 is a
// float64 and the smallest int64; 2^63 is one beyond the largest.
func canonicalReal(v crdt.Value) crdt.Value {
	f := v.Float()
	if f == math.Trunc(f) && f >= -(1<<63) && f < 1<<63 {
		return crdt.IntegerValue(int64(f))
	}
	return v
}

// foldNoCase folds what NOCASE takes for equal. SQLite compares letters without case only
// up to the first NUL; if both texts have it at the same place, only their lengths count.
func foldNoCase(s string) string {
	nul := strings.IndexByte(s, 0)
	if nul < 0 {
		return LowerASCII(s)
	}
	return LowerASCII(s[:nul]) + strings.Repeat("\x00", len(s)-nul)
}

// Same reports whether SQLite takes two values for equal in this column.
func (c Column) Same(a, b crdt.Value) bool {
	return canonicalValue(a, c.Collation) == canonicalValue(b, c.Collation)
}
