package store

import (
	"ravno/store/internal/catalog"
	"testing"

	"ravno/store/internal/sqlite"
)

const unboundSchema = `CREATE TABLE d(id INTEGER PRIMARY KEY, a); CREATE TABLE l(id INTEGER PRIMARY KEY, d REFERENCES d,
	x);
	CREATE TABLE u(id TEXT PRIMARY KEY, code UNIQUE)`

// unbound writes as an application that works without foreign keys.
func (c *chain) unbound(site, sql string) {
	c.t.Helper()
	c.now = c.now.Add(1e9)
	conn, err := sqlite.Open(c.store(site).Path(), sqlite.ReadWrite)
	c.must(err)
	defer conn.Close()
	c.must(conn.Exec("PRAGMA foreign_keys=OFF"))
	c.must(conn.Exec(sql))
	c.must(conn.Exec("UPDATE ravno_log SET ms=" + catalog.Integer(c.now.UnixMilli()).String()))
}

// everywhere is expectAll for an application without foreign keys.
func (c *chain) everywhere(query, want string) {
	c.t.Helper()
	for _, site := range append([]string{"hub"}, c.names()...) {
		c.expect(site, query, want)
	}
}

// An application without foreign keys keeps its orphans, also while an unrelated row is held.
func TestOrphansStayWhileRowHeld(t *testing.T) {
	c := newChain(t, unboundSchema, nil, "a", "b")
	c.unbound("a", "INSERT INTO l VALUES(1,77,'before')")
	c.level()
	c.everywhere("SELECT * FROM l", "1|77|before")
	c.at("a", "INSERT INTO u VALUES('1','k')")
	c.at("b", "INSERT INTO u VALUES('2','k')")
	c.level()
	c.everywhere("SELECT * FROM u", "1|k")
	c.unbound("a", "INSERT INTO l VALUES(2,99,'made while one is held'); UPDATE l SET x='edited' WHERE id=1")
	c.level()
	c.everywhere("SELECT * FROM l", "1|77|edited\n2|99|made while one is held")
	c.at("hub", "UPDATE u SET code='other' WHERE id='1'")
	c.level()
	c.everywhere("SELECT * FROM l", "1|77|edited\n2|99|made while one is held")
}

// The same, where the held row is back at the hub already: then the two differ for ever.
func TestOrphanStaysWhereItWas(t *testing.T) {
	c := newChain(t, unboundSchema, nil, "a", "b")
	c.at("a", "INSERT INTO u VALUES('1','k')")
	c.at("b", "INSERT INTO u VALUES('2','k')")
	c.level()
	c.at("hub", "UPDATE u SET code='other' WHERE id='1'")
	_, err := c.hub.Fold()
	c.must(err)
	c.unbound("a", "INSERT INTO l VALUES(2,99,'made while one is held')")
	c.settle()
	c.everywhere("SELECT count(*) FROM u", "2")
	c.everywhere("SELECT * FROM l", "2|99|made while one is held")
}
