package catalog

import (
	"encoding/binary"

	"ravno/crdt"
)

// MaxDocumentDepth bounds the way up from a row to its root: deeper nesting than any schema
// has, and an end to rows that are their own ancestors.
const MaxDocumentDepth = 16

// Reference names a row by its table's number here.
type Reference struct {
	Tab int64
	Key crdt.Key
}

func (t *Table) Reference(key crdt.Key) Reference { return Reference{Tab: t.Number, Key: key} }

// Encode is the reference as one BLOB: 8 bytes of table number, then the key.
func (r Reference) Encode() crdt.Value {
	return crdt.BlobValue(string(binary.BigEndian.AppendUint64(nil, uint64(r.Tab))) + string(r.Key))
}

func DecodeReference(v crdt.Value) (Reference, bool) {
	b := v.Bytes()
	if len(b) < 8 {
		return Reference{}, false
	}
	return Reference{Tab: int64(binary.BigEndian.Uint64([]byte(b[:8]))), Key: crdt.Key(b[8:])}, true
}
