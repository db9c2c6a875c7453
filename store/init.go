package store

import (
	_ "embed"
	"errors"
	"fmt"
	"strings"

	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/store/internal/capture"
	"ravno/store/internal/schema"
	"ravno/store/internal/sqlite"
)

//go:embed layout.sql
var layout string

// ErrEnrolled says that a file belongs to an organisation already.
var ErrEnrolled = errors.New("is enrolled with ravno already")

// HubOptions is what makes a file the hub's database.
type HubOptions struct {
	Name         string
	Organisation string // identifies the certificate authority
	Incarnation  causal.Incarnation
	Listen       string
	Advertise    string
	Settings     []Setting
}

// Report is what enrolling a file found out about its tables.
type Report struct {
	Synced, Journal, Local []string
	Refused                []Refusal
	Rows                   int64 // in synced tables
	WasWAL                 bool  // the file was in WAL mode before
}

// Refusal is a table that cannot sync, why, and the way out.
type Refusal struct{ Table, Reason, Try string }

// InitHub makes the file the hub's database: ravno's tables, triggers, and the file in WAL
// mode, in one transaction. The rows that are there are settled from the start.
func InitHub(path string, o HubOptions, clock Clock) (*Report, error) {
	if err := CheckName(o.Name); err != nil {
		return nil, err
	}
	prepare := func(c *sqlite.Conn) error { return checkSettings(c, o.Settings) }
	return enrol(path, clock, prepare, func(tx *transaction) error {
		if err := tx.c.Exec(`INSERT INTO ravno_state(format, site, organisation, incarnation, listen, advertise) VALUES(?,?,?,?,?,?)`,
			integer(Format), integer(causal.Hub), text(o.Organisation), crdt.BlobValue(string(o.Incarnation[:])),
			text(o.Listen), text(o.Advertise)); err != nil {
			return err
		}
		if err := tx.c.Exec("INSERT INTO ravno_site(site, name, role) VALUES(1,?,'hub')", text(o.Name)); err != nil {
			return err
		}
		return writeSettings(tx.c, o.Settings)
	})
}

// NodeOptions is what makes a loaded file a node's database.
type NodeOptions struct {
	Site           causal.Site
	Organisation   string
	Incarnation    causal.Incarnation
	HubIncarnation causal.Incarnation
	Seen           causal.Seen // the hub position of the load
	Addresses      []string
	Carried        Carried
}

// Carried is what of the hub's own tables a first load brings along.
type Carried struct {
	Sites     []Site
	Settings  []Setting
	Conflicts [][]crdt.Value
	Clock     int64
}

const conflictColumns = `id, kind, tab, key, document_tab, document_key, sites, found_at, detail, revision, resolved, resolved_by, resolved_at, note, undo`

// initNode makes a file whose rows are those of the hub a node's database.
func initNode(path string, o NodeOptions, clock Clock, prepare func(*sqlite.Conn) error, also ...func(*transaction) error) (*Report, error) {
	return enrol(path, clock, prepare, func(tx *transaction) error {
		if err := tx.c.Exec(`INSERT INTO ravno_state(format, site, organisation, incarnation, hub_incarnation, seen, addresses, clock, last_transfer)
			VALUES(?,?,?,?,?,?,?,?,?)`, integer(Format), integer(o.Site), text(o.Organisation), crdt.BlobValue(string(o.Incarnation[:])),
			crdt.BlobValue(string(o.HubIncarnation[:])), integer(o.Seen), text(strings.Join(o.Addresses, " ")), integer(o.Carried.Clock),
			integer(tx.now())); err != nil {
			return err
		}
		for _, s := range o.Carried.Sites {
			if err := tx.c.Exec("INSERT INTO ravno_site(site, name, role, removed) VALUES(?,?,?,?)",
				integer(s.Number), text(s.Name), text(string(s.Role)), boolean(s.Removed)); err != nil {
				return err
			}
		}
		for _, c := range o.Carried.Conflicts {
			if err := tx.c.Exec("INSERT INTO ravno_conflict("+conflictColumns+") VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)", c...); err != nil {
				return err
			}
		}
		return writeSettings(tx.c, o.Carried.Settings)
	}, also...)
}

// enrol puts ravno's tables and triggers into a file, in one transaction after the switch
// to WAL mode: prepare runs before it (nil: nothing to prepare), identify before the
// triggers are made, and the rest after.
func enrol(path string, clock Clock, prepare func(*sqlite.Conn) error, identify func(*transaction) error, after ...func(*transaction) error) (*Report, error) {
	if err := checkFile(path, false); err != nil {
		return nil, err
	}
	c, err := openWriter(path)
	if err != nil {
		return nil, explain(path, err)
	}
	defer c.Close()
	report := &Report{}
	if err := checkFresh(c, path); err != nil {
		return nil, err
	}
	mode, err := c.Text("PRAGMA journal_mode")
	if err != nil {
		return nil, explain(path, err)
	}
	report.WasWAL = strings.EqualFold(mode, "wal")
	if prepare != nil { // what is refused here leaves the file as it was
		if err := prepare(c); err != nil {
			return nil, err
		}
	}
	if mode, err = c.UseWAL(); err != nil {
		return nil, explain(path, err)
	} else if !strings.EqualFold(mode, "wal") {
		return nil, errNoWAL(path, mode)
	}
	var tables []*table
	err = c.Transaction("IMMEDIATE", func() error {
		if err := checkFresh(c, path); err != nil { // nobody else came first
			return err
		}
		if err := c.Exec(layout); err != nil {
			return err
		}
		tx := &transaction{c: c, clock: clock}
		if err := identify(tx); err != nil {
			return err
		}
		if tx.state, err = readState(c); err != nil {
			return err
		}
		if tx.cat, err = tx.install(true); err != nil {
			return err
		}
		for _, f := range after {
			if err := f(tx); err != nil {
				return err
			}
		}
		tables = tx.cat.tables
		report.Local, report.Refused = tx.cat.local, refusals(tx.cat.refused)
		return nil
	})
	if err == nil {
		// Nobody waits for this, and if it fails, the file is enrolled all the same.
		c.Transaction("DEFERRED", func() error { return report.count(c, tables) })
	} else if !report.WasWAL {
		leaveWAL(path, c)
	}
	if err != nil && !errors.Is(err, ErrEnrolled) {
		if sqlite.FailureOf(err) == sqlite.OtherFailure {
			return nil, err
		}
		return nil, explain(path, err)
	}
	return report, err
}

// leaveWAL takes a file out of WAL mode whose enrolment failed. It is a best effort: in WAL mode or out
// of it, the application's data are the same.
func leaveWAL(path string, enrolling *sqlite.Conn) {
	enrolling.Close() // all of its connections are in the way
	if c, err := sqlite.Open(path, sqlite.ReadWrite); err == nil {
		c.Text("PRAGMA journal_mode=DELETE")
		c.Close()
	}
}

func errNoWAL(path, mode string) error {
	return &FileError{Path: path, Problem: "cannot be put into WAL mode (it is in " + mode + " mode)", Try: "close the application, then again; the file must be on a local disk"}
}

func checkFresh(c *sqlite.Conn, path string) error {
	n, err := c.Int("SELECT count(*) FROM sqlite_master WHERE name='ravno_state'")
	if err != nil {
		return explain(path, err)
	}
	if n > 0 {
		return fmt.Errorf("%s: %w. Try: ravno status, or ravno leave first", path, ErrEnrolled)
	}
	return nil
}

// count fills in the tables and counts their rows.
func (r *Report) count(c *sqlite.Conn, tables []*table) error {
	for _, t := range tables {
		switch {
		case t.own:
			continue
		case t.class == Journal:
			r.Journal = append(r.Journal, t.Name)
			continue
		}
		r.Synced = append(r.Synced, t.Name)
		n, err := c.Int("SELECT count(*) FROM " + sqlite.Quote(t.Name))
		if err != nil {
			return err
		}
		r.Rows += n
	}
	return nil
}

func refusals(found []schema.Refusal) []Refusal {
	var list []Refusal
	for _, f := range found {
		list = append(list, Refusal(f))
	}
	return list
}

// SettingError says that a setting names something that is not there.
type SettingError struct{ What, Try string }

func (e *SettingError) Error() string { return e.What + ". Try: " + e.Try }

func writeSettings(c *sqlite.Conn, settings []Setting) error {
	for _, s := range settings {
		document := crdt.Value{}
		if s.Document != "" {
			document = text(s.Document)
		}
		if err := c.Exec("INSERT OR REPLACE INTO ravno_setting(tab, class, document, counters) VALUES(?,?,?,?)",
			text(s.Table), text(string(s.Class)), document, text(strings.Join(s.Counters, ","))); err != nil {
			return err
		}
	}
	return nil
}

// checkSettings refuses settings of tables and columns that do not exist.
func checkSettings(c *sqlite.Conn, settings []Setting) error {
	for _, s := range settings {
		exists := func(table string) (bool, error) {
			n, err := c.Int("SELECT count(*) FROM sqlite_master WHERE type='table' AND lower(name)=lower(?)", text(table))
			return n > 0, err
		}
		for _, name := range []string{s.Table, s.Document} {
			if name == "" {
				continue
			}
			if ok, err := exists(name); err != nil {
				return err
			} else if !ok {
				return &SettingError{What: "there is no table " + name, Try: "the table's name as in the database's schema"}
			}
		}
		if s.Document != "" && !strings.EqualFold(s.Document, s.Table) {
			n, err := c.Int("SELECT count(*) FROM pragma_foreign_key_list(?) WHERE lower(\"table\")=lower(?)", text(s.Table), text(s.Document))
			if err != nil {
				return err
			}
			if n == 0 {
				return &SettingError{What: fmt.Sprintf("table %s has no foreign key to %s, so its rows cannot belong to that document", s.Table, s.Document), Try: "the table its foreign key refers to"}
			}
		}
		for _, column := range s.Counters {
			n, err := c.Int("SELECT count(*) FROM pragma_table_info(?) WHERE lower(name)=lower(?)", text(s.Table), text(column))
			if err != nil {
				return err
			}
			if n == 0 {
				return &SettingError{What: "table " + s.Table + " has no column " + column, Try: "the column's name as in the schema"}
			}
		}
		if err := checkCounters(c, s); err != nil {
			return err
		}
	}
	return nil
}

func checkCounters(c *sqlite.Conn, s Setting) error {
	if len(s.Counters) == 0 {
		return nil
	}
	read, err := schema.Read(c)
	if err != nil {
		return err
	}
	t := read.Table(s.Table)
	if t == nil {
		return nil // it is refused, with its own reason
	}
	for _, column := range s.Counters {
		if err := checkCounter(t, column); err != nil {
			return err
		}
	}
	return nil
}

// TableInfo is one table as ravno treats it.
type TableInfo struct {
	Setting
	Parent string // the table one step up in its documents; empty: its own root
	Reason string // why it is refused; empty: it is not
	Try    string
}

// Tables lists the application's tables: how each syncs, or why it does not.
func (s *Store) Tables() (list []TableInfo, err error) {
	err = s.read(func(c *sqlite.Conn, _ *state, cat *catalog) error {
		list, err = listTables(c, cat)
		return err
	})
	return list, err
}

func listTables(c *sqlite.Conn, cat *catalog) (list []TableInfo, err error) {
	settings, err := readSettings(c)
	if err != nil {
		return nil, err
	}
	add := func(name string, class Class, parent, reason, try string) {
		set := settings[strings.ToLower(name)]
		set.Table, set.Class = name, class
		list = append(list, TableInfo{Setting: set, Parent: parent, Reason: reason, Try: try})
	}
	for _, t := range cat.tables {
		if t.own {
			continue
		}
		up := ""
		if t.parent != nil {
			up = t.parent.table.Name
		}
		add(t.Name, t.class, up, "", "")
	}
	for _, name := range cat.local {
		add(name, Local, "", "", "")
	}
	for _, r := range cat.refused {
		add(r.Table, Synced, "", r.Reason, r.Try)
	}
	return list, nil
}

// SetTable changes how a table syncs, at the hub; the setting replicates, and every server
// follows when it arrives.
func (s *Store) SetTable(set Setting) error {
	return s.write(func(tx *transaction) error {
		if err := tx.hubOnly(); err != nil {
			return err
		}
		if _, err := s.foldFirst(tx); err != nil {
			return err
		}
		return tx.setTable(set)
	})
}

// setTable changes a setting. The log is folded.
func (tx *transaction) setTable(set Setting) error {
	if err := checkSettings(tx.c, []Setting{set}); err != nil {
		return err
	}
	if err := tx.mayChangeClass(set); err != nil {
		return err
	}
	known, err := tx.c.Int("SELECT count(*) FROM ravno_setting WHERE tab=?", text(set.Table))
	if err != nil {
		return err
	}
	if err := writeSettings(tx.c, []Setting{set}); err != nil {
		return err
	}
	op, columns := capture.Insert, []string(nil)
	if known > 0 {
		op, columns = capture.Update, []string{"class", "document", "counters"}
	}
	if err := tx.logOwn("ravno_setting", crdt.NewKey(text(set.Table)), op, columns); err != nil {
		return err
	}
	return tx.followSettings() // at once: counting begins from what is folded now
}

// mayChangeClass refuses to begin syncing a table while nodes are enrolled: each of them
// has rows of its own in it, which nobody has compared.
func (tx *transaction) mayChangeClass(set Setting) error {
	settings, err := readSettings(tx.c)
	if err != nil {
		return err
	}
	before, known := settings[strings.ToLower(set.Table)]
	if !known || before.Class == Synced || set.Class != Synced {
		return nil
	}
	n, err := tx.c.Int("SELECT count(*) FROM ravno_site WHERE role='node' AND NOT removed")
	if err == nil && n > 0 {
		err = &SettingError{What: fmt.Sprintf("table %s is %s, and %d nodes hold rows of their own in it", set.Table, before.Class, n),
			Try: "remove the nodes, change the table, and join them again with --keep-local"}
	}
	return err
}
