package capture

import (
	"fmt"
	"slices"
	"strings"

	"pgregory.net/rapid"
)

// grammar draws schemas and scripts over them. It knows SQLite's syntax and nothing of
// what a statement will do: many fail, and then they must fail alike.
type grammar struct {
	t       *rapid.T
	tables  []*grammarTable
	renamed int // how many columns were renamed or added: their new names count on
}

type grammarTable struct {
	name     string
	columns  []string // those a statement may write
	targets  []string // conflict targets for UPSERT
	key      string   // what a foreign key may refer to; empty if the key is composite
	hasRowid bool
	ddl      []string // how it is made, indexes included
}

func (g *grammar) pick(label string, from ...string) string {
	return rapid.SampledFrom(from).Draw(g.t, label)
}

// chance is true in one of n cases.
func (g *grammar) chance(label string, n int) bool {
	return rapid.IntRange(1, n).Draw(g.t, label) == n
}

func (g *grammar) table() *grammarTable { return rapid.SampledFrom(g.tables).Draw(g.t, "table") }

func (g *grammar) value() string { return g.pick("value", literals...) }

// drawSchema draws two or three tables and the application's triggers on them.
func drawSchema(t *rapid.T) (*grammar, []string) {
	g := &grammar{t: t}
	var ddl []string
	for i := range rapid.IntRange(2, 3).Draw(t, "tables") {
		table := &grammarTable{name: fmt.Sprintf("t%d", i), hasRowid: true}
		g.tables = append(g.tables, table) // so that it can refer to itself
		g.drawTable(table)
		ddl = append(ddl, table.ddl...)
	}
	for i := range rapid.IntRange(0, 3).Draw(t, "triggers") {
		ddl = append(ddl, g.trigger(fmt.Sprintf("app%d", i)))
	}
	return g, ddl
}

// keys are the forms of a key: definitions of its columns, constraint, end of the table.
var keys = []struct {
	columns, target, constraint, end string
	single                           bool
}{
	{"k INTEGER PRIMARY KEY", "k", "", "", true},
	{"k INTEGER PRIMARY KEY", "k", "", "", true},
	{"k INTEGER PRIMARY KEY AUTOINCREMENT", "k", "", "", true},
	{"k TEXT PRIMARY KEY NOT NULL", "k", "", "", true},
	{"k TEXT COLLATE NOCASE PRIMARY KEY NOT NULL", "k", "", "", true},
	{"k PRIMARY KEY NOT NULL", "k", "", "", true},
	{"k NOT NULL UNIQUE", "k", "", "", true},
	{"k TEXT COLLATE NOCASE PRIMARY KEY", "k", "", " WITHOUT ROWID", true},
	{"k NOT NULL, l INT NOT NULL", "k, l", "PRIMARY KEY(k, l)", "", false},
	{"k INT, l TEXT COLLATE RTRIM", "l, k", "PRIMARY KEY(l, k)", " WITHOUT ROWID", false},
	{"k NOT NULL, l NOT NULL", "k, l", "PRIMARY KEY(k, l ON CONFLICT REPLACE)", "", false},
}

func (g *grammar) drawTable(table *grammarTable) {
	key := rapid.SampledFrom(keys).Draw(g.t, "key")
	if strings.Contains(key.constraint, "ON CONFLICT") {
		key.constraint = "PRIMARY KEY(k, l) ON CONFLICT REPLACE"
	}
	table.columns, table.targets = strings.Split(key.target, ", "), []string{key.target}
	table.hasRowid = key.end == ""
	if key.single {
		table.key = "k"
	}
	parts := []string{key.columns}
	if !g.chance("all key", 6) || key.single {
		for i := range rapid.IntRange(1, 3).Draw(g.t, "columns") {
			name := fmt.Sprintf("c%d", i)
			table.columns = append(table.columns, name)
			parts = append(parts, name+g.column(table, name))
		}
	}
	last := table.columns[len(table.columns)-1]
	if g.chance("generated", 4) {
		parts = append(parts, "g AS ("+g.pick("generated as", last+" || 'g'", "k + 1", "lower("+last+")")+")"+
			g.pick("generated how", "", " STORED", " UNIQUE", " STORED UNIQUE"))
	}
	if key.constraint != "" {
		parts = append(parts, key.constraint)
	}
	table.ddl = append(table.ddl, "CREATE TABLE "+table.name+"("+strings.Join(parts, ", ")+")"+key.end)
	if g.chance("index", 3) {
		on := g.pick("unique", last+" COLLATE NOCASE", "lower("+last+")", last+" + 1", last+") WHERE ("+last+" > 1",
			"k, "+last+" DESC", last+") WHERE ("+last+" IS NOT NULL AND k < 3")
		table.ddl = append(table.ddl, "CREATE UNIQUE INDEX "+table.name+"_u ON "+table.name+"("+on+")")
	}
}

// column draws the definition of a column besides the key.
func (g *grammar) column(table *grammarTable, name string) string {
	definition := g.pick("type", "", "", " INT", " REAL", " TEXT", " TEXT COLLATE NOCASE", " NUMERIC", " BLOB")
	switch rapid.IntRange(0, 7).Draw(g.t, "constraint") {
	case 0:
		definition += " NOT NULL" + g.pick("on null", "", " ON CONFLICT REPLACE", " ON CONFLICT IGNORE") + " DEFAULT " +
			g.pick("default", "1", "'b'", "x'61'", "(1 + 1)")
	case 1:
		definition += " UNIQUE" + g.pick("on clash", "", "", " ON CONFLICT REPLACE", " ON CONFLICT IGNORE",
			" ON CONFLICT FAIL", " ON CONFLICT ROLLBACK")
		table.targets = append(table.targets, name)
	case 2:
		definition += " CHECK(" + name + " <> 3)"
	case 3, 4:
		parent := g.table()
		if parent.key == "" {
			break
		}
		actions := []string{"", " CASCADE", " CASCADE", " SET NULL", " SET DEFAULT", " RESTRICT", " NO ACTION"}
		definition += " REFERENCES " + parent.name + "(" + parent.key + ")"
		if action := g.pick("on delete", actions...); action != "" {
			definition += " ON DELETE" + action
		}
		if action := g.pick("on update", actions...); action != "" {
			definition += " ON UPDATE" + action
		}
		definition += g.pick("when", "", "", " DEFERRABLE INITIALLY DEFERRED")
	}
	return definition
}

// trigger draws a trigger of the application.
func (g *grammar) trigger(name string) string {
	table := g.table()
	event := g.pick("event", "INSERT", "UPDATE", "DELETE", "UPDATE OF "+table.columns[0])
	row := "NEW"
	if event == "DELETE" {
		row = "OLD"
	}
	value := func() string {
		return g.pick("of", row+"."+g.pick("column", table.columns...), row+"."+table.columns[0]+" || 'a'", g.value())
	}
	var body []string
	for range rapid.IntRange(1, 2).Draw(g.t, "statements") {
		other := g.table()
		or := g.pick("or", orClauses...)
		where := " WHERE +" + g.pick("column", other.columns...) + " IS " + value()
		switch rapid.IntRange(0, 5).Draw(g.t, "does") {
		case 0, 1:
			values := make([]string, len(other.columns))
			for i := range values {
				values[i] = value()
			}
			body = append(body, "INSERT"+or+" INTO "+other.name+"("+strings.Join(other.columns, ",")+") VALUES("+
				strings.Join(values, ",")+")")
		case 2, 3:
			body = append(body, "UPDATE"+or+" "+other.name+" SET "+g.pick("column", other.columns...)+" = "+value()+where)
		case 4:
			body = append(body, "DELETE FROM "+other.name+where)
		default:
			body = append(body, "SELECT RAISE("+g.pick("raise", "IGNORE", "ABORT, 'no'", "FAIL, 'no'", "ROLLBACK, 'no'")+
				") WHERE "+value()+" IS "+g.value())
		}
	}
	when := ""
	if g.chance("when", 2) {
		when = " WHEN " + value() + g.pick("compare", " > ", " IS NOT ", " < ") + g.value()
	}
	return "CREATE TRIGGER " + name + g.pick("time", " BEFORE ", " AFTER ") + event + " ON " + table.name + when +
		" BEGIN " + strings.Join(body, "; ") + "; END"
}

// set draws what an UPDATE of a table sets.
func (g *grammar) set(table *grammarTable) string {
	var terms []string
	for _, c := range table.columns {
		if g.chance("set", 3) {
			terms = append(terms, c+"="+g.pick("to", g.value(), g.value(), c, c+"+1", c+"||''", "upper("+c+")",
				table.columns[0]))
		}
	}
	if len(terms) == 0 {
		terms = []string{table.columns[0] + "=" + g.value()}
	}
	return strings.Join(terms, ", ")
}

// where draws which rows. Where it matters, NOT INDEXED keeps an index from deciding their
// order, see where in statement.
func (g *grammar) where(table *grammarTable) string {
	column := g.pick("column", table.columns...)
	return g.pick("where", "", " WHERE +"+column+" IS "+g.value(), " WHERE +"+column+" > "+g.value(), " WHERE +"+column+
		" IN ("+g.value()+","+g.value()+")")
}

func (g *grammar) tuples(table *grammarTable) string {
	var tuples []string
	for range rapid.IntRange(1, 3).Draw(g.t, "rows") {
		values := make([]string, len(table.columns))
		for i := range values {
			values[i] = g.value()
		}
		tuples = append(tuples, "("+strings.Join(values, ",")+")")
	}
	return strings.Join(tuples, ",")
}

func (g *grammar) insert(table *grammarTable, or string) string {
	return "INSERT" + or + " INTO " + table.name + "(" + strings.Join(table.columns, ",") + ") "
}

// statement draws one statement of a script.
func (g *grammar) statement() string {
	table := g.table()
	columns := strings.Join(table.columns, ",")
	returning := g.pick("returning", "", "", "", " RETURNING *", " RETURNING "+table.columns[0]+" AS r")
	switch rapid.IntRange(0, 19).Draw(g.t, "kind") {
	case 0, 1, 2, 3:
		return g.insert(table, g.pick("or", orClauses...)) + "VALUES" + g.tuples(table) + returning
	case 4, 5:
		target := "(" + g.pick("target", table.targets...) + ") "
		update := target + "DO UPDATE SET " + g.set(table)
		do := g.pick("do", "DO NOTHING", target+"DO NOTHING", update, update+" WHERE "+table.columns[0]+" > 1",
			update+" ON CONFLICT DO NOTHING")
		return g.insert(table, g.pick("or", "", "", " OR REPLACE", " OR IGNORE")) + "VALUES" + g.tuples(table) +
			" ON CONFLICT " + do + returning
	case 6, 7, 8, 9:
		return "UPDATE" + g.pick("or", orClauses...) + " " + table.name + " NOT INDEXED SET " + g.set(table) +
			g.where(table) + returning
	case 10:
		return "DELETE FROM " + table.name + " NOT INDEXED" + g.where(table) + returning
	case 11:
		// In an order of its own, so that what the statement removes by cascade is read before.
		from := g.table()
		values := make([]string, len(table.columns))
		for i := range values {
			values[i] = g.pick("column", from.columns...)
		}
		return g.insert(table, g.pick("or", orClauses...)) + "SELECT " + strings.Join(values, ",") + " FROM " + from.name +
			g.where(from) + " ORDER BY 1" + returning
	case 12:
		return g.insert(table, " OR REPLACE") + "SELECT " + columns + " FROM " + table.name + g.where(table)
	case 13:
		return "INSERT" + g.pick("or", orClauses...) + " INTO " + table.name + " DEFAULT VALUES"
	case 14:
		k := table.columns[0] // two rows swap their keys, whatever their kind
		return fmt.Sprintf("UPDATE%s %s NOT INDEXED SET %s = CASE %s WHEN 1 THEN 2 WHEN '1' THEN '2' WHEN 2 THEN 1 ELSE "+
			"'1' END WHERE +%s IN (1,2,'1','2')", g.pick("or", orClauses...), table.name, k, k, k)
	case 15:
		if !table.hasRowid {
			return "REINDEX"
		}
		return "UPDATE" + g.pick("or", orClauses...) + " " + table.name + " NOT INDEXED SET rowid = rowid + " +
			g.pick("by", "1", "-1", "0")
	default:
		return g.pick("transaction", "BEGIN", "BEGIN IMMEDIATE", "COMMIT", "COMMIT", "ROLLBACK", "SAVEPOINT s", "SAVEPOINT s",
			"RELEASE s", "ROLLBACK TO s")
	}
}

// migration draws what is only done between transactions, and changes the grammar's names
// with it if it succeeded.
func (g *grammar) migration() (sql string, succeeded func()) {
	table := g.table()
	g.renamed++
	name := fmt.Sprintf("n%d", g.renamed)
	switch rapid.IntRange(0, 3).Draw(g.t, "migration") {
	case 0:
		return "ALTER TABLE " + table.name + " ADD COLUMN " + name +
				g.pick("definition", "", " INT", " TEXT NOT NULL DEFAULT 'b'", " REAL DEFAULT 1"),
			func() { table.columns = append(table.columns, name) }
	case 1:
		old := g.pick("column", table.columns...)
		return "ALTER TABLE " + table.name + " RENAME COLUMN " + old + " TO " + name, func() {
			table.columns[slices.Index(table.columns, old)] = name
			for i, target := range table.targets {
				parts := strings.Split(target, ", ")
				for j := range parts {
					if parts[j] == old {
						parts[j] = name
					}
				}
				table.targets[i] = strings.Join(parts, ", ")
			}
			if table.key == old {
				table.key = name
			}
		}
	case 2:
		return "VACUUM", func() {}
	default:
		return "REINDEX", func() {}
	}
}
