package enrol

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/store/internal/catalog"
	"ravno/store/internal/conflict"
	"ravno/store/internal/install"
	"ravno/store/internal/rows"
	"ravno/store/internal/sqlite"
)

// ErrEnrolled says that a file is enrolled with an organisation already.
var ErrEnrolled = errors.New("is enrolled with ravno already")

// HubOptions describes a new hub. Listen and Advertise are network addresses.
type HubOptions struct {
	Name         string
	Organisation string // the identifier of the certificate authority
	Incarnation  causal.Incarnation
	Listen       string
	Advertise    string
	Settings     []catalog.Setting
}

// Report lists the tables of a file that was enrolled, by name.
type Report struct {
	Synced, Journal, Local []string
	Refused                []install.Refusal
	Rows                   int64 // the rows in synced tables
	WasWAL                 bool  // the file was in WAL mode before
}

// InitHub makes the file at path the hub's database. It adds ravno's tables and triggers in one
// transaction, after switching the file to WAL mode. The existing rows are stable from the start. It
// returns ErrEnrolled for a file that is enrolled already.
func InitHub(path string, o HubOptions, clock func() time.Time) (*Report, error) {
	if err := CheckName(o.Name); err != nil {
		return nil, err
	}
	prepare := func(c *sqlite.Conn) error { return install.CheckSettings(c, o.Settings) }
	return enrol(path, clock, prepare, func(tx *rows.Tx) error {
		if err := tx.SQL.Exec(
			`INSERT INTO ravno_state(format, site, organisation, incarnation, listen, advertise) VALUES(?,?,?,?,?,?)`,
			catalog.Integer(catalog.Format), catalog.Integer(causal.Hub), catalog.Text(o.Organisation),
			crdt.BlobValue(string(o.Incarnation[:])),
			catalog.Text(o.Listen), catalog.Text(o.Advertise)); err != nil {
			return err
		}
		if err := tx.SQL.Exec("INSERT INTO ravno_site(site, name, role) VALUES(1,?,'hub')",
			catalog.Text(o.Name)); err != nil {
			return err
		}
		return install.WriteSettings(tx.SQL, o.Settings)
	})
}

// NodeOptions describes a new node, whose file was made from a first load. InstallLoad fills in
// Organisation, HubIncarnation, Seen and Carried from the load.
type NodeOptions struct {
	Site           causal.Site
	Organisation   string
	Incarnation    causal.Incarnation
	HubIncarnation causal.Incarnation
	Seen           causal.Seen // the hub position of the first load
	Addresses      []string
	Carried        Carried
}

// Carried holds the rows of the hub's own tables that a first load brings. Clock is the hub's newest
// stamp time.
type Carried struct {
	Sites     []Site
	Settings  []catalog.Setting
	Conflicts [][]crdt.Value
	Clock     int64
}

// initNode makes a file with the hub's rows a node's database. The functions in also run after the
// triggers are made.
func initNode(path string, o NodeOptions, clock func() time.Time, prepare func(*sqlite.Conn) error,
	also ...func(*rows.Tx) error) (*Report, error) {
	return enrol(path, clock, prepare, func(tx *rows.Tx) error {
		if err := tx.SQL.Exec(`INSERT INTO ravno_state(format, site, organisation, incarnation, hub_incarnation, seen,
			addresses, clock, last_transfer)
			VALUES(?,?,?,?,?,?,?,?,?)`, catalog.Integer(catalog.Format), catalog.Integer(o.Site), catalog.Text(o.Organisation),
			crdt.BlobValue(string(o.Incarnation[:])),
			crdt.BlobValue(string(o.HubIncarnation[:])), catalog.Integer(o.Seen), catalog.Text(strings.Join(o.Addresses, " ")),
			catalog.Integer(o.Carried.Clock),
			catalog.Integer(tx.Now())); err != nil {
			return err
		}
		for _, s := range o.Carried.Sites {
			if err := tx.SQL.Exec("INSERT INTO ravno_site(site, name, role, removed) VALUES(?,?,?,?)",
				catalog.Integer(s.Number), catalog.Text(s.Name), catalog.Text(string(s.Role)),
				catalog.Boolean(s.Removed)); err != nil {
				return err
			}
		}
		for _, c := range o.Carried.Conflicts {
			if err := tx.SQL.Exec("INSERT INTO ravno_conflict("+conflict.ColumnNames+") VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
				c...); err != nil {
				return err
			}
		}
		return install.WriteSettings(tx.SQL, o.Carried.Settings)
	}, also...)
}

// enrol puts ravno's tables and triggers into a file in one transaction, after the switch to WAL mode.
// If prepare is not nil, it runs before that switch. The function identify runs before the triggers are
// made, and the functions after run last. If enrolment fails, a file that was not in WAL mode leaves it
// again.
func enrol(path string, clock func() time.Time, prepare func(*sqlite.Conn) error, identify func(*rows.Tx) error,
	after ...func(*rows.Tx) error) (*Report, error) {
	if err := sqlite.CheckFile(path, false); err != nil {
		return nil, err
	}
	c, err := install.OpenWriter(path)
	if err != nil {
		return nil, sqlite.Explain(path, err)
	}
	defer c.Close()
	report := &Report{}
	if err := checkFresh(c, path); err != nil {
		return nil, err
	}
	mode, err := c.Text("PRAGMA journal_mode")
	if err != nil {
		return nil, sqlite.Explain(path, err)
	}
	report.WasWAL = strings.EqualFold(mode, "wal")
	if prepare != nil { // An error here leaves the file as it was.
		if err := prepare(c); err != nil {
			return nil, err
		}
	}
	if mode, err = c.UseWAL(); err != nil {
		return nil, sqlite.Explain(path, err)
	} else if !strings.EqualFold(mode, "wal") {
		return nil, install.ErrNoWAL(path, mode)
	}
	var tables []*catalog.Table
	err = c.Transaction("IMMEDIATE", func() error {
		if err := checkFresh(c, path); err != nil { // No other process came first.
			return err
		}
		if err := c.Exec(install.Layout); err != nil {
			return err
		}
		tx := rows.Begin(c, clock, nil, nil, 0)
		if err := identify(tx); err != nil {
			return err
		}
		if tx.State, err = rows.ReadState(c); err != nil {
			return err
		}
		if tx.Cat, err = install.Install(tx, true); err != nil {
			return err
		}
		for _, f := range after {
			if err := f(tx); err != nil {
				return err
			}
		}
		tables = tx.Cat.Tables
		report.Local, report.Refused = tx.Cat.Local, install.Refusals(tx.Cat.Refused)
		return nil
	})
	if err == nil {
		// Counting may fail. The file is enrolled all the same.
		_ = c.Transaction("DEFERRED", func() error { return report.count(c, tables) })
	} else if !report.WasWAL {
		leaveWAL(path, c)
	}
	if err != nil && !errors.Is(err, ErrEnrolled) {
		if sqlite.FailureOf(err) == sqlite.OtherFailure {
			return nil, err
		}
		return nil, sqlite.Explain(path, err)
	}
	return report, err
}

// leaveWAL takes a file out of WAL mode after a failed enrolment. It ignores errors, because the
// application's data is the same in either mode.
func leaveWAL(path string, enrolling *sqlite.Conn) {
	enrolling.Close() // An open connection prevents the change of mode.
	if c, err := sqlite.Open(path, sqlite.ReadWrite); err == nil {
		_, _ = c.Text("PRAGMA journal_mode=DELETE")
		c.Close()
	}
}

// checkFresh returns ErrEnrolled if the file has ravno's state table.
func checkFresh(c *sqlite.Conn, path string) error {
	n, err := c.Int("SELECT count(*) FROM sqlite_master WHERE name='ravno_state'")
	if err != nil {
		return sqlite.Explain(path, err)
	}
	if n > 0 {
		return fmt.Errorf("%s: %w. Try: ravno status, or ravno leave first", path, ErrEnrolled)
	}
	return nil
}

// count fills in the synced and journal tables, and counts the rows of the synced ones.
func (r *Report) count(c *sqlite.Conn, tables []*catalog.Table) error {
	for _, t := range tables {
		switch {
		case t.Own:
			continue
		case t.Class == catalog.Journal:
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
