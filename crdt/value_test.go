package crdt_test

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"ravno/crdt"
)

func TestValueKeepsItsClassAndBytes(t *testing.T) {
	minusZero := math.Copysign(0, -1)
	cases := []struct {
		name    string
		value   crdt.Value
		kind    crdt.Kind
		integer int64
		float   float64
		bytes   string
		text    string
	}{
		{"null", crdt.Value{}, crdt.Null, 0, 0, "", "NULL"},
		{"zero", crdt.IntegerValue(0), crdt.Integer, 0, 0, "", "0"},
		{"least integer", crdt.IntegerValue(math.MinInt64), crdt.Integer, math.MinInt64, 0, "", "-9223372036854775808"},
		{"greatest integer", crdt.IntegerValue(math.MaxInt64), crdt.Integer, math.MaxInt64, 0, "", "9223372036854775807"},
		{"one as a real", crdt.RealValue(1), crdt.Real, 0, 1, "", "1"},
		{"minus zero", crdt.RealValue(minusZero), crdt.Real, 0, minusZero, "", "-0"},
		{"infinity", crdt.RealValue(math.Inf(1)), crdt.Real, 0, math.Inf(1), "", "+Inf"},
		{"minus infinity", crdt.RealValue(math.Inf(-1)), crdt.Real, 0, math.Inf(-1), "", "-Inf"},
		{"not a number", crdt.RealValue(math.NaN()), crdt.Null, 0, 0, "", "NULL"},
		{"empty text", crdt.TextValue(""), crdt.Text, 0, 0, "", ""},
		{"text with NUL", crdt.TextValue("a\x00b"), crdt.Text, 0, 0, "a\x00b", "a\x00b"},
		{"text that is not UTF-8", crdt.TextValue("\xff"), crdt.Text, 0, 0, "\xff", "\xff"},
		{"empty blob", crdt.BlobValue(""), crdt.Blob, 0, 0, "", "x''"},
		{"blob", crdt.BlobValue("\x00\xff"), crdt.Blob, 0, 0, "\x00\xff", "x'00ff'"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			v := c.value
			if v.Kind() != c.kind || v.Int() != c.integer || v.Bytes() != c.bytes || v.String() != c.text ||
				math.Float64bits(v.Float()) != math.Float64bits(c.float) {
				t.Errorf("%v %d %v %q %q", v.Kind(), v.Int(), v.Float(), v.Bytes(), v.String())
			}
		})
	}
}

func TestValueEqualByClassAndBytes(t *testing.T) {
	different := []crdt.Value{
		{}, crdt.IntegerValue(0), crdt.RealValue(0), crdt.RealValue(math.Copysign(0, -1)), crdt.TextValue(""),
		crdt.BlobValue(""),
		crdt.IntegerValue(1), crdt.RealValue(1), crdt.TextValue("1"), crdt.BlobValue("1"), crdt.TextValue("1.0"),
		crdt.TextValue("a"), crdt.TextValue("A"), crdt.TextValue("a "), crdt.TextValue("a\x00"),
	}
	for i, a := range different {
		for j, b := range different {
			if (a == b) != (i == j) {
				t.Errorf("%v %q and %v %q", a.Kind(), a, b.Kind(), b)
			}
		}
	}
}

func TestValueGivesBackWhatItWasMadeOf(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		i, bits := rapid.Int64().Draw(t, "integer"), rapid.Uint64().Draw(t, "bits of a real")
		b := string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"))
		if v := crdt.IntegerValue(i); v.Int() != i || v.Kind() != crdt.Integer {
			t.Fatalf("integer %d came back as %v", i, v)
		}
		f := math.Float64frombits(bits)
		switch v := crdt.RealValue(f); {
		case math.IsNaN(f) && v != crdt.Value{}:
			t.Fatalf("NaN %x is %v, want NULL", bits, v)
		case !math.IsNaN(f) && (math.Float64bits(v.Float()) != bits || v.Kind() != crdt.Real):
			t.Fatalf("real %x came back as %x", bits, math.Float64bits(v.Float()))
		}
		if v := crdt.TextValue(b); v.Bytes() != b || v.Kind() != crdt.Text {
			t.Fatalf("text %q came back as %q", b, v)
		}
		if v := crdt.BlobValue(b); v.Bytes() != b || v.Kind() != crdt.Blob {
			t.Fatalf("blob %q came back as %q", b, v)
		}
	})
}

func TestKindNamedAsTypeof(t *testing.T) {
	for kind, want := range []string{"null", "integer", "real", "text", "blob", "kind 5"} {
		if got := crdt.Kind(kind).String(); got != want {
			t.Errorf("kind %d is called %q, want %q", kind, got, want)
		}
	}
}
