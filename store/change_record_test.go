package store

import "testing"

// Who changed what is forgotten when the last node has seen it whichever that is.
func TestChangeRecordsForgottenAtLast(t *testing.T) {
	for _, order := range [][]string{{"a", "b", "c"}, {"c", "b", "a"}, {"b", "c", "a"}, {"c", "a", "b"}} {
		c := newChain(t, "CREATE TABLE p(id INTEGER PRIMARY KEY, price INT); INSERT INTO p VALUES(1,4)", nil, "a", "b", "c")
		c.level()
		c.at("hub", "UPDATE p SET price=5")
		for i, name := range order {
			c.down(name)
			want := "1"
			if i == len(order)-1 {
				want = "0"
			}
			if got := c.rows("hub", "SELECT count(*) FROM ravno_change"); got != want {
				t.Errorf("%v: after %s there are %s touches, want %s", order, name, got, want)
			}
		}
	}
}

// A removed node is not waited for before who changed what is forgotten.
func TestChangeRecordsSkipRemovedNode(t *testing.T) {
	c := newChain(t, "CREATE TABLE p(id INTEGER PRIMARY KEY, price INT); INSERT INTO p VALUES(1,4)", nil, "a", "b", "c")
	c.level()
	c.at("hub", "UPDATE p SET price=5")
	c.down("a")
	c.must(c.hub.RemoveSite("b"))
	c.down("c")
	if got := c.rows("hub", "SELECT count(*) FROM ravno_change"); got != "0" {
		t.Errorf("%s touches are kept for a node that was removed", got)
	}
}
