package store

import (
	"fmt"
	"ravno/store/internal/catalog"
	"testing"
)

// A log may be folded in one go or in slices, and nobody can tell afterwards.
func TestFoldInSlicesAsWhole(t *testing.T) {
	const schema = `CREATE TABLE p(id INTEGER PRIMARY KEY, a, b); CREATE TABLE c(id INTEGER PRIMARY KEY, p REFERENCES p);
		CREATE TABLE s(id INTEGER PRIMARY KEY, n INT, a); CREATE TABLE u(id INTEGER PRIMARY KEY, u UNIQUE);
		INSERT INTO p VALUES(1,'x','x'),(2,'x','x'); INSERT INTO s VALUES(1,100,'x'),(2,100,'x')`
	counted := []catalog.Setting{{Table: "s", Class: catalog.Synced, Counters: []string{"n"}}}
	for name, x := range map[string]struct{ before, sql, elsewhere, then string }{
		"updated and deleted, referred to elsewhere": {
			"", "UPDATE p SET a='y' WHERE id=1; DELETE FROM p WHERE id=1", "INSERT INTO c VALUES(1,1)", ""},
		"updated and deleted after another": {
			"", "UPDATE p SET a='y' WHERE id=1; UPDATE p SET a='y' WHERE id=2; DELETE FROM p WHERE id=1",
			"UPDATE p SET b='z' WHERE id=1", ""},
		"updated and deleted, edited elsewhere": {
			"", "UPDATE p SET a='y' WHERE id=1; DELETE FROM p WHERE id=1", "UPDATE p SET b='z' WHERE id=1", ""},
		"deleted, made anew and deleted": {
			"", "DELETE FROM p WHERE id=1; INSERT INTO p VALUES(1,'new','new'); DELETE FROM p WHERE id=1",
			"UPDATE p SET b='z' WHERE id=1", ""},
		"replaced and deleted": {
			"", "REPLACE INTO p VALUES(1,'new','new'); UPDATE p SET a='y' WHERE id=2; DELETE FROM p WHERE id=1",
			"UPDATE p SET b='z' WHERE id=1", ""},
		"came and went": {
			"", "INSERT INTO p VALUES(5,'here','here'); DELETE FROM p WHERE id=5", "INSERT INTO p VALUES(5,'there','there')",
			""},
		"counted in and deleted": {
			"", "UPDATE s SET n=n-10 WHERE id=1; UPDATE s SET n=n-1 WHERE id=2; DELETE FROM s WHERE id=1",
			"UPDATE s SET a='z', n=n-5 WHERE id=1", ""},
		"updated, edited elsewhere and deleted": {
			"", "UPDATE p SET a='y' WHERE id=1; UPDATE p SET a='y' WHERE id=2", "UPDATE p SET b='z' WHERE id=1",
			"DELETE FROM p WHERE id=1"},
		"made over one that is held": {
			"INSERT INTO u VALUES(1,'u')", "INSERT INTO u VALUES(7,'z'); INSERT INTO u VALUES(2,'w')",
			"INSERT INTO u VALUES(2,'u')", ""},
		"made over one that is held, and changed": {
			"INSERT INTO u VALUES(1,'u')",
			"INSERT INTO u VALUES(2,'w'); INSERT INTO u VALUES(7,'z'); UPDATE u SET u='w2' WHERE id=2",
			"INSERT INTO u VALUES(2,'u')", ""},
		"given another value that makes room for the held": {
			"INSERT INTO u VALUES(1,'u')",
			"UPDATE u SET u='free' WHERE id=1; INSERT INTO u VALUES(7,'z'); INSERT INTO u VALUES(2,'w')",
			"INSERT INTO u VALUES(2,'u')", ""},
	} {
		for _, at := range []string{"hub", "a"} {
			t.Run(name+" at "+at, func(t *testing.T) {
				t.Parallel()
				whole := ""
				for _, rows := range []int{0, 1, 2, 3} {
					c := newChain(t, schema, counted, "a", "b")
					c.level()
					if x.before != "" { // what makes the other server's row a held one
						c.at(at, x.before)
						c.at("b", x.elsewhere)
						c.level()
					}
					if rows > 0 {
						c.store(at).SetSliceRows(rows)
					}
					c.at(at, x.sql)
					if x.before == "" {
						c.at("b", x.elsewhere)
					}
					if x.then != "" {
						c.at(at, x.then)
					}
					_, err := c.store(at).Fold()
					c.must(err)
					c.level()
					is := fmt.Sprint(c.rows("hub", "SELECT * FROM p"), c.rows("hub", "SELECT * FROM c"),
						c.rows("hub", "SELECT * FROM s"), c.rows("hub", "SELECT * FROM u"),
						c.rows("hub", "SELECT tab, hex(key) FROM ravno_image WHERE state='held'"), c.kinds("hub"))
					if rows == 0 {
						whole = is
					}
					if is != whole {
						t.Errorf("in slices of %d: %s\nwhole: %s", rows, is, whole)
					}
				}
			})
		}
	}
}
