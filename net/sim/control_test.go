package sim

import (
	"strings"
	"testing"
)

// control is a level chain on which the controls of the judge plant bugs.
const control = `sites hub varna burgas
schema
	CREATE TABLE item(id INTEGER PRIMARY KEY, a TEXT, b, stock INTEGER NOT NULL DEFAULT 10);
	CREATE TABLE receipt(id TEXT PRIMARY KEY, lines INTEGER);
	CREATE TABLE receipt_line(id TEXT PRIMARY KEY, receipt TEXT REFERENCES receipt(id) ON DELETE CASCADE, what TEXT);
	CREATE TABLE happening(id INTEGER PRIMARY KEY, what TEXT);
	INSERT INTO item(id, a, b) VALUES(1,'one',1),(2,'two',2);
table happening journal
table item counter stock
always SELECT count(*) FROM receipt WHERE lines<>(SELECT count(*) FROM receipt_line WHERE receipt=receipt.id) = 0
at varna: UPDATE item SET a='by varna' WHERE id=1
at burgas: INSERT INTO receipt VALUES('r',2); INSERT INTO receipt_line VALUES('r1','r','tea');
	INSERT INTO receipt_line VALUES('r2','r','salt')
at varna: INSERT INTO happening(what) VALUES('opened')
level
`

// TestJudgeFindsPlantedBugs is the judge's own trial. It plants a bug of every kind behind the
// capture's back, and the judge must name the kind.
func TestJudgeFindsPlantedBugs(t *testing.T) {
	t.Parallel()
	planted := map[string]struct{ kind, says, steps string }{
		"nothing": {},
		"a value differs at one site": {"different", "by varna",
			"tamper burgas: UPDATE item SET a='astray' WHERE id=1"},
		"a value differs in its type alone": {"different", "i1",
			"tamper varna: UPDATE item SET b=1.0 WHERE id=1"},
		"a row is missing at the hub": {"different", "only at burgas: item i2",
			"tamper hub: DELETE FROM item WHERE id=2"},
		"a row is too many at one site": {"different", "only at varna",
			"tamper varna: INSERT INTO item(id, a) VALUES(9,'astray')"},
		"a committed value is gone everywhere": {"lost", "by varna < one of item.a, written at varna in step 1",
			"tamper everywhere: UPDATE item SET a='astray' WHERE id=1"},
		"a committed row is gone everywhere": {"lost", "salt",
			"tamper everywhere: DELETE FROM receipt_line WHERE id='r2'; UPDATE receipt SET lines=1"},
		"an unsent value is gone": {"lost", "unsent",
			"cut varna\nat varna: UPDATE item SET a='unsent' WHERE id=2\ntamper varna: UPDATE item SET a='two' WHERE id=2; " +
				"DELETE FROM ravno_log"},
		"half of a document is seen": {"half", "a reader at varna",
			"tamper varna: DELETE FROM receipt_line WHERE id='r2'"},
		"half of a document is seen for a moment": {"half", "a reader at burgas",
			"tamper burgas: DELETE FROM receipt_line WHERE id='r2'\ntamper burgas: INSERT INTO receipt_line " +
				"VALUES('r2','r','salt')"},
		"a child has no parent anywhere": {"orphan", "receipt_line",
			"tamper everywhere: INSERT INTO receipt_line VALUES('o','nowhere','x')"},
		"a node is refused for ever": {"stuck", "not level 1m0s after healing",
			"tamper burgas: UPDATE ravno_state SET incarnation=zeroblob(16)\nrestart burgas\nat hub: UPDATE item SET a='news' " +
				"WHERE id=2"},
		"a difference is counted twice": {"miscounted", "item.stock",
			"at varna: UPDATE item SET stock=stock-2 WHERE id=1\nlevel\ntamper everywhere: UPDATE item SET stock=stock-2 " +
				"WHERE id=1"},
		"a difference is not counted": {"miscounted", "item.stock",
			"at varna: UPDATE item SET stock=stock-2 WHERE id=1\nat hub: UPDATE item SET stock=stock-1 WHERE " +
				"id=1\nlevel\ntamper everywhere: UPDATE item SET stock=8 WHERE id=1"},
		"a journal lacks an event": {"journal", "happening",
			"tamper hub: DELETE FROM ravno_kept_1"},
	}
	for name, plant := range planted {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sc, err := parseScenario(control + plant.steps)
			if err != nil {
				t.Fatal(err)
			}
			tpl, err := templateOf(t, sc, t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			_, v := play(t, tpl, sc)
			switch {
			case v == nil && plant.kind != "":
				t.Errorf("nothing was found")
			case v != nil && (v.kind != plant.kind || !strings.Contains(v.text, plant.says)):
				t.Errorf("want %s with %q, found %s", plant.kind, plant.says, v)
			}
		})
	}
}
