package schema

import (
	"strings"
	"testing"
)

// A trigger is taken apart whatever its names are.
func TestTriggerParsedWithAnyNames(t *testing.T) {
	for _, c := range []struct{ sql, head, event, when, writes string }{
		{"CREATE TRIGGER a AFTER INSERT ON t BEGIN INSERT INTO f(rowid, x) VALUES(NEW.id, NEW.x); END", "AFTER INSERT",
			"insert", "", "f"},
		{"CREATE TRIGGER \"on\" UPDATE OF a, \"b c\" ON [t]] x] FOR EACH ROW WHEN NEW.begin IS NOT (SELECT max(begin) FROM " +
			"t) BEGIN UPDATE OR IGNORE `f``g` SET x=1; END",
			"UPDATE OF a, \"b c\"", "update", "NEW.begin IS NOT (SELECT max(begin) FROM t)", "f`g"},
		{"CREATE TRIGGER a DELETE ON t /* INSTEAD */ WHEN CASE WHEN OLD.x THEN 1 ELSE 0 END -- BEGIN\nBEGIN DELETE FROM [f " +
			"g] WHERE x=';'; REPLACE INTO \"h\" VALUES(1); END",
			"DELETE", "delete", "CASE WHEN OLD.x THEN 1 ELSE 0 END", "f g|h"},
		{"CREATE TRIGGER a BEFORE DELETE ON t BEGIN WITH r(x) AS (SELECT 1 UNION SELECT 2), \"insert\" AS (SELECT 3) " +
			"INSERT OR REPLACE INTO f SELECT * FROM r; SELECT 1; WITH d AS (VALUES(1)) DELETE FROM g; END",
			"BEFORE DELETE", "delete", "", "f|g"},
		{"CREATE TRIGGER a AFTER UPDATE ON t BEGIN SELECT CASE WHEN NEW.x<0 THEN NEW.y END; END", "AFTER UPDATE", "update",
			"", ""},
	} {
		got, ok := parseTrigger(c.sql)
		if writes := strings.Join(got.Writes, "|"); !ok || got.Head != c.head || got.Event != c.event || got.When != c.when ||
			writes != c.writes || got.Refuses {
			t.Errorf("%s:\n%+v", c.sql, got)
		}
		if !strings.HasPrefix(got.Body, "BEGIN") || !strings.HasSuffix(got.Body, "END") {
			t.Errorf("%s: body %q", c.sql, got.Body)
		}
	}
}

func TestATriggerIsKnownToReadTables(t *testing.T) {
	got, ok := parseTrigger(`CREATE TRIGGER a AFTER INSERT ON t WHEN EXISTS(SELECT 1 FROM "one") AND NEW.x IS DISTINCT FROM
		NEW.y BEGIN
		DELETE FROM f; INSERT INTO f SELECT 1 FROM main.two AS x LEFT JOIN [three] ON 1; END`)
	if reads := strings.Join(got.Reads, "|"); !ok || reads != "one|two|three" {
		t.Errorf("reads %q", reads)
	}
}

// A trigger that can do more than fail is known.
func TestTriggerThatBreaksOff(t *testing.T) {
	for body, refuses := range map[string]bool{
		"SELECT RAISE(IGNORE) WHERE NEW.x<0; INSERT INTO f VALUES(1);": true,
		"INSERT OR ROLLBACK INTO f VALUES(1);":                         true,
		"UPDATE OR FAIL f SET x=1;":                                    true,
		"INSERT OR IGNORE INTO f VALUES('OR FAIL');":                   false,
		"UPDATE f SET raise=1;":                                        false,
	} {
		got, ok := parseTrigger("CREATE TRIGGER a AFTER INSERT ON t BEGIN " + body + " END")
		if !ok || got.Refuses != refuses {
			t.Errorf("%s: %+v", body, got)
		}
	}
	if _, ok := parseTrigger("CREATE TRIGGER a INSTEAD OF INSERT ON v BEGIN SELECT 1; END"); ok {
		t.Error("a view's trigger was taken for a table's")
	}
	if !BreaksOff("CREATE TABLE f(x UNIQUE ON CONFLICT ROLLBACK)") ||
		BreaksOff("CREATE TABLE f(x UNIQUE ON CONFLICT IGNORE)") {
		t.Error("BreaksOff")
	}
}
