package crdt

import (
	"fmt"
	"math"
	"strconv"
)

// Kind is one of SQLite's five storage classes. The numbers are written into files and
// frames and never change.
type Kind uint8

// The storage classes.
const (
	Null Kind = iota
	Integer
	Real
	Text
	Blob
)

// String is the name SQLite's typeof() gives the storage class.
func (k Kind) String() string {
	switch k {
	case Null:
		return "null"
	case Integer:
		return "integer"
	case Real:
		return "real"
	case Text:
		return "text"
	case Blob:
		return "blob"
	}
	return "kind " + strconv.Itoa(int(k))
}

// Value is one SQLite value, a storage class and its exact bytes. Two values are equal with == only
// if class and bytes are. So 1, 1.0 and '1' differ, and 0.0 differs from -0.0. Text has the bytes
// that SQLite holds, valid UTF-8 or not. The zero Value is NULL.
type Value struct {
	kind Kind
	bits uint64 // Integer: two's complement; Real: IEEE 754 bits; else 0
	data string // Text and Blob: the bytes; else empty
}

// IntegerValue is an INTEGER.
func IntegerValue(i int64) Value { return Value{kind: Integer, bits: uint64(i)} }

// RealValue is a REAL. SQLite has no NaN: it stores NULL, and so does this.
func RealValue(f float64) Value {
	if math.IsNaN(f) {
		return Value{}
	}
	return Value{kind: Real, bits: math.Float64bits(f)}
}

// TextValue is a TEXT with these bytes.
func TextValue(s string) Value { return Value{kind: Text, data: s} }

// BlobValue is a BLOB with these bytes, held in a string so that it cannot change.
func BlobValue(b string) Value { return Value{kind: Blob, data: b} }

// Kind is the storage class.
func (v Value) Kind() Kind { return v.kind }

// Int is the number of an Integer, 0 for any other class.
func (v Value) Int() int64 {
	if v.kind != Integer {
		return 0
	}
	return int64(v.bits)
}

// Float is the number of a Real, 0 for any other class.
func (v Value) Float() float64 {
	if v.kind != Real {
		return 0
	}
	return math.Float64frombits(v.bits)
}

// Bytes are the bytes of a Text or Blob, empty for any other class.
func (v Value) Bytes() string { return v.data }

// String writes the value for people, in logs, conflict tables and test failures. It is no format
// for transport: use Kind and the accessors for that.
func (v Value) String() string {
	switch v.kind {
	case Integer:
		return strconv.FormatInt(int64(v.bits), 10)
	case Real:
		return strconv.FormatFloat(v.Float(), 'g', -1, 64)
	case Text:
		return v.data
	case Blob:
		return fmt.Sprintf("x'%x'", v.data)
	case Null:
	}
	return "NULL"
}
