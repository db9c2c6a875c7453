package main

import (
	"github.com/spf13/cobra"

	"ravno/store"
)

func newConflictUndoCommand() *cobra.Command {
	var how store.UndoOptions
	var asJSON bool
	c := &cobra.Command{
		Use: "undo ID", Short: "Take a resolution back",
		Long: `Takes the resolution of a conflict back. The values that it replaced are written again, like
any other change, and the conflict is open again on every server. The record keeps the
author, time and note of the undo beside the resolution. Any server can do it, offline too.

If somebody has since changed a value of the resolution, or added rows to a document that it
brought back, the undo would revert that too. Then it refuses, unless --force is given.`,
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
	c.Flags().StringVar(&how.Note, "note", "", "`text` kept with the undo")
	c.Flags().BoolVar(&how.Force, "force", false, "even over values and rows that came since")
	c.Flags().BoolVar(&how.DryRun, "dry-run", false, "show the writes, and write nothing")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	return c
}
