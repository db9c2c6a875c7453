package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"os/user"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"ravno/crdt"
	"ravno/store"
)

// resolveFlags are the flags of conflict resolve as given.
type resolveFlags struct {
	keep, note string
	take, set  []string
	dryRun     bool
}

func newConflictResolveCommand() *cobra.Command {
	var f resolveFlags
	var asJSON bool
	c := &cobra.Command{
		Use: "resolve ID", Short: "Decide a conflict",
		Long: `Decides a conflict: one side as a whole (--keep), or column by column (--take, --set).
The decision is written like any other change, and travels with who made it, when and why.

` + literalRules + `
COLUMN may be written TABLE.COLUMN or TABLE[KEY].COLUMN where the bare name is not clear.`,
		Example: `  ravno conflict resolve 3f9a --keep restaurant-1 --note "asked Maria"
  ravno conflict resolve 3f9a --take guests=central --set total=12.50 --dry-run`,
		Args: arguments("ID"), Annotations: exits(exitsUsually),
		RunE: func(c *cobra.Command, args []string) error {
			decision, err := f.resolution()
			if err != nil {
				return err
			}
			return withStore(c, func(s *store.Store) error {
				x, err := s.FindConflict(args[0])
				if err != nil {
					return err
				}
				self, err := s.Self()
				if err != nil {
					return err
				}
				f.keepText(x, decision.Set)
				decision.By = whoAmI() + "@" + self.Name
				writes, err := s.Resolve(x.ID, decision)
				if err != nil {
					return err
				}
				if !f.dryRun {
					pokeDaemon(c, s)
				}
				if asJSON {
					return printJSON(c.OutOrStdout(), jsonResolution(x.ID, f.dryRun, writes))
				}
				return showResolution(c.OutOrStdout(), x.ID, f.dryRun, writes)
			})
		},
	}
	c.Flags().StringVar(&f.keep, "keep", "", "put the side of this `server` into force, whole")
	c.Flags().StringArrayVar(&f.take, "take", nil, "`COLUMN=SERVER`: this column as that server has it (repeatable)")
	c.Flags().StringArrayVar(&f.set, "set", nil, "`COLUMN=VALUE`: this column with a value of your own (repeatable)")
	c.Flags().StringVar(&f.note, "note", "", "`text` kept with the decision")
	c.Flags().BoolVar(&f.dryRun, "dry-run", false, "say what would be written, and write nothing")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	return c
}

// resolution checks the flags.
func (f *resolveFlags) resolution() (store.Resolution, error) {
	r := store.Resolution{Keep: f.keep, Take: map[string]string{}, Set: map[string]crdt.Value{}, Note: f.note, DryRun: f.dryRun}
	columns := len(f.take) + len(f.set)
	if f.keep == "" && columns == 0 {
		return r, wrongUsage("ravno conflict resolve: no decision given", "--keep SERVER, --take COLUMN=SERVER or --set COLUMN=VALUE")
	}
	if f.keep != "" && columns > 0 {
		return r, wrongUsage("--keep decides everything, so there is nothing for --take and --set", "either --keep, or --take and --set")
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

// keepText takes a bare number as the text that was typed where the column holds text on
// every side: a price '12.50' must not become '12.5'.
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
		if !strings.EqualFold(name, c.Name) && !strings.EqualFold(name, c.Table+"."+c.Name) && !strings.EqualFold(name, c.Spelling()) {
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

// whoAmI is the person behind the command, behind sudo too.
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
		case w.Delete:
			o = append(o, field{"delete", true})
		case w.Column != "":
			o = append(o, field{"column", w.Column}, field{"value", jsonValue(w.Value)})
		default:
			o = append(o, field{"restore", true})
		}
		list = append(list, o)
	}
	return object{{"id", id}, {"dry_run", dryRun}, {"writes", list}}
}

func showResolution(w io.Writer, id string, dryRun bool, writes []store.Write) error {
	head := "resolved " + id + "; written:"
	if dryRun {
		head = id + " is still open; this would be written:"
	}
	fmt.Fprintln(w, head)
	var rows [][]string
	for _, x := range writes {
		what := "the row comes back"
		switch {
		case x.Delete:
			what = "the row is deleted"
		case x.Column != "":
			what = x.Column + " = " + literal(x.Value)
		}
		rows = append(rows, []string{x.Table, namedText(x.Key), what})
	}
	if len(rows) == 0 {
		rows = [][]string{{"nothing: it is in force already"}}
	}
	return grid(w, "  ", rows)
}
