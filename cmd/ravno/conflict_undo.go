package main

import (
	"github.com/spf13/cobra"

	"ravno/store"
)

func newConflictUndoCommand() *cobra.Command {
	var how store.Taking
	var asJSON bool
	c := &cobra.Command{
		Use: "undo ID", Short: "Take a resolution back",
		Long: `Takes the resolution of a conflict back: what it replaced is written again, like any other
change, and the conflict is open again on every server. Who took it back, when and why stays
in the record beside the resolution. It can be done on any server, offline too.

Where somebody has changed what the resolution wrote, or added rows to a document that came
back, taking it back would undo that as well: nothing is done then, unless --force says so.`,
		Example: `  ravno conflict undo 3f9a --note "Maria meant the other table" --db shop.db
  ravno conflict undo 3f9a --dry-run`,
		Args: arguments("ID"), Annotations: exits(exitsUsually),
		RunE: func(c *cobra.Command, args []string) error {
			return withStore(c, func(s *store.Store) (err error) {
				x, err := s.FindConflict(args[0])
				if err != nil {
					return err
				}
				if how.By, err = decider(s); err != nil {
					return err
				}
				writes, err := s.Undo(x.ID, how)
				if err != nil {
					return err
				}
				if !how.DryRun {
					pokeDaemon(c, s)
				}
				if asJSON {
					return printJSON(c.OutOrStdout(), jsonResolution(x.ID, how.DryRun, writes))
				}
				if how.DryRun {
					return showWrites(c.OutOrStdout(), x.ID+" is still resolved; this would be written:", writes)
				}
				return showWrites(c.OutOrStdout(), x.ID+" is open again; written:", writes)
			})
		},
	}
	c.Flags().StringVar(&how.Note, "note", "", "`text` kept with it")
	c.Flags().BoolVar(&how.Force, "force", false, "over what was changed or added since")
	c.Flags().BoolVar(&how.DryRun, "dry-run", false, "say what would be written, and write nothing")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	return c
}
