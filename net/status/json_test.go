package status

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
)

// The document in full, written by hand from the contract of the command line.
func TestJSONIsTheContract(t *testing.T) {
	s := Snapshot{
		Site: "shop-1", Role: "node", Hub: "centrala", At: clockOf(15, 30), Daemon: true,
		Servers: []Server{{
			Name: "Витоша", Role: "node", State: Red, Cause: NoLink, CauseText: "no link", Since: clockOf(14, 2),
			PendingOut: 1, PendingIn: 2, Conflicts: 3, ClockOffsetMS: -4, Version: "1.2.0",
		}},
	}
	const want = `{"site":"shop-1","role":"node","hub":"centrala","at":"2026-03-01T13:30:30.250Z","level":false,` +
		`"daemon":true,"servers":[{"name":"Витоша","role":"node","state":"red","cause":"no_link","cause_text":"no link",` +
		`"since":"2026-03-01T12:02:30.250Z","last_transfer":null,"pending_out":1,"pending_in":2,"conflicts":3,` +
		`"clock_offset_ms":-4,"version":"1.2.0"}],"notices":[]}`
	got, err := json.Marshal(s)
	if err != nil || string(got) != want {
		t.Errorf("%v\n got %s\nwant %s", err, got, want)
	}
}

// An empty snapshot has no null list in its JSON, and is not level.
func TestSnapshotEmptyIsNotLevel(t *testing.T) {
	const want = `{"site":"","role":"","hub":"","at":null,"level":false,"daemon":false,"servers":[],"notices":[]}`
	got, err := json.Marshal(Snapshot{Level: true})
	if err != nil || string(got) != want {
		t.Errorf("%v\n got %s\nwant %s", err, got, want)
	}
}

func TestLevelMeansAllGreen(t *testing.T) {
	for _, c := range []struct {
		states []State
		want   bool
	}{
		{nil, false},
		{[]State{Green}, true},
		{[]State{Green, Green, Green}, true},
		{[]State{Green, Grey}, false},
		{[]State{Red, Green}, false},
		{[]State{Green, ""}, false},
	} {
		s := Snapshot{Level: !c.want}
		for _, state := range c.states {
			s.Servers = append(s.Servers, Server{State: state})
		}
		if got := s.Judged().Level; got != c.want {
			t.Errorf("%v: level %v, want %v", c.states, got, c.want)
		}
	}
}

func TestSnapshotSurvivesWayToNodeAndBack(t *testing.T) {
	for _, s := range []Snapshot{chain(), levelPair(), {}} {
		data, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Decode(data)
		if err != nil {
			t.Fatal(err)
		}
		want := s.Judged()
		want.At = inUTC(want.At)
		want.Servers = append([]Server{}, want.Servers...)
		for i := range want.Servers {
			want.Servers[i].Since = inUTC(want.Servers[i].Since)
			want.Servers[i].LastTransfer = inUTC(want.Servers[i].LastTransfer)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("\n got %+v\nwant %+v", got, want)
		}
		if again, _ := json.Marshal(got); string(again) != string(data) {
			t.Errorf("encoded again:\n%s\n%s", data, again)
		}
	}
}

func inUTC(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC()
}

// A newer server may send more fields, but none that are wrong.
func TestSnapshotOfNewerServer(t *testing.T) {
	s, err := Decode([]byte(`{"site":"a","level":true,"moon":"full","servers":[
		{"name":"a","state":"red","cause":"meteor","cause_text":"hit by a meteor","extra":[1]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	if s.Level {
		t.Error("level although a server is red")
	}
	if s.Servers[0].Cause != "meteor" || s.Notices == nil {
		t.Errorf("got %+v", s)
	}
}

func TestSnapshotUnshowableIsRefused(t *testing.T) {
	for input, why := range map[string]string{
		`{"servers":[{"name":"a","state":"blue"}]}`: `server "a": state "blue" is none of green, red, grey`,
		`{"servers":[{"name":"a"}]}`:                `server "a": state "" is none of green, red, grey`,
		`{"at":"yesterday"}`:                        "yesterday",
		`{"servers":{}}`:                            "servers",
		`{} {}`:                                     "after top-level value",
		``:                                          "unexpected end",
		strings.Repeat(" ", MaxEncodedBytes) + "{}": "limit is 8388608",
	} {
		if _, err := Decode([]byte(input)); err == nil || !strings.Contains(err.Error(), why) ||
			!strings.HasPrefix(err.Error(), "status: decode snapshot: ") {
			t.Errorf("%.60q: %v, want %q", input, err, why)
		}
	}
}

func TestYearBeyondRFC3339IsAnError(t *testing.T) {
	s := chain()
	s.At = time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC)
	if err := Encode(&strings.Builder{}, s); err == nil || !strings.Contains(err.Error(), "year 10000") {
		t.Errorf("got %v", err)
	}
}

func TestEscapedCharactersMeanTheSame(t *testing.T) {
	name := "\u009b\u202e\U000e0041\x7fВитоша"
	got, err := Decode([]byte(jsonOf(t, Snapshot{Site: name})))
	if err != nil || got.Site != name {
		t.Errorf("%v, %q", err, got.Site)
	}
}
