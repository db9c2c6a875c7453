package store

import "testing"

// The file version moves with every commit and with nothing else.
func TestFileVersionMovesWithCommits(t *testing.T) {
	c := newChain(t, "CREATE TABLE item(id INTEGER PRIMARY KEY, name TEXT); INSERT INTO item VALUES(1,'one')", nil)
	s := c.store("hub")
	before := must(s.FileVersion())
	cases := []struct {
		what  string
		moves bool
		do    func()
	}{
		{"nothing", false, func() {}},
		{"reading", false, func() { must(s.Self()) }},
		{"a fold of nothing", false, func() { must(s.Fold()) }},
		{"a write that is rolled back", false, func() { c.at("hub", "BEGIN IMMEDIATE; UPDATE item SET name='x'; ROLLBACK") }},
		{"a write of the application", true, func() { c.at("hub", "UPDATE item SET name=name||'.'") }},
		{"a fold of what it wrote", true, func() { must(s.Fold()) }},
		{"a change of the schema", true, func() { c.at("hub", "CREATE TABLE other(id INTEGER PRIMARY KEY)") }},
		{"a commit of this store", true, func() { c.must(s.SetListening("127.0.0.1:1")) }},
		{"nothing after all that", false, func() {}},
	}
	for _, k := range cases {
		k.do()
		now := must(s.FileVersion())
		if (now != before) != k.moves {
			t.Errorf("after %s the version went from %d to %d", k.what, before, now)
		}
		before = now
	}
}
