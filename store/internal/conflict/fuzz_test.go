package conflict

import (
	"encoding/json"
	"testing"
)

// FuzzDetail reads the details of a record, and what undoes its resolution, as a file may have them. Whatever can
// be read can be written and read again.
func FuzzDetail(f *testing.F) {
	f.Add(`{"sides":[{"site":2,"table":"sale","key":"010000000000000001","values":{"state":"0303687562"},"noted":1}],`+
		`"before":[{"table":"sale","key":"01","deleted":true}],"renumbered":{"site":2,"table":"sale","old":"1","new":"2"}}`,
		`{"rows":[{"table":"sale","key":"01","absent":true}],"history":[{"by":"admin","at":1}],"too_long":true}`)
	f.Add(`{}`, ``)
	f.Add(`[]`, `null`)
	f.Add(`{"sides":[null],"renumbered":null}`, `{"rows":[null],"history":[null]}`)
	f.Fuzz(func(t *testing.T, detail, undo string) {
		var x Conflict
		if err := x.decode(detail, undo); err != nil {
			return
		}
		merged := Detail{}
		merged.Take(x.Detail)
		merged.Note(x.Detail, 1)
		encoded, err := json.Marshal(merged)
		if err != nil {
			t.Fatal(err)
		}
		var again Conflict
		if err := again.decode(string(encoded), ""); err != nil {
			t.Fatalf("%q: %v", encoded, err)
		}
	})
}

// FuzzSites reads the sites of a record as a file may have them.
func FuzzSites(f *testing.F) {
	f.Add("1,2")
	f.Add("")
	f.Add(",,18446744073709551616,-1")
	f.Fuzz(func(t *testing.T, s string) {
		once := FormatSites(parseSites(s))
		if twice := FormatSites(parseSites(once)); once != twice {
			t.Fatalf("%q is %q, and then %q", s, once, twice)
		}
	})
}
