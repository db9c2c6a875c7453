package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"ravno/store"
)

// tableFlags are the flags of init that set how tables sync. Each is a list with commas and may be
// repeated.
type tableFlags struct{ journal, local, counters, documents []string }

func (f *tableFlags) add(c *cobra.Command) {
	c.Flags().StringSliceVar(&f.journal, "journal", nil, "`tables` that go from each node to the hub only")
	c.Flags().StringSliceVar(&f.local, "local", nil, "`tables` that stay where they are")
	c.Flags().StringSliceVar(&f.counters, "counter", nil, "counters, as `table.column`")
	c.Flags().StringSliceVar(&f.documents, "document", nil,
		"`child=parent`: rows of child belong to their parent's document (child= alone: each is its own document)")
}

// settings collects the flags by table.
func (f *tableFlags) settings() ([]store.Setting, error) {
	var list []*store.Setting
	of := func(table string) *store.Setting {
		for _, s := range list {
			if strings.EqualFold(s.Table, table) {
				return s
			}
		}
		list = append(list, &store.Setting{Table: table, Class: store.Synced})
		return list[len(list)-1]
	}
	for _, given := range []struct {
		class store.Class
		names []string
	}{{store.Journal, f.journal}, {store.Local, f.local}} {
		class := given.class
		for _, name := range given.names {
			s := of(strings.TrimSpace(name))
			if s.Table == "" {
				return nil, wrongUsage("--"+string(class)+": an empty table name", "--"+string(class)+" table1,table2")
			}
			if s.Class != store.Synced && s.Class != class {
				return nil, wrongUsage("table "+s.Table+" cannot be both journal and local", "one of the two")
			}
			s.Class = class
		}
	}
	for _, counter := range f.counters {
		dot := strings.LastIndexByte(counter, '.')
		if dot <= 0 || dot == len(counter)-1 {
			return nil, wrongUsage(fmt.Sprintf("--counter %q: want TABLE.COLUMN", counter), "--counter stock.quantity")
		}
		s := of(strings.TrimSpace(counter[:dot]))
		s.Counters = append(s.Counters, strings.TrimSpace(counter[dot+1:]))
	}
	for _, document := range f.documents {
		child, parent, found := strings.Cut(document, "=")
		child, parent = strings.TrimSpace(child), strings.TrimSpace(parent)
		if !found || child == "" {
			return nil, wrongUsage(fmt.Sprintf("--document %q: want CHILD=PARENT", document), "--document lines=orders")
		}
		if parent == "" {
			parent = child
		}
		of(child).Document = parent
	}
	var settings []store.Setting
	for _, s := range list {
		if s.Class != store.Synced && (len(s.Counters) > 0 || s.Document != "") {
			return nil, wrongUsage(fmt.Sprintf("table %s is %s, so it has neither counters nor documents", s.Table, s.Class),
				"--counter and --document for tables that sync")
		}
		settings = append(settings, *s)
	}
	return settings, nil
}

func newTableCommand() *cobra.Command {
	return group("table", "How each table syncs", "", "", newTableListCommand(), newTableSetCommand())
}

func newTableListCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "list", Short: "List the tables, how each syncs, and why one does not",
		Example: "  ravno table list --db shop.db", Args: arguments(), Annotations: exits(exitsUsually),
		RunE: func(c *cobra.Command, _ []string) error {
			return withStore(c, func(s *store.Store) error {
				tables, err := s.Tables()
				if err != nil {
					return err
				}
				if asJSON {
					list := []object{}
					for _, t := range tables {
						list = append(list, jsonTable(t))
					}
					return printJSON(c.OutOrStdout(), list)
				}
				rows := [][]string{{"TABLE", "CLASS", "DOCUMENT OF", "COUNTERS", "REMARK"}}
				for _, t := range tables {
					rows = append(rows, []string{t.Table, tableClass(t), t.Parent, strings.Join(t.Counters, ", "), tableRemark(t)})
				}
				return grid(c.OutOrStdout(), "", rows)
			})
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	return c
}

// classRefused is what lists call a table that cannot sync.
const classRefused = "refused"

func tableClass(t store.TableInfo) string {
	if t.Reason != "" {
		return classRefused
	}
	return string(t.Class)
}

func tableRemark(t store.TableInfo) string {
	if t.Reason == "" {
		return ""
	}
	return t.Reason + ". Try: " + t.Try
}

func jsonTable(t store.TableInfo) object {
	counters := t.Counters
	if counters == nil {
		counters = []string{}
	}
	return object{{"table", t.Table}, {"class", tableClass(t)}, {"parent", t.Parent}, {"document", t.Document},
		{"counters", counters}, {"reason", t.Reason}, {"try", t.Try}}
}

func newTableSetCommand() *cobra.Command {
	var class, document string
	var counters []string
	var asJSON bool
	c := &cobra.Command{
		Use: "set TABLE", Short: "Change how a table syncs, at the hub",
		Long: `Changes how a table syncs. Settings without a flag stay as they are. The setting replicates,
and every server follows when it arrives.`,
		Example: `  ravno table set events --class journal --db shop.db
  ravno table set lines --document orders --db shop.db`,
		Args: arguments("TABLE"), Annotations: exits(exitsUsually),
		RunE: func(c *cobra.Command, args []string) error {
			change := func(set *store.Setting) error {
				if c.Flags().Changed("class") {
					set.Class = store.Class(class)
				}
				if c.Flags().Changed("document") {
					set.Document = document
				}
				if c.Flags().Changed("counter") {
					set.Counters = counters
				}
				return checkSetting(*set)
			}
			if !c.Flags().Changed("class") && !c.Flags().Changed("document") && !c.Flags().Changed("counter") {
				return wrongUsage("ravno table set: nothing to change", "--class, --document or --counter")
			}
			if c.Flags().Changed("class") && !slices.Contains(
				[]store.Class{store.Synced, store.Journal, store.Local}, store.Class(class)) {
				return wrongUsage(fmt.Sprintf("there is no class %q", class), "--class synced, journal or local")
			}
			return withStore(c, func(s *store.Store) error {
				info, err := setTable(s, args[0], change)
				if err != nil {
					return err
				}
				pokeDaemon(c, s)
				if asJSON {
					return printJSON(c.OutOrStdout(), jsonTable(info))
				}
				_, err = fmt.Fprintf(c.OutOrStdout(), "%s: %s\n", visible(info.Table), tableClass(info))
				return err
			})
		},
	}
	c.Flags().StringVar(&class, "class", "", "`class`: synced, journal (node to hub only) or local")
	c.Flags().StringVar(&document, "document", "",
		"the parent `table` of its documents (the table itself: each row is its own; empty: by ON DELETE CASCADE)")
	c.Flags().StringSliceVar(&counters, "counter", nil, "`columns` that are counters; empty for none")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	return c
}

// checkSetting refuses counters and documents of a table that does not sync.
func checkSetting(set store.Setting) error {
	if set.Class != store.Synced && (len(set.Counters) > 0 || set.Document != "") {
		return wrongUsage(fmt.Sprintf("table %s as %s has neither counters nor documents", set.Table, set.Class),
			`--counter "" --document ""`)
	}
	return nil
}

// setTable changes the setting of one table and returns the table as it is then.
func setTable(s *store.Store, name string, change func(*store.Setting) error) (store.TableInfo, error) {
	before, err := findTable(s, name)
	if err != nil {
		return store.TableInfo{}, err
	}
	set := before.Setting
	if err := change(&set); err != nil {
		return store.TableInfo{}, err
	}
	if err := s.SetTable(set); err != nil {
		return store.TableInfo{}, err
	}
	if _, err := s.Fold(); err != nil { // puts the triggers in place now, not at the next write
		return store.TableInfo{}, err
	}
	return findTable(s, name)
}

// findTable finds a table by its name in any case.
func findTable(s *store.Store, name string) (store.TableInfo, error) {
	tables, err := s.Tables()
	if err != nil {
		return store.TableInfo{}, err
	}
	for _, t := range tables {
		if strings.EqualFold(t.Table, name) {
			return t, nil
		}
	}
	return store.TableInfo{}, fmt.Errorf("%s: there is no table %s. Try: ravno table list --db %s", s.Path(), name,
		s.Path())
}

// pokeDaemon makes a running daemon notice the change of a command at once. Without it the daemon
// would notice a little later.
func pokeDaemon(c *cobra.Command, s *store.Store) {
	if err := newControl(s.Path()).poke(c.Context()); err != nil {
		note(c.ErrOrStderr(), "done, but the running daemon did not confirm: %v", err)
	}
}
