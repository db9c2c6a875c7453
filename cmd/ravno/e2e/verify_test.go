package e2e

import (
	"strings"
	"testing"
)

// verified is the answer of ravno verify --json.
type verified struct {
	Level  bool
	Tables []struct {
		Table     string
		Rows      int
		Digest    string
		Level     bool
		Differing int
	}
}

// A row is changed behind ravno's back. Verify finds it, from both ends, and names it.
func TestVerifyNamesTheRowThatDiffers(t *testing.T) {
	t.Parallel()
	c, plovdiv, _ := newChain(t, "")
	plovdiv.sql(`UPDATE Artist SET Name='Щурците' WHERE ArtistId=3`)
	c.identical()
	for _, s := range c.servers() {
		var said verified
		parse(t, expect(t, 0, "verify", "--db", s.db, "--json"), &said)
		if !said.Level || len(said.Tables) < 11 {
			t.Errorf("%s: %+v", s.name, said)
		}
		for _, table := range said.Tables {
			if !table.Level || table.Differing != 0 || table.Digest == "" {
				t.Errorf("%s: %+v", s.name, table)
			}
		}
	}

	t.Log("a row is changed with the triggers out of the way")
	plovdiv.stop()
	tx, err := plovdiv.app.Begin()
	if err != nil {
		t.Fatal(err)
	}
	triggers := column(t, tx, `SELECT name FROM sqlite_master WHERE type='trigger' AND tbl_name='Artist'`)
	if len(triggers) == 0 {
		t.Fatal("there are no triggers to get around")
	}
	for _, name := range triggers {
		if _, err := tx.Exec(`DROP TRIGGER ` + quoted(name)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := tx.Exec(`UPDATE Artist SET Name='nobody' WHERE ArtistId=77`); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	plovdiv.start()
	c.level()
	t.Logf("the triggers are back: %s", plovdiv.value(
		`SELECT count(*) FROM sqlite_master WHERE type='trigger' AND tbl_name='Artist'`))
	if got := c.hub.value(`SELECT Name FROM Artist WHERE ArtistId=77`); got == "nobody" {
		t.Log("the daemon found the change by itself and sent it")
	}
	for _, s := range []*server{plovdiv, c.hub} {
		r := ravno(t, "verify", "--db", s.db)
		if r.exit != 3 || !strings.Contains(r.out, "Artist differs at ArtistId=77\n") {
			t.Errorf("%s: exit code %d: %s%s", s.name, r.exit, r.out, r.err)
		}
		var said verified
		parse(t, expect(t, 3, "verify", "--db", s.db, "--table", "Artist", "--json"), &said)
		if said.Level || len(said.Tables) != 1 || said.Tables[0].Level || said.Tables[0].Differing != 1 {
			t.Errorf("%s: %+v", s.name, said)
		}
		expect(t, 0, "verify", "--db", s.db, "--table", "Album")
	}
}
