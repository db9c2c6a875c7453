package schema

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"ravno/crdt"
	"ravno/store/internal/sqlite"
)

// shadowSuffixes are the tables in which virtual tables of the modules that come with
// SQLite keep their index. They are ordinary tables in sqlite_master, and only a library
// that has the module itself knows better.
var shadowSuffixes = map[string][]string{
	"fts3":          {"content", "segments", "segdir", "docsize", "stat"},
	"fts4":          {"content", "segments", "segdir", "docsize", "stat"},
	"fts5":          {"data", "idx", "content", "docsize", "config"},
	"rtree":         {"node", "parent", "rowid"},
	"rtree_i32":     {"node", "parent", "rowid"},
	"geopoly":       {"node", "parent", "rowid"},
	"fts4aux":       {},
	"fts5vocab":     {},
	"spellfix1":     {"vocab"},
	"csv":           {},
	"dbstat":        {},
	"sqlite_dbpage": {},
}

func isVirtual(o object) bool {
	all := tokens(o.sql)
	return len(all) > 1 && all[0].is("CREATE") && all[1].is("VIRTUAL")
}

// moduleOf is the module of a virtual table, folded.
func moduleOf(virtual object) string {
	all := tokens(virtual.sql)
	for i, t := range all[:max(len(all)-1, 0)] {
		if t.is("USING") {
			return LowerASCII(all[i+1].name())
		}
	}
	return ""
}

// CheckModules refuses a file with an FTS5 index if this build has no FTS5: rows that ravno
// writes would be missing from the index.
func CheckModules(c *sqlite.Conn) error { return checkModules(c, sqlite.HasFTS5()) }

func checkModules(c *sqlite.Conn, hasFTS5 bool) error {
	if hasFTS5 {
		return nil
	}
	return c.Rows("SELECT name, sql FROM sqlite_master WHERE type='table' AND rootpage=0 ORDER BY name", nil,
		func(row []crdt.Value) error {
			if module := moduleOf(object{sql: row[1].Bytes()}); module != "fts5" && module != "fts5vocab" {
				return nil
			}
			return fmt.Errorf("table %s is a full-text index (FTS5), and this ravno was built without FTS5. "+
				"Try: a ravno built with make build, or with go build -tags sqlite_fts5", row[0].Bytes())
		})
}

// aside says why something is none of the application's ordinary tables, or refuses it if
// that is likely but not known.
func (r *reader) aside(o object) (reason string, err error) {
	switch {
	case o.kind == "view":
		return "view", nil
	case isVirtual(o):
		return "virtual table (" + moduleOf(o) + ")", nil
	case r.listed[o.name].kind == "shadow":
		return "index of a virtual table", nil
	}
	for _, v := range r.virtual {
		suffix, ok := strings.CutPrefix(LowerASCII(o.name), LowerASCII(v.name)+"_")
		if !ok {
			continue
		}
		suffixes, known := shadowSuffixes[moduleOf(v)]
		if !known {
			return "", refuse("rename it if it holds the application's own rows, ",
				"by its name it may be the index of the virtual table %s, whose module %s is not known here", v.name, moduleOf(v))
		}
		for _, s := range suffixes {
			if suffix == s {
				return "index of the virtual table " + v.name, nil
			}
		}
	}
	return "", nil
}

// checkCollations refuses what only the application can compare.
func checkCollations(t *Table) error {
	const try = "declare it COLLATE BINARY, NOCASE or RTRIM, "
	for _, k := range t.Key {
		if c := t.Columns[k]; !knownCollation(c.Collation) {
			return refuse(try, "key column %s has the collation %s, which only the application knows", c.Name, c.Collation)
		}
	}
	for _, u := range t.Unique {
		for _, p := range u.Parts {
			if !knownCollation(p.Collation) {
				return refuse(try, "unique index %s has the collation %s, which only the application knows", u.Name, p.Collation)
			}
		}
	}
	return nil
}

// checkWritable compiles a statement that would evaluate every CHECK, generated column,
// index expression and predicate of the table, and never runs it.
func (r *reader) checkWritable(t *Table) error {
	names := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		names[i] = c.Name
	}
	values := strings.TrimSuffix(strings.Repeat("NULL,", len(names)), ",")
	err := r.conn.Exec("EXPLAIN INSERT INTO main." + sqlite.Quote(t.Name) + "(" + sqlite.QuoteAll("", names) +
		") VALUES(" + values + ")")
	if err == nil {
		return nil
	}
	if failure := sqlite.FailureOf(err); failure != sqlite.OtherFailure {
		return err // the file, not the table
	}
	return refuse("define it without what only the application has, ",
		"it cannot be written from outside the application: %v",
		cmp.Or(errors.Unwrap(err), err))
}

// checkNullKey notes whether a table holds rows with a NULL in the key. SQLite allows that
// in a PRIMARY KEY not declared NOT NULL, and any number of them side by side. Such a table
// should not be captured; one that is captured already goes on, without those rows.
func (r *reader) checkNullKey(t *Table) error {
	for _, k := range t.Key {
		c := t.Columns[k]
		if c.NotNull || t.RowidKey || t.WithoutRowid {
			continue
		}
		found, err := r.conn.Int("SELECT EXISTS(SELECT 1 FROM main." + sqlite.Quote(t.Name) + " WHERE " +
			sqlite.Quote(c.Name) + " IS NULL)")
		if err != nil {
			return err
		}
		if found != 0 {
			no := refuse("give every row a key and declare it NOT NULL, ",
				"key column %s is NULL in some rows, which have no identity", c.Name).(refused)
			t.NullKey = &Refusal{Table: t.Name, Reason: no.reason, Try: no.try + tryLeavingOut + t.Name}
		}
	}
	return nil
}
