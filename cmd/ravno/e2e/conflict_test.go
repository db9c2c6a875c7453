package e2e

import (
	"fmt"
	"testing"
)

// decided is one conflict in ravno conflict show --json, without its sides.
type decided struct {
	ID, State, Happened string
	Resolved            *struct{ By, Note string }
	History             []struct {
		By     string
		Undone *struct{ By, Note string }
	}
	Rows []struct {
		Table string
		Row   map[string]any
	}
}

func shown(s *server, id string) (x decided) {
	s.t.Helper()
	parse(s.t, expect(s.t, 0, "conflict", "show", id, "--json", "--db", s.db), &x)
	return x
}

// Two customers and an invoice are changed on both sides. One server decides them all while
// it is cut off, another takes one decision back, and every server follows.
func TestDecisionsMadeAndUndoneOffline(t *testing.T) {
	t.Parallel()
	c, plovdiv, varna := newChain(t, "")
	cut(plovdiv, varna)
	line := plovdiv.value(`SELECT min(InvoiceLineId) FROM InvoiceLine WHERE InvoiceId=40`)
	for _, s := range c.nodes {
		later()
		s.sql(fmt.Sprintf(`UPDATE Customer SET City='of %s' WHERE CustomerId IN (7, 8)`, s.name))
	}
	plovdiv.sql(`BEGIN; DELETE FROM InvoiceLine WHERE InvoiceId=40; DELETE FROM Invoice WHERE InvoiceId=40; COMMIT`)
	later()
	varna.sql(`BEGIN; UPDATE Invoice SET BillingCity='Varna' WHERE InvoiceId=40;
		UPDATE InvoiceLine SET Quantity=9 WHERE InvoiceLineId=` + line + `; COMMIT`)
	mend(plovdiv, varna)
	c.level()
	c.everywhere("of varna", `SELECT City FROM Customer WHERE CustomerId=7`)
	c.everywhere("Varna", `SELECT BillingCity FROM Invoice WHERE InvoiceId=40`)

	t.Log("varna decides all of it, cut off")
	cut(varna)
	refused(t, "conflict", "resolve", conflicts(varna)[0].ID, "--keep", "nowhere", "--db", varna.db)
	var planned, written []struct{ Writes []any }
	command := []string{"conflict", "resolve", "--all", "--keep", "plovdiv", "--note", "asked", "--json", "--db", varna.db}
	parse(t, expect(t, 0, append(command, "--dry-run")...), &planned)
	parse(t, expect(t, 0, command...), &written)
	if len(written) != 3 || fmt.Sprint(planned) == "" || len(planned) != len(written) {
		t.Errorf("planned %v, written %v", planned, written)
	}
	mend(varna)
	c.identical()
	c.allGreen()
	c.everywhere("of plovdiv", `SELECT City FROM Customer WHERE CustomerId=7`)
	c.everywhere(
		"0", `SELECT (SELECT count(*) FROM Invoice WHERE InvoiceId=40)+(SELECT count(*) FROM InvoiceLine WHERE InvoiceId=40)`)

	t.Log("plovdiv takes the invoice's back, cut off")
	id := ""
	for _, x := range conflicts(plovdiv, "--all", "--table", "Invoice") {
		id = x.ID
	}
	cut(plovdiv)
	expect(t, 0, "conflict", "undo", id, "--note", "asked again", "--db", plovdiv.db)
	refused(t, "conflict", "undo", id, "--db", plovdiv.db)
	mend(plovdiv)
	c.identical()
	c.everywhere("Varna", `SELECT BillingCity FROM Invoice WHERE InvoiceId=40`)
	c.everywhere("9", `SELECT Quantity FROM InvoiceLine WHERE InvoiceLineId=?`, line)
	for _, s := range c.servers() {
		x := shown(s, id)
		if x.State != "open" || x.Resolved != nil || len(x.History) != 1 || x.History[0].Undone == nil ||
			x.History[0].Undone.Note != "asked again" {
			t.Errorf("%s: %+v", s.name, x)
		}
		if len(x.Rows) < 2 || x.Rows[0].Table != "Invoice" || x.Rows[0].Row["BillingCity"] != "Varna" {
			t.Errorf("%s: the document is %+v", s.name, x.Rows)
		}
	}
	expect(t, 0, "conflict", "resolve", id, "--keep", "varna", "--db", c.hub.db)
	c.identical()
	c.allGreen()
}

// Two admins decide one conflict at once, against each other. The later decision counts at every
// server, and the record is closed once.
func TestDecisionsAtOnceLaterCounts(t *testing.T) {
	t.Parallel()
	c, plovdiv, varna := newChain(t, "")
	cut(plovdiv, varna)
	for _, s := range c.nodes {
		later()
		s.sql(fmt.Sprintf(`UPDATE Customer SET City='of %s' WHERE CustomerId=7`, s.name))
	}
	mend(plovdiv, varna)
	c.level()
	id := conflicts(c.hub)[0].ID
	cut(plovdiv, varna)
	for _, s := range []*server{varna, plovdiv} {
		later()
		expect(t, 0, "conflict", "resolve", id, "--keep", s.name, "--note", "by "+s.name, "--db", s.db)
	}
	mend(plovdiv, varna)
	c.identical()
	c.everywhere("of plovdiv", `SELECT City FROM Customer WHERE CustomerId=7`)
	for _, s := range c.servers() {
		if x := shown(s, id); x.State != "resolved" || x.Resolved == nil || x.Resolved.Note != "by plovdiv" {
			t.Errorf("%s: %+v", s.name, x)
		}
	}
}
