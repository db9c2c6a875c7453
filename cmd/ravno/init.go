package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ravno/net/identity"
	"ravno/store"
)

// initFlags are the flags of init as given.
type initFlags struct {
	name, organisation, listen, advertise string
	tables                                tableFlags
}

func newInitCommand() *cobra.Command {
	var f initFlags
	c := &cobra.Command{
		Use: "init", Short: "Make a database the hub's",
		Long: `Makes the database the hub's, with a certificate authority, keys and capture triggers. The
file need not be empty, and its rows stay as they are. Every table syncs except those of
--journal (from each node to the hub only) and --local (nowhere). The file is put into WAL
mode.`,
		Example: `  ravno init --db shop.db --name central --advertise hub.example.com:4433 --journal "audit log"`,
		Args:    arguments(), Annotations: exits(exitsUsually),
		RunE: func(c *cobra.Command, _ []string) error {
			path, err := databasePath(c)
			if err != nil {
				return err
			}
			options, err := f.options()
			if err != nil {
				return err
			}
			report, err := initHub(path, options)
			if err != nil {
				return err
			}
			return reportInit(c, path, options, report)
		},
	}
	c.Flags().StringVar(&f.name, "name", "", "the `name` of this server, the hub")
	c.Flags().StringVar(&f.organisation, "organisation", "", "the `name` of the organisation (default: that of the hub)")
	c.Flags().StringVar(&f.listen, "listen", defaultListen, "UDP `address` to listen on")
	c.Flags().StringVar(&f.advertise, "advertise", "",
		"`host:port` under which nodes reach the hub (default: this machine's addresses)")
	f.tables.add(c)
	return c
}

// options checks the flags.
func (f *initFlags) options() (o store.HubOptions, err error) {
	if f.name == "" {
		return o, wrongUsage("ravno init: the hub has no name", "--name central")
	}
	if err := store.CheckName(f.name); err != nil {
		return o, usageError("%v", err)
	}
	if err := checkAddress("--listen", f.listen, true); err != nil {
		return o, err
	}
	if f.advertise != "" {
		if err := checkAddress("--advertise", f.advertise, false); err != nil {
			return o, err
		}
	}
	o = store.HubOptions{Name: f.name, Organisation: f.organisation, Listen: f.listen, Advertise: f.advertise}
	if o.Organisation == "" {
		o.Organisation = f.name
	}
	rand.Read(o.Incarnation[:]) // never fails: crypto/rand ends the process instead
	o.Settings, err = f.tables.settings()
	return o, err
}

// checkAddress checks HOST:PORT. An address to listen on may have an empty host, for all addresses,
// and port 0, for a free one.
func checkAddress(flag, address string, listening bool) error {
	host, port, err := net.SplitHostPort(address)
	number, portErr := strconv.ParseUint(port, 10, 16)
	if err != nil || portErr != nil || !listening && (host == "" || number == 0) {
		try := flag + " hub.example.com:4433"
		if listening {
			try = flag + " " + defaultListen
		}
		return wrongUsage(fmt.Sprintf("%s %q: want HOST:PORT", flag, address), try)
	}
	return nil
}

// initHub makes identity and database. It may be killed at any moment. The database changes in one
// transaction, after everything else is there. The next init replaces the leftovers of one that
// was killed.
func initHub(path string, o store.HubOptions) (*store.Report, error) {
	if err := notEnrolled(path); err != nil { // before anything is made
		return nil, err
	}
	dir := stateDir(path)
	made, err := makeStateDir(dir)
	if err != nil {
		return nil, err
	}
	lock, err := acquireLock(dir)
	if err != nil {
		return nil, err
	}
	defer lock.Close()
	if err := notEnrolled(path); err != nil { // nobody else came first
		return nil, err
	}
	if !made {
		if err := clearUnfinished(path, dir); err != nil {
			return nil, err
		}
	}
	report, err := initLocked(path, dir, o)
	if err != nil {
		return nil, errors.Join(err, removeState(dir))
	}
	return report, os.Remove(filepath.Join(dir, unfinishedName))
}

// initLocked does the work of init in an empty state directory whose lock is held.
func initLocked(path, dir string, o store.HubOptions) (*store.Report, error) {
	if err := markUnfinished(dir); err != nil {
		return nil, err
	}
	if _, _, err := identity.CreateHub(dir, o.Organisation, time.Now()); err != nil {
		return nil, err
	}
	file, err := identity.FileAt(path)
	if err != nil {
		return nil, err
	}
	if err := identity.SaveMarks(dir, identity.Marks{Incarnation: o.Incarnation, Database: &file}); err != nil {
		return nil, err
	}
	return store.InitHub(path, o, time.Now)
}

// notEnrolled checks, before anything is made, that the file is a database that can be enrolled.
func notEnrolled(path string) error {
	s, err := store.Open(path, time.Now)
	switch {
	case err == nil:
		return errors.Join(fmt.Errorf("%s: %w. Try: ravno status --db %s, or ravno leave first", path, store.ErrEnrolled,
			path), s.Close())
	case errors.Is(err, store.ErrNotEnrolled):
		return nil
	}
	return err
}

// clearUnfinished empties a state directory that a killed init or leave has left. Any other one that
// is not empty holds an identity, and stays.
func clearUnfinished(path, dir string) error {
	if isUnfinished(dir) {
		return emptyState(dir)
	}
	if _, err := identity.LoadMarks(dir); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s holds the keys of an enrolled database, and %s is not enrolled: was it replaced? Try: put "+
			"the enrolled file back, or move %s away", dir, path, dir)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.Name() != lockName {
			return fmt.Errorf(
				"%s: a join was begun with this database and has not ended. Try: ravno join again, or remove %s to give it up",
				path, dir)
		}
	}
	return nil
}

func reportInit(c *cobra.Command, path string, o store.HubOptions, r *store.Report) error {
	out, advice := c.OutOrStdout(), c.ErrOrStderr()
	fmt.Fprintf(out, "%s: the hub's database now, of server %s, organisation %s\n", visible(path), visible(o.Name),
		visible(o.Organisation))
	listTables(out, "sync, with "+counted(r.Rows, "row")+" so far", r.Synced)
	listTables(out, "journal: from each node to the hub only", r.Journal)
	listTables(out, "local: never leave this file", r.Local)
	if r.WasWAL {
		fmt.Fprintln(out, "  the file was in WAL mode and stays so")
	} else {
		fmt.Fprintln(out, "  the file was put into WAL mode; while it is open, -wal and -shm files are beside it")
	}
	for _, refused := range r.Refused {
		note(advice, "table %s does not sync: %s. Try: %s", refused.Table, refused.Reason, refused.Try)
	}
	note(advice, "keys are in %s; back it up with the database. Next: ravno run --db %s, then ravno node add NAME --db %s",
		stateDir(path), path, path)
	return nil
}

// listTables is one line of the report.
func listTables(w io.Writer, what string, names []string) {
	shown := ""
	if len(names) > 0 {
		shown = " (" + visible(strings.Join(names, ", ")) + ")"
	}
	fmt.Fprintf(w, "  %s %s%s\n", counted(int64(len(names)), "table"), what, shown)
}
