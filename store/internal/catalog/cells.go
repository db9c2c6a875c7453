package catalog

import (
	"time"

	"ravno/crdt"
)

func Millis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

func Integer[T ~int | ~int64 | ~uint64 | ~uint32](n T) crdt.Value { return crdt.IntegerValue(int64(n)) }

func Text(s string) crdt.Value { return crdt.TextValue(s) }

func Blob[T ~string](b T) crdt.Value { return crdt.BlobValue(string(b)) }

func Boolean(b bool) crdt.Value {
	if b {
		return crdt.IntegerValue(1)
	}
	return crdt.IntegerValue(0)
}
