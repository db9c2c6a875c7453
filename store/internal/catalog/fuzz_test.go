package catalog

import (
	"reflect"
	"testing"

	"ravno/crdt"
)

// FuzzValues decodes values as a file may have them: with an error, or to what encodes and decodes the same.
func FuzzValues(f *testing.F) {
	m := NewValues(2)
	m.Set(0, crdt.IntegerValue(-7))
	m.Set(300, crdt.TextValue("Витоша"))
	f.Add(m.Encode().Bytes())
	f.Add("")
	f.Add("\x00\x09\x01\x00\x00\x00\x00\x00\x00\x00\x05")
	f.Add("\x80\x80\x04\x01\x00") // a column number above what columns can have
	f.Add("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")
	f.Fuzz(func(t *testing.T, b string) {
		first, err := DecodeValues(crdt.BlobValue(b))
		if err != nil {
			return
		}
		again, err := DecodeValues(first.Encode())
		if err != nil || !reflect.DeepEqual(first, again) {
			t.Fatalf("%q is %v, and then %v: %v", b, first, again, err)
		}
	})
}

// FuzzReference decodes a reference as a file may have it. Whatever is one encodes to the same bytes.
func FuzzReference(f *testing.F) {
	f.Add(Reference{Tab: 3, Key: crdt.NewKey(crdt.IntegerValue(1))}.Encode().Bytes())
	f.Add("")
	f.Add("1234567")
	f.Fuzz(func(t *testing.T, b string) {
		if r, ok := DecodeReference(crdt.BlobValue(b)); ok && r.Encode().Bytes() != b {
			t.Fatalf("%q is %v, which is %q", b, r, r.Encode().Bytes())
		}
	})
}

// FuzzText decodes a value as a conflict record spells it. Whatever is one spells itself the same again.
func FuzzText(f *testing.F) {
	f.Add(EncodeValue(crdt.TextValue("open")))
	f.Add(EncodeValue(crdt.RealValue(1.5)))
	f.Add("")
	f.Add("0g")
	f.Fuzz(func(t *testing.T, s string) {
		v, err := DecodeValue(s)
		if err != nil {
			return
		}
		if again, err := DecodeValue(EncodeValue(v)); err != nil || again != v {
			t.Fatalf("%q is %v, and then %v: %v", s, v, again, err)
		}
	})
}
