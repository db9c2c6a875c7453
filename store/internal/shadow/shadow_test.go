package shadow

import (
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
			Stamp:    hlc.Stamp{Time: hlc.Time(rapid.Uint64().Draw(t, "time")), Site: causal.Site(rapid.Uint32().Draw(t, "site"))},
			Position: causal.Position(rapid.Uint64().Draw(t, "position")),
			Seen:     causal.Seen(rapid.Uint64().Draw(t, "seen")),
		}
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
		b := Encode(row)
		got, err := Decode(string(b))
		if err != nil || cmp.Diff(row, got) != "" {
			t.Fatalf("%v\n%s", err, cmp.Diff(row, got))
		}
		for cut := range b {
			if _, err := Decode(string(b[:cut])); err == nil {
				t.Fatalf("cut at %d of %d was accepted", cut, len(b))
			}
		}
	})
}
