// Command ravno keeps the SQLite databases of an organisation level, with one hub and many nodes.
// It has one file per verb. Only this package knows flags, exit codes and the real clock. The
// packages store and net do the work.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
)

// The exit codes, a contract with scripts.
const (
	codeDone     = 0
	codeFailed   = 1
	codeUsage    = 2 // wrong usage: flags, arguments, no --db
	codeNotLevel = 3 // not level, or a conflict is open; already said on stdout
)

// errNotLevel ends status and verify. It is not printed, because the answer on stdout says more.
var errNotLevel = errors.New("not level")

// misuse is the error of a command that was given wrongly. Every error before a command begins its
// work counts as one too, cobra's own included.
type misuse struct{ problem, try string }

func (e *misuse) Error() string {
	if e.try == "" {
		return e.problem
	}
	return e.problem + ". Try: " + e.try
}

// wrongUsage is a misuse, with the right usage in try.
func wrongUsage(problem, try string) error { return &misuse{problem, try} }

// usageError is a misuse that points at the command's help.
func usageError(format string, args ...any) error {
	return &misuse{problem: fmt.Sprintf(format, args...)}
}

func main() { os.Exit(execute(os.Args[1:], os.Stdout, os.Stderr)) }

// execute runs one command line. It is the one place that turns errors into exit codes.
func execute(args []string, stdout, stderr io.Writer) int {
	root := newRootCommand()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	started := false
	markStart(root, &started)
	command, err := root.ExecuteC()
	var usage *misuse
	switch {
	case err == nil:
		return codeDone
	case errors.Is(err, errNotLevel):
		return codeNotLevel
	case !started || errors.As(err, &usage):
		printError(stderr, err, command.CommandPath()+" --help")
		return codeUsage
	}
	printError(stderr, err, command.CommandPath()+" --help")
	return codeFailed
}

// markStart notes when a command begins its work, and gives every command the same usage.
func markStart(command *cobra.Command, started *bool) {
	if work := command.RunE; work != nil {
		command.RunE = func(c *cobra.Command, args []string) error {
			*started = true
			return work(c, args)
		}
	}
	for _, c := range command.Commands() {
		markStart(c, started)
	}
}

// exitAnnotation is where a command's help finds its exit codes.
const exitAnnotation = "exit"

const (
	exitsUsually = "0 done, 1 failed, 2 wrong usage"
	exitsOfLevel = "0 level, 1 failed, 2 wrong usage, 3 not level or a conflict is open"
)

func exits(words string) map[string]string { return map[string]string{exitAnnotation: words} }

func newRootCommand() *cobra.Command {
	root := group("ravno", "Keeps the SQLite databases of an organisation level",
		`ravno runs beside an application on each server. One server is the hub, the others are
nodes. A write to one database reaches all of them. While a link is down, every server goes
on working. When it is back, all servers level by themselves.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not level or a conflict is open.`,
		`  ravno init --db shop.db --name central          # at the hub
  ravno run --db shop.db
  ravno node add restaurant-1 --db shop.db        # prints the line to paste at the node
  ravno status --db shop.db`)
	root.PersistentFlags().String("db", "", "the SQLite `file` (default: RAVNO_DB of the environment)")
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return wrongUsage(err.Error(), c.CommandPath()+" --help")
	})
	for _, c := range []*cobra.Command{
		newInitCommand(), newNodeCommand(), newJoinCommand(), newRunCommand(),
		newStatusCommand(), newWaitCommand(), newConflictCommand(), newJournalCommand(),
		newVerifyCommand(), newTableCommand(), newLeaveCommand(), newDemoCommand(), newVersionCommand(),
	} {
		if c != nil {
			root.AddCommand(c)
		}
	}
	root.SetHelpCommand(newHelpCommand(root))
	root.SetUsageTemplate(strings.TrimRight(root.UsageTemplate(), "\n") + `{{with index .Annotations "exit"}}

Exit codes: {{.}}{{end}}
`)
	return root
}

// suggestionDistance is how many letters a mistyped command may be off. It is cobra's default.
const suggestionDistance = 2

// group is a command that only holds others. Alone it is wrong usage, except for ravno itself, which
// then shows its help.
func group(use, short, long, example string, commands ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short, Long: long, Example: example}
	c.AddCommand(commands...)
	c.SuggestionsMinimumDistance = suggestionDistance
	c.Args = func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		try := c.CommandPath() + " --help"
		if near := c.SuggestionsFor(args[0]); len(near) > 0 {
			try = c.CommandPath() + " " + near[0]
		}
		return wrongUsage(fmt.Sprintf("unknown command %q for %s", args[0], c.CommandPath()), try)
	}
	c.RunE = func(c *cobra.Command, _ []string) error {
		if !c.HasParent() {
			return c.Help()
		}
		var names []string
		for _, child := range c.Commands() {
			if child.IsAvailableCommand() {
				names = append(names, child.Name())
			}
		}
		return wrongUsage(c.CommandPath()+" needs one of its commands: "+strings.Join(names, ", "), c.CommandPath()+" --help")
	}
	return c
}

// newHelpCommand replaces cobra's, which answers an unknown topic with success.
func newHelpCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use: "help [COMMAND]", Short: "Help about a command", Example: "  ravno help node add",
		RunE: func(_ *cobra.Command, args []string) error {
			found, rest, err := root.Find(args)
			if err != nil || found == nil || len(rest) > 0 {
				return wrongUsage(fmt.Sprintf("there is no command %q", strings.Join(args, " ")), "ravno --help")
			}
			return found.Help()
		},
	}
}

// arguments checks that a command got exactly the arguments that were named.
func arguments(names ...string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return wrongUsage(c.CommandPath()+": "+names[len(args)]+" is missing", c.CommandPath()+" --help")
		case len(args) > len(names):
			return wrongUsage(fmt.Sprintf("%s: %q is one argument too many", c.CommandPath(), args[len(names)]), c.CommandPath()+
				" --help")
		}
		return nil
	}
}
