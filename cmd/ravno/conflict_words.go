package main

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"ravno/crdt"
	"ravno/store"
)

// maxRowsNamed is how many rows of one side a sentence names. The columns show all of them.
const maxRowsNamed = 3

// kindWords are the kinds of conflict for people.
var kindWords = map[crdt.ConflictKind]string{
	crdt.EditEdit:     "changed on both sides",
	crdt.EditDelete:   "changed on one side, deleted on the other",
	crdt.KeyCollision: "one key given to two rows",
	crdt.Unique:       "one unique value claimed by two rows",
	crdt.ForeignKey:   "deleted on one side, referred to on the other",
}

// kindNames are the kinds as scripts know them.
func kindNames() (names []string) {
	for _, kind := range slices.Sorted(maps.Keys(kindWords)) {
		names = append(names, string(kind))
	}
	return names
}

// happened is one sentence on the actions of the sides.
func happened(x store.Conflict) string {
	if r := x.Renumbered; r != nil {
		return r.Table + " " + keyText(r.Old) + " of " + r.Site + " is " + keyText(r.New) +
			" now: another server had made a row of that key too"
	}
	switch x.Kind {
	case crdt.KeyCollision:
		return strings.Join(x.Sites, " and ") + " each made a row " + store.RowName(x.Table, x.Key)
	case crdt.Unique:
		return claimedWords(x)
	case crdt.ForeignKey:
		return referredWords(x)
	case crdt.EditEdit, crdt.EditDelete:
	}
	return editedWords(x)
}

// editedWords: "b deleted orders[7] while a changed line[x]".
func editedWords(x store.Conflict) string {
	var parts []string
	for _, deleters := range []bool{true, false} { // who deleted comes first
		for _, site := range x.Sites {
			deleted, changed := rowsOf(x, site, true), rowsOf(x, site, false)
			if len(deleted)+len(changed) == 0 || len(deleted) > 0 != deleters {
				continue
			}
			var did []string
			if len(deleted) > 0 {
				did = append(did, "deleted "+someRows(deleted))
			}
			if len(changed) > 0 {
				did = append(did, "changed "+someRows(changed))
			}
			parts = append(parts, site+" "+strings.Join(did, " and "))
		}
	}
	return strings.Join(parts, " while ")
}

// claimedWords: "customers[8] of a and customers[9] of b claim one unique value; customers[9]
// is held out of its table".
func claimedWords(x store.Conflict) string {
	held, others := "", []string(nil)
	for _, s := range x.Sides {
		switch {
		case s.Subject:
			held = store.RowName(s.Table, s.Key) + " of " + s.Site
		case strings.EqualFold(s.Table, x.Table):
			others = append(others, store.RowName(s.Table, s.Key)+" of "+s.Site)
		}
	}
	words := strings.Join(append(others, held), " and ") + " claim one unique value"
	if x.Open {
		words += "; " + store.RowName(x.Table, x.Key) + " is held out of its table"
	}
	return words
}

// referredWords: "b deleted customers[7] while a referred to it from orders[12]; it is back".
func referredWords(x store.Conflict) string {
	var parts []string
	for _, site := range x.Sites {
		if rows := rowsOf(x, site, true); len(rows) > 0 {
			parts = append(parts, site+" deleted "+someRows(rows))
		}
	}
	for _, site := range x.Sites {
		if rows := rowsOf(x, site, false); len(rows) > 0 {
			parts = append(parts, site+" referred to it from "+someRows(rows))
		}
	}
	words := strings.Join(parts, " while ")
	if x.Open {
		words += "; it is back"
	}
	return words
}

// rowsOf are the rows one side deleted, or changed.
func rowsOf(x store.Conflict, site string, deleted bool) []string {
	var rows []string
	for _, s := range x.Sides {
		if s.Site == site && s.Deleted == deleted {
			rows = append(rows, store.RowName(s.Table, s.Key))
		}
	}
	return rows
}

func someRows(rows []string) string {
	if more := len(rows) - maxRowsNamed; more > 0 {
		return strings.Join(rows[:maxRowsNamed], ", ") + " and " + strconv.Itoa(more) + " more"
	}
	return strings.Join(rows, ", ")
}

// keyText is a key without its columns' names.
func keyText(key []store.Named) string {
	var values []string
	for _, k := range key {
		values = append(values, k.Value.String())
	}
	return strings.Join(values, ",")
}
