package store

import (
	"ravno/store/internal/catalog"
	"testing"

	"ravno/crdt/causal"
)

// Each server goes on counting where its own ids end.
func TestSequenceIsOwn(t *testing.T) {
	c := newChain(t, `CREATE TABLE sale(id INTEGER PRIMARY KEY AUTOINCREMENT, what TEXT, code TEXT UNIQUE);
		CREATE TABLE note(id INTEGER PRIMARY KEY AUTOINCREMENT, x TEXT);
		INSERT INTO sale(what) VALUES('before')`, []catalog.Setting{{Table: "note", Class: catalog.Local}}, "a", "b")
	c.at("b", "INSERT INTO sale(what) VALUES('b')")
	c.at("b", "INSERT INTO note(x) VALUES('mine')")
	c.at("a", "INSERT INTO sale VALUES(5000,'of the range of a',NULL); INSERT INTO sale VALUES(9223372036854775807,'the "+
		"last id there is',NULL)")
	c.level()
	c.expect("b", "SELECT name, seq FROM sqlite_sequence ORDER BY name", "note|1\nsale|2")
	c.expect("a", "SELECT name, seq FROM sqlite_sequence", "sale|9223372036854775807")
	c.expect("hub", "SELECT name, seq FROM sqlite_sequence", "sale|1")
	c.at("hub", "DELETE FROM sale WHERE id>100")
	c.level()
	c.at("b", "INSERT INTO sale(what) VALUES('b again')")
	c.at("hub", "UPDATE sale SET what='x' WHERE id=2")
	c.level()
	c.expect("hub", "SELECT id FROM sale", "1\n2\n3")
	c.at("hub", "INSERT INTO sale(what) VALUES('the hub goes on behind the last row')")
	c.level()
	c.expect("a", "SELECT max(id) FROM sale", "4")
	c.expect("hub", "SELECT name, seq FROM sqlite_sequence", "sale|4")
	c.join("late", causal.Incarnation{9})
	c.expect("late", "SELECT count(*) FROM sqlite_sequence", "0")
	c.at("late", "INSERT INTO sale(what) VALUES('late')")
	c.expect("late", "SELECT max(id) FROM sale", "5")
}

// A server that only received has no sequence of its own.
func TestSequenceAbsentAtReceiver(t *testing.T) {
	c := newChain(t, "CREATE TABLE sale(id INTEGER PRIMARY KEY AUTOINCREMENT, what TEXT, code TEXT UNIQUE)", nil, "a", "b")
	c.at("a", "INSERT INTO sale VALUES(70,'x','one')")
	c.at("b", "INSERT INTO sale VALUES(80,'y','one')") // held: it is taken out and put back
	c.level()
	c.expect("hub", "SELECT count(*) FROM sqlite_sequence", "0")
	c.at("hub", "DELETE FROM sale WHERE id=70")
	c.level()
	c.expect("hub", "SELECT id FROM sale", "80")
	c.expect("hub", "SELECT count(*) FROM sqlite_sequence", "0")
	c.expect("a", "SELECT seq FROM sqlite_sequence", "70")
	c.join("late", causal.Incarnation{9})
	c.expect("late", "SELECT count(*) FROM sqlite_sequence", "0")
	c.at("late", "INSERT INTO sale(what) VALUES('late')")
	c.level()
	c.expect("hub", "SELECT max(id) FROM sale", "81")
}
