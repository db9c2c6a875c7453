package store

import (
	"ravno/store/internal/catalog"
	"testing"
)

// A journal that uses rowids again loses nothing at the hub.
func TestJournalReusedRowids(t *testing.T) {
	c := newChain(t, "CREATE TABLE ev(id INTEGER PRIMARY KEY, what TEXT)",
		[]catalog.Setting{{Table: "ev", Class: catalog.Journal}}, "a")
	c.at("a", "INSERT INTO ev(what) VALUES('one')")
	c.settle()
	c.at("a", "DELETE FROM ev")
	c.settle()
	c.at("a", "INSERT INTO ev(what) VALUES('two')") // SQLite gives id 1 again
	c.settle()
	c.expect("hub", "SELECT what FROM ravno_journal_ev ORDER BY what", "one\ntwo")
}
