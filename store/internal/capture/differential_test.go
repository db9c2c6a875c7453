package capture

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"ravno/crdt"
	"ravno/store/internal/sqlite"
)

// model is a schema and, for each table, the columns statements may name.
type model struct {
	ddl    string
	tables []modelTable
}

type modelTable struct {
	name    string
	columns []string
	targets []string // conflict targets for UPSERT
}

var models = []model{
	{ddl: `CREATE TABLE doc(id INTEGER PRIMARY KEY, a TEXT COLLATE NOCASE UNIQUE, b UNIQUE, c REAL, d INT NOT NULL DEFAULT
		1);
		CREATE TABLE line(doc INT REFERENCES doc ON DELETE CASCADE ON UPDATE CASCADE, n, v, PRIMARY KEY(doc, n))
		WITHOUT ROWID;
		CREATE TABLE note(k TEXT COLLATE NOCASE PRIMARY KEY, doc INT REFERENCES doc ON DELETE SET NULL ON UPDATE SET NULL,
		u INT, w TEXT);
		CREATE UNIQUE INDEX note_part ON note(u) WHERE w > 'a';
		CREATE UNIQUE INDEX note_expr ON note(lower(w || u))`,
		tables: []modelTable{{"doc", []string{"id", "a", "b", "c", "d"}, []string{"id", "a", "b"}},
			{"line", []string{"doc", "n", "v"}, []string{"doc, n"}}, {"note", []string{"k", "doc", "u", "w"}, []string{"k"}}}},
	{ddl: `CREATE TABLE doc(id INTEGER PRIMARY KEY, a, b NOT NULL DEFAULT 2 UNIQUE ON CONFLICT REPLACE, c);
		CREATE TABLE any(k PRIMARY KEY NOT NULL, v UNIQUE, doc REFERENCES doc ON DELETE SET NULL ON UPDATE CASCADE);
		CREATE TABLE other(x NOT NULL, y COLLATE RTRIM NOT NULL, z, g AS (z || x) UNIQUE, UNIQUE(x, y));
		CREATE TRIGGER doc_again AFTER INSERT ON doc BEGIN UPDATE doc SET c = NEW.id || 'x' WHERE id = NEW.id; END;
		CREATE TRIGGER doc_any AFTER UPDATE OF a ON doc BEGIN INSERT OR REPLACE INTO any(k, v) VALUES(NEW.a || '', NEW.id);
		END;
		CREATE TRIGGER any_other BEFORE DELETE ON any BEGIN UPDATE other SET z = OLD.v WHERE x = OLD.k; END;
		CREATE TRIGGER other_doc BEFORE INSERT ON other WHEN NEW.z > 2 BEGIN DELETE FROM doc WHERE id = NEW.z; END`,
		tables: []modelTable{{"doc", []string{"id", "a", "b", "c"}, []string{"id"}},
			{"any", []string{"k", "v", "doc"}, []string{"k", "v"}},
			{"other", []string{"x", "y", "z"}, []string{"x, y"}}}},
}

// literals clash often: in value, in spelling, in storage class only.
var literals = []string{"NULL", "0", "1", "2", "3", "1.0", "2.5", "'1'", "'a'", "'A'", "'b'", "'b '", "x'61'", "0.0",
	"(0.0*-1)", "''", "'é'", "9007199254740993", "9007199254740992.0"}

var orClauses = []string{"", "", "", " OR REPLACE", " OR REPLACE", " OR IGNORE", " OR FAIL", " OR ABORT",
	" OR ROLLBACK"}

func statement(m model) *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		pick := func(label string, from []string) string { return rapid.SampledFrom(from).Draw(t, label) }
		table := rapid.SampledFrom(m.tables).Draw(t, "table")
		value := func() string { return pick("value", literals) }
		tuple := func() string {
			values := make([]string, len(table.columns))
			for i := range values {
				values[i] = value()
			}
			return "(" + strings.Join(values, ",") + ")"
		}
		set := func() string {
			var terms []string
			for _, c := range table.columns {
				if rapid.IntRange(0, 2).Draw(t, "set") == 0 {
					terms = append(terms, c+"="+pick("to", []string{value(), value(), c, c + "+1", c + "||''"}))
				}
			}
			if len(terms) == 0 {
				terms = []string{table.columns[0] + "=" + value()}
			}
			return strings.Join(terms, ", ")
		}
		where := func() string {
			// The + keeps an index from giving the order. Without any trigger SQLite updates the
			// rows as it finds them, with one it first collects them by rowid: an order it does
			// not promise, but one that decides which of them clash with each other.
			return pick("where", []string{"", " WHERE +" + pick("column", table.columns) + " IS " + value(), " WHERE +" +
				pick("column", table.columns) + " > " + value()})
		}
		insert := func(or string) string {
			sql := "INSERT" + or + " INTO " + table.name + "(" + strings.Join(table.columns, ",") + ") VALUES" + tuple()
			for range rapid.IntRange(0, 2).Draw(t, "more") {
				sql += "," + tuple()
			}
			return sql
		}
		switch rapid.IntRange(0, 10).Draw(t, "kind") {
		case 0, 1, 2:
			return insert(pick("or", orClauses))
		case 3:
			target := "(" + pick("target", table.targets) + ") "
			return insert("") + " ON CONFLICT " + pick(
				"do", []string{"DO NOTHING", target + "DO NOTHING", target + "DO UPDATE SET " + set()})
		case 4, 5, 6:
			return "UPDATE" + pick("or", orClauses) + " " + table.name + " SET " + set() + where()
		case 7:
			return "DELETE FROM " + table.name + where()
		case 8:
			return "INSERT OR REPLACE INTO " + table.name + "(" + strings.Join(table.columns, ",") + ") SELECT " +
				strings.Join(table.columns, ",") + " FROM " + table.name + where()
		case 9:
			return pick("transaction", []string{"BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT s", "RELEASE s", "ROLLBACK TO s"})
		default:
			return "INSERT INTO " + table.name + " DEFAULT VALUES"
		}
	})
}

// outcome is all an application can see of a statement, and the whole content after it.
func outcome(t fatal, c *sqlite.Conn, m model, statement string) string {
	var b strings.Builder
	failed := c.Exec(statement)
	if failed != nil && strings.Contains(failed.Error(), "FOREIGN KEY") {
		// A single-row INSERT into a table without any trigger fails before the row is made,
		// one with triggers after: the rowid of the failed row is what last_insert_rowid()
		// then tells. No trigger can avoid that, so it is set anew on both sides.
		must(t, c.Exec("INSERT OR REPLACE INTO settle VALUES(1)"))
	}
	changes, err := c.Int("SELECT changes()")
	must(t, err)
	last, err := c.Int("SELECT last_insert_rowid()")
	must(t, err)
	fmt.Fprintf(&b, "%v\nchanges %d, last rowid %d\n", failed, changes, last)
	for _, table := range m.tables {
		rowid := "0"
		if table.name != "line" {
			rowid = "rowid"
		}
		must(t, c.Rows("SELECT "+rowid+", "+sqlite.QuoteAll("+", table.columns)+" FROM "+table.name+" ORDER BY 1, 2, 3", nil,
			func(row []crdt.Value) error {
				fmt.Fprintf(&b, "%s:", table.name)
				for _, v := range row {
					fmt.Fprintf(&b, " %s %v", v.Kind(), v)
				}
				b.WriteByte('\n')
				return nil
			}))
	}
	return b.String()
}

// An application cannot tell that it is captured.
func TestCaptureIsInvisible(t *testing.T) {
	directory := t.TempDir()
	run := 0
	rapid.Check(t, func(t *rapid.T) {
		run++
		m := rapid.SampledFrom(models).Draw(t, "model")
		settings := quick + "PRAGMA recursive_triggers=" + rapid.SampledFrom([]string{"OFF", "ON"}).Draw(t, "recursive") +
			"; PRAGMA foreign_keys=" + rapid.SampledFrom([]string{"ON", "ON", "OFF"}).Draw(t, "foreign keys") + "; "
		pair := make([]*sqlite.Conn, 2)
		for i, name := range []string{"captured", "bare"} {
			c, err := sqlite.Open(filepath.Join(directory, fmt.Sprintf("%s%d.db", name, run)), sqlite.Create)
			must(t, err)
			defer c.Close()
			must(t, c.Exec(settings+m.ddl))
			pair[i] = c
		}
		log := install(t, pair[0])
		for _, c := range pair {
			must(t, c.Exec("CREATE TABLE settle(id INTEGER PRIMARY KEY)"))
		}
		for range rapid.IntRange(1, 25).Draw(t, "length") {
			sql := statement(m).Draw(t, "statement")
			before, from := log.rows(t), log.read
			got, want := outcome(t, pair[0], m, sql), outcome(t, pair[1], m, sql)
			if got != want {
				t.Fatalf("%s\ncaptured: %s\nbare: %s", sql, got, want)
			}
			after := log.rows(t)
			if last, err := log.Int("SELECT coalesce(max(id), 0) FROM ravno_log"); last < from {
				must(t, err)
				log.read = last // a transaction was rolled back, and its entries with it
				continue
			}
			if entries := log.news(t); len(entries) > 0 || !rolledBack(sql) {
				log.law(t, before, after, entries)
			}
		}
	})
}

// rolledBack reports whether a statement may take rows back to what they were.
func rolledBack(sql string) bool {
	return slices.ContainsFunc([]string{"ROLLBACK", "OR ROLLBACK"},
		func(s string) bool { return strings.Contains(sql, s) })
}
