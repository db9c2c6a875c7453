package shadow

import (
	stdcmp "cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/crdt/hlc"
)

func versions() *rapid.Generator[crdt.Version] {
	return rapid.Custom(func(t *rapid.T) crdt.Version {
		return crdt.Version{
			Stamp: hlc.Stamp{Time: hlc.Time(rapid.Uint64().Draw(t, "time")),
				Site: causal.Site(rapid.Uint32().Draw(t, "site"))},
			Position: causal.Position(rapid.Uint64().Draw(t, "position")),
			Seen:     causal.Seen(rapid.Uint64().Draw(t, "seen")),
		}
	})
}

// values are compared by ==: storage class and exact bytes.
var exactly = cmp.Comparer(func(a, b crdt.Value) bool { return a == b })

var numbers = rapid.OneOf(
	rapid.Map(rapid.Int64(), crdt.IntegerValue),
	rapid.Map(rapid.OneOf(rapid.Float64(), rapid.SampledFrom([]float64{math.Copysign(0, -1), math.Inf(1)})),
		crdt.RealValue),
)

// counters draws none in most rows, as it is, or a few in order.
func counters() *rapid.Generator[[]crdt.Counter] {
	bases := rapid.OneOf(numbers, rapid.Just(crdt.Value{}), rapid.Map(rapid.String(), crdt.TextValue),
		rapid.Map(rapid.String(), crdt.BlobValue))
	return rapid.Custom(func(t *rapid.T) []crdt.Counter {
		var row crdt.Row
		for range rapid.SampledFrom([]int{0, 0, 1, 3}).Draw(t, "counters") {
			row.SetBase(crdt.Column(rapid.Uint16().Draw(t, "column")), bases.Draw(t, "base"))
		}
		for i := range row.Counters {
			for _, v := range rapid.SliceOfNDistinct(versions(), 0, 3,
				func(v crdt.Version) causal.Site { return v.Stamp.Site }).Draw(t, "parts") {
				row.Counters[i].Parts = append(row.Counters[i].Parts, crdt.Part{Version: v, Total: numbers.Draw(t, "total")})
			}
			slices.SortFunc(row.Counters[i].Parts, func(a, b crdt.Part) int {
				return stdcmp.Compare(a.Stamp.Site, b.Stamp.Site)
			})
		}
		return row.Counters
	})
}

func TestEveryRowComesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		row := crdt.Row{Revived: causal.Position(rapid.Uint64().Draw(t, "revived"))}
		maybe := func(name string, v *crdt.Version) {
			if rapid.Bool().Draw(t, name) {
				*v = versions().Draw(t, name)
			}
		}
		maybe("birth", &row.Birth)
		maybe("death", &row.Death)
		maybe("base", &row.Base)
		for _, c := range rapid.SliceOfDistinct(rapid.Uint16(), func(n uint16) uint16 { return n }).Draw(t, "columns") {
			row.Set(crdt.Column(c), versions().Draw(t, "version"))
		}
		row.Counters = counters().Draw(t, "counters")
		b := Append(nil, row)
		got, err := Decode(string(b))
		if err != nil || cmp.Diff(row, got, exactly) != "" {
			t.Fatalf("%v\n%s", err, cmp.Diff(row, got, exactly))
		}
		for cut := range b {
			if _, err := Decode(string(b[:cut])); err == nil {
				t.Fatalf("cut at %d of %d was accepted", cut, len(b))
			}
		}
	})
}

// What a database in the field holds: a row without counters must stay byte for byte what
// it was before there were any.
func TestShadowWithoutCountersAsOfOld(t *testing.T) {
	v := func(n int) crdt.Version {
		return crdt.Version{Stamp: hlc.Stamp{Time: hlc.Time(n), Site: 3}, Position: 5, Seen: 4}
	}
	row := crdt.Row{Birth: v(10), Base: v(10), Death: v(300), Revived: 7}
	row.Set(2, v(20))
	row.Counters = []crdt.Counter{}
	const want = "010b 0a030504 ac02030504 07 01 02 14030504"
	if got := fmt.Sprintf("%x", Append(nil, row)); got != strings.ReplaceAll(want, " ", "") {
		t.Errorf("%s, must stay %s", got, want)
	}
}

func TestMalformedRowsAreRefused(t *testing.T) {
	const (
		start   = "\x01\x10\x00" // format, flags, no columns
		version = "\x0a\x03\x05\x04"
		one     = "\x09\x01\x00\x00\x00\x00\x00\x00\x00\x01" // INTEGER 1
		null    = "\x01\x00"
		nan     = "\x09\x02\x7f\xf8\x00\x00\x00\x00\x00\x01"
		other   = "\x0a\x04\x05\x04"
	)
	good := start + "\x01\x02" + one + "\x02" + version + one + other + one
	if row, err := Decode(good); err != nil || len(row.Counters) != 1 || len(row.Counters[0].Parts) != 2 {
		t.Fatalf("%+v, %v", row, err)
	}
	for name, b := range map[string]string{
		"nothing":                          "",
		"a newer format":                   "\x02\x00\x00",
		"a flag nobody knows":              "\x01\x20\x00",
		"too many columns":                 "\x01\x00\xff\x01",
		"a column twice":                   "\x01\x00\x02\x01" + version + "\x00" + version,
		"a column beyond the last":         "\x01\x00\x02\x01" + version + "\xff\xff\x03" + version,
		"a column that wraps":              "\x01\x00\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01" + version,
		"no counters in spite of the flag": start + "\x00",
		"counters without the flag":        "\x01\x00\x00\x01\x02" + one + "\x00",
		"too many counters":                start + "\xff\xff\x03" + "\x02" + one + "\x00",
		"a counter twice":                  start + "\x02\x02" + one + "\x00\x00" + one + "\x00",
		"too many parts":                   start + "\x01\x02" + one + "\xff\xff\xff\x7f" + version + one,
		"a base of no value":               start + "\x01\x02\x00\x00",
		"a base of two values":             start + "\x01\x02\x02\x00\x00\x00",
		"a base of an unknown class":       start + "\x01\x02\x01\x09\x00",
		"a base longer than the row":       start + "\x01\x02\xff\x01\x00",
		"a base that is NaN":               start + "\x01\x02" + nan + "\x00",
		"a total that is NULL":             start + "\x01\x02" + one + "\x01" + version + null,
		"a total that is a text":           start + "\x01\x02" + one + "\x01" + version + "\x03\x03\x011",
		"a total that is NaN":              start + "\x01\x02" + one + "\x01" + version + nan,
		"two parts of one site":            start + "\x01\x02" + one + "\x02" + version + one + version + one,
		"parts in the wrong order":         start + "\x01\x02" + one + "\x02" + other + one + version + one,
		"something after the end":          good + "\x00",
		"a site out of range": start + "\x01\x02" + one + "\x01" + "\x0a\x80\x80\x80\x80\x10\x05\x04" +
			one,
		"the site of a column's version as well": "\x01\x00\x01\x01\x0a\x80\x80\x80\x80\x10\x05\x04",
	} {
		if row, err := Decode(b); err == nil {
			t.Errorf("%s was accepted: %+v", name, row)
		}
	}
}
