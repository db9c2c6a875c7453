package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"ravno/store"
)

// databaseVariable is the environment variable that stands for --db.
const databaseVariable = "RAVNO_DB"

// stateSuffix names the directory beside a database. It holds the key, the certificate, the marks,
// the daemon's lock and its socket, which must not be in the database.
const stateSuffix = ".ravno"

// stateDirMode lets only the owner read the key inside.
const stateDirMode = 0o700

// stateDir is the state directory of a database, whose path store.Resolve gave.
func stateDir(path string) string { return path + stateSuffix }

// databasePath is the resolved path of the file that --db names, or else the environment.
func databasePath(c *cobra.Command) (string, error) {
	path, err := c.Flags().GetString("db")
	if err != nil {
		return "", err
	}
	if path == "" {
		path = os.Getenv(databaseVariable)
	}
	if path == "" {
		return "", wrongUsage(c.CommandPath()+": no database given", "--db PATH, or set "+databaseVariable)
	}
	return store.RealPath(path)
}

// openStore opens the database of a command with the real clock.
func openStore(c *cobra.Command) (*store.Store, error) {
	path, err := databasePath(c)
	if err != nil {
		return nil, err
	}
	return store.Open(path, time.Now)
}

// withStore runs f on the database of a command and closes it.
func withStore(c *cobra.Command, f func(s *store.Store) error) error {
	s, err := openStore(c)
	if err != nil {
		return err
	}
	err = f(s)
	if s.Entries().Forced > 0 {
		fmt.Fprintln(c.ErrOrStderr(), "ravno: a transaction of the application read for too long, and ravno wrote without "+
			"waiting for it. A write of that transaction fails")
	}
	return errors.Join(err, s.Close())
}

// emptyState removes what is in a state directory, except the lock, which is held.
func emptyState(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.Name() == lockName {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, entry.Name())); err != nil {
			return err
		}
	}
	return nil
}

// removeState removes a state directory whose lock is held, the lock last.
func removeState(dir string) error {
	if err := emptyState(dir); err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(dir, lockName)); err != nil {
		return err
	}
	return os.Remove(dir)
}

// unfinishedName is the file that marks an init or a leave under way. If the command is killed, the
// database is either enrolled, with all its keys beside it, or not. Then nobody needs the files in
// the state directory.
const unfinishedName = "unfinished"

func markUnfinished(dir string) error {
	return os.WriteFile(filepath.Join(dir, unfinishedName), nil, lockMode)
}

func isUnfinished(dir string) bool {
	_, err := os.Lstat(filepath.Join(dir, unfinishedName))
	return err == nil
}
