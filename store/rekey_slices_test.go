package store

import (
	"fmt"
	"ravno/store/internal/history"
	"testing"

	"ravno/crdt"
	"ravno/crdt/causal"
)

// upInSlices brings a node's work to the hub in slices of some rows, and returns how many those were.
// After each it calls what there is to call.
func (c *chain) upInSlices(name string, rows int, after ...func()) int {
	c.t.Helper()
	node := c.nodes[name]
	self, err := node.Self()
	c.must(err)
	var spans []history.Span
	sections := map[causal.Position][]*crdt.Section{} // by the end of their slice
	_, _, err = node.Outgoing(0, self.HubHave, rows, func(slice history.Span, section *crdt.Section) error {
		if sections[slice.To] == nil {
			spans = append(spans, slice)
		}
		sections[slice.To] = append(sections[slice.To], section)
		return nil
	})
	c.must(err)
	for _, span := range spans {
		_, err := c.hub.ApplyFromNode(self.Site, deltaOf(span, sections[span.To]), self.Floor)
		c.must(err)
		c.must(node.Acknowledged(causal.Reached{Position: span.To, Until: span.Until}))
		for _, f := range after {
			f()
		}
	}
	return len(spans)
}

// Rows that get fresh keys, and rows that refer to them, in work that comes in many slices: whatever
// comes first, each refers in the end to the row that its maker meant.
func TestRekeyFollowedOverSlices(t *testing.T) {
	const many = 20
	for name, x := range map[string]struct {
		schema string
		each   string // what node a makes of number n, in transactions of their own
		after  string // and then
	}{
		"a table that sorts before the one it refers to": {
			"CREATE TABLE a(id INTEGER PRIMARY KEY, p INTEGER REFERENCES z(id), v); CREATE TABLE z(id INTEGER PRIMARY KEY, v)",
			"INSERT INTO z VALUES(%[1]d,'of a'); INSERT INTO a VALUES(%[1]d,%[1]d,'of a')", ""},
		"a table that was there before": {
			"CREATE TABLE z(id INTEGER PRIMARY KEY, v); CREATE TABLE a(id INTEGER PRIMARY KEY, p INTEGER REFERENCES z(id), v)",
			"INSERT INTO z VALUES(%[1]d,'of a'); INSERT INTO a VALUES(%[1]d,%[1]d,'of a')", ""},
		"rows that come to refer later, when others have gone": {
			"CREATE TABLE a(id INTEGER PRIMARY KEY, p INTEGER REFERENCES z(id), v); CREATE TABLE z(id INTEGER PRIMARY KEY, v)",
			"INSERT INTO a VALUES(%[1]d,NULL,'of a')", "INSERT INTO z SELECT id, 'of a' FROM a; UPDATE a SET p=id"},
		"a few of them": {
			"CREATE TABLE a(id INTEGER PRIMARY KEY, p INTEGER REFERENCES z(id), v); CREATE TABLE z(id INTEGER PRIMARY KEY, v)",
			"INSERT INTO a VALUES(%[1]d,NULL,'of a')",
			"INSERT INTO z SELECT id, 'of a' FROM a WHERE id<4; UPDATE a SET p=id WHERE id<4"},
		"rows of one table, the later ones first": {
			"CREATE TABLE z(id INTEGER PRIMARY KEY, p INTEGER REFERENCES z(id), v)",
			"INSERT INTO z VALUES(%[2]d, CASE WHEN %[1]d>1 THEN %[2]d+1 END, 'of a')", ""},
		"rows that refer to themselves": {
			"CREATE TABLE z(id INTEGER PRIMARY KEY, p INTEGER REFERENCES z(id), v)",
			"INSERT INTO z VALUES(%[1]d,%[1]d,'of a')", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newChain(t, x.schema, nil, "a", "b")
			for n := 1; n <= many; n++ {
				c.at("hub", fmt.Sprintf("INSERT INTO z(id, v) VALUES(%d,'of hub')", n))
			}
			_, err := c.hub.Fold()
			c.must(err)
			a := c.nodes["a"]
			a.SetSliceRows(8)
			for n := 1; n <= many; n++ {
				c.at("a", fmt.Sprintf(x.each+"--%[1]d%[2]d", n, many+1-n))
			}
			_, err = a.Fold()
			c.must(err)
			if x.after != "" {
				c.at("a", x.after)
				_, err = a.Fold()
				c.must(err)
			}
			const refers = "SELECT count(*) FROM %s c JOIN z ON z.id=c.p WHERE c.v='of a' AND z.v='of a'"
			table := "a"
			if c.rows("a", "SELECT count(*) FROM sqlite_master WHERE name='a'") == "0" {
				table = "z"
			}
			want := c.rows("a", fmt.Sprintf(refers, table))
			if slices := c.upInSlices("a", 8); slices < 2 {
				t.Fatalf("it went in %d slices", slices)
			}
			c.level()
			for _, at := range []string{"hub", "a", "b"} {
				c.expect(at, fmt.Sprintf(refers, table), want)
			}
			for _, conflict := range c.open("hub") {
				t.Errorf("an open conflict of kind %s", conflict.Kind)
			}
		})
	}
}

// The hub's own rows that refer to its own are nobody else's, though the number is the same.
func TestRekeySparesReferencesOfOthers(t *testing.T) {
	c := newChain(t, `CREATE TABLE a(id INTEGER PRIMARY KEY, p INTEGER REFERENCES z(id), v);
		CREATE TABLE z(id INTEGER PRIMARY KEY, v);
		CREATE TABLE note(id INTEGER PRIMARY KEY, v)`, nil, "a", "b")
	c.at("hub", "INSERT INTO z VALUES(1,'of hub'); INSERT INTO a VALUES(100,1,'of hub')")
	c.at("b", "INSERT INTO note VALUES(1,'x')")
	c.up("b")
	c.nodes["a"].SetSliceRows(2)
	for n := 1; n <= 6; n++ {
		c.at("a", fmt.Sprintf("INSERT INTO note VALUES(10+%d,'y')", n))
	}
	c.at("a", "INSERT INTO z VALUES(1,'of a'); INSERT INTO a VALUES(1,1,'of a')")
	_, err := c.nodes["a"].Fold()
	c.must(err)
	c.upInSlices("a", 2)
	c.level()
	for _, at := range []string{"hub", "a", "b"} {
		c.expect(at, "SELECT a.v, z.v FROM a JOIN z ON z.id=a.p ORDER BY 1", "of a|of a\nof hub|of hub")
	}
}
