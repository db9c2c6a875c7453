package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"ravno/net/identity"
)

const (
	demoHub = "sofia"
	// demoLook is how often the story looks while it waits.
	demoLook = 200 * time.Millisecond
	// demoSales are how many orders each restaurant sells while the link is up, and
	// demoApart how many while it is cut.
	demoSales, demoApart = 5, 2

	// The booking is for this many, then one side changes it to more, the other to fewer.
	demoGuests, demoMoreGuests, demoFewerGuests = 8, 12, 6

	demoNote, demoCakeNote, demoTerraceNote = "birthday", "birthday, with a cake", "birthday, on the terrace"

	// demoDish is the product that both sell while the link is cut.
	demoDish = 15
	// Both give out demoCard. In its place the second guest gets demoFreeCard.
	demoCard, demoFreeCard = "B-0042", "B-0043"
)

var (
	// demoRestaurants are the nodes. The link of the second is cut.
	demoRestaurants = []string{"plovdiv", "varna"}
	// demoGuestNames are the guests who get the same card, and demoPortions how much of the
	// dish is sold, each in the restaurant at the same place of the list.
	demoGuestNames = []string{"Росица", "Stoyan"}
	demoPortions   = []int{10, 6}
)

// demoStory is the demonstration as far as it has come.
type demoStory struct {
	out     io.Writer
	dir     string
	program demoProgram
	page    string

	hub         *demoServer
	restaurants []*demoServer
	tills       map[string]*demoApp  // by server
	links       map[string]*demoLink // by restaurant
	booking     int64
	taken       []demoOrder        // every order, as the till that took it had it
	apart       map[string][]int64 // numbers of what each restaurant sold without a link
	onHand      int                // portions of the dish before that
	open        map[string]string  // conflicts to decide: identifier by kind
	fell        chan *demoServer
}

func (s *demoStory) servers() []*demoServer {
	if s.hub == nil {
		return nil
	}
	return append([]*demoServer{s.hub}, s.restaurants...)
}

// tell tells the story, step by step, until one does not hold.
func (s *demoStory) tell(ctx context.Context) error {
	interrupted := ctx.Err
	ctx, cancel := context.WithTimeoutCause(ctx, demoWhole, fmt.Errorf("the story is not over after %s", demoWhole))
	defer cancel()
	s.fell = make(chan *demoServer, 1+len(demoRestaurants))
	second := demoRestaurants[1]
	for i, step := range []struct {
		title string
		do    func(context.Context) error
	}{
		{"The office in " + demoHub + " makes its database the hub's.", s.openOffice},
		{"Two restaurants join, each over a link of its own.", s.joinRestaurants},
		{"Both sell in turn, with ordinary SQL. Everything is everywhere.", s.sellTogether},
		{"The link to " + second + " is cut.", s.cut},
		{"Both go on working. Four times they do what the other does too.", s.workApart},
		{"The link is back. Both sides catch up by themselves.", s.mend},
		{"One order number twice: both orders live. One dish sold twice: both sales count.", s.showRenumbered},
		{"One booking changed twice, one card given twice: these need a decision.", s.showConflicts},
		{"The office rings the guests and decides.", s.resolve},
		{"All level again.", s.level},
		{"The three files, compared value by value.", s.compare},
		{"The event journals went to the office, and nowhere else.", s.journals},
	} {
		fmt.Fprintf(s.out, "\n%2d. %s\n", i+1, step.title)
		err := step.do(ctx)
		switch cause := context.Cause(ctx); {
		case err == nil:
			continue
		case interrupted() != nil:
			return fmt.Errorf("interrupted in step %d", i+1)
		case cause != nil:
			err = fmt.Errorf("%w; %w", cause, err)
		}
		return fmt.Errorf("step %d (%s): %w", i+1, strings.TrimSuffix(step.title, "."), err)
	}
	return nil
}

func (s *demoStory) openOffice(ctx context.Context) (err error) {
	if s.hub, err = newDemoServer(s.program, s.dir, demoHub); err != nil {
		return err
	}
	till, err := openDemoApp(ctx, s.hub.db, demoHub, true)
	if err != nil {
		return err
	}
	s.tills[demoHub] = till
	products, err := till.Int(ctx, "SELECT count(*) FROM product")
	if err != nil {
		return err
	}
	s.say("The application has made %s: %d products, 12 tables, no orders.", s.short(s.hub.db), products)
	if err := s.show(ctx, nil, "init", "--db", s.hub.db, "--name", demoHub, "--listen", "127.0.0.1:0",
		"--journal", "event_log", "--counter", "stock.on_hand"); err != nil {
		return err
	}
	s.sayCommand("run", "--db", s.hub.db, "--listen", "127.0.0.1:0", "--http", s.page)
	if err := s.hub.Start(ctx, "--listen", "127.0.0.1:0", "--http", s.page); err != nil {
		return err
	}
	if s.hub.ready.listen == "" {
		return fmt.Errorf("the hub did not say where it listens, its log is %s", s.hub.log)
	}
	s.say("The hub listens on udp %s, its status page is %s", s.hub.ready.listen, s.hub.ready.page)
	return nil
}

func (s *demoStory) joinRestaurants(ctx context.Context) error {
	for _, name := range demoRestaurants {
		server, err := newDemoServer(s.program, s.dir, name)
		if err != nil {
			return err
		}
		link, err := newDemoLink(s.hub.ready.listen)
		if err != nil {
			return err
		}
		s.links[name] = link
		token, err := s.token(ctx, name, link)
		if err != nil {
			return err
		}
		if err := s.show(ctx, nil, "join", "--db", server.db, token); err != nil {
			return err
		}
		s.sayCommand("run", "--db", server.db, "--http", "127.0.0.1:0")
		s.restaurants = append(s.restaurants, server)
		if err := server.Start(ctx, "--http", "127.0.0.1:0"); err != nil {
			return err
		}
		if s.tills[name], err = openDemoApp(ctx, server.db, name, false); err != nil {
			return err
		}
	}
	return nil
}

// token gets a join token for a restaurant from the hub and points it at the restaurant's
// link. The address in a token only says where to look; the fingerprint says whom to trust.
func (s *demoStory) token(ctx context.Context, name string, link *demoLink) (string, error) {
	s.sayCommand("node", "add", name, "--db", s.hub.db)
	out, err := s.program.Run(ctx, nil, "node", "add", name, "--db", s.hub.db, "--json")
	if err != nil {
		return "", err
	}
	var added struct{ Token string }
	if err := json.Unmarshal([]byte(out), &added); err != nil {
		return "", fmt.Errorf("ravno node add --json did not print its JSON: %w", err)
	}
	token, err := identity.ParseToken(added.Token)
	if err != nil {
		return "", err
	}
	token.Addresses = []string{link.Address()}
	return token.String(), nil
}

// sellTogether lets each sell when it has the other's sales, so that SQLite's numbers go on.
func (s *demoStory) sellTogether(ctx context.Context) (err error) {
	for _, name := range demoRestaurants {
		numbers, err := s.tills[name].Sell(ctx, demoSales)
		if err != nil {
			return err
		}
		s.say("%s sells %d orders, numbers %d to %d", name, len(numbers), numbers[0], numbers[len(numbers)-1])
		if err := s.caughtUp(ctx, name, demoRestaurants); err != nil {
			return err
		}
	}
	first := demoRestaurants[0]
	if s.booking, err = s.tills[first].Book(ctx, 6, demoGuests, demoNote); err != nil {
		return err
	}
	s.say("%s takes a booking for %d guests: order %d", first, demoGuests, s.booking)
	return s.level(ctx)
}

// caughtUp waits until the hub and then the others have the writes of one restaurant.
func (s *demoStory) caughtUp(ctx context.Context, writer string, others []string) error {
	for _, name := range append([]string{writer},
		slices.DeleteFunc(slices.Clone(others), func(n string) bool { return n == writer })...) {
		if err := s.show(ctx, nil, "wait", "--db", s.server(name).db, "--timeout", "30s"); err != nil {
			return err
		}
	}
	return nil
}

// level waits until the hub has everything and everyone has acknowledged it, and shows it.
func (s *demoStory) level(ctx context.Context) error {
	if err := s.caughtUp(ctx, demoRestaurants[0], demoRestaurants); err != nil {
		return err
	}
	for _, server := range s.servers() {
		if err := s.until(ctx, server.name+" sees all green", func() (bool, string, error) {
			status, text, err := s.status(ctx, server)
			return status.Level, text, err
		}); err != nil {
			return err
		}
	}
	return s.show(ctx, nil, "status", "--db", s.hub.db)
}

func (s *demoStory) server(name string) *demoServer {
	return s.servers()[slices.IndexFunc(s.servers(), func(v *demoServer) bool { return v.name == name })]
}

func (s *demoStory) say(format string, args ...any) {
	fmt.Fprintln(s.out, strings.TrimRight("    "+fmt.Sprintf(format, args...), " "))
}

// short is a path as seen from the demonstration's directory.
func (s *demoStory) short(path string) string {
	return strings.ReplaceAll(path, s.dir+string(filepath.Separator), "")
}

// commandText is a command's arguments as one would type them in the demonstration's directory.
func (s *demoStory) commandText(args ...string) string {
	return s.short(strings.Join(demoShown(args), " "))
}

func (s *demoStory) sayCommand(args ...string) { s.say("$ ravno %s", s.commandText(args...)) }

// show runs a command and shows it with its output.
func (s *demoStory) show(ctx context.Context, fine []int, args ...string) error {
	s.sayCommand(args...)
	out, err := s.program.Run(ctx, fine, args...)
	if err != nil {
		return err
	}
	for line := range strings.Lines(out) {
		s.say("  %s", strings.TrimRight(line, "\n"))
	}
	return nil
}
