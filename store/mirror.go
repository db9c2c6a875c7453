package store

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"ravno/crdt"
	"ravno/journal"
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

// mirrorsOff names the tables whose mirrors have failed on this connection, and as of which
// version of the schema; a mirror of a table that is in it does nothing. It is a table and
// not a flag, so that it goes back with the transaction that wrote it.
const mirrorsOff = "ravno_mirrors_off"

// mirrorFailed is the event of a mirror that failed while rows were applied.
const mirrorFailed journal.Kind = "mirror_failed"

// mirror makes the TEMP triggers of the writing connection those that the file's triggers
// ask for now. A trigger that cannot be mirrored stops nothing: catalog.unmirrored says why.
func (tx *transaction) mirror(cat *catalog) error {
	unmirrored, standing, err := mirrorTriggers(tx.c, cat)
	if err != nil {
		return fmt.Errorf("triggers that keep local tables fresh: %w", err)
	}
	cat.unmirrored = unmirrored
	for _, t := range cat.tables {
		t.mirrored = standing[strings.ToLower(t.Name)]
	}
	return nil
}

// mirrorTriggers does it, with the file's own triggers off. standing are the tables, by folded
// name, that have mirrors now.
func mirrorTriggers(c *sqlite.Conn, cat *catalog) (refused []schema.Refusal, standing map[string]bool, err error) {
	plan, not, err := planMirrors(c, cat)
	if err != nil {
		return nil, nil, err
	}
	have := map[string]string{}
	err = c.Rows(`SELECT name, sql FROM temp.sqlite_master WHERE type='trigger' AND name LIKE 'ravno\_mirror\_%' ESCAPE '\'`, nil, func(row []crdt.Value) error {
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
	if err := c.Exec("CREATE TABLE IF NOT EXISTS temp." + mirrorsOff + "(tab TEXT PRIMARY KEY, schema_version INTEGER, reason TEXT)"); err != nil {
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
	if err := c.Exec("DELETE FROM temp."+mirrorsOff+" WHERE schema_version<>?", integer(version)); err != nil {
		return nil, err
	}
	err = c.Rows("SELECT tab, reason FROM temp."+mirrorsOff, nil, func(row []crdt.Value) error {
		failed = append(failed, failedMirror(row[0].Bytes(), row[1].Bytes()))
		return nil
	})
	return failed, err
}

func failedMirror(table, reason string) schema.Refusal {
	return schema.Refusal{Table: "that triggers of " + table + " write", Reason: reason, Try: tryRebuild}
}

// planMirrors picks the triggers to mirror: those that fire when a row of a table that
// syncs is applied, or because one that does wrote their table, and that write nothing
// which comes from elsewhere itself.
func planMirrors(c *sqlite.Conn, cat *catalog) (plan []mirror, not []noMirror, err error) {
	triggers, err := schema.ReadTriggers(c)
	if err != nil || len(triggers) == 0 {
		return nil, nil, err
	}
	objects, err := readObjects(c)
	if err != nil {
		return nil, nil, err
	}
	fires := map[string]bool{} // by folded name: tables that are written while rows are applied
	for _, t := range cat.tables {
		fires[strings.ToLower(t.Name)] = t.class == Synced && !t.own
	}
	for again := true; again; {
		again = false
		triggers = slices.DeleteFunc(triggers, func(t schema.Trigger) bool {
			if !fires[strings.ToLower(t.Table)] {
				return false
			}
			cause, mirrored := cat.mirrors(t, objects)
			if cause != "" {
				not = append(not, noMirror{t, cause})
			}
			if other := cat.readsOthers(t); mirrored && other != "" {
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
	err := c.Rows("SELECT name, type, coalesce(sql, '') FROM main.sqlite_master WHERE type IN ('table', 'view')", nil, func(row []crdt.Value) error {
		objects[strings.ToLower(row[0].Bytes())] = object{kind: row[1].Bytes(), sql: row[2].Bytes()}
		return nil
	})
	return objects, err
}

// mirrors reports whether a trigger is to be mirrored and, if it is not although something
// of this file then grows stale, why.
func (cat *catalog) mirrors(t schema.Trigger, objects map[string]object) (cause string, mirrored bool) {
	travels, stays := "", false
	for _, written := range t.Writes {
		name := strings.ToLower(written)
		switch {
		case cat.byName[name] != nil:
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
		return "can refuse a row (RAISE, OR FAIL, OR ROLLBACK), and rows that were accepted elsewhere are not refused here", false
	}
	return cause, cause == ""
}

// readsOthers is a table that syncs, besides its own, that a trigger reads: tables are
// applied one after the other, so it may not find there what it found at the origin.
func (cat *catalog) readsOthers(t schema.Trigger) string {
	for _, name := range t.Reads {
		if read := cat.byName[strings.ToLower(name)]; read != nil && read.class == Synced && !strings.EqualFold(name, t.Table) {
			return read.Name
		}
	}
	return ""
}

// sql is the trigger as the file keeps it, but for the words before its name.
func (m mirror) sql() string {
	when := cmp.Or(m.When, "1")
	return sqlite.Quote(m.name) + " " + m.Head + " ON main." + sqlite.Quote(m.Table) + " FOR EACH ROW WHEN CASE WHEN EXISTS(SELECT 1 FROM temp." +
		mirrorsOff + " WHERE tab=" + sqlite.Literal(strings.ToLower(m.Table)) + ") THEN 0 ELSE (" + when + ") END " + m.Body
}

// allCompile reports whether the triggers that stand are the ones wanted, and what fires
// them compiles: a table that one of them writes may have been dropped.
func allCompile(c *sqlite.Conn, plan []mirror, want, have map[string]string) (bool, error) {
	if !maps.Equal(want, have) {
		return false, nil
	}
	for _, m := range plan {
		if err := m.compile(c); err != nil {
			if isOfFile(err) {
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
	if isOfFile(made) {
		return "", made
	}
	return fmt.Sprintf("cannot run outside the application: %v", cmp.Or(errors.Unwrap(made), made)), nil
}

// isOfFile reports whether an error is about the file or its disk, and not the statement.
func isOfFile(err error) bool {
	switch sqlite.FailureOf(err) {
	case sqlite.Constraint, sqlite.OtherFailure, sqlite.NotADatabase: // an index can be malformed by itself
		return false
	}
	return true
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
	err := c.Rows("SELECT name FROM pragma_table_info(?, 'main')", []crdt.Value{text(m.Table)}, func(row []crdt.Value) error {
		column := sqlite.Quote(row[0].Bytes())
		set = append(set, column+"="+column)
		return nil
	})
	if err != nil {
		return err
	}
	return c.Exec("EXPLAIN UPDATE " + table + " SET " + strings.Join(set, ", "))
}

// put runs a statement that writes rows of a table, and the mirrors of its triggers. A row
// others have accepted is not held up by an index of this file: mirrors that fail are
// switched off for this table until the schema changes, and the journal says so.
func (tx *transaction) put(t *table, sql string, args ...crdt.Value) error {
	err := tx.c.Exec(sql, args...)
	if err == nil || !t.mirrored || isOfFile(err) {
		return err
	}
	closed, failed := tx.c.Int("SELECT count(*) FROM temp."+mirrorsOff+" WHERE tab=?", text(strings.ToLower(t.Name)))
	if failed != nil || closed > 0 {
		return errors.Join(err, failed)
	}
	reason := cmp.Or(errors.Unwrap(err), err)
	args = slices.Clone(args) // whose memory may be used for what comes now
	if err := tx.stopMirrors(t, reason.Error()); err != nil {
		return err
	}
	if own := tx.c.Exec(sql, args...); own != nil { // it is the row that does not fit
		return errors.Join(own, tx.c.Exec("DELETE FROM temp."+mirrorsOff+" WHERE tab=?", text(strings.ToLower(t.Name))))
	}
	tx.cat.unmirrored = append(tx.cat.unmirrored, failedMirror(t.Name, reason.Error()))
	return tx.record(journal.Event{Kind: mirrorFailed, Server: tx.siteName(tx.state.site),
		Text: fmt.Sprintf("what triggers of %s write is not kept fresh any more: %v. Try: %s", t.Name, reason, tryRebuild)})
}

// stopMirrors switches the mirrors of a table off.
func (tx *transaction) stopMirrors(t *table, reason string) error {
	if !t.mirrored {
		return nil
	}
	return tx.c.Exec("INSERT OR REPLACE INTO temp."+mirrorsOff+" SELECT ?, schema_version, ? FROM pragma_schema_version",
		text(strings.ToLower(t.Name)), text(reason))
}
