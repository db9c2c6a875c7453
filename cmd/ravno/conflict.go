package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"ravno/crdt"
	"ravno/store"
)

// shortIDDigits is how many digits of a conflict's identifier lists show. They tell apart more
// conflicts than anybody has, and are few enough to type.
const shortIDDigits = 10

func newConflictCommand() *cobra.Command {
	return group("conflict", "List, show and resolve conflicts",
		`A conflict is one document changed on two sides at once. It never stops the flow. One side
is in force everywhere, and both are kept until somebody decides. A decision can be taken
back.`, "",
		newConflictListCommand(), newConflictShowCommand(), newConflictResolveCommand(), newConflictUndoCommand())
}

// conflictFilter selects conflicts. An empty field selects all.
type conflictFilter struct{ table, kind string }

func (f *conflictFilter) flags(c *cobra.Command) {
	c.Flags().StringVar(&f.table, "table", "", "only conflicts with a row of this `table`")
	c.Flags().StringVar(&f.kind, "kind", "", "only conflicts of this `kind`: "+strings.Join(kindNames(), ", "))
	// fails only without the flag
	_ = c.RegisterFlagCompletionFunc("kind", cobra.FixedCompletions(kindNames(), cobra.ShellCompDirectiveNoFileComp))
}

func (f *conflictFilter) check() error {
	if f.kind != "" && !slices.Contains(kindNames(), f.kind) {
		return wrongUsage("there is no kind of conflict "+f.kind, "one of "+strings.Join(kindNames(), ", "))
	}
	return nil
}

// conflicts reads the conflicts that the filter selects, oldest first. A table that does not exist
// is an error, because a mistyped name must not read as "no conflicts".
func (f *conflictFilter) conflicts(s *store.Store, all bool) ([]store.Conflict, error) {
	if f.table != "" {
		tables, err := s.Tables()
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(tables, func(t store.TableInfo) bool { return strings.EqualFold(t.Table, f.table) }) {
			return nil, fmt.Errorf("there is no table %s. Try: ravno table list", f.table)
		}
	}
	found, err := s.Conflicts(all)
	return slices.DeleteFunc(found, func(x store.Conflict) bool {
		return f.table != "" && !x.Concerns(f.table) || f.kind != "" && x.Kind != crdt.ConflictKind(f.kind)
	}), err
}

func newConflictListCommand() *cobra.Command {
	var asJSON, all bool
	var filter conflictFilter
	c := &cobra.Command{
		Use: "list", Short: "List the conflicts, their sides next to each other",
		Example: "  ravno conflict list --db shop.db\n  ravno conflict list --all --table orders --kind edit_delete",
		Args:    arguments(), Annotations: exits(exitsUsually),
		RunE: func(c *cobra.Command, _ []string) error {
			if err := filter.check(); err != nil {
				return err
			}
			return withStore(c, func(s *store.Store) error {
				conflicts, err := filter.conflicts(s, all)
				if err != nil {
					return err
				}
				out := c.OutOrStdout()
				if asJSON {
					list := []object{}
					for _, x := range conflicts {
						list = append(list, jsonConflict(x))
					}
					return printJSON(out, list)
				}
				if len(conflicts) == 0 {
					note(c.ErrOrStderr(), "no conflict is %s", map[bool]string{true: "recorded", false: "open"}[all])
				}
				for i, x := range conflicts {
					if i > 0 {
						fmt.Fprintln(out)
					}
					if err := listConflict(out, x); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	c.Flags().BoolVar(&all, "all", false, "resolved conflicts too")
	filter.flags(c)
	return c
}

func newConflictShowCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "show ID", Short: "Show one conflict whole, and its document",
		Long: `Shows one conflict. First comes one sentence on what happened. Then come the columns with
their values before, on each side and in force, and earlier values of each side. Last comes
the whole document as it is now. The beginning of the identifier is enough, if no other
identifier begins with it.`,
		Example: "  ravno conflict show 3f9a --db shop.db", Args: arguments("ID"), Annotations: exits(exitsUsually),
		RunE: func(c *cobra.Command, args []string) error {
			return withStore(c, func(s *store.Store) error {
				x, err := s.FindConflict(args[0])
				if err != nil {
					return err
				}
				rows, err := s.DocumentRows(x.ID)
				if err != nil {
					return err
				}
				if asJSON {
					return printJSON(c.OutOrStdout(), append(jsonConflict(x), field{"rows", jsonRows(rows)}))
				}
				return showConflict(c.OutOrStdout(), x, rows)
			})
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	return c
}

func shortID(id string) string { return id[:min(len(id), shortIDDigits)] }
