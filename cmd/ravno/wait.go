package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"ravno/store"
)

func newWaitCommand() *cobra.Command {
	var timeout time.Duration
	c := &cobra.Command{
		Use: "wait", Short: "Wait until this server and the hub are level",
		Long: `Returns when everything written here before the call has reached the hub, and everything
the hub had at the call is here. At the hub it returns once the writes of the application
are ready for the nodes. ravno status says how far the nodes are.`,
		Example: "  ravno wait --db shop.db --timeout 1m", Args: arguments(),
		Annotations: exits("0 level, 1 failed or not level in time, 2 wrong usage"),
		RunE: func(c *cobra.Command, _ []string) error {
			if timeout <= 0 {
				return wrongUsage(fmt.Sprintf("--timeout %s: want more than nothing", timeout), "--timeout "+defaultWait.String())
			}
			return withStore(c, func(s *store.Store) error { return newControl(s.Path()).wait(c.Context(), timeout) })
		},
	}
	c.Flags().DurationVar(&timeout, "timeout", defaultWait, "how long to wait at most")
	return c
}
