package crdt_test

import (
	"bytes"
	"encoding/binary"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"ravno/crdt"
)

// anyValue draws a value of any storage class, the awkward ones often.
func anyValue() *rapid.Generator[crdt.Value] {
	awkward := rapid.SampledFrom([]crdt.Value{
		{},
		crdt.IntegerValue(0), crdt.IntegerValue(-1), crdt.IntegerValue(math.MinInt64), crdt.IntegerValue(math.MaxInt64),
		crdt.RealValue(0), crdt.RealValue(math.Copysign(0, -1)), crdt.RealValue(math.Inf(1)), crdt.RealValue(math.Inf(-1)),
		crdt.RealValue(math.SmallestNonzeroFloat64), crdt.RealValue(1 << 53),
		crdt.TextValue(""), crdt.TextValue("\x00"), crdt.TextValue("a\x00b"), crdt.TextValue("\xff\xfe"),
		crdt.TextValue("\xed\xa0\x80"),
		crdt.BlobValue(""), crdt.BlobValue("\x00"), crdt.BlobValue("\xff\xfe"),
	})
	bytes := rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 300), func(b []byte) string { return string(b) })
	return rapid.OneOf(awkward,
		rapid.Map(rapid.Int64(), crdt.IntegerValue),
		rapid.Map(rapid.Float64(), crdt.RealValue),
		rapid.Map(bytes, crdt.TextValue),
		rapid.Map(bytes, crdt.BlobValue))
}

func TestKeyGivesBackItsValues(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(anyValue(), 0, 6).Draw(t, "values")
		back, err := crdt.NewKey(values...).Values()
		if err != nil || !slices.Equal(back, values) {
			t.Fatalf("%v came back as %v, %v", values, back, err)
		}
	})
}

func TestKeyDiffersByValues(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := rapid.SliceOfN(anyValue(), 0, 3).Draw(t, "a")
		b := rapid.SliceOfN(anyValue(), 0, 3).Draw(t, "b")
		if (crdt.NewKey(a...) == crdt.NewKey(b...)) != slices.Equal(a, b) {
			t.Fatalf("%v and %v", a, b)
		}
	})
}

// A key cut short is refused, unless it is cut between two values. Then it is the key of fewer columns,
// and only the schema of the table tells the difference.
func TestKeyCutShortIsRefused(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(anyValue(), 1, 4).Draw(t, "values")
		borders := map[int]int{} // length of the key of the first n values -> n
		for n := range values {
			borders[len(crdt.NewKey(values[:n]...))] = n
		}
		key := crdt.NewKey(values...)
		for cut := range len(key) {
			back, err := key[:cut].Values()
			n, border := borders[cut]
			switch {
			case border && (err != nil || !slices.Equal(back, values[:n])):
				t.Fatalf("cut at %d after %d values: %v, %v", cut, n, back, err)
			case !border && err == nil:
				t.Fatalf("%x cut at %d of %d bytes is taken for %v", key, cut, len(key), back)
			}
		}
	})
}

func TestKeyNotFromNewKeyIsRefused(t *testing.T) {
	number := func(kind crdt.Kind, bits uint64) string {
		return string(binary.BigEndian.AppendUint64([]byte{byte(kind)}, bits))
	}
	cases := map[string]string{
		"a storage class that is none":                  "\x05",
		"a storage class that is none, behind a value":  "\x00\xff",
		"an integer cut short":                          "\x01\x00\x00",
		"a length that never ends":                      "\x03" + strings.Repeat("\x80", 11),
		"a length past 64 bits":                         "\x03" + strings.Repeat("\xff", 9) + "\x02",
		"a length beyond the bytes":                     "\x04\x05abcd",
		"a length near 64 bits":                         "\x04" + strings.Repeat("\xff", 9) + "\x01",
		"a length written longer than needed":           "\x03\x81\x00a",
		"no length, written longer than needed":         "\x03\x80\x00",
		"a NaN, which SQLite does not have":             number(crdt.Real, math.Float64bits(math.NaN())),
		"a NaN with other bits":                         number(crdt.Real, 0xfff8_0000_0000_0001),
		"more columns than a key of SQLite can have":    strings.Repeat("\x00", crdt.MaxKeyColumns+1),
		"an empty text and then something that is none": "\x03\x00\x09",
	}
	for name, key := range cases {
		t.Run(name, func(t *testing.T) {
			if values, err := crdt.Key(key).Values(); err == nil {
				t.Errorf("%x is taken for %v", key, values)
			}
		})
	}
}

func TestKeyOfLargestSizeIsAccepted(t *testing.T) {
	values, err := crdt.Key(bytes.Repeat([]byte{0}, crdt.MaxKeyColumns)).Values()
	if err != nil || len(values) != crdt.MaxKeyColumns {
		t.Fatalf("%d values, %v", len(values), err)
	}
}

// The bytes of a key are in databases and frames, so they never change.
func TestKeyBytesNeverChange(t *testing.T) {
	key := crdt.NewKey(crdt.Value{}, crdt.IntegerValue(-2), crdt.RealValue(1.5), crdt.TextValue("é"),
		crdt.BlobValue("\x00\x01"))
	want := "\x00" +
		"\x01\xff\xff\xff\xff\xff\xff\xff\xfe" +
		"\x02\x3f\xf8\x00\x00\x00\x00\x00\x00" +
		"\x03\x02\xc3\xa9" +
		"\x04\x02\x00\x01"
	if string(key) != want {
		t.Errorf("%x, want %x", string(key), want)
	}
	if long := crdt.NewKey(crdt.TextValue(strings.Repeat("x", 300))); long[:3] != "\x03\xac\x02" {
		t.Errorf("a text of 300 bytes begins with %x", string(long[:3]))
	}
}

// NewKey writes every key that Values accepts byte for byte. Otherwise one row would have two keys.
func FuzzKey(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte(crdt.NewKey(crdt.IntegerValue(1))))
	f.Add([]byte(crdt.NewKey(crdt.Value{}, crdt.RealValue(math.Copysign(0, -1)), crdt.TextValue("a\x00b"),
		crdt.BlobValue("\xff"))))
	f.Add([]byte(crdt.NewKey(crdt.TextValue(strings.Repeat("x", 200)))))
	f.Add([]byte("\x03\x80\x00"))
	f.Add([]byte("\x02\x7f\xf8\x00\x00\x00\x00\x00\x01"))
	f.Fuzz(func(t *testing.T, data []byte) {
		values, err := crdt.Key(data).Values()
		if err != nil {
			if values != nil {
				t.Fatalf("refused (%v), but gave %v", err, values)
			}
			return
		}
		for _, v := range values {
			if math.IsNaN(v.Float()) {
				t.Fatalf("%x holds a NaN", data)
			}
		}
		if back := crdt.NewKey(values...); string(back) != string(data) {
			t.Fatalf("%x is taken for %v, which is %x", data, values, string(back))
		}
	})
}
