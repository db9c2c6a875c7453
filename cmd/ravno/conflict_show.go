package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"ravno/crdt"
	"ravno/store"
)

const (
	// maxCell is how much of a value the list shows, in characters; show has it whole.
	maxCell = 32
	// maxRowsShown is how many rows of a document show prints, some screens full. JSON has all.
	maxRowsShown = 100
)

// Words for values that are not there.
const (
	cellDeleted = "(deleted)" // the row is not there
	cellHeld    = "(held)"    // the row is kept out of its table
	cellUnknown = "-"         // not written there, or not known here
)

// listConflict writes one conflict of a list, its sides next to each other.
func listConflict(w io.Writer, x store.Conflict) error {
	headConflict(w, x, shortID(x.ID))
	if x.Renumbered != nil {
		fmt.Fprintln(w, "  "+visible(happened(x)))
	}
	return gridConflict(w, x, maxCell)
}

// showConflict writes one conflict whole, with its document.
func showConflict(w io.Writer, x store.Conflict, rows []store.DocumentRow) error {
	headConflict(w, x, x.ID)
	fmt.Fprintln(w, "  "+visible(happened(x)))
	for _, p := range x.History {
		words := resolvedWords(p.By, minute(p.At), p.Note)
		if !p.UndoneAt.IsZero() {
			words += "; taken back by " + p.UndoneBy + ", " + minute(p.UndoneAt)
			if p.UndoneNote != "" {
				words += ": " + p.UndoneNote
			}
		}
		fmt.Fprintln(w, "  earlier "+visible(words))
	}
	if err := gridConflict(w, x, 0); err != nil {
		return err
	}
	for _, column := range x.Columns {
		for _, site := range x.Sites {
			if len(column.Earlier[site]) == 0 {
				continue
			}
			var values []string
			for _, v := range column.Earlier[site] {
				values = append(values, literal(v))
			}
			fmt.Fprintln(w, "  "+visible(site+" had written "+column.Spelling()+" before: "+strings.Join(values, ", ")))
		}
	}
	if len(rows) == 0 && slices.ContainsFunc(x.Columns, func(c store.ConflictColumn) bool { return c.Held }) {
		fmt.Fprintln(w, "the document is held out of its tables now")
		return nil
	}
	return gridDocument(w, rows)
}

func resolvedWords(by, at, note string) string {
	words := "resolved by " + by + ", " + at
	if note != "" {
		words += ": " + note
	}
	return words
}

func headConflict(w io.Writer, x store.Conflict, id string) {
	state := "open"
	if !x.Open {
		state = "resolved"
	}
	fmt.Fprintf(w, "%s  %s  %s %s: %s\n", id, state, visible(x.DocumentTable), visible(namedText(x.DocumentKey)),
		cmp.Or(kindWords[x.Kind], string(x.Kind)))
	fmt.Fprintf(w, "  %s, found %s\n", visible(strings.Join(x.Sites, " and ")), minute(x.FoundAt))
	if !x.Open {
		fmt.Fprintln(w, "  "+visible(resolvedWords(x.ResolvedBy, minute(x.ResolvedAt), x.Note)))
	}
}

// gridConflict writes the columns, the sides next to each other. longest cuts the values, 0
// leaves them whole.
func gridConflict(w io.Writer, x store.Conflict, longest int) error {
	if len(x.Columns) == 0 {
		return nil
	}
	head := []string{"COLUMN", "BEFORE"}
	for _, site := range x.Sites {
		head = append(head, strings.ToUpper(site))
	}
	rows := [][]string{append(head, "IN FORCE")}
	section := rowOf(x.DocumentTable, x.DocumentKey)
	for _, column := range x.Columns {
		if of := rowOf(column.Table, column.Key); of != section {
			section = of
			rows = append(rows, []string{of}) // one cell alone does not widen its column
		}
		row := []string{column.Name, cell(column.Base, column.Base != nil, longest)}
		for _, site := range x.Sites {
			v, known := column.Values[site]
			row = append(row, cell(v, known, longest))
		}
		inForce := cell(column.InForce, true, longest)
		if column.Held {
			inForce = cellHeld
		}
		rows = append(rows, append(row, inForce))
	}
	return grid(w, "  ", rows)
}

// gridDocument writes the rows of a document, each table's below one another.
func gridDocument(w io.Writer, rows []store.DocumentRow) error {
	if len(rows) == 0 {
		fmt.Fprintln(w, "the document is not there now")
		return nil
	}
	fmt.Fprintln(w, "the document now:")
	more := len(rows) - maxRowsShown
	rows = rows[:min(len(rows), maxRowsShown)]
	var tables []string
	for _, r := range rows {
		if !slices.Contains(tables, r.Table) {
			tables = append(tables, r.Table)
		}
	}
	for _, table := range tables {
		fmt.Fprintln(w, "  "+visible(table))
		var lines [][]string
		for _, r := range rows {
			if r.Table != table {
				continue
			}
			var names, values []string
			for _, n := range r.Row {
				names, values = append(names, n.Name), append(values, cell(&n.Value, true, maxCell))
			}
			if lines == nil {
				lines = append(lines, names)
			}
			lines = append(lines, values)
		}
		if err := grid(w, "    ", lines); err != nil {
			return err
		}
	}
	if more > 0 {
		fmt.Fprintf(w, "  and %s more\n", counted(int64(more), "row"))
	}
	return nil
}

// rowOf names a row of a document.
func rowOf(table string, key []store.Named) string { return table + " " + namedText(key) }

// cell is a value for people, cut if it is longer than longest (0: never).
func cell(v *crdt.Value, known bool, longest int) string {
	switch {
	case !known:
		return cellUnknown
	case v == nil:
		return cellDeleted
	}
	text := visible(literal(*v))
	if longest > 0 && utf8.RuneCountInString(text) > longest {
		text = string([]rune(text)[:longest-1]) + "…"
	}
	return text
}

func jsonConflict(x store.Conflict) object {
	state, resolved := "open", any(nil)
	if !x.Open {
		state, resolved = "resolved", object{{"by", x.ResolvedBy}, {"at", jsonTime(x.ResolvedAt)}, {"note", x.Note}}
	}
	columns := []object{}
	for _, column := range x.Columns {
		columns = append(columns, jsonConflictColumn(x, column))
	}
	sites := x.Sites
	if sites == nil {
		sites = []string{}
	}
	o := object{{"id", x.ID}, {"kind", string(x.Kind)}, {"table", x.Table}, {"key", jsonNamed(x.Key)},
		{"document", object{{"table", x.DocumentTable}, {"key", jsonNamed(x.DocumentKey)}}}, {"sites", sites},
		{"found_at", jsonTime(x.FoundAt)}, {"state", state}, {"columns", columns}, {"resolved", resolved},
		{"happened", happened(x)}}
	if r := x.Renumbered; r != nil {
		o = append(
			o, field{"renumbered", object{{"site", r.Site}, {"table", r.Table}, {"old", jsonNamed(r.Old)},
				{"new", jsonNamed(r.New)}}})
	}
	if len(x.History) == 0 {
		return o
	}
	past := []object{}
	for _, p := range x.History {
		undone := any(nil)
		if !p.UndoneAt.IsZero() {
			undone = object{{"by", p.UndoneBy}, {"at", jsonTime(p.UndoneAt)}, {"note", p.UndoneNote}}
		}
		past = append(past, object{{"by", p.By}, {"at", jsonTime(p.At)}, {"note", p.Note}, {"undone", undone}})
	}
	return append(o, field{"history", past})
}

func jsonConflictColumn(x store.Conflict, column store.ConflictColumn) object {
	values, earlier := object{}, object{}
	for _, site := range x.Sites {
		if v, known := column.Values[site]; known {
			values = append(values, field{site, jsonPointer(v)})
		}
		var before []any
		for _, v := range column.Earlier[site] {
			before = append(before, jsonValue(v))
		}
		if before != nil {
			earlier = append(earlier, field{site, before})
		}
	}
	o := object{{"name", column.Name}, {"base", jsonPointer(column.Base)}, {"values", values},
		{"in_force", jsonPointer(column.InForce)}, {"table", column.Table}, {"key", jsonNamed(column.Key)}}
	if column.Held {
		o = append(o, field{"held", true})
	}
	if len(earlier) > 0 {
		o = append(o, field{"earlier", earlier})
	}
	return o
}

func jsonRows(rows []store.DocumentRow) []object {
	list := []object{}
	for _, r := range rows {
		list = append(list, object{{"table", r.Table}, {"key", jsonNamed(r.Key)}, {"row", jsonNamed(r.Row)}})
	}
	return list
}
