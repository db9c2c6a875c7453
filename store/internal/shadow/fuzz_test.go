package shadow

import (
	"math"
	"runtime"
	"testing"

	"ravno/crdt"
	"ravno/crdt/hlc"
)

// FuzzShadow packs each row that it could read, and must write the same bytes.
func FuzzShadow(f *testing.F) {
	at := crdt.Version{Stamp: hlc.Stamp{Time: hlc.At(1_760_000_000_000), Site: 2}, Position: 4711, Seen: 4000}
	last := crdt.Version{Stamp: hlc.Stamp{Time: math.MaxUint64, Site: math.MaxUint32}, Position: math.MaxUint64,
		Seen: math.MaxUint64}
	parts := []crdt.Part{{Version: at, Total: crdt.IntegerValue(-3)}, {Version: last, Total: crdt.RealValue(1.5)}}
	for _, row := range []crdt.Row{
		{},
		{Birth: at, Base: at},
		{Base: at, Death: last, Revived: 5},
		{Birth: at, Columns: []crdt.ColumnVersion{{Version: at}, {Column: math.MaxUint16, Version: last}}},
		{Counters: []crdt.Counter{{Column: 3, Base: crdt.IntegerValue(10), Parts: parts}, {Column: 4}}},
	} {
		f.Add(Append(nil, row))
	}
	for _, b := range wrong {
		f.Add([]byte(b))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		row, err := Decode(string(b))
		runtime.ReadMemStats(&after)
		// A version is at least four bytes and 32 of memory.
		if took := after.TotalAlloc - before.TotalAlloc; took > 1<<19+40*uint64(len(b)) {
			t.Fatalf("%d bytes of memory for %d bytes", took, len(b))
		}
		if err != nil {
			return
		}
		if again := Append(nil, row); string(again) != string(b) {
			t.Fatalf("%x is taken for %+v, which is %x", b, row, again)
		}
	})
}

// wrong are rows that Append does not write.
var wrong = map[string]string{
	"a count longer than needed":           "\x01\x00\x80\x00",
	"a number beyond 64 bits":              "\x01\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02\x00\x00\x00\x00",
	"a birth that is zero":                 "\x01\x01\x00\x00\x00\x00\x00",
	"a death that is zero":                 "\x01\x02\x00\x00\x00\x00\x00",
	"a base that is the birth":             "\x01\x05\x01\x01\x01\x01\x01\x01\x01\x01\x00",
	"revived, but never":                   "\x01\x08\x00\x00",
	"more columns than bytes":              "\x01\x00\x7f\x01\x01\x01\x01\x01",
	"a second column that repeats a first": "\x01\x00\x02\x01\x01\x01\x01\x01\x00\x01\x01\x01\x01",
}

func TestShadowThatNobodyWroteRefused(t *testing.T) {
	for name, b := range wrong {
		if row, err := Decode(b); err == nil {
			t.Errorf("%s: %x is taken for %+v", name, b, row)
		}
	}
}
