package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	// demoWait bounds every single thing the demonstration waits for.
	demoWait = 30 * time.Second
	// demoStop is how long a daemon may take to stop, a little more than it promises.
	demoStop = 7 * time.Second
)

// demoProgram is this same program, to be run as other processes.
type demoProgram struct {
	path        string
	environment []string
}

func newDemoProgram() (demoProgram, error) {
	path, err := os.Executable()
	if err != nil {
		return demoProgram{}, fmt.Errorf("finding this program to run it again: %w", err)
	}
	return demoProgram{path: path, environment: demoEnvironment(os.Environ())}, nil
}

// demoEnvironment is an environment without variables that point the children at another file.
func demoEnvironment(of []string) []string {
	own := slices.DeleteFunc(slices.Clone(of), func(v string) bool { return strings.HasPrefix(v, "RAVNO_") })
	return append(own, "NO_COLOR=1")
}

func (p demoProgram) command(ctx context.Context, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, p.path, args...)
	c.Env = p.environment
	c.SysProcAttr = demoChild()
	c.Cancel = func() error { return demoSignal(c.Process, syscall.SIGTERM) }
	c.WaitDelay = demoStop
	return c
}

// demoCommandError is a command that ended otherwise than expected.
type demoCommandError struct {
	Args   []string
	Exit   int
	Stderr string
}

func (e *demoCommandError) Error() string {
	return fmt.Sprintf("ravno %s ended with exit code %d: %s", strings.Join(e.Args, " "), e.Exit,
		strings.TrimSpace(e.Stderr))
}

// Run runs a command to its end and returns its standard output. Exit codes besides 0 that
// are no failure here are given in fine.
func (p demoProgram) Run(ctx context.Context, fine []int, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, demoWait)
	defer cancel()
	c := p.command(ctx, args...)
	var out, problems bytes.Buffer
	c.Stdout, c.Stderr = &out, &problems
	err := c.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return "", fmt.Errorf("ravno %s did not end within %s: %s", strings.Join(demoShown(args), " "), demoWait,
			strings.TrimSpace(problems.String()))
	case errors.As(err, &exit) && slices.Contains(fine, exit.ExitCode()):
		return out.String(), nil
	case errors.As(err, &exit):
		return "", &demoCommandError{Args: demoShown(args), Exit: exit.ExitCode(), Stderr: problems.String()}
	case err != nil:
		return "", fmt.Errorf("running ravno %s: %w", args[0], err)
	}
	return out.String(), nil
}

// demoShown are arguments without a join token, which is a secret.
func demoShown(args []string) []string {
	shown := slices.Clone(args)
	for i, a := range shown {
		switch {
		case strings.HasPrefix(a, "ravno1."):
			shown[i] = "TOKEN"
		case a == "" || strings.ContainsAny(a, " '\"$"):
			shown[i] = "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
		}
	}
	return shown
}

// demoServer is one server of the chain, a file and a daemon beside it in a process of its own.
type demoServer struct {
	name, db, log string
	program       demoProgram
	ready         demoReady
	process       *os.Process
	ended         chan struct{} // closed when the daemon has ended
	failure       error         // why, once it has
}

func newDemoServer(program demoProgram, dir, name string) (*demoServer, error) {
	home := filepath.Join(dir, name)
	if err := os.MkdirAll(home, 0o700); err != nil {
		return nil, fmt.Errorf("a directory for %s: %w", name, err)
	}
	return &demoServer{name: name, db: filepath.Join(home, "restaurant.db"), log: filepath.Join(dir, name+".log"),
		program: program}, nil
}

// demoReady is the content of a daemon's ready line.
type demoReady struct {
	listen string // HOST:PORT of the hub's UDP socket; empty at a node
	page   string // URL of the status page; empty if it has none
}

var (
	demoReadyLine   = regexp.MustCompile(`^ravno: \S+ \((hub|node)\) ready: `)
	demoReadyListen = regexp.MustCompile(`listening on udp (\S+:\d+)`)
	demoReadyPage   = regexp.MustCompile(`status on (http://\S+)`)
)

// parseDemoReady reads the line with which a daemon says that it is ready.
func parseDemoReady(line string) (ready demoReady, ok bool) {
	if !demoReadyLine.MatchString(line) {
		return demoReady{}, false
	}
	if m := demoReadyListen.FindStringSubmatch(line); m != nil {
		ready.listen = m[1]
	}
	if m := demoReadyPage.FindStringSubmatch(line); m != nil {
		ready.page = m[1]
	}
	return ready, true
}

// Start starts the daemon and returns when it is ready. What it says goes to its log.
func (s *demoServer) Start(ctx context.Context, args ...string) error {
	log, err := os.OpenFile(s.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("the log of %s: %w", s.name, err)
	}
	said, says, err := os.Pipe()
	if err != nil {
		log.Close()
		return fmt.Errorf("listening to %s: %w", s.name, err)
	}
	// It does not use this ctx, because Stop stops it in order even after an interrupt.
	c := s.program.command(context.WithoutCancel(ctx), append([]string{"run", "--db", s.db}, args...)...)
	c.Stdout, c.Stderr = says, says
	err = c.Start()
	says.Close()
	if err != nil {
		said.Close()
		log.Close()
		return fmt.Errorf("starting the daemon of %s: %w", s.name, err)
	}
	s.process, s.ended = c.Process, make(chan struct{})
	ready := make(chan demoReady, 1)
	go func() {
		defer close(s.ended)
		listenForReady(said, log, ready)
		s.failure = c.Wait()
	}()
	timeout := time.NewTimer(demoWait)
	defer timeout.Stop()
	select {
	case s.ready = <-ready:
		return nil
	case <-s.ended:
		return fmt.Errorf("the daemon of %s ended before it was ready (%v), its log is %s", s.name, s.failure, s.log)
	case <-timeout.C:
		return fmt.Errorf("the daemon of %s was not ready within %s, its log is %s", s.name, demoWait, s.log)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// listenForReady copies a daemon's output to its log until it has ended, and hands on its ready line.
func listenForReady(said io.ReadCloser, log io.WriteCloser, ready chan<- demoReady) {
	defer said.Close()
	defer log.Close()
	lines := bufio.NewReader(said)
	told := false
	for {
		line, err := lines.ReadString('\n')
		_, _ = io.WriteString(log, line) // a log that cannot be written must not stop the daemon
		if r, ok := parseDemoReady(strings.TrimSpace(line)); ok && !told {
			ready <- r
			told = true
		}
		if err != nil {
			return
		}
	}
}

// Stop asks the daemon to end, and kills it if it does not.
func (s *demoServer) Stop() error {
	if s.process == nil {
		return nil
	}
	select {
	case <-s.ended:
		return fmt.Errorf("the daemon of %s had ended by itself (%v), its log is %s", s.name, s.failure, s.log)
	default:
	}
	_ = demoSignal(s.process, syscall.SIGTERM) // if it fails, the daemon ended just now
	timeout := time.NewTimer(demoStop)
	defer timeout.Stop()
	select {
	case <-s.ended:
	case <-timeout.C:
		_ = demoSignal(s.process, syscall.SIGKILL)
		<-s.ended
		return fmt.Errorf("the daemon of %s did not stop within %s and was killed, its log is %s", s.name, demoStop, s.log)
	}
	if s.failure != nil {
		return fmt.Errorf("the daemon of %s stopped badly (%w), its log is %s", s.name, s.failure, s.log)
	}
	return nil
}

// demoSignal signals a child and its own children.
func demoSignal(p *os.Process, signal syscall.Signal) error {
	err := syscall.Kill(-p.Pid, signal)
	if errors.Is(err, syscall.ESRCH) {
		return os.ErrProcessDone
	}
	return err
}
