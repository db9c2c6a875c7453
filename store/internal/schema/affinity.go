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
	upper := upperASCII(declared) // SQLite knows no other letter's case
	contains := func(part string) bool { return strings.Contains(upper, part) }
	switch {
	case strict && upper == "ANY":
		return BlobAffinity
	case contains("INT"):
		return IntegerAffinity
	case contains("CHAR"), contains("CLOB"), contains("TEXT"):
		return TextAffinity
	case contains("BLOB"), declared == "":
		return BlobAffinity
	case contains("REAL"), contains("FLOA"), contains("DOUB"):
		return RealAffinity
	}
	return NumericAffinity
}
