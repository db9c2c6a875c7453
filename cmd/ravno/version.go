package main

import (
	"fmt"
	"runtime/debug"

	"github.com/spf13/cobra"

	"ravno/net/wire"
	"ravno/store"
)

// version is the version of this program. A release changes it in the commit that is tagged
// with it; what is built in between is told apart by its commit.
const version = "0.1.0"

func newVersionCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "version", Short: "Version, commit, SQLite and protocol versions",
		Example: "  ravno version --json", Args: arguments(), Annotations: exits("0 done, 2 wrong usage"),
		RunE: func(c *cobra.Command, _ []string) error {
			protocols := []int{wire.Protocol}
			if asJSON {
				return printJSON(c.OutOrStdout(), object{{"version", version}, {"commit", commit()},
					{"sqlite", store.SQLiteVersion()}, {"fts5", store.HasFTS5()}, {"protocols", protocols},
					{"table_format", store.Format}})
			}
			built := ""
			if at := commit(); at != "" {
				built = " (commit " + at + ")"
			}
			without := ""
			if !store.HasFTS5() {
				without = " without FTS5"
			}
			_, err := fmt.Fprintf(c.OutOrStdout(), "ravno %s%s\nSQLite %s%s, protocol %d, table format %d\n",
				version, built, store.SQLiteVersion(), without, wire.Protocol, store.Format)
			return err
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	return c
}

// commit is the commit this program was built from, with "+changes" if its sources were
// changed since; empty if the build does not say.
func commit() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	if settings["vcs.revision"] != "" && settings["vcs.modified"] == "true" {
		return settings["vcs.revision"] + "+changes"
	}
	return settings["vcs.revision"]
}
