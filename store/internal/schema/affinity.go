package schema

import "strings"

// Affinity is what SQLite does to values stored in a column.
type Affinity uint8

// The affinities. BlobAffinity is the documentation's BLOB, formerly NONE: no conversion.
const (
	BlobAffinity Affinity = iota
	TextAffinity
	NumericAffinity
	IntegerAffinity
	RealAffinity
)

// String is the name the SQLite documentation gives the affinity.
func (a Affinity) String() string {
	switch a {
	case TextAffinity:
		return "TEXT"
	case NumericAffinity:
		return "NUMERIC"
	case IntegerAffinity:
		return "INTEGER"
	case RealAffinity:
		return "REAL"
	case BlobAffinity:
	}
	return "BLOB"
}

// affinityOf derives the affinity from a declared type: datatype3.html section 3.1, in
// that order; ANY means no conversion in a STRICT table and NUMERIC in any other.
func affinityOf(declared string, strict bool) Affinity {
	lower := LowerASCII(declared)
	contains := func(part string) bool { return strings.Contains(lower, part) }
	switch {
	case strict && lower == "any":
		return BlobAffinity
	case contains("int"):
		return IntegerAffinity
	case contains("char"), contains("clob"), contains("text"):
		return TextAffinity
	case contains("blob"), declared == "":
		return BlobAffinity
	case contains("real"), contains("floa"), contains("doub"):
		return RealAffinity
	}
	return NumericAffinity
}

// LowerASCII is a name or keyword as SQLite compares it: only A to Z have lower case.
func LowerASCII(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, name)
}
