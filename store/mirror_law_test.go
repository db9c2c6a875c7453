package store

import (
	"ravno/store/internal/catalog"
	"testing"

	"pgregory.net/rapid"
)

// Whatever is written wherever every index is that of its table.
func TestMirrorIndexAlwaysFitsTable(t *testing.T) {
	a := application{
		schema: `CREATE TABLE doc(id INTEGER PRIMARY KEY, title TEXT UNIQUE, body TEXT NOT NULL DEFAULT 'x', n INTEGER);
			CREATE VIRTUAL TABLE found USING fts4(content="doc", title, body);
			CREATE TABLE many(one INTEGER PRIMARY KEY, docs INTEGER, sum INTEGER);
			CREATE TRIGGER doc_bu BEFORE UPDATE ON doc BEGIN DELETE FROM found WHERE docid=OLD.rowid; END;
			CREATE TRIGGER doc_bd BEFORE DELETE ON doc BEGIN DELETE FROM found WHERE docid=OLD.rowid; END;
			CREATE TRIGGER doc_au AFTER UPDATE ON doc BEGIN INSERT INTO found(docid, title, body) VALUES(NEW.rowid, NEW.title,
			NEW.body); END;
			CREATE TRIGGER doc_ai AFTER INSERT ON doc BEGIN INSERT INTO found(docid, title, body) VALUES(NEW.rowid, NEW.title,
			NEW.body); END;
			CREATE TRIGGER many_i AFTER INSERT ON doc BEGIN INSERT OR IGNORE INTO many VALUES(1, 0, 0);
			UPDATE many SET docs=docs+1, sum=sum+NEW.n; END;
			CREATE TRIGGER many_u AFTER UPDATE OF n ON doc BEGIN UPDATE many SET sum=sum+NEW.n-OLD.n; END;
			CREATE TRIGGER many_d AFTER DELETE ON doc BEGIN UPDATE many SET docs=docs-1, sum=sum-OLD.n; END`,
		statements: []string{
			"INSERT INTO doc VALUES({id}, {title}, {body}, {n})", "INSERT OR IGNORE INTO doc VALUES({id}, {title}, {body}, {n})",
			"UPDATE doc SET title={title} WHERE id={id}", "UPDATE doc SET body={body}, n={n} WHERE id={id}",
			"UPDATE doc SET id={id} WHERE id={id2}", "DELETE FROM doc WHERE id={id}",
			"UPDATE doc SET title='swap' WHERE id={id}; UPDATE doc SET title={title} WHERE id={id2}",
		},
		values: map[string][]string{"id": numbers(1, 4), "n": numbers(0, 9), "title": {"'soup'", "'tea'", "'cake'"},
			"body": {"'beans'", "'mint and beans'", "'walnuts'"}},
	}
	tpl := newTemplate(t, a.schema, []catalog.Setting{{Table: "many", Class: catalog.Local}}, "a", "b")
	rapid.Check(t, func(t *rapid.T) {
		steps := a.steps(tpl.names...).Draw(t, "steps")
		c := tpl.start(t)
		for _, s := range steps {
			c.play(t, s)
		}
		c.agree(t)
		c.sound("found")
		for _, site := range append(c.names(), "hub") {
			c.expect(site, "SELECT coalesce(sum(docs), 0), coalesce(sum(sum), 0) FROM many",
				c.rows(site, "SELECT count(*), coalesce(sum(n), 0) FROM doc"))
		}
	})
}
