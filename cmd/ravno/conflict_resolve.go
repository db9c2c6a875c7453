package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ravno/crdt"
	"ravno/store"
)

// resolveFlags are the flags of conflict resolve as given.
type resolveFlags struct {
	keep, note          string
	take, set           []string
	dryRun, all, asJSON bool
	filter              conflictFilter
}

func newConflictResolveCommand() *cobra.Command {
	var f resolveFlags
	c := &cobra.Command{
		Use: "resolve ID | --all", Short: "Decide a conflict, or all of them",
		Long: `Decides a conflict for one side as a whole (--keep), or column by column (--take, --set).
The decision is written like any other change. It travels with its author, time and note.
ravno conflict undo takes it back.

If two rows claim one unique value, --keep says whose row stays in the table. The other is
deleted, and stays whole in the record. --set gives the held row another value, and then
both rows are in the table. Rows that refer to a deleted row are deleted too where the
schema or the document says so. Elsewhere they have to be changed first.

--all decides every open conflict by itself, for one side. It names each conflict that it
cannot decide, with the reason, and goes on with the others.

` + literalRules + `
COLUMN may be written TABLE.COLUMN or TABLE[KEY].COLUMN where the bare name is not clear.`,
		Example: `  ravno conflict resolve 3f9a --keep restaurant-1 --note "asked Maria"
  ravno conflict resolve 3f9a --take guests=central --set total=12.50 --dry-run
  ravno conflict resolve --all --table orders --keep central --dry-run`,
		Args: f.arguments, Annotations: exits(exitsUsually),
		RunE: func(c *cobra.Command, args []string) error {
			decision, err := f.resolution()
			if err != nil {
				return err
			}
			return withStore(c, func(s *store.Store) error {
				if decision.By, err = decider(s); err != nil {
					return err
				}
				if f.all {
					return f.resolveAll(c, s, decision)
				}
				return f.resolveOne(c, s, args[0], decision)
			})
		},
	}
	c.Flags().StringVar(&f.keep, "keep", "", "put the side of this `server` into force, whole")
	c.Flags().StringArrayVar(&f.take, "take", nil, "`COLUMN=SERVER`: this column as that server has it (repeatable)")
	c.Flags().StringArrayVar(&f.set, "set", nil, "`COLUMN=VALUE`: this column with a value of your own (repeatable)")
	c.Flags().StringVar(&f.note, "note", "", "`text` kept with the decision")
	c.Flags().BoolVar(&f.dryRun, "dry-run", false, "show the writes, and write nothing")
	c.Flags().BoolVar(&f.all, "all", false, "decide every open conflict, each by itself (with --keep)")
	c.Flags().BoolVar(&f.asJSON, "json", false, "print one JSON document")
	f.filter.flags(c)
	return c
}

// arguments wants one conflict, or --all and none.
func (f *resolveFlags) arguments(c *cobra.Command, args []string) error {
	if f.all && len(args) > 0 {
		return wrongUsage(fmt.Sprintf("--all decides every conflict, so there is nothing for %q", args[0]),
			"either --all, or one identifier")
	}
	if f.all {
		return nil
	}
	return arguments("ID")(c, args)
}

func (f *resolveFlags) resolveOne(c *cobra.Command, s *store.Store, id string, decision store.Resolution) error {
	x, err := s.FindConflict(id)
	if err != nil {
		return err
	}
	f.keepText(x, decision.Set)
	writes, err := s.Resolve(x.ID, decision)
	if err != nil {
		return err
	}
	if !f.dryRun {
		pokeDaemon(c, s)
	}
	if f.asJSON {
		return printJSON(c.OutOrStdout(), jsonResolution(x.ID, f.dryRun, writes))
	}
	return showResolution(c.OutOrStdout(), x.ID, f.dryRun, writes)
}

// resolveAll decides each conflict by itself. It reports a conflict that it cannot decide and leaves
// it open. Trouble with the file ends it.
func (f *resolveFlags) resolveAll(c *cobra.Command, s *store.Store, decision store.Resolution) error {
	conflicts, err := f.filter.conflicts(s, false)
	if err != nil {
		return err
	}
	results, failed, told := []object{}, 0, time.Now()
	for i, x := range conflicts {
		writes, err := s.Resolve(x.ID, decision)
		var file *store.FileError
		switch {
		case errors.As(err, &file):
			return fmt.Errorf("after %d of %d conflicts: %w", i, len(conflicts), err)
		case err != nil:
			failed++
			printError(c.ErrOrStderr(), err, "ravno conflict show "+shortID(x.ID))
			results = append(results, object{{"id", x.ID}, {"dry_run", f.dryRun}, {"writes", []object{}},
				{"error", err.Error()}})
		case f.asJSON:
			results = append(results, append(jsonResolution(x.ID, f.dryRun, writes), field{"error", nil}))
		default:
			if err := showResolution(c.OutOrStdout(), x.ID, f.dryRun, writes); err != nil {
				return err
			}
		}
		if f.asJSON && time.Since(told) >= progressEvery {
			told = time.Now()
			note(c.ErrOrStderr(), "resolving: %d of %d", i+1, len(conflicts))
		}
	}
	if !f.dryRun && failed < len(conflicts) {
		pokeDaemon(c, s)
	}
	if f.asJSON {
		if err := printJSON(c.OutOrStdout(), results); err != nil {
			return err
		}
	}
	if len(conflicts) == 0 {
		note(c.ErrOrStderr(), "no conflict is open")
	}
	if failed > 0 {
		return fmt.Errorf("%d of %s could not be resolved. Try: ravno conflict show for each, then decide it by itself",
			failed, counted(int64(len(conflicts)), "conflict"))
	}
	return nil
}

// resolution checks the flags.
func (f *resolveFlags) resolution() (store.Resolution, error) {
	r := store.Resolution{Keep: f.keep, Take: map[string]string{}, Set: map[string]crdt.Value{}, Note: f.note,
		DryRun: f.dryRun}
	columns := len(f.take) + len(f.set)
	if f.keep == "" && columns == 0 {
		return r, wrongUsage("ravno conflict resolve: no decision given",
			"--keep SERVER, --take COLUMN=SERVER or --set COLUMN=VALUE")
	}
	if err := f.filter.check(); err != nil {
		return r, err
	}
	if !f.all && f.filter != (conflictFilter{}) {
		return r, wrongUsage("--table and --kind select among all conflicts",
			"them with --all, or one identifier without them")
	}
	if f.all && f.keep == "" {
		return r, wrongUsage("--all decides for one side, and --take and --set are for one conflict", "--all --keep SERVER")
	}
	if f.keep != "" && columns > 0 {
		return r, wrongUsage("--keep decides everything, so there is nothing for --take and --set",
			"either --keep, or --take and --set")
	}
	chosen := map[string]bool{}
	once := func(column string) error {
		if name := strings.ToLower(column); chosen[name] {
			return wrongUsage("column "+column+" is decided twice", "one --take or --set for each column")
		} else {
			chosen[name] = true
		}
		return nil
	}
	for _, given := range f.take {
		at := strings.LastIndexByte(given, '=') // names of servers have none
		if at <= 0 || at == len(given)-1 {
			return r, wrongUsage(fmt.Sprintf("--take %q: want COLUMN=SERVER", given), "--take total=restaurant-1")
		}
		if err := once(given[:at]); err != nil {
			return r, err
		}
		r.Take[given[:at]] = given[at+1:]
	}
	for _, given := range f.set {
		column, typed, ok := cutSet(given)
		if !ok {
			return r, wrongUsage(fmt.Sprintf("--set %q: want COLUMN=VALUE", given), "--set total=12.50")
		}
		if err := once(column); err != nil {
			return r, err
		}
		value, err := parseLiteral(typed)
		if err != nil {
			return r, err
		}
		r.Set[column] = value
	}
	return r, nil
}

// keepText takes a bare number as the text that was typed if the column holds text on every side. A
// price '12.50' must not become '12.5'.
func (f *resolveFlags) keepText(x store.Conflict, set map[string]crdt.Value) {
	for _, given := range f.set {
		column, typed, _ := cutSet(given)
		if kind := set[column].Kind(); (kind == crdt.Integer || kind == crdt.Real) && holdsText(x, column) {
			set[column] = crdt.TextValue(typed)
		}
	}
}

// holdsText reports whether every known value of a column of a conflict is text.
func holdsText(x store.Conflict, name string) bool {
	text, other := 0, 0
	count := func(v *crdt.Value) {
		switch {
		case v == nil || v.Kind() == crdt.Null:
		case v.Kind() == crdt.Text:
			text++
		default:
			other++
		}
	}
	for _, c := range x.Columns {
		if !strings.EqualFold(name, c.Name) && !strings.EqualFold(name, c.Table+"."+c.Name) &&
			!strings.EqualFold(name, c.Spelling()) {
			continue
		}
		count(c.Base)
		count(c.InForce)
		for _, v := range c.Values {
			count(v)
		}
	}
	return text > 0 && other == 0
}

// cutSet cuts COLUMN=VALUE at the first equal sign that is not inside TABLE[KEY].
func cutSet(given string) (column, value string, ok bool) {
	from := 0
	if open := strings.IndexByte(given, '['); open >= 0 && open < strings.IndexByte(given, '=') {
		if end := strings.Index(given, "]."); end > open {
			from = end
		}
	}
	at := strings.IndexByte(given[from:], '=')
	if at < 0 || from+at == 0 {
		return "", "", false
	}
	return given[:from+at], given[from+at+1:], true
}

// decider names the person who decides and the server.
func decider(s *store.Store) (string, error) {
	self, err := s.Self()
	return whoAmI() + "@" + self.Name, err
}

// whoAmI is the user who gave the command, also under sudo.
func whoAmI() string {
	if name := os.Getenv("SUDO_USER"); name != "" {
		return name
	}
	if u, err := user.Current(); err == nil && u.Username != "" {
		return u.Username
	}
	return cmp.Or(os.Getenv("USER"), "uid "+strconv.Itoa(os.Getuid()))
}

// hasSite reports whether a name, in any case, is a server's.
func hasSite(sites []store.Site, name string) bool {
	for _, site := range sites {
		if strings.EqualFold(site.Name, name) {
			return true
		}
	}
	return false
}

func jsonResolution(id string, dryRun bool, writes []store.Write) object {
	list := []object{}
	for _, w := range writes {
		o := object{{"table", w.Table}, {"key", jsonNamed(w.Key)}}
		switch {
		case w.Column != "":
			o = append(o, field{"column", w.Column}, field{"before", jsonPointer(w.Before)}, field{"value", jsonValue(w.Value)})
		case w.Delete:
			o = append(o, field{"delete", true}, field{"row", jsonNamed(w.Row)})
		default:
			o = append(o, field{"restore", true}, field{"row", jsonNamed(w.Row)})
		}
		list = append(list, o)
	}
	return object{{"id", id}, {"dry_run", dryRun}, {"writes", list}}
}

func showResolution(w io.Writer, id string, dryRun bool, writes []store.Write) error {
	if dryRun {
		return showWrites(w, id+" is still open; this would be written:", writes)
	}
	return showWrites(w, "resolved "+id+"; written:", writes)
}

// showWrites lists the writes of a decision below a heading.
func showWrites(w io.Writer, head string, writes []store.Write) error {
	fmt.Fprintln(w, head)
	var rows [][]string
	for _, x := range writes {
		what := "the row comes back: " + namedText(x.Row)
		switch {
		case x.Column != "":
			what = x.Column + " = " + literal(x.Value)
			if x.Before != nil && *x.Before != x.Value {
				what = x.Column + ": " + literal(*x.Before) + " -> " + literal(x.Value)
			}
		case x.Delete:
			what = "the row is deleted: " + namedText(x.Row)
		}
		rows = append(rows, []string{x.Table, namedText(x.Key), what})
	}
	if len(rows) == 0 {
		rows = [][]string{{"nothing, because it is in force already"}}
	}
	return grid(w, "  ", rows)
}
