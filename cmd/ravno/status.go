package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"ravno/net/hub"
	"ravno/net/node"
	"ravno/net/status"
	"ravno/store"
)

// watchEvery is how often status --watch looks again.
const watchEvery = 2 * time.Second

// clearScreen goes to the top left corner and erases from there (ECMA-48).
const clearScreen = "\x1b[H\x1b[2J"

func newStatusCommand() *cobra.Command {
	var asJSON, watching, verbose bool
	c := &cobra.Command{
		Use: "status", Short: "Show whether every server is level, and why not",
		Long: `Shows every server, on any server, whether the daemon runs or not. A green server has its
link up and is level. A red server needs attention, and its cause says why. --watch goes on
until Ctrl-C. With --json too, it prints one document per line.`,
		Example: "  ravno status --db shop.db\n  ravno status --db shop.db --json", Args: arguments(),
		Annotations: exits(exitsOfLevel),
		RunE: func(c *cobra.Command, _ []string) error {
			path, err := databasePath(c)
			if err != nil {
				return err
			}
			if watching {
				return watchStatus(c, path, asJSON, verbose)
			}
			snapshot, err := readStatus(c.Context(), path)
			if err != nil {
				return err
			}
			if asJSON {
				err = status.Encode(c.OutOrStdout(), snapshot)
			} else {
				err = showStatus(c.OutOrStdout(), snapshot, verbose)
			}
			if err == nil && !snapshot.Judged().Level {
				err = errNotLevel
			}
			return err
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	c.Flags().BoolVar(&watching, "watch", false, "show it again and again, until Ctrl-C")
	c.Flags().BoolVarP(&verbose, "verbose", "v", false, "show also how the daemon's writes got their turn at the file")
	return c
}

func showStatus(w io.Writer, snapshot status.Snapshot, verbose bool) error {
	return status.Table(w, snapshot, status.TableOptions{
		Color: coloredOutput(w), Location: time.Local, Width: terminalWidth(w), Verbose: verbose})
}

// watchStatus shows the status until a signal ends it, which is no failure.
func watchStatus(c *cobra.Command, path string, asJSON, verbose bool) error {
	ctx, stop := signal.NotifyContext(c.Context(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	out := c.OutOrStdout()
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for first := true; ; first = false {
		snapshot, err := readStatus(ctx, path)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		switch {
		case asJSON:
			err = printJSONLine(out, snapshot)
		case terminalWidth(out) > 0:
			fmt.Fprint(out, clearScreen)
			err = showStatus(out, snapshot, verbose)
		default:
			if !first {
				fmt.Fprintln(out)
			}
			err = showStatus(out, snapshot, verbose)
		}
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// readStatus asks the daemon. If none runs, it reads the file.
func readStatus(ctx context.Context, path string) (status.Snapshot, error) {
	snapshot, err := newControl(path).status(ctx)
	if !errors.Is(err, errNoDaemon) {
		return snapshot, err
	}
	s, err := store.Open(path, time.Now)
	if err != nil {
		return status.Snapshot{}, err
	}
	snapshot, err = offlineSnapshot(s, time.Now())
	return snapshot, errors.Join(err, s.Close())
}

// offlineSnapshot is the status from the file alone, while no daemon runs. No server is green, and
// the status of other servers is as old as the last link.
func offlineSnapshot(s *store.Store, now time.Time) (status.Snapshot, error) {
	_, foldErr := s.Fold() // what the application wrote is pending, even unfolded
	self, err := s.Self()
	if err != nil {
		return status.Snapshot{}, err
	}
	trouble := "the daemon is not running. Try: ravno run --db " + s.Path()
	var snapshot status.Snapshot
	if self.Role == store.Hub {
		snapshot, err = hub.Offline(s, trouble, version, now)
	} else {
		snapshot, err = node.Snapshot(s, node.View{Trouble: trouble, Since: self.LastTransfer}, version, now)
	}
	if foldErr != nil {
		snapshot.Notices = append(snapshot.Notices, "the last writes here are not counted: "+foldErr.Error())
	}
	return snapshot, err
}
