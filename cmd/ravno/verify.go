package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"ravno/store"
)

func newVerifyCommand() *cobra.Command {
	var table string
	var asJSON bool
	c := &cobra.Command{
		Use: "verify", Short: "Compare every row with the other servers",
		Long: `Compares digests of the tables that sync, by storage class and bytes, and names rows that
differ. A node compares with the hub, and the hub with every node that has a link. Writes on
their way count as differences, so use ravno wait first. The daemon must be running.`,
		Example: "  ravno verify --db shop.db --table orders", Args: arguments(), Annotations: exits(exitsOfLevel),
		RunE: func(c *cobra.Command, _ []string) error {
			return withStore(c, func(s *store.Store) error {
				name, err := comparableTable(s, table)
				if err != nil {
					return err
				}
				result, err := newControl(s.Path()).verify(c.Context(), name)
				if err != nil {
					return err
				}
				if asJSON {
					err = printJSON(c.OutOrStdout(), result)
				} else {
					err = showVerify(c, result)
				}
				if err == nil && !result.Level {
					err = errNotLevel
				}
				return err
			})
		},
	}
	c.Flags().StringVar(&table, "table", "", "compare this `table` only")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	return c
}

// comparableTable is the exact name of a table that syncs. An empty name means all tables.
func comparableTable(s *store.Store, table string) (string, error) {
	if table == "" {
		return "", nil
	}
	info, err := findTable(s, table)
	if err != nil {
		return "", err
	}
	if class := tableClass(info); class != string(store.Synced) {
		return "", fmt.Errorf("%s: table %s is %s, so it is not the same everywhere. Try: ravno table list --db %s", s.Path(),
			info.Table, class, s.Path())
	}
	return info.Table, nil
}

func showVerify(c *cobra.Command, result verifyAnswer) error {
	out := c.OutOrStdout()
	level := map[bool]string{true: "level", false: "NOT LEVEL"}
	rows := [][]string{{"TABLE", "ROWS", "DIGEST", "", "DIFFERING"}}
	for _, t := range result.Tables {
		rows = append(rows, []string{t.Table, strconv.FormatUint(t.Rows, 10), t.Digest, level[t.Level],
			strconv.Itoa(t.Differing)})
	}
	if err := grid(out, "", rows); err != nil {
		return err
	}
	for _, t := range result.Tables {
		if len(t.Keys) > 0 {
			fmt.Fprintf(out, "%s differs at %s\n", visible(t.Table), visible(strings.Join(t.Keys, "; ")))
		}
	}
	for _, server := range result.Servers {
		words := level[server.Level]
		if server.Error != "" {
			words = "not compared: " + server.Error
		}
		fmt.Fprintf(out, "%s: %s\n", visible(server.Name), visible(words))
	}
	return nil
}
