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

	"ravno/crdt/causal"
	"ravno/net/status"
	"ravno/store"
)

// watchEvery is how often status --watch looks again: faster than anybody reads.
const watchEvery = 2 * time.Second

// clearScreen goes to the top left corner and erases from there (ECMA-48).
const clearScreen = "\x1b[H\x1b[2J"

func newStatusCommand() *cobra.Command {
	var asJSON, watching bool
	c := &cobra.Command{
		Use: "status", Short: "Show every server: level or not, and why not",
		Long: `Shows every server, on any server, whether the daemon runs or not. Green: its link is up
and everything is level. Red: it needs somebody, and the cause says why. With --watch it
goes on until Ctrl-C; with --json too, one document per line.`,
		Example: "  ravno status --db shop.db\n  ravno status --db shop.db --json", Args: arguments(), Annotations: exits(exitsOfLevel),
		RunE: func(c *cobra.Command, _ []string) error {
			path, err := databasePath(c)
			if err != nil {
				return err
			}
			if watching {
				return watchStatus(c, path, asJSON)
			}
			snapshot, err := readStatus(c.Context(), path)
			if err != nil {
				return err
			}
			if asJSON {
				err = status.Encode(c.OutOrStdout(), snapshot)
			} else {
				err = showStatus(c.OutOrStdout(), snapshot)
			}
			if err == nil && !snapshot.Judged().Level {
				err = errNotLevel
			}
			return err
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	c.Flags().BoolVar(&watching, "watch", false, "show it again and again, until Ctrl-C")
	return c
}

func showStatus(w io.Writer, snapshot status.Snapshot) error {
	return status.Table(w, snapshot, status.TableOptions{Color: coloredOutput(w), Location: time.Local, Width: terminalWidth(w)})
}

// watchStatus ends with a signal, and that is not a failure.
func watchStatus(c *cobra.Command, path string, asJSON bool) error {
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
			err = showStatus(out, snapshot)
		default:
			if !first {
				fmt.Fprintln(out)
			}
			err = showStatus(out, snapshot)
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

// readStatus asks the daemon, or, where none runs, the file.
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

// offlineSnapshot is the status as far as the file alone tells, while no daemon runs: no
// server is green, and what comes from others is as old as the last link.
func offlineSnapshot(s *store.Store, now time.Time) (status.Snapshot, error) {
	_, foldErr := s.Fold() // what the application wrote is pending, even unfolded
	self, err := s.Self()
	if err != nil {
		return status.Snapshot{}, err
	}
	sites, err := s.Sites()
	if err != nil {
		return status.Snapshot{}, err
	}
	conflicts, _, err := s.OpenConflicts()
	if err != nil {
		return status.Snapshot{}, err
	}
	snapshot := status.Snapshot{Site: self.Name, Role: string(self.Role), Hub: self.Hub, At: now}
	known, err := othersOffline(s, self)
	if err != nil {
		return status.Snapshot{}, err
	}
	for _, site := range sites {
		if site.Removed {
			continue
		}
		server := known[site.Number]
		server.Name, server.Role, server.Conflicts = site.Name, string(site.Role), conflicts[site.Number]
		if server.State == "" {
			server.State, server.CauseText = status.Grey, "not known: the daemon is not running here"
		}
		if site.Number == self.Site {
			server.State, server.Cause = status.Red, status.NoLink
			server.CauseText = "the daemon is not running. Try: ravno run --db " + s.Path()
		}
		snapshot.Servers = append(snapshot.Servers, server)
	}
	if foldErr != nil {
		snapshot.Notices = append(snapshot.Notices, "what was written here last is not counted: "+foldErr.Error())
	}
	tables, err := s.Tables()
	for _, t := range tables {
		if t.Reason != "" {
			snapshot.Notices = append(snapshot.Notices, "table "+t.Table+" does not sync: "+tableRemark(t))
		}
	}
	return snapshot.Judged(), err
}

// othersOffline is what the file knows of each server: at the hub its own record of each
// node, at a node the hub's last word. The entry of a server nothing is known of is empty.
func othersOffline(s *store.Store, self store.Self) (map[causal.Site]status.Server, error) {
	known := map[causal.Site]status.Server{}
	if self.Role == store.Hub {
		peers, err := s.Peers()
		if err != nil {
			return nil, err
		}
		newest := self.LastTransfer
		for _, p := range peers {
			pending, err := s.Pending(p.Site, p.Acked)
			if err != nil {
				return nil, err
			}
			known[p.Site] = status.Server{State: status.Red, Cause: status.NoLink, CauseText: "no link: the hub's daemon is not running",
				LastTransfer: p.LastTransfer, PendingIn: pending}
			if p.LastTransfer.After(newest) {
				newest = p.LastTransfer
			}
		}
		known[causal.Hub] = status.Server{LastTransfer: newest}
		return known, nil
	}
	pending, err := s.Pending(0, self.HubHave)
	if err != nil {
		return nil, err
	}
	if err := lastWord(s, self, known); err != nil {
		return nil, err
	}
	known[causal.Hub] = status.Server{State: status.Red, Cause: status.NoLink, CauseText: "no link: the daemon is not running here",
		LastTransfer: self.LastTransfer, Version: known[causal.Hub].Version}
	own := known[self.Site]
	own.LastTransfer, own.PendingOut, own.ClockOffsetMS = self.LastTransfer, pending, -self.ClockOffset.Milliseconds()
	known[self.Site] = own
	return known, nil
}

// lastWord takes from the hub's last status what stays true: when each server last had
// something transferred, and its version.
func lastWord(s *store.Store, self store.Self, known map[causal.Site]status.Server) error {
	if self.HubStatus == "" {
		return nil
	}
	last, err := status.Decode([]byte(self.HubStatus))
	if err != nil {
		return fmt.Errorf("%s: the hub's last status: %w. Try: ravno run --db %s", s.Path(), err, s.Path())
	}
	sites, err := s.Sites()
	if err != nil {
		return err
	}
	for _, server := range last.Servers {
		for _, site := range sites {
			if site.Name == server.Name && !site.Removed {
				known[site.Number] = status.Server{LastTransfer: server.LastTransfer, Version: server.Version}
			}
		}
	}
	return nil
}
