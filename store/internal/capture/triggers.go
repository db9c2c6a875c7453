package capture

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"ravno/store/internal/schema"
	"ravno/store/internal/sqlite"
)

// nowMillis is the wall clock in Unix milliseconds. SQLite keeps time as whole milliseconds
// since the beginning of the Julian day count; as days in a double they are exact to 0.04
// ms, so rounding gives them back. 'now' is the same throughout one statement.
const nowMillis = "CAST(julianday('now') * 86400000.0 + 0.5 AS INTEGER) - 210866760000000"

// rowidNames are SQLite's names for the rowid, where no column has taken them. An UPDATE
// OF list is compared by name only, so SET rowid = 5 is not covered by the key's name.
var rowidNames = []string{"rowid", "oid", "_rowid_"}

// triggers are the table's triggers by name.
//
// With recursive_triggers off, rows that REPLACE removes fire no DELETE trigger, so the
// BEFORE triggers look for them: whatever now holds the key, or a unique value, that the
// new row is going to take. They see the table as it is when that row's turn comes.
func (s Spec) triggers() map[string]string {
	all := map[string]string{}
	add := func(what, when string, statements ...string) {
		name := fmt.Sprintf("ravno_%d_%s", s.Number, what)
		all[name] = "CREATE TRIGGER " + sqlite.Quote(name) + " " + when + " BEGIN\n  " + strings.Join(statements, ";\n  ") +
			";\nEND"
	}
	table := " ON " + sqlite.Quote(s.Table.Name)
	key := s.Table.KeyColumns()
	ofKey := " UPDATE OF " + sqlite.QuoteAll("", key) + s.orRowid()

	add("before_insert", "BEFORE INSERT"+table, s.victims(false)...)
	add("insert", "AFTER INSERT"+table, s.row(Insert, "NEW.", ""))
	add("before_update", "BEFORE UPDATE"+s.ofUnique()+table, s.victims(true)...)
	add("rekey", "AFTER"+ofKey+table+" WHEN NOT ("+s.sameKey("NEW.", "OLD.")+")",
		append(s.keepGone("OLD."), s.row(Look, "OLD.", "OLD."), s.row(Insert, "NEW.", ""))...)
	add("delete", "AFTER DELETE"+table, append(s.keepGone("OLD."), s.row(Delete, "OLD.", "OLD."))...)
	if s.Gone != "" && len(s.Referred) > 0 {
		add("referred", "AFTER UPDATE OF "+sqlite.QuoteAll("", s.Referred)+table+" WHEN "+s.referredChanged(),
			s.keepGone("OLD.")...)
	}
	if anyOf, mask := s.mask(changed); mask != "" {
		add("update", "AFTER UPDATE"+table+" WHEN "+s.sameKey("NEW.", "OLD.")+" AND "+anyOf, s.masked(mask))
	}
	if anyOf, mask := s.mask(zeroAgain); mask != "" {
		add("zero", "AFTER UPDATE OF "+sqlite.QuoteAll("", s.untyped())+table+" WHEN "+s.sameKey("NEW.", "OLD.")+" AND "+
			anyOf, s.masked(mask))
	}
	return all
}

// keepGone are the statements that keep a row's values, known as OLD. or r.
func (s Spec) keepGone(row string) []string {
	if s.Gone == "" {
		return nil
	}
	return []string{s.intoGone() + "VALUES(" + s.goneValues(row) + ")"}
}

func (s Spec) intoGone() string {
	return "INSERT INTO " + s.Gone + "(" + strings.Join(s.GoneColumns, ", ") + ") "
}

func (s Spec) goneValues(row string) string {
	var names []string
	for _, c := range s.Table.Columns {
		names = append(names, c.Name)
	}
	return sqlite.QuoteAll(row, names)
}

// referredChanged is the condition that a column others refer to has changed.
func (s Spec) referredChanged() string {
	var terms []string
	for _, name := range s.Referred {
		q := sqlite.Quote(name)
		terms = append(terms, "OLD."+q+" IS NOT NEW."+q)
	}
	return strings.Join(terms, " OR ")
}

// into begins an entry: which columns of the log it fills. The rest stay NULL.
func (s Spec) into(parent bool) string {
	columns := "t, m, ms"
	for i := range s.Table.Key {
		columns += fmt.Sprintf(", k%d", i+1)
	}
	if parent {
		for i := range s.Parent {
			columns += fmt.Sprintf(", p%d", i+1)
		}
	}
	return "INSERT INTO " + logTable + "(" + columns + ") "
}

// values are the values of an entry: op is an Op or an expression for m.
func (s Spec) values(op any, key, parent string) string {
	values := fmt.Sprintf("%d, %v, %s, %s", s.Number, op, nowMillis, sqlite.QuoteAll(key, s.Table.KeyColumns()))
	if parent != "" && len(s.Parent) > 0 {
		values += ", " + sqlite.QuoteAll(parent, s.Parent)
	}
	return values
}

// row is a statement that logs one row, known as NEW. or OLD.
func (s Spec) row(op Op, key, parent string) string {
	return s.into(parent != "") + "VALUES(" + s.values(int(op), key, parent) + ")"
}

// masked is a statement that logs an update with its mask.
func (s Spec) masked(mask string) string {
	return s.into(true) + "VALUES(" + s.values(mask, "NEW.", "OLD.") + ")"
}

// sameKey compares two rows' keys as the key's index does, NULLs included.
func (s Spec) sameKey(a, b string) string {
	terms := make([]string, len(s.Table.Key))
	for i, k := range s.Table.Key {
		name := sqlite.Quote(s.Table.Columns[k].Name)
		terms[i] = a + name + " IS " + b + name + collate(s.Table.Columns[k].Collation)
	}
	return strings.Join(terms, " AND ")
}

func collate(collation string) string { return " COLLATE " + sqlite.Quote(collation) }

// victims are statements that log the rows a REPLACE would remove to make room for NEW: by
// the key, by the hidden rowid, and by each unique index.
func (s Spec) victims(update bool) []string {
	t := s.Table
	var all []string
	search := func(conditions ...string) {
		conditions = slices.DeleteFunc(conditions, func(c string) bool { return c == "" })
		from := " FROM " + sqlite.Quote(t.Name) + " AS r WHERE " + strings.Join(conditions, " AND ")
		if s.Gone != "" {
			all = append(all, s.intoGone()+"SELECT "+s.goneValues("r.")+from)
		}
		all = append(all, s.into(true)+"SELECT "+s.values(int(Look), "r.", "r.")+from)
	}
	guard, notSelf := "", ""
	if update {
		guard, notSelf = "NOT ("+s.sameKey("NEW.", "OLD.")+")", s.notSelf()
	}
	key := make([]schema.IndexPart, len(t.Key))
	for i, k := range t.Key {
		key[i] = schema.IndexPart{Column: k, Collation: t.Columns[k].Collation}
	}
	search(guard, s.matches(schema.UniqueIndex{Parts: key}), notSelf)
	if rowid := s.rowid(); rowid != "" && !t.RowidKey {
		if update {
			guard = "NEW." + rowid + " <> OLD." + rowid
		}
		search(guard, "r."+rowid+" = NEW."+rowid)
	}
	for _, u := range t.Unique {
		if !s.coversKey(u) {
			search(s.unchangedGuard(u, update), s.matches(u), notSelf)
		}
	}
	if takes := s.takesDefault(); takes != "" {
		search(takes, notSelf)
	}
	return all
}

// takesDefault is the condition that NEW holds a NULL which OR REPLACE is going to replace
// by a default, in a table with a unique index on a generated column: nobody can say here
// what that column is going to be, so every row is to be looked at. It is empty for nearly
// every table, and true for nearly no write.
func (s Spec) takesDefault() string {
	if !slices.ContainsFunc(s.Table.Unique, func(u schema.UniqueIndex) bool { return s.Table.ChangedBy(u) == nil }) {
		return ""
	}
	var nulls []string
	for _, c := range s.Table.Columns {
		if c.NotNull && c.HasDefault {
			nulls = append(nulls, "NEW."+sqlite.Quote(c.Name)+" IS NULL")
		}
	}
	if len(nulls) == 0 {
		return ""
	}
	return "(" + strings.Join(nulls, " OR ") + ")"
}

// matches is the condition that row r holds the unique value NEW is going to take.
func (s Spec) matches(u schema.UniqueIndex) string {
	var terms []string
	for _, p := range u.Parts {
		if p.Column >= 0 {
			c := s.Table.Columns[p.Column]
			terms = append(terms, "r."+sqlite.Quote(c.Name)+" = "+newValue(c)+collate(p.Collation))
			continue
		}
		// Evaluated on NEW only where the predicate holds: outside of it the application's
		// own index would not evaluate it either, and it might fail.
		of := "SELECT (" + p.Expr + ") FROM (SELECT " + s.newRow(u) + ")"
		if u.Where != "" {
			of += " WHERE " + u.Where
		}
		terms = append(terms, "("+p.Expr+") = ("+of+")"+collate(p.Collation))
	}
	if u.Where != "" {
		terms = append(terms, "("+u.Where+")")
	}
	return strings.Join(terms, " AND ")
}

// newRow gives the columns that u mentions the values they have in NEW, under their own
// names, so that an expression can be evaluated on them as written.
func (s Spec) newRow(u schema.UniqueIndex) string {
	mentioned := s.Table.ChangedBy(u)
	var columns []string
	for _, c := range s.Table.Columns {
		if mentioned == nil || slices.Contains(mentioned, c.Name) {
			columns = append(columns, newValue(c)+" AS "+sqlite.Quote(c.Name))
		}
	}
	if mentioned == nil {
		for _, g := range s.Table.Generated {
			columns = append(columns, "NEW."+sqlite.Quote(g)+" AS "+sqlite.Quote(g))
		}
	}
	return cmp.Or(strings.Join(columns, ", "), "NULL")
}

// newValue is what a column is going to hold. OR REPLACE puts the default in place of a
// NULL that a NOT NULL column cannot hold, after BEFORE triggers have seen the NULL.
func newValue(c schema.Column) string {
	value := "NEW." + sqlite.Quote(c.Name)
	if c.NotNull && c.HasDefault {
		return "coalesce(" + value + ", " + c.DefaultSQL() + ")"
	}
	return value
}

// coversKey reports whether a row that matches by u also has NEW's key, so that searching
// by the key finds it anyway.
func (s Spec) coversKey(u schema.UniqueIndex) bool {
	for _, k := range s.Table.Key {
		if !slices.ContainsFunc(u.Parts, func(p schema.IndexPart) bool {
			return p.Column == k && (p.Collation == s.Table.Columns[k].Collation || p.Collation == schema.Binary)
		}) {
			return false
		}
	}
	return true
}

// unchangedGuard keeps an update that leaves an index's columns as they are from searching:
// many applications set every column every time.
func (s Spec) unchangedGuard(u schema.UniqueIndex, update bool) string {
	if !update || u.Where != "" {
		return ""
	}
	var same []string
	for _, p := range u.Parts {
		if p.Column < 0 {
			return ""
		}
		name := sqlite.Quote(s.Table.Columns[p.Column].Name)
		same = append(same, "NEW."+name+" IS OLD."+name+collate(p.Collation))
	}
	return "NOT (" + strings.Join(same, " AND ") + ")"
}

// notSelf is the condition that row r is not the row being updated.
func (s Spec) notSelf() string {
	if rowid := s.rowid(); rowid != "" {
		return "r." + rowid + " <> OLD." + rowid
	}
	return "NOT (" + s.sameKey("r.", "OLD.") + ")"
}

// rowid is a name for the table's rowid; empty if it has none, or columns took all names.
func (s Spec) rowid() string {
	if s.Table.RowidKey {
		return sqlite.Quote(s.Table.KeyColumns()[0])
	}
	if s.Table.WithoutRowid {
		return ""
	}
	taken := func(name string) bool {
		return s.Table.Column(name) >= 0 ||
			slices.ContainsFunc(s.Table.Generated, func(g string) bool { return strings.EqualFold(g, name) })
	}
	for _, name := range rowidNames {
		if !taken(name) {
			return name
		}
	}
	return ""
}

// orRowid continues an UPDATE OF list with the names of the rowid.
func (s Spec) orRowid() string {
	if s.Table.WithoutRowid {
		return ""
	}
	return ", " + strings.Join(rowidNames, ", ")
}

// ofUnique limits a trigger to updates of what can bring a row into conflict with another.
func (s Spec) ofUnique() string {
	columns := s.Table.KeyColumns()
	for _, u := range s.Table.Unique {
		if s.coversKey(u) {
			continue
		}
		by := s.Table.ChangedBy(u)
		if by == nil {
			return ""
		}
		for _, c := range by {
			if !slices.Contains(columns, c) {
				columns = append(columns, c)
			}
		}
	}
	return " OF " + sqlite.QuoteAll("", columns) + s.orRowid()
}
