package store

import "testing"

// A reference follows a row that the hub has made anew under another name.
func TestReferenceFollowsRowMadeAnew(t *testing.T) {
	c := newChain(t, `CREATE TABLE g(id TEXT PRIMARY KEY, code TEXT UNIQUE);
		CREATE TABLE u(id TEXT PRIMARY KEY, code TEXT REFERENCES g(code)); INSERT INTO g VALUES('1','a')`, nil, "a", "b")
	c.at("hub", "DELETE FROM g; INSERT INTO g VALUES('1','x')") // one fold: the row was never gone
	c.at("b", "INSERT INTO u VALUES('9','a')")
	c.settle()
	c.level()
	c.expectAll("SELECT code FROM u", "x")
}
