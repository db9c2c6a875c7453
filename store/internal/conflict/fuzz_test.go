package conflict

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/store/internal/catalog"
)

// same compares records as they are read: what is missing in JSON and what is empty is one.
var same = cmp.Options{cmpopts.EquateEmpty(), cmpopts.IgnoreUnexported(Detail{})}

// seedDetail is a record with one of everything.
func seedDetail() Detail {
	value := catalog.EncodeValue
	return Detail{
		Sides: []Side{
			{Site: 2, Table: "orders", Key: "0100", Values: map[string]string{"state": value(crdt.TextValue("paid"))},
				Earlier: map[string][]string{"state": {value(crdt.TextValue("open")), value(crdt.Value{})}}, Noted: 1 << 60},
			{Site: 3, Table: "orders", Key: "0100", Deleted: true, Whole: true},
		},
		Before:     []Side{{Table: "orders", Key: "0100", Values: map[string]string{"state": "00", "a\n": "zz"}}},
		Renumbered: &Rekeyed{Site: 3, Table: "orders", Old: "00", New: "0"},
	}
}

func encoded(t interface{ Fatal(...any) }, v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// FuzzDetail reads a record, writes it and reads the same again, and takes one into another.
func FuzzDetail(f *testing.F) {
	seed := encoded(f, seedDetail())
	undo := encoded(f, Undoing{
		Rows:    []ReplacedRow{{Table: "orders", Key: "00", Held: true, Values: map[string]string{"a": "00"}}},
		History: []PastRecord{{By: "bar", At: -1, Note: "n", UndoneBy: "office", UndoneAt: 1 << 62}}, TooLong: true,
	})
	f.Add(seed, undo, "2,3")
	f.Add(`{"sides":[{"table":"","key":"","values":null},{"values":{"":""}}],"before":[{},{}]}`, "{}",
		",,4294967296,-1,+1,1")
	f.Add(`null`, `null`, "")
	f.Add(`{"sides":[{"site":4294967295,"earlier":{"a":null}},{"site":4294967295,"values":{"a":"0"}}]}`, "", "3,2,2")
	f.Add(`{"sides":[{"site":4294967296}]}`, `{"history":[{"at":9223372036854775807}]}`, "1")
	f.Add(`[]`, `[]`, "1")
	other := seedDetail()
	f.Fuzz(func(t *testing.T, detail, undo, sites string) {
		numbers := parseSites(sites)
		if formatted := FormatSites(slices.Clone(numbers)); FormatSites(parseSites(formatted)) != formatted {
			t.Fatalf("%q is %v, and written %q", sites, numbers, formatted)
		}
		x := Conflict{ID: "1", Table: "orders", SiteNumbers: numbers, KeyHex: "0100"}
		for _, n := range numbers {
			x.Sites = append(x.Sites, n.String())
		}
		if err := x.decode(detail, undo); err != nil {
			return
		}
		if undo != "" {
			var again Undoing
			if err := json.Unmarshal([]byte(encoded(t, x.Undo)), &again); err != nil {
				t.Fatal(err)
			}
			again.Kept = true
			if diff := cmp.Diff(x.Undo, again, same); diff != "" {
				t.Fatal(diff)
			}
		}
		if len(x.History) != len(x.Undo.History) {
			t.Fatalf("%d of %d past resolutions", len(x.History), len(x.Undo.History))
		}
		readAgain(t, x.Detail)
		readValues(t, &x)
		takeIn(t, x.Detail, other)
	})
}

// readAgain writes a record and reads the same.
func readAgain(t *testing.T, d Detail) {
	t.Helper()
	var again Detail
	if err := json.Unmarshal([]byte(encoded(t, d)), &again); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(d, again, same); diff != "" {
		t.Fatal(diff)
	}
}

// readValues reads what each side had written before, as a list of conflicts does.
func readValues(t *testing.T, x *Conflict) {
	t.Helper()
	x.Concerns("orders")
	for _, s := range x.Detail.Sides {
		for name := range s.Earlier {
			var column ConflictColumn
			if err := x.earlier(&column, cell{s.Table, s.Key, name}); err != nil {
				continue
			}
			for site := range column.Earlier {
				if !slices.Contains(x.Sites, site) {
					t.Fatalf("site %s is none of %v", site, x.Sites)
				}
			}
		}
	}
}

// takeIn takes a record into another and itself, both ways.
func takeIn(t *testing.T, d, other Detail) {
	t.Helper()
	for _, pair := range [][2]Detail{{d, other}, {other, d}, {d, d}} {
		var into Detail
		if err := json.Unmarshal([]byte(encoded(t, pair[0])), &into); err != nil {
			t.Fatal(err)
		}
		into.Take(pair[1])
		into.Note(pair[1], 7)
		readAgain(t, into)
		for _, s := range pair[1].Sides {
			SameEdit(s, into.Sides)
		}
		// What is taken in a second time changes nothing.
		once := encoded(t, into)
		into.Take(pair[1])
		into.Note(pair[1], 7)
		if twice := encoded(t, into); twice != once && !repeats(pair[1]) {
			t.Fatalf("taken in once:\n%s\ntwice:\n%s", once, twice)
		}
	}
}

// repeats reports whether two sides are of one site and row, so that the later one replaces the other.
func repeats(d Detail) bool {
	type row struct {
		site       causal.Site
		table, key string
	}
	rows := map[row]bool{}
	for _, s := range d.Sides {
		r := row{s.Site, s.Table, s.Key}
		if rows[r] {
			return true
		}
		rows[r] = true
	}
	return false
}
