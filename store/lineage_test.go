package store

// Nothing is lost (I3): every value that was ever written is in force, or was overwritten by
// someone who had it before him, or is kept in a conflict. So that each value can be told
// from all others, no number is written twice.

import (
	"fmt"
	"ravno/store/internal/catalog"
	"ravno/store/internal/rows"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"ravno/crdt"
)

// edit is what an application does to one row; if the row is not there, it inserts it.
type edit struct {
	row  string
	what string // n, m, delete or replace
}

// move is a step of a schedule that follows each value.
type move struct {
	do    string // edit, up, down, or quiet: everything is exchanged, and some forget what is settled
	site  string
	who   int
	edits []edit
}

func moves() *rapid.Generator[[]move] {
	edits := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) edit {
		return edit{rapid.SampledFrom([]string{"1", "2"}).Draw(t, "row"),
			rapid.SampledFrom([]string{"n", "n", "m", "m", "delete", "replace"}).Draw(t, "what")}
	}), 1, 3)
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) move {
		switch do := rapid.SampledFrom([]string{"up", "down", "edit", "edit", "edit", "up", "down", "edit", "edit", "edit",
			"quiet"}).Draw(t, "do"); do {
		case "quiet":
			return move{do: do, who: rapid.IntRange(0, 7).Draw(t, "who forgets")}
		case "edit":
			return move{do: do, site: rapid.SampledFrom([]string{"hub", "a", "b"}).Draw(t, "site"),
				edits: edits.Draw(t, "edits")}
		default:
			return move{do: do, site: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "node")}
		}
	}), 2, 24)
}

// lineage knows every value that was written and which of them were overwritten in knowledge.
type lineage struct {
	written   []int64
	overtaken map[int64]bool
}

// value is one that has never been written before.
func (l *lineage) value() int64 {
	v := int64(101 + len(l.written))
	l.written = append(l.written, v)
	return v
}

// statement is the SQL of an edit, for an application that sees row (nil: there is none).
func (l *lineage) statement(e edit, row []crdt.Value) string {
	if row == nil {
		return fmt.Sprintf("INSERT INTO p VALUES('%s',%d,%d)", e.row, l.value(), l.value())
	}
	for i, column := range []string{"n", "m"} {
		if e.what != "n" && e.what != "m" || e.what == column {
			l.overtaken[row[i].Int()] = true
		}
	}
	switch e.what {
	case "delete":
		return fmt.Sprintf("DELETE FROM p WHERE id='%s'", e.row)
	case "replace":
		return fmt.Sprintf("REPLACE INTO p VALUES('%s',%d,%d)", e.row, l.value(), l.value())
	default:
		return fmt.Sprintf("UPDATE p SET %s=%d WHERE id='%s'", e.what, l.value(), e.row)
	}
}

// edit lets the application of a site make edits, one after the other, a second later.
func (l *lineage) edit(t *rapid.T, c *chain, site string, edits []edit) {
	t.Helper()
	c.now = c.now.Add(time.Second)
	for _, e := range edits {
		var row []crdt.Value
		c.must(c.store(site).read(func(tx *rows.Tx) (err error) {
			row, err = tx.SQL.Row("SELECT +n, +m FROM p WHERE id='" + e.row + "'")
			return err
		}))
		sql := l.statement(e, row)
		t.Logf("at %s: %s", site, sql)
		c.must(c.try(site, sql))
	}
}

// kept are the values in force and all that the conflicts hold.
func (c *chain) kept(site string) map[int64]bool {
	c.t.Helper()
	kept := map[int64]bool{}
	c.must(c.store(site).read(func(tx *rows.Tx) error {
		return tx.SQL.Rows("SELECT +n FROM p UNION ALL SELECT +m FROM p", nil, func(row []crdt.Value) error {
			kept[row[0].Int()] = true
			return nil
		})
	}))
	list, err := c.store(site).Conflicts(true)
	c.must(err)
	for _, x := range list {
		for _, s := range slices.Concat(x.Detail.Sides, x.Detail.Before) {
			for column, value := range s.Values {
				for _, encoded := range append(s.Earlier[column], value) {
					v, err := catalog.DecodeValue(encoded)
					c.must(err)
					kept[v.Int()] = true
				}
			}
		}
	}
	return kept
}

// Every value is in force or was seen by who overwrote it or is in a conflict.
func TestNoValueIsLostUnseen(t *testing.T) {
	t.Parallel()
	tpl := newTemplate(t, "CREATE TABLE p(id TEXT PRIMARY KEY, n INT, m INT); INSERT INTO p VALUES('1',1,2),('2',3,4)",
		nil, "a", "b")
	rapid.Check(t, func(t *rapid.T) {
		schedule := moves().Draw(t, "schedule")
		c, l := tpl.start(t), &lineage{overtaken: map[int64]bool{}}
		for _, m := range schedule {
			switch m.do {
			case "edit":
				l.edit(t, c, m.site, m.edits)
			case "up":
				t.Logf("up %s", m.site)
				c.up(m.site)
			case "down":
				t.Logf("down %s", m.site)
				c.down(m.site)
			case "quiet":
				t.Logf("everything is exchanged, then %03b forget", m.who)
				c.settle()
				c.forget(m.who)
			}
		}
		c.agree(t)
		kept := c.kept("hub")
		for _, v := range l.written {
			if !kept[v] && !l.overtaken[v] {
				t.Errorf("%d is nowhere; in force: %s", v, c.rows("hub", "SELECT * FROM p"))
			}
		}
	})
}
