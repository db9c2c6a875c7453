package schema

import (
	"ravno/crdt"
	"ravno/store/internal/sqlite"
)

// Trigger is one of the application's triggers on a table, taken apart as far as it must be
// to make it again elsewhere and to know what it writes.
type Trigger struct {
	Name, Table string // the table in its own spelling
	Event       string // INSERT, UPDATE or DELETE
	Head        string // "AFTER UPDATE OF a, b": time, event and columns, as written
	When        string // the condition, as written; empty if there is none
	Body        string // "BEGIN ... END", as written
	Writes      []string
	Reads       []string // tables after FROM and JOIN, common table expressions among them
	// Refuses is whether the body can do more to the statement that fires it than fail: leave
	// out its row (RAISE), keep half of it (OR FAIL) or end its transaction (OR ROLLBACK).
	Refuses bool
}

// ReadTriggers reads the application's triggers on tables, sorted by name. Those on views,
// and ravno's own, are not among them.
func ReadTriggers(c *sqlite.Conn) ([]Trigger, error) {
	var all []Trigger
	err := c.Rows(`SELECT g.name, t.name, g.sql FROM main.sqlite_master g JOIN main.sqlite_master t ON t.type='table' AND
		lower(t.name)=lower(g.tbl_name)
		WHERE g.type='trigger' AND g.name NOT LIKE 'ravno\_%' ESCAPE '\' AND g.tbl_name NOT LIKE 'ravno\_%' ESCAPE '\' `+
		`ORDER BY g.name`, nil,
		func(row []crdt.Value) error {
			if t, ok := parseTrigger(row[2].Bytes()); ok {
				t.Name, t.Table = row[0].Bytes(), row[1].Bytes()
				all = append(all, t)
			}
			return nil
		})
	return all, err
}

// parseTrigger takes a CREATE TRIGGER statement apart that SQLite itself has accepted.
// ok is false for one that is INSTEAD OF what a view would do.
func parseTrigger(sql string) (t Trigger, ok bool) {
	all := tokens(sql)
	head := 0
	for head < len(all) && !all[head].is("TRIGGER") {
		head++
	}
	head += 2 // the name
	if head < len(all) && all[head].is(".") {
		head += 2
	}
	on := find(all, head, "ON")
	begin := beginOf(all, on)
	if begin >= len(all) || all[head].is("INSTEAD") {
		return t, false
	}
	t.Head, t.Body = source(sql, all[head:on]), source(sql, all[begin:])
	for _, word := range all[head:on] {
		if t.Event == "" && (word.is("INSERT") || word.is("UPDATE") || word.is("DELETE")) {
			t.Event = LowerASCII(word.text)
		}
	}
	if when := find(all, on, "WHEN"); when < begin {
		t.When = source(sql, all[when+1:begin])
	}
	body := all[begin+1 : len(all)-1]
	for i := on; i < len(all); i++ {
		t.Refuses = t.Refuses || isRefusal(all, i)
		t.Reads = append(t.Reads, readAt(all, i)...)
	}
	for len(body) > 0 {
		end := find(body, 0, ";")
		if written, ok := target(body[:end]); ok {
			t.Writes = append(t.Writes, written)
		}
		body = body[min(end+1, len(body)):]
	}
	return t, true
}

func isRefusal(all []token, i int) bool {
	if all[i].is("RAISE") {
		return i+1 < len(all) && all[i+1].is("(")
	}
	return (all[i].is("ROLLBACK") || all[i].is("FAIL")) && all[i-1].is("OR")
}

// beginOf is the index of the BEGIN before the statements, which a table of that name is not.
func beginOf(all []token, from int) int {
	for {
		begin := find(all, from, "BEGIN")
		if begin+1 >= len(all) {
			return len(all)
		}
		if all[begin+1].isAny("INSERT", "REPLACE", "UPDATE", "DELETE", "SELECT", "VALUES", "WITH") {
			return begin
		}
		from = begin + 1
	}
}

// readAt are the tables to read that a FROM or IN at this token names: not behind DELETE FROM, and
// not behind IS DISTINCT FROM.
func readAt(all []token, i int) []string {
	switch {
	case all[i].is("IN") && i+1 < len(all) && !all[i+1].is("("):
		if name, ok := nameAt(all, i+1); ok {
			return []string{name}
		}
	case all[i].is("FROM") && !all[i-1].is("DELETE") && !all[i-1].is("DISTINCT"):
		return joined(all[i+1:])
	}
	return nil
}

// joined are the tables that a FROM clause names. Those of a query inside it have a FROM of their own.
func joined(clause []token) (tables []string) {
	var lists []bool // the open parentheses: whether each is around a list of tables
	inList := func() bool { return len(lists) == 0 || lists[len(lists)-1] }
	expected := true
	for i, t := range clause {
		switch {
		case t.is("("):
			query := i+1 < len(clause) && clause[i+1].isAny("SELECT", "VALUES", "WITH")
			lists = append(lists, expected && !query)
			expected = expected && !query
		case t.is(")"):
			if len(lists) == 0 {
				return tables
			}
			lists, expected = lists[:len(lists)-1], false
		case !inList():
		case expected:
			if name, ok := nameAt(clause, i); ok {
				tables = append(tables, name)
			}
			expected = false
		case t.isAny(",", "JOIN"):
			expected = true
		case t.isAny(";", "WHERE", "GROUP", "ORDER", "LIMIT", "HAVING", "UNION", "EXCEPT", "INTERSECT"):
			return tables
		}
	}
	return tables
}

// find is the index of the first such word at or after from, outside parentheses and not
// part of a name like NEW.begin; len(all) if there is none.
func find(all []token, from int, word string) int {
	depth := 0
	for i := from; i < len(all); i++ {
		switch {
		case all[i].is("("):
			depth++
		case all[i].is(")"):
			depth--
		case depth == 0 && all[i].is(word) && (i == 0 || !all[i-1].is(".")):
			return i
		}
	}
	return len(all)
}

// target is the table a statement of a trigger writes; ok is false for a SELECT.
func target(statement []token) (table string, ok bool) {
	depth := 0
	for i, word := range statement {
		switch {
		case word.is("("):
			depth++
		case word.is(")"):
			depth--
		case depth > 0: // inside a common table expression
		case word.is("SELECT"), word.is("VALUES"):
			return "", false
		case word.is("INTO"), word.is("DELETE"):
			at := i + 1
			if word.is("DELETE") {
				at++ // FROM
			}
			return nameAt(statement, at)
		case word.is("UPDATE"):
			at := i + 1
			if at < len(statement) && statement[at].is("OR") {
				at += 2
			}
			return nameAt(statement, at)
		}
	}
	return "", false
}

// nameAt is the name that begins at a token, without its schema.
func nameAt(statement []token, at int) (string, bool) {
	if at+2 < len(statement) && statement[at+1].is(".") {
		at += 2
	}
	if at >= len(statement) {
		return "", false
	}
	return statement[at].name(), true
}

// BreaksOff reports whether a table declares a constraint whose failure keeps half a
// statement or ends the transaction, as its CREATE TABLE statement says.
func BreaksOff(sql string) bool {
	all := tokens(sql)
	for i := 2; i < len(all); i++ {
		if (all[i].is("ROLLBACK") || all[i].is("FAIL")) && all[i-1].is("CONFLICT") && all[i-2].is("ON") {
			return true
		}
	}
	return false
}
