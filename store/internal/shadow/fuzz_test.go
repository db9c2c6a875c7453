package shadow

import (
	"reflect"
	"testing"

	"ravno/crdt"
	"ravno/crdt/hlc"
)

// FuzzShadow decodes a shadow row as a file may have it: with an error, or to what encodes and decodes the same.
func FuzzShadow(f *testing.F) {
	v := crdt.Version{Stamp: hlc.Stamp{Time: 7, Site: 2}, Position: 3, Seen: 1}
	row := crdt.Row{Birth: v, Base: v, Revived: 4}
	f.Add(string(Append(nil, row)))
	row.Set(300, crdt.Version{Stamp: hlc.Stamp{Time: 9, Site: 3}, Position: 5})
	row.SetBase(2, crdt.IntegerValue(10))
	row.Count(2, crdt.IntegerValue(12), v)
	f.Add(string(Append(nil, row)))
	f.Add("")
	f.Add("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff")
	f.Fuzz(func(t *testing.T, b string) {
		first, err := Decode(b)
		if err != nil {
			return
		}
		encoded := Append(nil, first)
		again, err := Decode(string(encoded))
		if err != nil || !reflect.DeepEqual(first, again) {
			t.Fatalf("%q is %+v, and then %+v: %v", b, first, again, err)
		}
	})
}
