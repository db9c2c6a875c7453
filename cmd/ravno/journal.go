package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"ravno/crdt"
	"ravno/store"
)

// followEvery is how often journal list --follow looks for new rows.
const followEvery = time.Second

func newJournalCommand() *cobra.Command {
	return group("journal", "Read the event journal, at the hub that of every site", "", "", newJournalListCommand())
}

func newJournalListCommand() *cobra.Command {
	var filter store.JournalFilter
	var since string
	var asJSON, following bool
	c := &cobra.Command{
		Use: "list", Short: "List the rows of the journal tables",
		Long: `Lists the rows of this server first, then the others in the order in which the hub received
them. --since takes 2026-05-01, "2026-05-01 14:30", RFC 3339, or a duration back from now
(90m). --follow goes on until Ctrl-C. With --json too, it prints one document per line.`,
		Example: "  ravno journal list --db shop.db --site restaurant-1 --since 24h", Args: arguments(),
		Annotations: exits(exitsUsually),
		RunE: func(c *cobra.Command, _ []string) (err error) {
			if filter.Since, err = parseSince(since, time.Now()); err != nil {
				return err
			}
			return withStore(c, func(s *store.Store) error {
				if err := checkJournal(s, filter); err != nil {
					return err
				}
				out := c.OutOrStdout()
				if following {
					return followJournal(c.Context(), s, filter, func(row store.JournalRow) error { return showRow(out, row, asJSON) })
				}
				rows, err := s.JournalRows(filter)
				if err != nil {
					return err
				}
				if asJSON {
					list := []object{}
					for _, row := range rows {
						list = append(list, jsonRow(row))
					}
					return printJSON(out, list)
				}
				return showJournal(out, rows)
			})
		},
	}
	c.Flags().StringVar(&filter.Table, "table", "", "only this `table`")
	c.Flags().StringVar(&filter.Site, "site", "", "only rows of this `server`")
	c.Flags().StringVar(&since, "since", "", "only rows that the hub received at or after this `time`")
	c.Flags().BoolVar(&following, "follow", false, "go on with new rows, until Ctrl-C")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	return c
}

// parseSince reads a time as people write it, in the local zone. An empty text is the beginning.
func parseSince(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if back, err := time.ParseDuration(text); err == nil && back >= 0 {
		return now.Add(-back), nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02 15:04:05", minuteLayout, time.DateOnly} {
		if t, err := time.ParseInLocation(layout, text, time.Local); err == nil {
			return t, nil
		}
	}
	return time.Time{}, wrongUsage(fmt.Sprintf("--since %q: not a time", text),
		`--since 2026-05-01, --since "2026-05-01 14:30" or --since 90m`)
}

// checkJournal refuses a table or a server that does not exist, because an empty list would say that
// nothing happened.
func checkJournal(s *store.Store, filter store.JournalFilter) error {
	const own = "ravno_event"
	if filter.Table != "" && filter.Table != own {
		info, err := findTable(s, filter.Table)
		if err != nil {
			return err
		}
		if info.Class != store.Journal {
			return fmt.Errorf("%s: table %s is %s, not a journal. Try: ravno table list --db %s", s.Path(), info.Table,
				tableClass(info), s.Path())
		}
	}
	if filter.Site == "" {
		return nil
	}
	sites, err := s.Sites()
	if err != nil {
		return err
	}
	if !hasSite(sites, filter.Site) {
		return fmt.Errorf("%s: there is no server %s. Try: ravno status --db %s", s.Path(), filter.Site, s.Path())
	}
	return nil
}

// followJournal shows all rows, and then each second those that are new or have changed. A signal
// ends it, which is no failure.
func followJournal(ctx context.Context, s *store.Store, filter store.JournalFilter,
	show func(store.JournalRow) error) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	ticker := time.NewTicker(followEvery)
	defer ticker.Stop()
	shown := map[[sha256.Size]byte]bool{}
	for {
		rows, err := s.JournalRows(filter)
		if err != nil {
			return err
		}
		for _, row := range rows {
			id := rowIdentity(row)
			if shown[id] {
				continue
			}
			shown[id] = true
			if err := show(row); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// rowIdentity tells rows apart by site, table and every value.
func rowIdentity(row store.JournalRow) [sha256.Size]byte {
	values := []crdt.Value{crdt.TextValue(row.Site), crdt.TextValue(row.Table)}
	for _, n := range row.Row {
		values = append(values, n.Value)
	}
	return sha256.Sum256([]byte(crdt.NewKey(values...)))
}

func jsonRow(row store.JournalRow) object {
	return object{{"site", row.Site}, {"table", row.Table}, {"key", jsonNamed(row.Key)}, {"row", jsonNamed(row.Row)},
		{"received_at", jsonTime(row.ReceivedAt)}}
}

// received is the time at which the hub received a row. A server's own rows have none.
func received(row store.JournalRow) string {
	if row.ReceivedAt.IsZero() {
		return "-"
	}
	return minute(row.ReceivedAt)
}

func showRow(w io.Writer, row store.JournalRow, asJSON bool) error {
	if asJSON {
		return printJSONLine(w, jsonRow(row))
	}
	_, err := fmt.Fprintf(w, "%-*s  %s  %s  %s\n", len(minuteLayout), received(row), visible(row.Site), visible(row.Table),
		visible(namedText(row.Row)))
	return err
}

func showJournal(w io.Writer, rows []store.JournalRow) error {
	table := [][]string{{"RECEIVED", "SERVER", "TABLE", "ROW"}}
	for _, row := range rows {
		table = append(table, []string{received(row), row.Site, row.Table, namedText(row.Row)})
	}
	return grid(w, "", table)
}
