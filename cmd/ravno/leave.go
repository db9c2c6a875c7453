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

func newLeaveCommand() *cobra.Command {
	var force bool
	c := &cobra.Command{
		Use: "leave", Short: "Take ravno out of a database",
		Long: `Takes every trigger and table of ravno out of the database, and removes its keys. The
application's data stays as it is. The command refuses while that would lose something,
such as work the hub does not have yet. --force leaves all the same.`,
		Example: "  ravno leave --db shop.db", Args: arguments(), Annotations: exits(exitsUsually),
		RunE: func(c *cobra.Command, _ []string) error {
			path, err := databasePath(c)
			if err != nil {
				return err
			}
			if err := leave(path, force); err != nil {
				return err
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "%s: ravno is out of it; its data is as it was. It stays in WAL mode.\n",
				visible(path))
			return err
		},
	}
	c.Flags().BoolVar(&force, "force", false, "leave even if work that only this server has would not reach the hub")
	return c
}

func leave(path string, force bool) error {
	dir := stateDir(path)
	s, err := store.Open(path, time.Now)
	if errors.Is(err, store.ErrNotEnrolled) {
		return finishLeaving(dir, err)
	}
	if err != nil {
		return err
	}
	if _, err := makeStateDir(dir); err != nil { // it may have been lost
		return errors.Join(err, s.Close())
	}
	lock, err := acquireLock(dir)
	if err != nil {
		return errors.Join(err, s.Close())
	}
	defer lock.Close()
	if err := markUnfinished(dir); err != nil {
		return errors.Join(err, s.Close())
	}
	if err := s.Leave(force); err != nil {
		return errors.Join(err, os.Remove(filepath.Join(dir, unfinishedName)), s.Close())
	}
	return errors.Join(s.Close(), removeState(dir))
}

// finishLeaving removes the keys after a leave that was killed. If there was none, the database is
// not enrolled.
func finishLeaving(dir string, notEnrolled error) error {
	if !isUnfinished(dir) {
		return notEnrolled
	}
	lock, err := acquireLock(dir)
	if err != nil {
		return err
	}
	defer lock.Close()
	return removeState(dir)
}
