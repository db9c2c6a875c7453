package install

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"ravno/crdt"
	"ravno/store/internal/catalog"
	"ravno/store/internal/rows"
	"ravno/store/internal/schema"
	"ravno/store/internal/sqlite"
)

// The application's triggers are off where ravno writes: what they did to tables that sync
// arrives as data. But some only keep an index or a local table of this file fresh, and
// nothing of that arrives. Those are made again as TEMP triggers of the writing connection,
// which fire although the file's own are off, and which nobody else ever sees.

// mirror is one trigger of the application, to be made again.
type mirror struct {
	schema.Trigger
	name string
}

// PutMirrors makes the TEMP triggers of the writing connection those that the file's triggers
// ask for now. A trigger that cannot be mirrored stops nothing: catalog.unmirrored says why.
func PutMirrors(tx *rows.Tx, cat *catalog.Catalog) error {
	unmirrored, standing, err := mirrorTriggers(tx.SQL, cat)
	if err != nil {
		return fmt.Errorf("triggers that keep local tables fresh: %w", err)
	}
	cat.Unmirrored = unmirrored
	for _, t := range cat.Tables {
		t.Mirrored = standing[strings.ToLower(t.Name)]
	}
	return nil
}

// mirrorTriggers does it, with the file's own triggers off. standing are the tables, by folded
// name, that have mirrors now.
func mirrorTriggers(c *sqlite.Conn, cat *catalog.Catalog) (
	refused []schema.Refusal, standing map[string]bool, err error) {
	plan, not, err := planMirrors(c, cat)
	if err != nil {
		return nil, nil, err
	}
	have := map[string]string{}
	err = c.Rows(
		`SELECT name, sql FROM temp.sqlite_master WHERE type='trigger' AND name LIKE 'ravno\_mirror\_%' ESCAPE '\'`, nil,
		func(row []crdt.Value) error {
			have[row[0].Bytes()] = row[1].Bytes()
			return nil
		})
	if err != nil || len(plan)+len(have) == 0 {
		return refuseMirrors(not), nil, err
	}
	want := map[string]string{}
	for _, m := range plan {
		want[m.name] = "CREATE TRIGGER " + m.sql()
	}
	if err := c.Exec("CREATE TABLE IF NOT EXISTS temp." + catalog.MirrorsOff +
		"(tab TEXT PRIMARY KEY, schema_version INTEGER, reason TEXT)"); err != nil {
		return nil, nil, err
	}
	standing = map[string]bool{}
	same, err := allCompile(c, plan, want, have)
	if err != nil {
		return nil, nil, err
	}
	if !same {
		for name := range have {
			if err := c.Exec("DROP TRIGGER temp." + sqlite.Quote(name)); err != nil {
				return nil, nil, err
			}
		}
	}
	for _, m := range plan {
		cause := ""
		if !same {
			if cause, err = m.make(c); err != nil {
				return nil, nil, err
			}
		}
		if cause != "" {
			not = append(not, noMirror{m.Trigger, cause})
			continue
		}
		standing[strings.ToLower(m.Table)] = true
	}
	failed, err := failedMirrors(c)
	return append(refuseMirrors(not), failed...), standing, err
}

// failedMirrors are those that failed while rows were applied. What failed under another
// schema is given another chance.
func failedMirrors(c *sqlite.Conn) (failed []schema.Refusal, err error) {
	version, err := c.Int("PRAGMA main.schema_version")
	if err != nil {
		return nil, err
	}
	if err := c.Exec("DELETE FROM temp."+catalog.MirrorsOff+" WHERE schema_version<>?",
		catalog.Integer(version)); err != nil {
		return nil, err
	}
	err = c.Rows("SELECT tab, reason FROM temp."+catalog.MirrorsOff, nil, func(row []crdt.Value) error {
		failed = append(failed, catalog.FailedMirror(row[0].Bytes(), row[1].Bytes()))
		return nil
	})
	return failed, err
}

// planMirrors picks the triggers to mirror: those that fire when a row of a table that
// syncs is applied, or because one that does wrote their table, and that write nothing
// which comes from elsewhere itself.
func planMirrors(c *sqlite.Conn, cat *catalog.Catalog) (plan []mirror, not []noMirror, err error) {
	triggers, err := schema.ReadTriggers(c)
	if err != nil || len(triggers) == 0 {
		return nil, nil, err
	}
	objects, err := readObjects(c)
	if err != nil {
		return nil, nil, err
	}
	fires := map[string]bool{} // by folded name: tables that are written while rows are applied
	for _, t := range cat.Tables {
		fires[strings.ToLower(t.Name)] = t.Class == catalog.Synced && !t.Own
	}
	for again := true; again; {
		again = false
		triggers = slices.DeleteFunc(triggers, func(t schema.Trigger) bool {
			if !fires[strings.ToLower(t.Table)] {
				return false
			}
			cause, mirrored := mirrors(cat, t, objects)
			if cause != "" {
				not = append(not, noMirror{t, cause})
			}
			if other := readsOthers(cat, t); mirrored && other != "" {
				not = append(not, noMirror{t, "reads table " + other + " too, whose rows may come after those it fires for"})
			}
			if mirrored {
				plan = append(plan, mirror{Trigger: t, name: fmt.Sprintf("ravno_mirror_%d", len(plan)+1)})
				for _, written := range t.Writes {
					fires[strings.ToLower(written)], again = true, true
				}
			}
			return true
		})
	}
	return plan, not, nil
}

// object is what a trigger can write.
type object struct{ kind, sql string }

func readObjects(c *sqlite.Conn) (map[string]object, error) {
	objects := map[string]object{}
	err := c.Rows("SELECT name, type, coalesce(sql, '') FROM main.sqlite_master WHERE type IN ('table', 'view')", nil,
		func(row []crdt.Value) error {
			objects[strings.ToLower(row[0].Bytes())] = object{kind: row[1].Bytes(), sql: row[2].Bytes()}
			return nil
		})
	return objects, err
}

// mirrors reports whether a trigger is to be mirrored and, if it is not although something
// of this file then grows stale, why.
func mirrors(cat *catalog.Catalog, t schema.Trigger, objects map[string]object) (cause string, mirrored bool) {
	travels, stays := "", false
	for _, written := range t.Writes {
		name := strings.ToLower(written)
		switch {
		case cat.ByName[name] != nil:
			travels = written
		default:
			stays = true
		}
		if objects[name].kind == "view" {
			cause = "writes through the view " + written
		}
		if schema.BreaksOff(objects[name].sql) {
			cause = "writes to a table with ON CONFLICT ROLLBACK or FAIL, which would undo what was applied"
		}
	}
	switch {
	case !stays: // it checks, or its effects arrive as data
		return "", false
	case travels != "":
		return "writes to " + travels + " too, whose rows come from elsewhere already", false
	case t.Refuses:
		return "can refuse a row (RAISE, OR FAIL, OR ROLLBACK), and rows that were accepted elsewhere are not refused here",
			false
	}
	return cause, cause == ""
}

// readsOthers is a table that syncs, besides its own, that a trigger reads: tables are
// applied one after the other, so it may not find there what it found at the origin.
func readsOthers(cat *catalog.Catalog, t schema.Trigger) string {
	for _, name := range t.Reads {
		if read := cat.ByName[strings.ToLower(name)]; read != nil && read.Class == catalog.Synced &&
			!strings.EqualFold(name, t.Table) {
			return read.Name
		}
	}
	return ""
}

// sql is the trigger as the file keeps it, but for the words before its name.
func (m mirror) sql() string {
	when := cmp.Or(m.When, "1")
	return sqlite.Quote(m.name) + " " + m.Head + " ON main." + sqlite.Quote(m.Table) +
		" FOR EACH ROW WHEN CASE WHEN EXISTS(SELECT 1 FROM temp." +
		catalog.MirrorsOff + " WHERE tab=" + sqlite.Literal(strings.ToLower(m.Table)) + ") THEN 0 ELSE (" + when + ") END " +
		m.Body
}

// allCompile reports whether the triggers that stand are the ones wanted, and what fires
// them compiles: a table that one of them writes may have been dropped.
func allCompile(c *sqlite.Conn, plan []mirror, want, have map[string]string) (bool, error) {
	if !maps.Equal(want, have) {
		return false, nil
	}
	for _, m := range plan {
		if err := m.compile(c); err != nil {
			if sqlite.IsOfFile(err) {
				return false, err
			}
			return false, nil
		}
	}
	return true, nil
}

// make makes the trigger and compiles what fires it: a trigger that does not compile would
// let nothing at all be written to its table.
func (m mirror) make(c *sqlite.Conn) (cause string, err error) {
	made := c.Exec("CREATE TEMP TRIGGER " + m.sql())
	if made == nil {
		if made = m.compile(c); made == nil {
			return "", nil
		}
		if err := c.Exec("DROP TRIGGER temp." + sqlite.Quote(m.name)); err != nil {
			return "", err
		}
	}
	if sqlite.IsOfFile(made) {
		return "", made
	}
	return fmt.Sprintf("cannot run outside the application: %v", cmp.Or(errors.Unwrap(made), made)), nil
}

// compile compiles a statement that fires the trigger, and does not run it.
func (m mirror) compile(c *sqlite.Conn) error {
	table := "main." + sqlite.Quote(m.Table)
	switch m.Event {
	case "insert":
		return c.Exec("EXPLAIN INSERT INTO " + table + " DEFAULT VALUES")
	case "delete":
		return c.Exec("EXPLAIN DELETE FROM " + table)
	}
	var set []string
	err := c.Rows("SELECT name FROM pragma_table_info(?, 'main')", []crdt.Value{catalog.Text(m.Table)},
		func(row []crdt.Value) error {
			column := sqlite.Quote(row[0].Bytes())
			set = append(set, column+"="+column)
			return nil
		})
	if err != nil {
		return err
	}
	return c.Exec("EXPLAIN UPDATE " + table + " SET " + strings.Join(set, ", "))
}
