package sim

import (
	"fmt"
	"strings"

	"ravno/store"
)

// orders are documents of a head, lines and what belongs to a line, which every site changes.
func (d *design) orders(m *maker) {
	headKey := m.one("INTEGER PRIMARY KEY", "TEXT PRIMARY KEY")
	number := headKey == "INTEGER PRIMARY KEY"
	action := m.one("CASCADE", "CASCADE", "RESTRICT", "NO ACTION", setNull())
	d.sql("CREATE TABLE ord(id %s, note TEXT, state TEXT);", headKey)
	d.sql("CREATE TABLE ord_line(id TEXT PRIMARY KEY, ord %s REFERENCES ord(id) ON DELETE %s%s, what TEXT, remark TEXT);",
		strings.Fields(headKey)[0], action, m.one("", " ON UPDATE CASCADE", " DEFERRABLE INITIALLY DEFERRED"))
	d.sql("CREATE INDEX ord_line_ord ON ord_line(ord);")
	d.sql("INSERT INTO ord VALUES(1,'seed.o1','seed.s1'),(2,'seed.o2','seed.s2'),(3,'seed.o3','seed.s3');")
	d.sql("INSERT INTO ord_line VALUES('x',1,'seed.l1',NULL),('y',1,'seed.l2',NULL),('z',2,'seed.l3',NULL);")
	if action != "CASCADE" && m.chance(1, 2) {
		d.settings = append(d.settings, store.Setting{Table: "ord_line", Class: store.Synced, Document: "ord"})
	}
	head := func(m *maker) string { return m.number(1, 4) }
	line := func(m *maker) string { return m.one("'x'", "'y'", "'z'", "'w'") }
	d.often(3, func(m *maker) string {
		return "UPDATE ord SET " + m.one("note", "state") + "=" + m.name() + " WHERE id=" + head(m)
	})
	d.often(3, func(m *maker) string {
		return "UPDATE ord_line SET " + m.one("what", "remark") + "=" + m.name() + " WHERE " +
			m.one("id="+line(m), "ord="+head(m))
	})
	d.often(3, func(m *maker) string {
		return fmt.Sprintf("INSERT INTO ord_line VALUES(%s, %s, %s, %s)", m.one(m.name(), m.name(), line(m)), head(m),
			m.name(), m.name())
	})
	if can.keepsMovedRows {
		d.often(1, func(m *maker) string { return "UPDATE ord_line SET ord=" + head(m) + " WHERE id=" + line(m) })
	}
	gone := func(m *maker, text string) string {
		if m.site == "hub" && !can.repairsOneFold {
			return "UPDATE ord SET note=" + m.name() + " WHERE id=" + head(m)
		}
		return text
	}
	d.often(1, func(m *maker) string { return gone(m, "DELETE FROM ord_line WHERE id="+line(m)) })
	d.often(1, func(m *maker) string {
		id := m.number(1, 5)
		if number && m.chance(1, 2) {
			id = "NULL"
		}
		return fmt.Sprintf("INSERT INTO ord VALUES(%s, %s, %s)", id, m.name(), m.name())
	})
	if can.repairsForeignKeys {
		d.often(2, func(m *maker) string { return gone(m, "DELETE FROM ord WHERE id="+head(m)) })
		d.often(1, func(m *maker) string {
			return gone(m, fmt.Sprintf("UPDATE ord SET id=%s WHERE id=%s", m.number(1, 5), head(m)))
		})
	}
	if m.chance(1, 3) {
		d.sql("CREATE TABLE ord_extra(id TEXT PRIMARY KEY, line TEXT REFERENCES ord_line(id) ON DELETE CASCADE, what TEXT);")
		d.sql("INSERT INTO ord_extra VALUES('e','x','seed.e');")
		d.often(2, func(m *maker) string {
			return fmt.Sprintf("INSERT INTO ord_extra VALUES(%s, %s, %s)", m.name(), line(m), m.name())
		})
		d.often(1, func(m *maker) string { return "UPDATE ord_extra SET what=" + m.name() + " WHERE id='e'" })
	}
}

// setNull is the action SET NULL, where it can be relied on.
func setNull() string {
	if can.repairsNulled {
		return "SET NULL"
	}
	return "CASCADE"
}

// places refer to places of the same table.
func (d *design) places(m *maker) {
	d.sql("CREATE TABLE place(id TEXT PRIMARY KEY, up TEXT REFERENCES place(id) ON DELETE %s, name TEXT);",
		m.one(setNull(), "CASCADE", "NO ACTION"))
	d.sql("INSERT INTO place VALUES('p1',NULL,'seed.p1'),('p2','p1','seed.p2'),('p3','p2','seed.p3');")
	place := func(m *maker) string { return "'p'||" + m.number(1, 5) }
	d.often(3, func(m *maker) string { return "UPDATE place SET name=" + m.name() + " WHERE id=" + place(m) })
	d.often(2, func(m *maker) string {
		return fmt.Sprintf("INSERT INTO place VALUES(%s, %s, %s)", m.one(m.name(), place(m)), m.one("NULL", place(m)),
			m.name())
	})
	d.often(1, func(m *maker) string {
		return "UPDATE place SET up=" + m.one("NULL", place(m)) + " WHERE id=" + place(m)
	})
	if can.repairsTrees {
		d.often(1, func(m *maker) string { return "DELETE FROM place WHERE id=" + place(m) })
	}
}

// prices refer to a unique column that is not the key.
func (d *design) prices(m *maker) {
	d.sql("CREATE TABLE product(id TEXT PRIMARY KEY, code TEXT NOT NULL UNIQUE, name TEXT);")
	d.sql("CREATE TABLE price(id TEXT PRIMARY KEY, product TEXT REFERENCES product(code) ON UPDATE CASCADE ON DELETE "+
		"%s, note TEXT);", m.one("CASCADE", "RESTRICT", "SET NULL"))
	d.sql("INSERT INTO product VALUES('1','tea','seed.tea'),('2','salt','seed.salt'); INSERT INTO price " +
		"VALUES('a','tea','seed.a'),('b','salt','seed.b');")
	product := func(m *maker) string { return m.one("'tea'", "'salt'", "'oil'") }
	d.often(2, func(m *maker) string { return "UPDATE product SET name=" + m.name() + " WHERE code=" + product(m) })
	d.often(2, func(m *maker) string { return "UPDATE price SET note=" + m.name() + " WHERE product=" + product(m) })
	if can.repairsUnique {
		d.often(1, func(m *maker) string { return "UPDATE product SET code=" + product(m) + " WHERE code=" + product(m) })
	}
	d.often(1, func(m *maker) string {
		return fmt.Sprintf("INSERT INTO product VALUES(%s, %s, %s)", m.name(), product(m), m.name())
	})
	d.often(2, func(m *maker) string {
		return fmt.Sprintf("INSERT INTO price VALUES(%s, %s, %s)", m.name(), product(m), m.name())
	})
	d.often(1, func(m *maker) string { return "DELETE FROM product WHERE code=" + product(m) })
}

// tags are rows that are all key.
func (d *design) tags(m *maker) {
	d.sql("CREATE TABLE tagging(a INT, b TEXT%s, PRIMARY KEY(a, b)) WITHOUT ROWID;", m.one("", " COLLATE NOCASE"))
	d.sql("INSERT INTO tagging VALUES(1,'new'),(2,'old');")
	tag := func(m *maker) string { return m.one("'new'", "'old'", "'odd'", m.name()) }
	d.often(3, func(m *maker) string {
		return "INSERT OR IGNORE INTO tagging VALUES(" + m.number(1, 4) + ", " + tag(m) + ")"
	})
	d.often(1, func(m *maker) string { return "DELETE FROM tagging WHERE a=" + m.number(1, 4) })
	d.often(1, func(m *maker) string { return "UPDATE tagging SET a=" + m.number(1, 4) + " WHERE b=" + tag(m) })
}

// happenings are a journal: they travel to the hub only.
func (d *design) happenings(*maker) {
	d.sql("CREATE TABLE happening(id INTEGER PRIMARY KEY, what TEXT);")
	d.settings = append(d.settings, store.Setting{Table: "happening", Class: store.Journal})
	d.often(3, func(m *maker) string { return "INSERT INTO happening(what) VALUES(" + m.name() + ")" })
}
