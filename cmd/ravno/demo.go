package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

const (
	// demoWhole bounds the whole story, which takes about half of this on a slow machine.
	demoWhole = 60 * time.Second
	// demoLogLines is how much of a daemon's log is shown when a step failed.
	demoLogLines = 15
)

// newDemoCommand is ravno demo, a chain of restaurants on one machine. Everything is real but the
// distance.
func newDemoCommand() *cobra.Command {
	var dir, page string
	var once bool
	c := &cobra.Command{
		Use:   "demo",
		Short: "Show a hub and two restaurants going through a cut link and a conflict",
		Long: `Runs a hub and two restaurants as real processes on this machine, connected by
real QUIC links over loopback. Both restaurants sell. Then one link is cut, and
both take an order of the same number, sell the same dish, give out the same
card and change the same booking. The link comes back. Both orders live, one
with a new number, and both sales are counted. The card and the booking are
conflicts, which the demo shows and resolves. At the end it compares the three
database files value by value and accounts for every order, line and portion.

Without --once the three servers stay up, with their status pages, until Ctrl-C.
The demo makes its own databases and takes no --db.`,
		Example: "  ravno demo\n  ravno demo --once\n  ravno demo --dir /tmp/chain --http 127.0.0.1:8433",
		Args:    arguments(),
		Annotations: exits(
			"0 every step held, and the three files are identical with nothing missing, 1 a step failed, 2 wrong usage"),
		RunE: func(c *cobra.Command, _ []string) error {
			if c.Flags().Changed("db") {
				return usageError("ravno demo makes databases of its own; --db is not for it")
			}
			ctx, stop := signal.NotifyContext(c.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			return runDemo(ctx, c.OutOrStdout(), c.ErrOrStderr(), dir, page, once)
		},
	}
	c.Flags().StringVar(
		&dir, "dir", "", "directory for the files and logs; it must not hold a demo already (default: a fresh temporary one)")
	c.Flags().BoolVar(&once, "once", false, "end after the story, and clean up if every step held")
	c.Flags().StringVar(&page, "http", "127.0.0.1:0", "address of the hub's status page")
	return c
}

// runDemo tells the story, stays if wanted, and cleans up.
func runDemo(ctx context.Context, out, problems io.Writer, dir, page string, once bool) (err error) {
	// The kernel signals the children when the thread that started them ends, so that thread must stay.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	home, temporary, err := demoDirectory(dir)
	if err != nil {
		return err
	}
	program, err := newDemoProgram()
	if err != nil {
		return err
	}
	s := &demoStory{out: out, dir: home, program: program, page: page, tills: map[string]*demoApp{},
		links: map[string]*demoLink{}}
	fmt.Fprintf(out, "ravno demo: a hub and two restaurants, all in %s\n", home)
	err = s.tell(ctx)
	if err == nil && !once {
		err = s.stay(ctx)
	}
	if err != nil && ctx.Err() == nil {
		s.showLogs(problems)
	}
	if ended := s.end(); err == nil {
		err = ended // otherwise what went wrong first is what to tell
	}
	switch {
	case err != nil:
		return fmt.Errorf("demo: %w. Everything is left in %s. Try: look at the logs there (*.log)", err, home)
	case temporary && once:
		if err := os.RemoveAll(home); err != nil {
			return fmt.Errorf("demo: removing its directory: %w", err)
		}
	}
	return nil
}

// demoDirectory is the directory to play in, with every link in its path resolved.
func demoDirectory(dir string) (home string, temporary bool, err error) {
	if dir == "" {
		if dir, err = os.MkdirTemp("", "ravno-demo-"); err != nil {
			return "", false, fmt.Errorf("demo: a temporary directory: %w. Try: --dir DIR", err)
		}
		temporary = true
	} else if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", false, fmt.Errorf("demo: %w. Try: another --dir", err)
	}
	if home, err = filepath.Abs(dir); err != nil {
		return "", false, fmt.Errorf("demo: %w. Try: another --dir", err)
	}
	if home, err = filepath.EvalSymlinks(home); err != nil {
		return "", false, fmt.Errorf("demo: %w. Try: another --dir", err)
	}
	for _, name := range append([]string{demoHub}, demoRestaurants...) {
		if _, err := os.Lstat(filepath.Join(home, name)); !errors.Is(err, os.ErrNotExist) {
			return "", false, usageError("demo: %s holds %s already, from an earlier demo perhaps. Try: another --dir", home,
				name)
		}
	}
	return home, temporary, nil
}

// stay leaves the servers up until ctx ends.
func (s *demoStory) stay(ctx context.Context) error {
	fmt.Fprintf(s.out, "\nThe three servers stay up until Ctrl-C. Their status pages:\n")
	for _, server := range s.servers() {
		fmt.Fprintf(s.out, "    %-8s %s\n", server.name, server.ready.page)
	}
	first, second := demoRestaurants[0], demoRestaurants[1]
	fmt.Fprintf(s.out, `
To play, from another terminal:
    cd %s
    sqlite3 %s/restaurant.db "UPDATE product SET price = price + 10 WHERE id = 15"
    sqlite3 %s/restaurant.db "SELECT name, price FROM product WHERE id = 15"
    %s status --db %s/restaurant.db --watch
    %s conflict list --all --db %s/restaurant.db
    %s journal list --db %s/restaurant.db --follow
`, s.dir, first, second, s.program.path, first, s.program.path, second, s.program.path, demoHub)
	for _, server := range s.servers() {
		go func() {
			<-server.ended
			s.fell <- server
		}()
	}
	select {
	case <-ctx.Done():
		fmt.Fprintf(s.out, "\nStopping. Everything stays in %s\n", s.dir)
		return nil
	case server := <-s.fell:
		return fmt.Errorf("the daemon of %s ended by itself (%v)", server.name, server.failure)
	}
}

// end closes the tills, then stops the daemons, then takes the lines down.
func (s *demoStory) end() error {
	var all []error
	for _, till := range s.tills {
		all = append(all, till.Close())
	}
	servers := s.servers()
	for i := len(servers) - 1; i >= 0; i-- { // the hub last
		all = append(all, servers[i].Stop())
	}
	for _, link := range s.links {
		link.Close()
	}
	return errors.Join(all...)
}

// showLogs shows the end of every daemon's log.
func (s *demoStory) showLogs(to io.Writer) {
	for _, server := range s.servers() {
		b, err := os.ReadFile(server.log)
		if err != nil {
			continue // it never started
		}
		lines := strings.Split(strings.TrimRight(string(b), "\n"), "\n")
		fmt.Fprintf(to, "--- the end of %s\n%s\n", server.log, strings.Join(lines[max(len(lines)-demoLogLines, 0):], "\n"))
	}
}
