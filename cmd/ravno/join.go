package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/spf13/cobra"

	"ravno/net/identity"
	"ravno/net/node"
	"ravno/net/quiclink"
	"ravno/store"
)

// progressEvery is how often progress is shown where there is no terminal.
const progressEvery = 5 * time.Second

func newJoinCommand() *cobra.Command {
	var keepLocal, discardLocal bool
	command := &cobra.Command{
		Use:   "join --db FILE TOKEN",
		Short: "Make this server a node, with key, certificate, first load and triggers",
		Long: `Enrols this server with the token that ravno node add printed at the hub.

If FILE does not exist, join creates it, with all the hub has. If it exists, it must have
no rows that the hub lacks, and join names those that it finds. --keep-local offers them
to everyone as new rows, and --discard-local drops them. Both make a backup copy first.
If a join was cut off, the same command goes on where it stopped.

Exit codes: 0 done, 1 failed, 2 wrong usage.`,
		Example: "  ravno join --db /srv/pos/sales.db ravno1.AbC...",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := databasePath(cmd)
			if err != nil {
				return err
			}
			if keepLocal && discardLocal {
				return usageError("--keep-local and --discard-local exclude each other")
			}
			local := store.RefuseLocal
			if keepLocal {
				local = store.KeepLocal
			} else if discardLocal {
				local = store.DiscardLocal
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return join(ctx, cmd, path, args[0], local)
		},
	}
	command.Flags().BoolVar(&keepLocal, "keep-local", false, "offer rows the hub lacks to everyone as new rows")
	command.Flags().BoolVar(&discardLocal, "discard-local", false, "drop rows the hub lacks, after a backup copy")
	return command
}

func join(ctx context.Context, cmd *cobra.Command, path, token string, local store.LocalRows) error {
	parsed, err := identity.ParseToken(token)
	if err != nil {
		return err
	}
	if err := mayJoin(path); err != nil {
		return err
	}
	dir := stateDir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	lock, err := acquireLock(dir)
	if err != nil {
		return err
	}
	defer lock.Close()
	socket, err := net.ListenPacket("udp", ":0")
	if err != nil {
		return fmt.Errorf("opening a UDP socket: %w", err)
	}
	endpoint := quiclink.NewEndpoint(socket)
	defer endpoint.Close()
	progress := newProgress()
	j := &node.Join{Token: parsed, Path: path, StateDir: dir, Local: local, Endpoint: endpoint, Resolve: resolveUDP,
		Version: version,
		Clock:   time.Now, NewIncarnation: newIncarnation, Progress: progress.tell}
	joined, err := j.Run(ctx)
	progress.end()
	if err != nil {
		return err
	}
	if !joined.Report.WasWAL {
		fmt.Fprintln(cmd.ErrOrStderr(), "ravno: the database is in WAL mode now, and the application need not change")
	}
	for _, r := range joined.Report.Refused {
		fmt.Fprintf(cmd.ErrOrStderr(), "ravno: table %s does not sync: %s. Try: %s\n", r.Table, r.Reason, r.Try)
	}
	if joined.Backup != "" {
		fmt.Fprintf(cmd.ErrOrStderr(), "ravno: the file as it was before is kept in %s\n", joined.Backup)
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s joined %s: %d tables, %d rows\n", joined.Name, joined.Hub,
		len(joined.Report.Synced), joined.Report.Rows)
	fmt.Fprintf(cmd.ErrOrStderr(), "ravno: next: ravno run --db %s\n", path)
	return nil
}

// mayJoin refuses a file that cannot join, before a token is used up on it.
func mayJoin(path string) error {
	s, err := store.Open(path, time.Now)
	if err == nil {
		s.Close()
		return fmt.Errorf("%s: %w. Try: ravno status, or ravno leave first", path, store.ErrEnrolled)
	}
	var file *store.FileError
	if errors.Is(err, store.ErrNotEnrolled) {
		return nil
	}
	if _, statErr := os.Stat(path); errors.Is(statErr, os.ErrNotExist) {
		if err := store.CheckLeftovers(path); err != nil {
			return err
		}
		if info, err := os.Stat(filepath.Dir(path)); err != nil || !info.IsDir() {
			return &store.FileError{Path: path, Problem: "its directory does not exist", Try: "mkdir -p " + filepath.Dir(path)}
		}
		return nil
	}
	if errors.As(err, &file) {
		return file
	}
	return err
}

// progress shows how far long work is, in place on a terminal and elsewhere as a line every few
// seconds.
type progress struct {
	terminal bool
	step     string
	began    time.Time
	told     time.Time
}

func newProgress() *progress { return &progress{terminal: isatty.IsTerminal(os.Stderr.Fd())} }

func (p *progress) tell(step string, done, total uint64) {
	now := time.Now()
	if step != p.step {
		p.end()
		p.step, p.began, p.told = step, now, time.Time{}
	}
	if total == 0 {
		fmt.Fprintf(os.Stderr, "ravno: %s\n", step)
		p.step = ""
		return
	}
	pause := progressEvery
	if p.terminal {
		pause = 100 * time.Millisecond
	}
	if now.Sub(p.told) < pause && done < total {
		return
	}
	p.told = now
	const mega = 1 << 20
	rate := float64(done) / max(now.Sub(p.began).Seconds(), 0.001)
	left := time.Duration(float64(total-done) / max(rate, 1) * float64(time.Second)).Round(time.Second)
	line := fmt.Sprintf("ravno: %s: %.1f of %.1f MB, %.1f MB/s, %s left", step, float64(done)/mega, float64(total)/mega,
		rate/mega, left)
	if p.terminal {
		fmt.Fprintf(os.Stderr, "\r\x1b[K%s", line)
		return
	}
	fmt.Fprintln(os.Stderr, line)
}

// end finishes the line in place.
func (p *progress) end() {
	if p.terminal && p.step != "" {
		fmt.Fprintln(os.Stderr)
	}
	p.step = ""
}
