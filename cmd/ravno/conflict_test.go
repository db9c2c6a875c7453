package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"ravno/crdt"
	"ravno/store"
)

func keyOf(n int64) []store.Named {
	return []store.Named{{Name: "id", Value: crdt.IntegerValue(n)}}
}

func TestConflictSentenceForEachKind(t *testing.T) {
	side := func(site, table string, key int64, deleted bool) store.ConflictSide {
		return store.ConflictSide{Site: site, Table: table, Key: keyOf(key), Deleted: deleted}
	}
	held := side("b", "customers", 9, false)
	held.Subject = true
	both := []string{"a", "b"}
	for _, play := range []struct {
		x    store.Conflict
		want string
	}{
		{store.Conflict{Kind: crdt.EditEdit, Sites: both,
			Sides: []store.ConflictSide{side("a", "orders", 7, false), side("b", "line", 1, false), side("b", "line", 2, true)}},
			"b deleted line[2] and changed line[1] while a changed orders[7]"},
		{store.Conflict{Kind: crdt.EditDelete, Sites: both,
			Sides: []store.ConflictSide{side("a", "line", 1, false), side("a", "line", 2, false), side("a", "line", 3, false),
				side("a", "line", 4, false), side("a", "line", 5, false), side("b", "orders", 7, true)}},
			"b deleted orders[7] while a changed line[1], line[2], line[3] and 2 more"},
		{store.Conflict{Kind: crdt.KeyCollision, Sites: both, Table: "customers", Key: keyOf(5)},
			"a and b each made a row customers[5]"},
		{store.Conflict{Kind: crdt.KeyCollision, Sites: both,
			Renumbered: &store.Renumbering{Site: "b", Table: "orders", Old: keyOf(101), New: keyOf(205)}},
			"orders 101 of b is 205 now: another server had made a row of that key too"},
		{store.Conflict{Kind: crdt.Unique, Open: true, Sites: both, Table: "customers", Key: keyOf(9),
			Sides: []store.ConflictSide{side("a", "customers", 8, false), held}},
			"customers[8] of a and customers[9] of b claim one unique value; customers[9] is held out of its table"},
		{store.Conflict{Kind: crdt.ForeignKey, Open: true, Sites: both,
			Sides: []store.ConflictSide{side("b", "customers", 7, true), side("a", "orders", 12, false)}},
			"b deleted customers[7] while a referred to it from orders[12]; it is back"},
	} {
		if got := happened(play.x); got != play.want {
			t.Errorf("%s\n got %s\nwant %s", play.x.Kind, got, play.want)
		}
	}
}

// A long document is shown in part, and the text says how much more there is.
func TestLongDocumentShownInPart(t *testing.T) {
	var rows []store.DocumentRow
	for n := range int64(maxRowsShown + 3) {
		rows = append(rows, store.DocumentRow{Table: "line", Key: keyOf(n), Row: keyOf(n)})
	}
	var out bytes.Buffer
	if err := gridDocument(&out, rows); err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(out.String(), fmt.Sprintf("    %d\n  and 3 rows more\n", maxRowsShown-1)) {
		t.Errorf("%s", out.String())
	}
}

func TestHeldRowNotCalledDeleted(t *testing.T) {
	v := crdt.TextValue("dup")
	x := store.Conflict{ID: "aaaa", Kind: crdt.Unique, Open: true, Sites: []string{"b"}, Table: "customers", Key: keyOf(9),
		DocumentTable: "customers", DocumentKey: keyOf(9),
		Columns: []store.ConflictColumn{
			{Table: "customers", Key: keyOf(9), Name: "code", Values: map[string]*crdt.Value{"b": &v}, Held: true}}}
	var out bytes.Buffer
	if err := listConflict(&out, x); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "code    -       dup  (held)") {
		t.Errorf("%s", out.String())
	}
}
