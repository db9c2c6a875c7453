package store

import (
	"testing"

	"ravno/store/internal/sqlite"
)

// An FTS5 index with content elsewhere finds what was written elsewhere.
func TestMirrorFTS5ExternalContent(t *testing.T) {
	if !sqlite.HasFTS5() {
		t.Skip("this build has no FTS5 (go test -tags sqlite_fts5)")
	}
	// The triggers are those of https://sqlite.org/fts5.html, 4.4.3.
	c := newChain(t, `CREATE TABLE doc(id INTEGER PRIMARY KEY, title TEXT, body TEXT);
		CREATE VIRTUAL TABLE found USING fts5(title, body, content='doc', content_rowid='id');
		CREATE TRIGGER doc_ai AFTER INSERT ON doc BEGIN INSERT INTO found(rowid, title, body) VALUES(new.id, new.title,
		new.body); END;
		CREATE TRIGGER doc_ad AFTER DELETE ON doc BEGIN INSERT INTO found(found, rowid, title, body) VALUES('delete', old.id,
		old.title, old.body); END;
		CREATE TRIGGER doc_au AFTER UPDATE ON doc BEGIN INSERT INTO found(found, rowid, title, body) VALUES('delete', old.id,
		old.title, old.body);
			INSERT INTO found(rowid, title, body) VALUES(new.id, new.title, new.body); END;
		INSERT INTO doc VALUES(1,'soup','beans and carrots'),(2,'cake','walnuts')`, nil, "a", "b")
	c.at("a", "INSERT INTO doc VALUES(3,'tea','mint'); UPDATE doc SET body='lentils and carrots' WHERE id=1; DELETE "+
		"FROM doc WHERE id=2")
	c.at("b", "UPDATE doc SET title='stew' WHERE id=1")
	c.level()
	for _, site := range []string{"hub", "a", "b"} {
		c.expect(
			site, "SELECT rowid FROM found WHERE found MATCH 'mint OR (stew AND lentils) OR beans OR walnuts' ORDER BY rowid",
			"1\n3")
	}
	for _, site := range []string{"hub", "a", "b"} { // 1: against the rows too
		c.must(c.try(site, "INSERT INTO found(found, rank) VALUES('integrity-check', 1)"))
	}
	if c.noticed("hub") || c.noticed("a") {
		t.Error("a fresh index is reported as stale")
	}
}
