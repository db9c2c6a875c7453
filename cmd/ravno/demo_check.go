package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// demoStatus is the part of ravno status --json that the story reads.
type demoStatus struct {
	Level   bool
	Servers []struct{ Name, State, Cause string }
}

func (s *demoStory) status(ctx context.Context, server *demoServer) (status demoStatus, text string, err error) {
	text, err = s.program.Run(ctx, []int{codeNotLevel}, "status", "--db", server.db, "--json")
	if err == nil {
		if err = json.Unmarshal([]byte(text), &status); err != nil {
			err = fmt.Errorf("ravno status --json did not print its JSON: %w", err)
		}
	}
	return status, text, err
}

// untilCause waits until one server sees another red for a cause.
func (s *demoStory) untilCause(ctx context.Context, observer *demoServer, name, cause string) error {
	return s.until(ctx, fmt.Sprintf("%s sees %s red with cause %s", observer.name, name, cause),
		func() (bool, string, error) {
			status, text, err := s.status(ctx, observer)
			for _, v := range status.Servers {
				if v.Name == name && v.State == "red" && v.Cause == cause {
					return true, "", nil
				}
			}
			return false, text, err
		})
}

// demoConflict is the part of ravno conflict list --json that the story reads.
type demoConflict struct {
	ID, Kind, State string
	Sites           []string
	Document        struct{ Table string }
	Renumbered      *demoRenumbered
}

// demoRenumbered is the record of an order's fresh number.
type demoRenumbered struct {
	Site, Table string
	Old, New    struct{ ID int64 }
}

// conflicts are the open ones, or those that further flags select.
func (s *demoStory) conflicts(ctx context.Context, server *demoServer, flags ...string) (
	found []demoConflict, err error) {
	text, err := s.program.Run(ctx, nil, append([]string{"conflict", "list", "--db", server.db, "--json"}, flags...)...)
	if err == nil {
		if err = json.Unmarshal([]byte(text), &found); err != nil {
			err = fmt.Errorf("ravno conflict list --json did not print its JSON: %w", err)
		}
	}
	return found, err
}

// demoConflictWords names conflicts in one line.
func demoConflictWords(found []demoConflict) string {
	words := []string{fmt.Sprintf("%d conflicts", len(found))}
	for _, x := range found {
		words = append(words, fmt.Sprintf("%s of %s between %s (%s)", x.Kind, x.Document.Table,
			strings.Join(x.Sites, " and "), x.ID))
	}
	return strings.Join(words, ", ")
}

// until looks again and again until something holds. found is the last state it saw.
func (s *demoStory) until(ctx context.Context, what string, holds func() (ok bool, found string, err error)) error {
	deadline := time.NewTimer(demoWait)
	defer deadline.Stop()
	look := time.NewTicker(demoLook)
	defer look.Stop()
	for {
		ok, found, err := holds()
		if err != nil || ok {
			return err
		}
		select {
		case <-look.C:
		case <-deadline.C:
			return fmt.Errorf("waited %s in vain until %s; found: %s", demoWait, what, oneSpaced(found))
		case <-ctx.Done():
			return fmt.Errorf("waiting until %s; found: %s", what, oneSpaced(found))
		}
	}
}

// oneSpaced is a text without its line breaks and indents.
func oneSpaced(text string) string { return strings.Join(strings.Fields(text), " ") }

// compare compares the files, and that nothing sold is missing in them.
func (s *demoStory) compare(ctx context.Context) error {
	var all [][]demoTable
	for _, server := range s.servers() {
		tables, err := readDemoTables(ctx, server.db)
		if err != nil {
			return err
		}
		all = append(all, tables)
	}
	s.say("%-16s %5s  %-*s  %-*s  %-*s", "table", "rows", demoDigestDigits, s.servers()[0].name,
		demoDigestDigits, s.servers()[1].name, demoDigestDigits, s.servers()[2].name)
	for _, t := range all[0] {
		line := fmt.Sprintf("%-16s %5d", t.name, len(t.rows))
		for _, tables := range all {
			line += "  " + digestOf(tables, t.name)
		}
		s.say("%s", line)
	}
	for i, server := range s.restaurants {
		if differences := compareDemoTables(all[0], all[1+i]); len(differences) > 0 {
			return fmt.Errorf("the files of %s and %s differ: %s", s.hub.name, server.name, strings.Join(differences, "; "))
		}
	}
	if err := s.nothingMissing(ctx); err != nil {
		return err
	}
	s.say("The three files are identical.")
	s.say("All %d orders are there with all their lines, and every portion is sold or on hand.", len(s.taken))
	return nil
}

func digestOf(tables []demoTable, name string) string {
	for _, t := range tables {
		if t.name == name {
			return t.digest()[:demoDigestDigits]
		}
	}
	return fmt.Sprintf("%-*s", demoDigestDigits, "missing")
}

// journals checks that the office has every restaurant's events, and each of them its own only.
func (s *demoStory) journals(ctx context.Context) error {
	out, err := s.program.Run(ctx, nil, "journal", "list", "--db", s.hub.db, "--table", "event_log", "--json")
	if err != nil {
		return err
	}
	var events []struct{ Site string }
	if err := json.Unmarshal([]byte(out), &events); err != nil {
		return fmt.Errorf("ravno journal list --json did not print its JSON: %w", err)
	}
	bySite := map[string]int{}
	for _, e := range events {
		bySite[e.Site]++
	}
	for _, server := range s.restaurants {
		own, err := s.tills[server.name].Int(ctx, "SELECT count(*) FROM event_log")
		if err != nil {
			return err
		}
		made := 2*(demoSales+demoApart) + 2 // orders opened and paid, the booking changed, a card given
		if server.name == demoRestaurants[0] {
			made++ // and taken
		}
		if own != made || bySite[server.name] != made {
			return fmt.Errorf("%s made %d events: it has %d, the office has %d of them", server.name, made, own,
				bySite[server.name])
		}
	}
	s.say("The office has %d events of %s and %d of %s.", bySite[demoRestaurants[0]], demoRestaurants[0],
		bySite[demoRestaurants[1]], demoRestaurants[1])
	const shown = 6 // lines: enough to see what they look like
	return s.showPart(ctx, fmt.Sprintf("tail -%d", shown),
		func(lines []string) []string { return lines[max(len(lines)-shown, 0):] },
		"journal", "list", "--db", s.hub.db, "--table", "event_log")
}

// showPart runs a command with a long answer and shows the part of it that a filter would.
func (s *demoStory) showPart(ctx context.Context, filter string, pick func(lines []string) []string,
	args ...string) error {
	s.say("$ ravno %s | %s", s.commandText(args...), filter)
	out, err := s.program.Run(ctx, nil, args...)
	if err != nil {
		return err
	}
	for _, line := range pick(strings.Split(strings.TrimRight(out, "\n"), "\n")) {
		s.say("  %s", line)
	}
	return nil
}
