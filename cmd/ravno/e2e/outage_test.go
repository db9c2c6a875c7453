package e2e

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// later returns when the clock that stamps writes has moved on.
func later() {
	for now := time.Now().UnixMilli(); time.Now().UnixMilli() <= now+1; {
		time.Sleep(time.Millisecond) // a clock has nothing to wait on
	}
}

// lost waits until a server has noticed that its link is cut, and says so.
func lost(s *server) {
	s.t.Helper()
	until(s.t, s.name+" sees that it has no link", func() (bool, string) {
		servers, _, exit, text := s.status()
		return servers[s.name].State == "red" && servers[s.name].Cause == "no_link" && exit == 3, text
	})
}

// Different columns of one row, and one column of it, are written at two places which do not
// hear of each other. Each kind of outage comes to the same.
func TestOutageKeepsColumnsLaterWriteWins(t *testing.T) {
	t.Parallel()
	c, plovdiv, varna := newChain(t, "")
	for customer, outage := range []struct {
		name     string
		down, up func()
	}{
		1: {"the link is cut", func() { cut(plovdiv); lost(plovdiv) }, func() { mend(plovdiv) }},
		3: {"the node's daemon is stopped", plovdiv.stop, plovdiv.start},
		5: {"the hub's daemon is stopped", c.hub.stop, c.hub.start},
	} {
		if outage.name == "" {
			continue
		}
		t.Log(outage.name)
		outage.down()
		write := func(s *server, column, value string, customer int) {
			later()
			s.sql(fmt.Sprintf(`UPDATE Customer SET %s='%s' WHERE CustomerId=%d`, column, value, customer))
		}
		write(plovdiv, "Company", "from plovdiv", customer)
		write(varna, "Fax", "from varna", customer)
		write(plovdiv, "City", "earlier", customer)
		write(varna, "City", "later", customer)
		write(varna, "City", "earlier", customer+1)
		write(plovdiv, "City", "later", customer+1)
		plovdiv.sql(fmt.Sprintf(`INSERT INTO Artist VALUES(%d, 'new in plovdiv')`, 1000+customer))
		varna.sql(fmt.Sprintf(`INSERT INTO Artist VALUES(%d, 'new in varna')`, 2000+customer))
		outage.up()
		c.identical()
		c.everywhere("from plovdiv, from varna, later",
			`SELECT Company || ', ' || Fax || ', ' || City FROM Customer WHERE CustomerId=?`, customer)
		c.everywhere("later", `SELECT City FROM Customer WHERE CustomerId=?`, customer+1)
		c.everywhere("2", `SELECT count(*) FROM Artist WHERE ArtistId IN (?, ?)`, 1000+customer, 2000+customer)
	}
	if n := len(conflicts(c.hub)); n != 6 {
		t.Errorf("%d conflicts are open, want 6: two customers in each of three outages", n)
	}
}

// conflict is one conflict in ravno conflict list --json.
type conflict struct {
	ID, Kind, Table, State string
	Key                    map[string]any
	Document               struct {
		Table string
		Key   map[string]any
	}
	Sites   []string
	Columns []struct {
		Name   string
		Values map[string]any
	}
}

func conflicts(s *server, flags ...string) (found []conflict) {
	s.t.Helper()
	parse(s.t, expect(s.t, 0, append([]string{"conflict", "list", "--db", s.db, "--json"}, flags...)...), &found)
	if found == nil {
		s.t.Errorf("%s: null for no conflicts", s.name)
	}
	return found
}

// sides are both sides' values of one column of a conflict.
func (x conflict) sides(column string) string {
	for _, c := range x.Columns {
		if c.Name == column {
			return fmt.Sprint(c.Values)
		}
	}
	return "no column " + column
}

// One server changes the head of an invoice and another a line of it, while they do not hear
// of each other. A third server sees the conflict, stays green, and can decide it.
func TestInvoiceEditedTwiceIsOneConflict(t *testing.T) {
	t.Parallel()
	c, plovdiv, varna := newChain(t, "")
	for _, play := range []struct {
		name       string
		invoice    int
		head, line *server
		judge      *server
	}{
		{"two nodes; the hub decides", 10, plovdiv, varna, c.hub},
		{"the hub and a node; the other node decides", 20, c.hub, plovdiv, varna},
	} {
		t.Log(play.name)
		cut(plovdiv, varna)
		line := play.line.value(`SELECT min(InvoiceLineId) FROM InvoiceLine WHERE InvoiceId=?`, play.invoice)
		play.head.sql(fmt.Sprintf(`UPDATE Invoice SET BillingCity='Sofia' WHERE InvoiceId=%d`, play.invoice))
		play.line.sql(`UPDATE InvoiceLine SET Quantity=7 WHERE InvoiceLineId=` + line)
		mend(plovdiv, varna)
		c.level()

		want := map[string]string{play.head.name: "red conflict", play.line.name: "red conflict", play.judge.name: "green"}
		id := ""
		for _, s := range c.servers() {
			s.sees(want)
			found := conflicts(s)
			if len(found) != 1 {
				t.Fatalf("%s: %d open conflicts, want 1: %+v", s.name, len(found), found)
			}
			x := found[0]
			sites := []string{play.head.name, play.line.name}
			slices.Sort(sites)
			slices.Sort(x.Sites)
			if x.Document.Table != "Invoice" || fmt.Sprint(x.Document.Key["InvoiceId"]) != fmt.Sprint(play.invoice) ||
				x.State != "open" || x.Kind != "edit_edit" || !slices.Equal(x.Sites, sites) || id != "" && x.ID != id {
				t.Errorf("%s: the conflict is %+v, elsewhere its id is %q", s.name, x, id)
			}
			id = x.ID
			if city := x.sides("BillingCity"); !containsAll(city, play.head.name+":Sofia") {
				t.Errorf("%s: the head has sides %s", s.name, city)
			}
			if quantity := x.sides("Quantity"); !containsAll(quantity, play.line.name+":7") {
				t.Errorf("%s: the line has sides %s", s.name, quantity)
			}
		}
		c.same()
		c.everywhere(
			"Sofia7", `SELECT BillingCity || Quantity FROM Invoice JOIN InvoiceLine USING(InvoiceId) WHERE InvoiceLineId=?`,
			line)

		expect(t, 0, "conflict", "resolve", id, "--keep", play.line.name, "--note", "asked", "--db", play.judge.db)
		c.identical()
		c.allGreen()
		for _, s := range c.servers() {
			if open := conflicts(s); len(open) != 0 {
				t.Errorf("%s: still open: %+v", s.name, open)
			}
			if i := slices.IndexFunc(conflicts(s, "--all"),
				func(x conflict) bool { return x.ID == id && x.State == "resolved" }); i < 0 {
				t.Errorf("%s: the resolved conflict is not kept", s.name)
			}
		}
		c.everywhere("7", `SELECT Quantity FROM InvoiceLine WHERE InvoiceLineId=?`, line)
	}
	if n := events(c.hub)["conflict_found"]; n < 2 {
		t.Errorf("the hub's journal tells of %d conflicts, want 2", n)
	}
}

// Two servers edit in turn, each having seen the other's edit. That is never a conflict.
func TestEditsInTurnAreNoConflict(t *testing.T) {
	t.Parallel()
	c, plovdiv, varna := newChain(t, "")
	turns := []*server{plovdiv, varna, c.hub}
	for round := range 12 {
		s := turns[round%3]
		s.sql(fmt.Sprintf(`UPDATE Invoice SET BillingCity='round %d' WHERE InvoiceId=30`, round),
			fmt.Sprintf(`UPDATE InvoiceLine SET Quantity=%d WHERE InvoiceId=30`, round+1))
		c.level()
	}
	c.same()
	c.everywhere("round 11", `SELECT BillingCity FROM Invoice WHERE InvoiceId=30`)
	c.allGreen()
	for _, s := range c.servers() {
		if found := conflicts(s, "--all"); len(found) != 0 {
			t.Errorf("%s: %+v", s.name, found)
		}
	}
}

// Two shops that are cut off count on and give one number to two invoices. Both are there afterwards,
// each with its own line. One of them has got a fresh number, without anybody's decision, and the
// conflict records tell it.
func TestInvoicesOfOneNumberBothLive(t *testing.T) {
	t.Parallel()
	c, plovdiv, varna := newChain(t, "")
	cut(plovdiv, varna)
	for _, s := range c.nodes {
		s.sql(fmt.Sprintf(`INSERT INTO Invoice(CustomerId, InvoiceDate, BillingAddress, BillingCity, Total) VALUES(1, `+
			`'2026-03-01', 'made in %s', '%s', 7.5)`, s.name, s.name),
			fmt.Sprintf(
				`INSERT INTO InvoiceLine(InvoiceId, TrackId, UnitPrice, Quantity) SELECT max(InvoiceId), %d, 1, 1 FROM Invoice`,
				len(s.name)))
	}
	mend(plovdiv, varna)
	c.identical()
	c.everywhere("made in plovdiv 7, made in varna 5", `SELECT group_concat(said, ', ') FROM (SELECT BillingAddress || ' '
		|| TrackId AS said
		FROM Invoice JOIN InvoiceLine USING(InvoiceId) WHERE InvoiceId>412 ORDER BY 1)`)
	c.allGreen()
	for _, s := range c.servers() {
		if open := conflicts(s); len(open) != 0 {
			t.Errorf("%s: %+v", s.name, open)
		}
		all := conflicts(s, "--all")
		if len(all) != 2 || all[0].Kind != "key_collision" || all[1].Kind != "key_collision" { // the invoice and its line
			t.Errorf("%s: %+v", s.name, all)
		}
	}
	if n := events(c.hub)["row_renumbered"]; n != 2 {
		t.Errorf("the hub's journal tells of %d fresh numbers, want 2", n)
	}
}
