package main

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ravno/net/identity"
	"ravno/store"
)

// The life of a join token is long enough to walk to the node, and short enough that none lies
// forgotten in somebody's mail.
const (
	defaultTokenLife = "1h"
	minTokenLife     = time.Minute
	maxTokenDays     = 30
	maxTokenLife     = maxTokenDays * 24 * time.Hour
)

// maxTokenAddresses is how many addresses of the hub a join token holds.
const maxTokenAddresses = 8

func newNodeCommand() *cobra.Command {
	return group("node", "Add, list, rename and remove nodes, at the hub", "", "",
		newNodeAddCommand(), newNodeListCommand(), newNodeRenameCommand(), newNodeRemoveCommand())
}

func newNodeAddCommand() *cobra.Command {
	var ttl string
	var asJSON bool
	c := &cobra.Command{
		Use: "add NAME", Short: "Print the line that makes a server a node",
		Long: `Prints one line to paste at the new node. The token in it works once, until it expires.
Until then it is as good as a key, so do not leave it lying about.`,
		Example: "  ravno node add restaurant-1 --db shop.db", Args: arguments("NAME"), Annotations: exits(exitsUsually),
		RunE: func(c *cobra.Command, args []string) error {
			life, err := parseLife(ttl)
			if err != nil {
				return err
			}
			if err := store.CheckName(args[0]); err != nil {
				return usageError("%v", err)
			}
			return withStore(c, func(s *store.Store) error {
				token, err := newToken(s, args[0], time.Now().Add(life))
				if err != nil {
					return err
				}
				line := "ravno join --db PATH_OF_DATABASE " + token.String()
				if asJSON {
					return printJSON(c.OutOrStdout(), object{{"name", token.Name}, {"token", token.String()},
						{"expires_at", jsonTime(token.Expires)}, {"command", line}})
				}
				if _, err := fmt.Fprintln(c.OutOrStdout(), line); err != nil {
					return err
				}
				note(c.ErrOrStderr(),
					"paste this line at %s, with the path of its database. It works once, until %s. The node looks for the hub at %s",
					token.Name, minute(token.Expires), strings.Join(token.Addresses, ", "))
				return nil
			})
		},
	}
	c.Flags().StringVar(&ttl, "ttl", defaultTokenLife, "how `long` the token is good for: 1m to 30d")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	return c
}

// parseLife reads a duration that may be in days.
func parseLife(text string) (time.Duration, error) {
	life, err := time.ParseDuration(text)
	if days, found := strings.CutSuffix(text, "d"); found {
		var n int
		n, err = strconv.Atoi(days)
		life = time.Duration(min(max(n, 0), maxTokenDays+1)) * 24 * time.Hour
	}
	if err != nil || life < minTokenLife || life > maxTokenLife {
		return 0, wrongUsage(fmt.Sprintf("--ttl %q: want 1m to 30d", text), "--ttl "+defaultTokenLife)
	}
	return life, nil
}

// newToken makes a join token and records it at the hub.
func newToken(s *store.Store, name string, expires time.Time) (identity.Token, error) {
	self, err := s.Self()
	if err != nil {
		return identity.Token{}, err
	}
	if self.Role != store.Hub {
		return identity.Token{}, fmt.Errorf("%s: this is a node of %s. Try: ravno node add at the hub", s.Path(), self.Hub)
	}
	addresses, err := hubAddresses(self, machineAddresses)
	if err != nil {
		return identity.Token{}, err
	}
	own, err := identity.Load(stateDir(s.Path()))
	if err != nil {
		return identity.Token{}, err
	}
	token, err := identity.NewToken(name, addresses, own.Fingerprint(), expires)
	if err != nil {
		return identity.Token{}, err
	}
	return token, s.AddToken(name, identity.HashSecret(token.Secret), token.Expires)
}

// hubAddresses are the addresses at which nodes look for the hub. That is the one that the admin
// advertises, or else the one the daemon listens on. If it listens on all addresses, each address
// of the machine is given.
func hubAddresses(self store.Self, machine func() ([]string, error)) ([]string, error) {
	if self.Advertise != "" {
		return []string{self.Advertise}, nil
	}
	host, port, err := net.SplitHostPort(cmp.Or(self.Listening, self.Listen, defaultListen))
	if err == nil && port == "0" {
		host, port, err = net.SplitHostPort(cmp.Or(self.Listen, defaultListen))
	}
	if err != nil {
		return nil, fmt.Errorf("the hub's address: %w. Try: ravno leave, then ravno init --listen :4433", err)
	}
	if port == "0" {
		return nil, errors.New("the hub takes a free port when it starts, and has not started yet. Try: ravno run first")
	}
	if ip := net.ParseIP(host); host != "" && (ip == nil || !ip.IsUnspecified()) {
		return []string{net.JoinHostPort(host, port)}, nil
	}
	hosts, err := machine()
	if err != nil {
		return nil, err
	}
	var addresses []string
	for _, host := range hosts {
		addresses = append(addresses, net.JoinHostPort(host, port))
	}
	return addresses, nil
}

// machineAddresses are the addresses of this machine that others may reach, with those of version 4
// first, and then its name. A machine without any has the loopback address.
func machineAddresses() ([]string, error) {
	found, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("this machine's addresses: %w. Try: ravno init --advertise HOST:PORT", err)
	}
	var hosts []string
	for _, address := range found {
		if network, ok := address.(*net.IPNet); ok && network.IP.IsGlobalUnicast() {
			hosts = append(hosts, network.IP.String())
		}
	}
	if len(hosts) == 0 {
		return []string{"127.0.0.1"}, nil
	}
	isSix := func(host string) int { return strings.Count(host, ":") }
	slices.SortStableFunc(hosts, func(a, b string) int { return cmp.Compare(min(isSix(a), 1), min(isSix(b), 1)) })
	hosts = hosts[:min(len(hosts), maxTokenAddresses-1)]
	if name, err := os.Hostname(); err == nil && name != "" {
		hosts = append(hosts, name)
	}
	return hosts, nil
}

// listedNode is a node as the hub knows it.
type listedNode struct {
	store.Site
	lastTransfer time.Time
}

func listNodes(s *store.Store) ([]listedNode, error) {
	sites, err := s.Sites()
	if err != nil {
		return nil, err
	}
	peers, err := s.Peers()
	if err != nil {
		return nil, err
	}
	var nodes []listedNode
	for _, site := range sites {
		if site.Role != store.Node || site.Removed {
			continue
		}
		n := listedNode{Site: site}
		for _, p := range peers {
			if p.Site == site.Number {
				n.lastTransfer = p.LastTransfer
			}
		}
		nodes = append(nodes, n)
	}
	return nodes, nil
}

func newNodeListCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "list", Short: "List the nodes that have joined",
		Example: "  ravno node list --db shop.db", Args: arguments(), Annotations: exits(exitsUsually),
		RunE: func(c *cobra.Command, _ []string) error {
			return withStore(c, func(s *store.Store) error {
				nodes, err := listNodes(s)
				if err != nil {
					return err
				}
				if asJSON {
					list := []object{}
					for _, n := range nodes {
						list = append(
							list, object{{"name", n.Name}, {"site", uint32(n.Number)}, {"last_transfer", jsonTime(n.lastTransfer)}})
					}
					return printJSON(c.OutOrStdout(), list)
				}
				if len(nodes) == 0 {
					note(c.ErrOrStderr(), "no node has joined yet. Try: ravno node add NAME --db %s", s.Path())
					return nil
				}
				rows := [][]string{{"NODE", "SITE", "LAST TRANSFER"}}
				for _, n := range nodes {
					rows = append(rows, []string{n.Name, n.Number.String(), minute(n.lastTransfer)})
				}
				return grid(c.OutOrStdout(), "", rows)
			})
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	return c
}

func newNodeRenameCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "rename OLD NEW", Short: "Give a server another name",
		Long:    "Gives a server another name, the hub too. Its identity and its link stay.",
		Example: "  ravno node rename restaurant-1 plovdiv --db shop.db", Args: arguments("OLD", "NEW"),
		Annotations: exits(exitsUsually),
		RunE: func(c *cobra.Command, args []string) error {
			if err := store.CheckName(args[1]); err != nil {
				return usageError("%v", err)
			}
			return withStore(c, func(s *store.Store) error {
				if err := s.RenameSite(args[0], args[1]); err != nil {
					return err
				}
				pokeDaemon(c, s)
				if asJSON {
					return printJSON(c.OutOrStdout(), object{{"old", args[0]}, {"name", args[1]}})
				}
				_, err := fmt.Fprintf(c.OutOrStdout(), "%s is called %s now\n", visible(args[0]), visible(args[1]))
				return err
			})
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	return c
}

func newNodeRemoveCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "remove NAME", Short: "Revoke a node at once",
		Long: `Revokes a node at once, cuts its link and stops waiting for it. Changes that it has sent
stay everywhere. Changes that it has not sent will not arrive any more.`,
		Example: "  ravno node remove restaurant-1 --db shop.db", Args: arguments("NAME"), Annotations: exits(exitsUsually),
		RunE: func(c *cobra.Command, args []string) error {
			return withStore(c, func(s *store.Store) error {
				if err := s.RemoveSite(args[0]); err != nil {
					return err
				}
				pokeDaemon(c, s)
				if asJSON {
					return printJSON(c.OutOrStdout(), object{{"name", args[0]}, {"removed", true}})
				}
				_, err := fmt.Fprintf(c.OutOrStdout(), "%s is removed, and its certificate is no longer valid\n", visible(args[0]))
				return err
			})
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	return c
}
