package crdt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// Key identifies a row of a table. It holds the canonical values of the key columns, each with its
// storage class, in a byte string that can be compared, hashed and stored. Two keys are equal
// exactly if SQLite would take them for the same row. The caller makes values canonical (collation,
// 1.0 for 1), because that depends on the schema.
type Key string

// MaxKeyColumns bounds the columns of one key: SQLite's own limit on columns of an index.
const MaxKeyColumns = 2000

// NewKey encodes canonical values as a key. Layout, per value: one byte of Kind, then for
// Integer and Real 8 bytes big-endian, for Text and Blob an unsigned varint of the length
// and the bytes, for Null nothing.
func NewKey(values ...Value) Key {
	var room [64]byte // most keys fit, and then only the key itself is allocated
	b := room[:0]
	for _, v := range values {
		b = append(b, byte(v.kind))
		switch v.kind {
		case Integer, Real:
			b = binary.BigEndian.AppendUint64(b, v.bits)
		case Text, Blob:
			b = binary.AppendUvarint(b, uint64(len(v.data)))
			b = append(b, v.data...)
		case Null:
		}
	}
	return Key(b)
}

var errKey = errors.New("malformed key")

// Values decodes a key. It fails on anything NewKey cannot have written. Texts and blobs share
// the memory of the key.
func (k Key) Values() ([]Value, error) { return k.AppendValues(nil) }

// AppendValues is Values into a slice that is there, behind what is in it.
func (k Key) AppendValues(values []Value) ([]Value, error) {
	b := []byte(k) // which copies nothing: it is only read
	before := len(values)
	for len(b) > 0 {
		if len(values)-before == MaxKeyColumns {
			return nil, fmt.Errorf("%w: more than %d columns", errKey, MaxKeyColumns)
		}
		kind := Kind(b[0])
		b = b[1:]
		switch kind {
		case Null:
			values = append(values, Value{})
		case Integer, Real:
			if len(b) < 8 {
				return nil, fmt.Errorf("%w: number cut short", errKey)
			}
			v := Value{kind: kind, bits: binary.BigEndian.Uint64(b)}
			if math.IsNaN(v.Float()) {
				return nil, fmt.Errorf("%w: a real that is not a number", errKey)
			}
			values = append(values, v)
			b = b[8:]
		case Text, Blob:
			n, used := binary.Uvarint(b)
			if used <= 0 || n > uint64(len(b)-used) {
				return nil, fmt.Errorf("%w: %s cut short", errKey, kind)
			}
			if used > 1 && b[used-1] == 0 { // a second way to write a length is a second key of one row
				return nil, fmt.Errorf("%w: length of a %s longer than needed", errKey, kind)
			}
			from := len(k) - len(b) + used
			values = append(values, Value{kind: kind, data: string(k[from : from+int(n)])})
			b = b[used+int(n):]
		default:
			return nil, fmt.Errorf("%w: storage class %d", errKey, kind)
		}
	}
	return values, nil
}
