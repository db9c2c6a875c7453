package main

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/google/uuid"
	"github.com/mattn/go-isatty"
	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"ravno/crdt/causal"
	"ravno/net/exchange"
	"ravno/net/hub"
	"ravno/net/identity"
	"ravno/net/node"
	"ravno/net/quiclink"
	"ravno/net/status"
	"ravno/store"
)

const (
	defaultListen = ":4433"
	defaultHTTP   = "127.0.0.1:8433"
	// stopWithin is how long a daemon that was told to stop may take to say goodbye.
	stopWithin = 4 * time.Second
	// marksEvery is how often the daemon notes, outside the database, how far it has come. If a
	// backup older than this is put back, the next start or handshake notices.
	marksEvery = 5 * time.Second
	// headerTimeout bounds how long a browser may take to ask for the page.
	headerTimeout = 10 * time.Second
)

func newRunCommand() *cobra.Command {
	var listen, page string
	var verbose, profiles bool
	command := &cobra.Command{
		Use:   "run --db FILE",
		Short: "Run the daemon, which keeps this server level",
		Long: `Runs the daemon beside a database. The database says whether it is a hub or a node.

When it is ready, it prints one line with the addresses in use. It stops cleanly on
SIGTERM or Ctrl-C. There is exactly one daemon for a database. The application may
start, stop and write at any time, whether the daemon runs or not.

Exit codes: 0 stopped when told to, 1 failed, 2 wrong usage.`,
		Example: "  ravno run --db /srv/pos/sales.db",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			path, err := databasePath(cmd)
			if err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			d := &daemon{path: path, dir: stateDir(path), listen: listen, page: page,
				pageChosen: cmd.Flags().Changed("http"), profiles: profiles, log: newLog(verbose), out: cmd.OutOrStdout()}
			return d.run(ctx)
		},
	}
	command.Flags().StringVar(&listen, "listen", "", "hub: UDP address to listen on (default: as given to init, else "+
		defaultListen+")")
	command.Flags().StringVar(&page, "http", defaultHTTP, "address of the status page, or off")
	command.Flags().BoolVar(&profiles, "profiles", false,
		"serve Go profiles on the status page's address, below /debug/pprof/")
	command.Flags().BoolVarP(&verbose, "verbose", "v", false, "log more")
	return command
}

// newLog writes for people on a terminal, and JSON lines elsewhere.
func newLog(verbose bool) zerolog.Logger {
	level := zerolog.InfoLevel
	if verbose {
		level = zerolog.DebugLevel
	}
	if isatty.IsTerminal(os.Stderr.Fd()) {
		return zerolog.New(zerolog.ConsoleWriter{Out: os.Stderr, NoColor: os.Getenv("NO_COLOR") != ""}).Level(
			level).With().Timestamp().Logger()
	}
	return zerolog.New(os.Stderr).Level(level).With().Timestamp().Logger()
}

// server is what a daemon serves: a hub or a node.
type server interface {
	Run(ctx context.Context) error
	Status() (status.Snapshot, error)
	Wait(ctx context.Context) error
	Verify(ctx context.Context, table string) (map[string][]exchange.TableResult, error)
	Poke()
}

// daemon is one run of ravno run.
type daemon struct {
	path, dir    string
	listen, page string
	pageChosen   bool
	profiles     bool
	log          zerolog.Logger
	out          interface{ Write([]byte) (int, error) }

	store    *store.Store
	endpoint *quiclink.Endpoint
	server   server
	ready    string // the first half of the line it prints
	// abandoned says that some work did not end in time, and the process ends without it.
	abandoned bool
	marks     identity.Marks // as last saved
}

func (d *daemon) run(ctx context.Context) error {
	s, err := store.Open(d.path, time.Now)
	if err != nil {
		return err
	}
	defer func() {
		if !d.abandoned { // closing would wait for the work that holds the file
			s.Close()
		}
	}()
	d.store = s
	lock, err := acquireLock(d.dir)
	if err != nil {
		return err
	}
	defer lock.Close()
	self, err := d.checkIdentity()
	if err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(d.dir, unfinishedName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err // the init that left it was killed after it had finished
	}
	wake, err := watch(ctx, d.path, d.log)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(d.dir, "spool"), 0o700); err != nil {
		return err
	}
	if self.Role == store.Hub {
		err = d.prepareHub(self, wake)
	} else {
		err = d.prepareNode(self, wake)
	}
	if err != nil {
		return err
	}
	defer d.endpoint.Close()
	return d.serve(ctx, self)
}

// checkIdentity refuses a database that this state directory does not belong to, or an older copy of
// its own. Going on with such a file would hand out positions a second time.
func (d *daemon) checkIdentity() (store.Self, error) {
	self, err := d.store.Self()
	if err != nil {
		return self, err
	}
	marks, err := identity.LoadMarks(d.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return self, fmt.Errorf("%s: the state directory %s is missing or incomplete, so this is a copy of an enrolled "+
			"database. Try: ravno leave --force on the copy, then ravno join", d.path, d.dir)
	}
	if err != nil {
		return self, err
	}
	again := "Try: put the newest database back, or ravno leave --force and ravno join --keep-local with a new token"
	switch {
	case marks.Incarnation != self.Incarnation:
		return self, fmt.Errorf("%s: this is not the database the keys in %s belong to. %s", d.path, d.dir, again)
	case marks.Position > self.Position || marks.Seen > self.Seen:
		return self, fmt.Errorf("%s: this database is older than the one that ran here last (position %d, was %d), so it "+
			"was restored from a backup. %s", d.path, self.Position, marks.Position, again)
	}
	return self, nil
}

func (d *daemon) saveMarks() {
	self, err := d.store.Self()
	marks := identity.Marks{Incarnation: self.Incarnation, Position: self.Position, Seen: self.Seen}
	if err == nil && marks != d.marks {
		if err = identity.SaveMarks(d.dir, marks); err == nil {
			d.marks = marks
		}
	}
	if err != nil {
		d.log.Error().Err(err).Msg("the marks beside the key could not be kept")
	}
}

func (d *daemon) prepareHub(self store.Self, wake <-chan struct{}) error {
	own, err := identity.Load(d.dir)
	if err != nil {
		return err
	}
	authority, err := identity.LoadAuthority(d.dir)
	if err != nil {
		return err
	}
	listen := firstOf(d.listen, self.Listen, defaultListen)
	socket, err := net.ListenPacket("udp", listen)
	if err != nil {
		return fmt.Errorf("listening on UDP %s: %w. Try: --listen with a free port", listen, err)
	}
	d.endpoint = quiclink.NewEndpoint(socket)
	address := socket.LocalAddr().String()
	if err := d.store.SetListening(address); err != nil {
		return err
	}
	d.ready = fmt.Sprintf("ravno: %s (hub) ready: listening on udp %s", self.Name, address)
	d.server = hub.New(hub.Config{Store: d.store, Identity: own, Authority: authority, Endpoint: d.endpoint,
		Version:  version,
		StateDir: d.dir, Clock: time.Now, NewID: uuid.NewString, Wake: wake, Log: d.log})
	return nil
}

func (d *daemon) prepareNode(self store.Self, wake <-chan struct{}) error {
	if d.listen != "" {
		return usageError("--listen is for the hub; %s is a node", self.Name)
	}
	own, err := identity.Load(d.dir)
	if err != nil {
		return err
	}
	socket, err := net.ListenPacket("udp", ":0")
	if err != nil {
		return fmt.Errorf("opening a UDP socket: %w", err)
	}
	d.endpoint = quiclink.NewEndpoint(socket)
	d.ready = fmt.Sprintf("ravno: %s (node) ready: hub %s", self.Name, strings.Join(self.Addresses, " or "))
	d.server = node.New(node.Config{Store: d.store, Identity: own, Endpoint: d.endpoint, Resolve: resolveUDP,
		Version:  version,
		SpoolDir: filepath.Join(d.dir, "spool"), Clock: time.Now, Random: random, Wake: wake, Log: d.log})
	return nil
}

func resolveUDP(ctx context.Context, address string) (net.Addr, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	number, err := net.DefaultResolver.LookupPort(ctx, "udp", port)
	if err != nil {
		return nil, err
	}
	ips, err := net.DefaultResolver.LookupIPAddr(ctx, host)
	if err != nil {
		return nil, err
	}
	return &net.UDPAddr{IP: ips[0].IP, Port: number, Zone: ips[0].Zone}, nil
}

// random is a number in [0,1).
func random() float64 {
	var b [8]byte
	rand.Read(b[:]) // never fails (crypto/rand)
	return float64(binary.BigEndian.Uint64(b[:])>>11) / (1 << 53)
}

func newIncarnation() causal.Incarnation { return causal.Incarnation(uuid.New()) }

func firstOf(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}

// serve runs the server with its status page and its control socket until ctx ends.
func (d *daemon) serve(ctx context.Context, self store.Self) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	controls, err := listenControl(d.dir)
	if err != nil {
		return err
	}
	page, err := d.listenPage()
	if err != nil {
		controls.Close()
		return err
	}
	if d.profiles {
		if err := checkProfiles(page); err != nil {
			controls.Close()
			if page != nil {
				page.Close()
			}
			return err
		}
	}
	var workers sync.WaitGroup
	serveHTTP := func(listener net.Listener, handler http.Handler) {
		server := &http.Server{Handler: handler, ReadHeaderTimeout: headerTimeout,
			BaseContext: func(net.Listener) context.Context { return ctx }}
		workers.Go(func() {
			if err := server.Serve(listener); err != nil && !errors.Is(err, http.ErrServerClosed) {
				cancel(err)
			}
		})
		workers.Go(func() {
			<-ctx.Done()
			server.Close()
		})
	}
	serveHTTP(controls, d.controls())
	at := "off"
	if page != nil {
		at = "on http://" + page.Addr().String()
		serveHTTP(page, d.pageHandler(page))
	}
	workers.Go(func() {
		if err := d.server.Run(ctx); err != nil {
			cancel(err)
		}
	})
	workers.Go(func() { d.keepMarks(ctx) })
	fmt.Fprintf(d.out, "%s, status %s\n", d.ready, at)
	<-ctx.Done()
	d.endpoint.Close()
	stopped := make(chan struct{})
	go func() {
		workers.Wait()
		close(stopped)
	}()
	select {
	case <-stopped:
	case <-time.After(stopWithin):
		d.abandoned = true
		d.log.Warn().Msg("stopping without waiting any longer. Everything acknowledged is on disk")
	}
	if !d.abandoned {
		d.saveMarks()
	}
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

func (d *daemon) keepMarks(ctx context.Context) {
	ticker := time.NewTicker(marksEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			d.saveMarks()
		}
	}
}

// listenPage opens the status page's address. If another ravno on this machine has the default
// address, it takes a free one instead.
func (d *daemon) listenPage() (net.Listener, error) {
	if strings.EqualFold(d.page, "off") {
		return nil, nil
	}
	listener, err := net.Listen("tcp", d.page)
	if err != nil && !d.pageChosen && errors.Is(err, syscall.EADDRINUSE) {
		d.log.Warn().Str("address", d.page).Msg("the status page's usual address is taken; using a free one")
		listener, err = net.Listen("tcp", "127.0.0.1:0")
	}
	if err != nil {
		return nil, fmt.Errorf("status page on %s: %w. Try: --http with a free address, or --http off", d.page, err)
	}
	return listener, nil
}

func (d *daemon) pageHandler(listener net.Listener) http.Handler {
	options := status.HandlerOptions{Page: status.PageOptions{Location: time.Local, Refresh: status.DefaultRefresh}}
	if host, ok := listener.Addr().(*net.TCPAddr); ok && !host.IP.IsLoopback() {
		options.AnyHost = true // the admin chose an address beyond this machine
	}
	if d.profiles {
		options.Profiles = profiles()
	}
	return status.Handler(d.status, options)
}
