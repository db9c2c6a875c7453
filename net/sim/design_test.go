package sim

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"ravno/store"
)

// features are what of the product random schemas may rely on. A switch that is off keeps the
// schemas from needing it.
type features struct {
	repairsForeignKeys bool // a parent that others refer to comes back
	repairsUnique      bool // references to a unique column that is not the key, and changes
	repairsTrees       bool // rows that refer to rows of their own table, and are deleted
	repairsOneFold     bool // a document of which the hub changed and deleted rows in one fold
	reusesFresh        bool // a number freed and used again in one transaction, while a fresh one is on its way for it
	repairsNulled      bool // also one whose children were set to NULL, and deleted, in the same fold
	recordsUnique      bool // a row held out by a unique value is kept in a conflict
	recordsChecks      bool // so is one that a CHECK holds out
	freshKeys          bool // of two rows with one INTEGER PRIMARY KEY, one gets a fresh one
	counts             bool // columns set to counter merge by summing differences
	keepsMovedRows     bool // so is, whole, one that moved into a document which others deleted
	keepsBareRows      bool // a row that is all key, added where others deleted it, is kept in a conflict
}

var can = features{repairsForeignKeys: true, repairsUnique: true, repairsTrees: true, repairsOneFold: true,
	reusesFresh: true, repairsNulled: true,
	recordsUnique: true, recordsChecks: true, freshKeys: true, counts: true, keepsMovedRows: true, keepsBareRows: true}

// design is a random schema and what an application does with it.
type design struct {
	schema   []string
	settings []store.Setting
	always   []question
	writes   []func(m *maker) string
}

// maker makes statements for one step of one site.
type maker struct {
	*rand.Rand
	site   string
	step   int
	serial int
	many   bool // the step runs many times, and # counts
}

// name is a text that nobody has written before.
func (m *maker) name() string {
	m.serial++
	if m.many {
		return fmt.Sprintf("'%s.%d.%d.'||#", m.site, m.step, m.serial)
	}
	return fmt.Sprintf("'%s.%d.%d'", m.site, m.step, m.serial)
}

// value is a text, an integer or a blob that nobody has written before.
func (m *maker) value() string {
	switch m.IntN(6) {
	case 0:
		return "CAST(" + m.name() + " AS BLOB)"
	case 1:
		m.serial++
		number := telling + int64(m.step)*1_000_000 + int64(m.serial)*10_000 // a step is of one site
		if m.many {
			return fmt.Sprintf("(%d+#)", number)
		}
		return fmt.Sprint(number)
	}
	return m.name()
}

// number is one of from to to; in a step that runs many times, a different one each time.
func (m *maker) number(from, to int) string {
	if m.many && m.IntN(2) == 0 {
		return fmt.Sprintf("(#*%d%%%d+%d)", 1+m.IntN(3), to-from+1, from)
	}
	return fmt.Sprint(from + m.IntN(to-from+1))
}

func (m *maker) one(of ...string) string { return of[m.IntN(len(of))] }

func (m *maker) chance(of, in int) bool { return m.IntN(in) < of }

// drawDesign combines some of the parts an application's schema can have. The parts by which
// readers find halves are in all of them.
func drawDesign(m *maker) *design {
	d := &design{}
	d.receipts(m)
	d.tills(m)
	parts := []func(*maker){d.items, d.orders, d.places, d.tags, d.happenings}
	if can.recordsUnique && can.repairsUnique {
		parts = append(parts, d.prices)
	}
	m.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
	for _, part := range parts[:1+m.IntN(3)] {
		part(m)
	}
	return d
}

func (d *design) sql(format string, values ...any) {
	d.schema = append(d.schema, fmt.Sprintf(format, values...))
}

// often adds a kind of write, as often as weight says.
func (d *design) often(weight int, write func(m *maker) string) {
	for range weight {
		d.writes = append(d.writes, write)
	}
}

// receipts are documents that only their own site touches: the number of lines that the head
// says is the number of lines, at any moment, for every reader.
func (d *design) receipts(m *maker) {
	if can.freshKeys && m.chance(1, 2) {
		d.numberedReceipts(m)
		return
	}
	d.sql("CREATE TABLE receipt(id TEXT PRIMARY KEY, lines INTEGER NOT NULL, note TEXT)%s;", m.one("", " WITHOUT ROWID"))
	d.sql("CREATE TABLE receipt_line(id TEXT PRIMARY KEY, receipt TEXT NOT NULL REFERENCES receipt(id) ON DELETE "+
		"CASCADE, what TEXT)%s;", m.one("", " WITHOUT ROWID"))
	d.receiptsAreWhole()
	own := func(m *maker) string { return "'" + m.site + "-" + m.one("1", "2", "3") + "'" }
	d.often(3, func(m *maker) string {
		id, lines, verb := own(m), m.IntN(4), "REPLACE"
		if m.many { // always another one
			id, lines, verb = m.name(), 1+m.IntN(2), "INSERT"
		}
		text := fmt.Sprintf("%s INTO receipt VALUES(%s, %d, %s)", verb, id, lines, m.name())
		for range lines {
			text += fmt.Sprintf("; INSERT INTO receipt_line VALUES(%s, %s, %s)", m.name(), id, m.name())
		}
		return text
	})
	d.often(2, func(m *maker) string {
		id := own(m)
		return fmt.Sprintf("INSERT INTO receipt_line VALUES(%s, %s, %s); UPDATE receipt SET lines=lines+1 WHERE id=%s",
			m.name(), id, m.name(), id)
	})
	d.receiptsShrink(own)
}

func (d *design) receiptsAreWhole() {
	d.sql("CREATE INDEX receipt_line_receipt ON receipt_line(receipt);")
	d.always = append(d.always,
		question{"SELECT count(*) FROM receipt WHERE lines<>(SELECT count(*) FROM receipt_line WHERE receipt=receipt.id)",
			"0", false},
		question{"SELECT count(*) FROM receipt_line WHERE receipt NOT IN (SELECT id FROM receipt)", "0", false})
}

// receiptsShrink take lines from a receipt, and whole receipts away.
func (d *design) receiptsShrink(own func(*maker) string) {
	d.often(1, func(m *maker) string {
		id := own(m)
		return fmt.Sprintf("DELETE FROM receipt_line WHERE id=(SELECT max(id) FROM receipt_line WHERE receipt=%s); "+
			"UPDATE receipt SET lines=(SELECT count(*) FROM receipt_line WHERE receipt=receipt.id) WHERE id=%s", id, id)
	})
	d.often(1, func(m *maker) string { return "DELETE FROM receipt WHERE id=" + own(m) })
}

// numberedReceipts leave their numbers to SQLite, so two sites give the same ones; each finds
// its own by what it wrote.
func (d *design) numberedReceipts(m *maker) {
	again := " AUTOINCREMENT" // no number is used again
	if can.reusesFresh {
		again = m.one("", again)
	}
	d.sql("CREATE TABLE receipt(id INTEGER PRIMARY KEY%s, lines INTEGER NOT NULL, note TEXT);", again)
	d.sql("CREATE TABLE receipt_line(id INTEGER PRIMARY KEY%s, receipt INTEGER NOT NULL REFERENCES receipt(id) ON "+
		"DELETE CASCADE, what TEXT);", again)
	d.sql("CREATE INDEX receipt_note ON receipt(note);")
	d.receiptsAreWhole()
	own := func(m *maker) string {
		return fmt.Sprintf("(SELECT id FROM receipt WHERE note GLOB '%s.*' ORDER BY note LIMIT 1 OFFSET %d)", m.site,
			m.IntN(3))
	}
	d.often(3, func(m *maker) string {
		lines, note := 1+m.IntN(3), m.name()
		text := fmt.Sprintf("INSERT INTO receipt(lines, note) VALUES(%d, %s)", lines, note)
		for range lines {
			text += fmt.Sprintf("; INSERT INTO receipt_line(receipt, what) SELECT id, %s FROM receipt WHERE note=%s", m.name(),
				note)
		}
		return text
	})
	d.often(2, func(m *maker) string {
		note := m.name() // finds its receipt again after the line is there
		return fmt.Sprintf("UPDATE receipt SET lines=lines+1, note=%s WHERE id=%s; INSERT INTO receipt_line(receipt, what) "+
			"SELECT id, %s FROM receipt WHERE note=%s",
			note, own(m), m.name(), note)
	})
	d.receiptsShrink(func(m *maker) string {
		return fmt.Sprintf("(SELECT min(id) FROM receipt WHERE note GLOB '%s.*')", m.site)
	})
}

// siteNames are all servers a schedule can have, the hub first. The last one joins late.
var siteNames = []string{"hub", "varna", "burgas", "ruse", "pleven"}

// tills have money that moves between two rows and is never more or less.
func (d *design) tills(m *maker) {
	second := m.one("till", "safe") // the second row in the same table, or in another
	for _, table := range []string{"till", "safe"} {
		d.sql("CREATE TABLE %s(id TEXT PRIMARY KEY, cash INTEGER NOT NULL);", table)
	}
	for _, site := range siteNames {
		d.sql("INSERT INTO till VALUES('%s',500); INSERT INTO %s VALUES('%s b',500);", site, second, site)
	}
	d.always = append(d.always, question{"SELECT (SELECT sum(cash) FROM till)+coalesce((SELECT sum(cash) FROM safe), 0)",
		fmt.Sprint(1000 * len(siteNames)), true})
	d.often(4, func(m *maker) string {
		sum := 1 + m.IntN(9)
		return fmt.Sprintf("UPDATE till SET cash=cash-%d WHERE id='%s'; UPDATE %s SET cash=cash+%d WHERE id='%s b'", sum,
			m.site, second, sum, m.site)
	})
}

// key is how rows of a table are told apart.
type key struct {
	columns string // their declarations
	names   string
	suffix  string                // of the CREATE TABLE
	values  func(m *maker) string // of a row that may well be there
	fresh   func(m *maker) string // of a new one; empty: the number is left to SQLite
	where   func(v string) string // the row of a key
	seeds   []string
}

func drawKey(m *maker) key {
	switch m.IntN(4) {
	case 0:
		auto := m.one("", "", " AUTOINCREMENT")
		return key{columns: "id INTEGER PRIMARY KEY" + auto, names: "id",
			values: func(m *maker) string { return m.number(1, 5) },
			fresh:  func(m *maker) string { return m.one("NULL", m.number(1, 9)) },
			where:  func(v string) string { return "id=" + v }, seeds: []string{"1", "2", "3"}}
	case 1:
		return key{columns: "id TEXT PRIMARY KEY", names: "id", suffix: m.one("", " WITHOUT ROWID"),
			values: func(m *maker) string { return "'k'||" + m.number(1, 5) },
			fresh:  func(m *maker) string { return m.one(m.name(), "'k'||"+m.number(1, 9)) },
			where:  func(v string) string { return "id=" + v }, seeds: []string{"'k1'", "'k2'", "'k3'"}}
	case 2:
		return key{columns: "k TEXT COLLATE NOCASE NOT NULL, j INT NOT NULL", names: "k, j",
			suffix: m.one("", " WITHOUT ROWID"),
			values: func(m *maker) string { return m.one("'one'", "'ONE'", "'two'") + ", " + m.number(1, 2) },
			fresh:  func(m *maker) string { return m.one("'one'", "'Two'", "'three'") + ", " + m.number(1, 3) },
			where: func(v string) string {
				k, j, _ := strings.Cut(v, ", ")
				return "k=" + k + " AND j=" + j
			}, seeds: []string{"'one', 1", "'two', 2"}}
	default:
		return key{columns: "id TEXT NOT NULL PRIMARY KEY", names: "id", values: func(m *maker) string {
			return "(SELECT id FROM item ORDER BY id LIMIT 1 OFFSET " + m.number(0, 4) + ")"
		}, fresh: func(m *maker) string { return m.name() },
			where: func(v string) string { return "id=" + v }, seeds: []string{"'0a-1'", "'0b-2'", "'0c-3'"}}
	}
}

// items are rows that every site writes freely.
func (d *design) items(m *maker) {
	k := drawKey(m)
	columns, names := k.columns, []string{}
	for i := range 1 + m.IntN(4) {
		name := string(rune('a' + i))
		names = append(names, name)
		columns += ", " + name + m.one(" TEXT", " TEXT", "", " TEXT NOT NULL DEFAULT 'none'")
	}
	counter := can.counts && m.chance(1, 3)
	if counter {
		columns += ", stock INTEGER NOT NULL DEFAULT 100"
		d.settings = append(d.settings, store.Setting{Table: "item", Class: store.Synced, Counters: []string{"stock"}})
	}
	unique := can.recordsUnique && m.chance(1, 2)
	if unique {
		columns += ", code TEXT" + m.one("", " COLLATE NOCASE") + m.one("", " UNIQUE")
	}
	checked := can.recordsChecks && m.chance(1, 4)
	if checked {
		columns += ", lo INT NOT NULL DEFAULT 3, hi INT NOT NULL DEFAULT 9"
	}
	if m.chance(1, 4) {
		columns += ", g AS (a||'!')" + m.one("", " STORED")
	}
	if checked {
		columns += ", CHECK(lo<=hi)"
	}
	if k.names == "k, j" {
		columns += ", PRIMARY KEY(k, j)"
	}
	d.sql("CREATE TABLE item(%s)%s;", columns, k.suffix)
	if unique {
		on := []string{"code", "code) WHERE (a>'k'", "code, " + names[0], "trim(code) COLLATE NOCASE"}
		if counter { // an expression could be of the counter
			on = on[:3]
		}
		d.sql("CREATE UNIQUE INDEX item_code ON item(%s);", m.one(on...))
	}
	d.itemSeeds(k, names)
	if m.chance(1, 5) {
		d.sql("CREATE TABLE item_last(id INTEGER PRIMARY KEY CHECK(id=1), what TEXT);")
		d.sql("INSERT INTO item_last VALUES(1, 'nothing');")
		d.sql("CREATE TRIGGER item_update AFTER UPDATE OF a ON item BEGIN UPDATE item_last SET what=NEW.a WHERE id=1; END;")
	}
	d.itemWrites(k, names)
	if counter {
		d.often(3, func(m *maker) string {
			return "UPDATE item SET stock=stock-" + m.number(1, 5) + " WHERE " + k.where(k.values(m))
		})
		d.often(1, func(m *maker) string {
			return "UPDATE item SET stock=" + m.number(50, 150) + " WHERE " + k.where(k.values(m))
		})
	}
	if unique {
		d.itemCodes(k)
	}
	if checked {
		d.often(1, func(m *maker) string {
			return "UPDATE item SET lo=" + m.number(1, 12) + " WHERE " + k.where(k.values(m))
		})
		d.often(1, func(m *maker) string {
			return "UPDATE item SET hi=" + m.number(1, 12) + " WHERE " + k.where(k.values(m))
		})
	}
}

func (d *design) itemSeeds(k key, names []string) {
	for i, seed := range k.seeds {
		values := seed
		for _, name := range names {
			values += fmt.Sprintf(", 'seed.%d.%s'", i+1, name)
		}
		d.sql("INSERT INTO item(%s, %s) VALUES(%s);", k.names, strings.Join(names, ", "), values)
	}
}

func (d *design) itemWrites(k key, names []string) {
	columns := k.names + ", " + strings.Join(names, ", ")
	tokens := func(m *maker) string {
		var all []string
		for range names {
			all = append(all, m.value())
		}
		return strings.Join(all, ", ")
	}
	d.often(6, func(m *maker) string {
		return "UPDATE item SET " + m.one(names...) + "=" + m.value() + " WHERE " + k.where(k.values(m))
	})
	d.often(2, func(m *maker) string {
		var set []string
		for _, name := range names {
			set = append(set, name+"="+m.value())
		}
		return "UPDATE item SET " + strings.Join(set, ", ") + m.one("", " WHERE "+k.where(k.values(m)))
	})
	d.often(1, func(m *maker) string { // unchanged
		name := m.one(names...)
		return "UPDATE item SET " + name + "=" + name
	})
	d.often(2, func(m *maker) string {
		return "INSERT " + m.one("", "OR IGNORE ") + "INTO item(" + columns + ") VALUES(" + k.fresh(m) + ", " + tokens(m) +
			")"
	})
	d.often(1, func(m *maker) string {
		return "REPLACE INTO item(" + columns + ") VALUES(" + k.values(m) + ", " + tokens(m) + ")"
	})
	d.often(1, func(m *maker) string {
		return "INSERT INTO item(" + columns + ") VALUES(" + k.fresh(m) + ", " + tokens(m) + ") ON CONFLICT(" + k.names +
			") DO UPDATE SET " +
			names[0] + "=excluded." + names[0]
	})
	d.often(1, func(m *maker) string { return "DELETE FROM item WHERE " + k.where(k.values(m)) })
	d.often(1, func(m *maker) string { // and back within one transaction
		v := k.values(m)
		return "DELETE FROM item WHERE " + k.where(v) + "; INSERT INTO item(" + columns + ") VALUES(" + v + ", " + tokens(m) +
			")"
	})
	if k.names == "id" {
		d.often(1, func(m *maker) string { // the key itself
			to := k.fresh(m)
			if to == "NULL" {
				to = m.number(1, 9)
			}
			return "UPDATE " + m.one("", "OR REPLACE ") + "item SET id=" + to + " WHERE " + k.where(k.values(m))
		})
	}
}

// itemCodes give and take unique values, and swap them.
func (d *design) itemCodes(k key) {
	code := func(m *maker) string { return m.one("'red'", "'RED'", "'blue'", "'green'", "NULL") }
	d.often(4, func(m *maker) string { return "UPDATE item SET code=" + code(m) + " WHERE " + k.where(k.values(m)) })
	d.often(1, func(m *maker) string {
		return "UPDATE OR REPLACE item SET code=" + code(m) + " WHERE " + k.where(k.values(m))
	})
	d.often(1, func(m *maker) string {
		one, two := k.where(k.seeds[0]), k.where(k.seeds[1])
		return "UPDATE item SET code=NULL WHERE " + one + "; UPDATE item SET code='red' WHERE " + two +
			"; UPDATE item SET code='blue' WHERE " + one
	})
}
