package main

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"ravno/crdt"
	"ravno/store"
)

const (
	// shortIDDigits is how much of a conflict's identifier lists show: enough to tell apart
	// more conflicts than anybody has, and few enough to type.
	shortIDDigits = 10
	// maxCell is how much of a value the list shows, in characters; show has it whole.
	maxCell = 32
)

// Words for values that are not there.
const (
	cellDeleted = "(deleted)" // the row is not there
	cellUnknown = "-"         // not written there, or not known here
)

func newConflictCommand() *cobra.Command {
	return group("conflict", "List, show and resolve conflicts",
		`A conflict is one document changed on two sides at once. It never stops the flow: one side
is in force everywhere, and both are kept until somebody decides.`, "",
		newConflictListCommand(), newConflictShowCommand(), newConflictResolveCommand())
}

func newConflictListCommand() *cobra.Command {
	var asJSON, all bool
	c := &cobra.Command{
		Use: "list", Short: "List the conflicts, their sides next to each other",
		Example: "  ravno conflict list --db shop.db", Args: arguments(), Annotations: exits(exitsUsually),
		RunE: func(c *cobra.Command, _ []string) error {
			return withStore(c, func(s *store.Store) error {
				conflicts, err := s.Conflicts(all)
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
					note(c.ErrOrStderr(), "no conflict is open")
				}
				for i, x := range conflicts {
					if i > 0 {
						fmt.Fprintln(out)
					}
					if err := showConflict(out, x, shortID(x.ID), maxCell); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	c.Flags().BoolVar(&all, "all", false, "resolved conflicts too")
	return c
}

func newConflictShowCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "show ID", Short: "Show one conflict whole",
		Long:    "Shows one conflict. The beginning of its identifier is enough, if no other begins so.",
		Example: "  ravno conflict show 3f9a --db shop.db", Args: arguments("ID"), Annotations: exits(exitsUsually),
		RunE: func(c *cobra.Command, args []string) error {
			return withStore(c, func(s *store.Store) error {
				x, err := s.FindConflict(args[0])
				if err != nil {
					return err
				}
				if asJSON {
					return printJSON(c.OutOrStdout(), jsonConflict(x))
				}
				return showConflict(c.OutOrStdout(), x, x.ID, 0)
			})
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	return c
}

func shortID(id string) string { return id[:min(len(id), shortIDDigits)] }

// kindWords are the kinds of conflict for people.
func kindWords(kind crdt.ConflictKind) string {
	switch kind {
	case crdt.EditEdit:
		return "changed on both sides"
	case crdt.EditDelete:
		return "changed on one side, deleted on the other"
	case crdt.KeyCollision:
		return "one key given to two rows"
	case crdt.Unique:
		return "one unique value claimed by two rows"
	case crdt.ForeignKey:
		return "deleted on one side, referred to on the other"
	}
	return string(kind)
}

// showConflict writes one conflict, its sides next to each other. longest cuts the values,
// 0 leaves them whole.
func showConflict(w io.Writer, x store.Conflict, id string, longest int) error {
	state := "open"
	if !x.Open {
		state = "resolved"
	}
	fmt.Fprintf(w, "%s  %s  %s %s: %s\n", id, state, visible(x.DocumentTable), visible(namedText(x.DocumentKey)), kindWords(x.Kind))
	fmt.Fprintf(w, "  %s, found %s\n", visible(strings.Join(x.Sites, " and ")), minute(x.FoundAt))
	if !x.Open {
		words := "  resolved by " + x.ResolvedBy + ", " + minute(x.ResolvedAt)
		if x.Note != "" {
			words += ": " + x.Note
		}
		fmt.Fprintln(w, visible(words))
	}
	head := []string{"COLUMN", "BEFORE"}
	for _, site := range x.Sites {
		head = append(head, strings.ToUpper(site))
	}
	rows := [][]string{append(head, "IN FORCE")}
	section := rowOf(x.DocumentTable, x.DocumentKey)
	for _, column := range x.Columns {
		if of := rowOf(column.Table, column.Key); of != section {
			section = of
			rows = append(rows, []string{of}) // one cell alone does not widen its column
		}
		row := []string{column.Name, cell(column.Base, column.Base != nil, longest)}
		for _, site := range x.Sites {
			v, known := column.Values[site]
			row = append(row, cell(v, known, longest))
		}
		rows = append(rows, append(row, cell(column.InForce, true, longest)))
	}
	return grid(w, "  ", rows)
}

// rowOf names a row of a document.
func rowOf(table string, key []store.Named) string { return table + " " + namedText(key) }

// cell is a value for people, cut if it is longer than longest (0: never).
func cell(v *crdt.Value, known bool, longest int) string {
	switch {
	case !known:
		return cellUnknown
	case v == nil:
		return cellDeleted
	}
	text := visible(literal(*v))
	if longest > 0 && utf8.RuneCountInString(text) > longest {
		text = string([]rune(text)[:longest-1]) + "…"
	}
	return text
}

func jsonConflict(x store.Conflict) object {
	state, resolved := "open", any(nil)
	if !x.Open {
		state, resolved = "resolved", object{{"by", x.ResolvedBy}, {"at", jsonTime(x.ResolvedAt)}, {"note", x.Note}}
	}
	columns := []object{}
	for _, column := range x.Columns {
		values := object{}
		for _, site := range x.Sites {
			if v, known := column.Values[site]; known {
				values = append(values, field{site, jsonPointer(v)})
			}
		}
		columns = append(columns, object{{"name", column.Name}, {"base", jsonPointer(column.Base)}, {"values", values},
			{"in_force", jsonPointer(column.InForce)}, {"table", column.Table}, {"key", jsonNamed(column.Key)}})
	}
	sites := x.Sites
	if sites == nil {
		sites = []string{}
	}
	return object{{"id", x.ID}, {"kind", string(x.Kind)}, {"table", x.Table}, {"key", jsonNamed(x.Key)},
		{"document", object{{"table", x.DocumentTable}, {"key", jsonNamed(x.DocumentKey)}}}, {"sites", sites},
		{"found_at", jsonTime(x.FoundAt)}, {"state", state}, {"columns", columns}, {"resolved", resolved}}
}
