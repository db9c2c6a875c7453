package catalog

import (
	"slices"
	"strings"

	"ravno/crdt"
	"ravno/store/internal/sqlite"
)

// ForeignKey is one foreign key between two tables that sync.
type ForeignKey struct {
	Child, Parent   *Table
	Columns, Refers []int  // indexes into the Columns of child and parent
	Document        bool   // it is the way to the next row up in the document
	OnDelete        string // CASCADE, SET NULL and so on, in capitals
	// hasParent and findChildren are SQL texts: whether there is a row referred to, and the
	// keys of the rows that refer, each by the values of the reference.
	HasParent, FindChildren string
}

// link lays the foreign keys between the tables.
func (cat *Catalog) link() {
	for _, t := range cat.Tables {
		if t.Own || t.Class != Synced {
			continue
		}
		for _, fk := range t.ForeignKeys {
			up := cat.ByName[strings.ToLower(fk.Parent)]
			if up == nil || up.Class != Synced || len(fk.Columns) != len(fk.ParentColumns) {
				continue
			}
			l := &ForeignKey{Child: t, Parent: up, OnDelete: strings.ToUpper(fk.OnDelete), Document: t.Parent != nil &&
				t.Parent.Table == up && slices.Equal(t.Parent.Names, fk.Columns)}
			for i := range fk.Columns {
				l.Columns = append(l.Columns, t.Column(fk.Columns[i]))
				l.Refers = append(l.Refers, up.Column(fk.ParentColumns[i]))
			}
			if slices.Contains(l.Columns, -1) || slices.Contains(l.Refers, -1) {
				continue // over a generated column: SQLite computes it, nobody writes it
			}
			l.write()
			t.Up, up.Down = append(t.Up, l), append(up.Down, l)
		}
	}
	for _, t := range cat.Tables {
		t.Cyclic = t.reaches(t, map[*Table]bool{})
	}
	cat.findDepths()
	cat.findDomains()
}

// write writes the SQL texts. A reference is compared as its parent's column compares.
func (l *ForeignKey) write() {
	var parent, child []string
	for i := range l.Columns {
		up, down := l.Parent.Columns[l.Refers[i]], l.Child.Columns[l.Columns[i]]
		parent = append(parent, sqlite.Quote(up.Name)+"=?")
		collate := ""
		if up.Collation != down.Collation {
			collate = " COLLATE " + sqlite.Quote(up.Collation)
		}
		child = append(child, sqlite.Quote(down.Name)+"=?"+collate)
	}
	l.HasParent = "SELECT 1 FROM " + sqlite.Quote(l.Parent.Name) + " WHERE " + strings.Join(parent, " AND ")
	l.FindChildren = "SELECT " + sqlite.QuoteAll("+", l.Child.KeyNames()) + " FROM " + sqlite.Quote(l.Child.Name) +
		" WHERE " + strings.Join(child, " AND ")
}

// findDepths finds which tables come before which, so that what is referred to comes before what
// refers to it. Tables that refer to each other in a circle are one.
func (cat *Catalog) findDepths() {
	for _, t := range cat.Tables {
		t.Circle = t.Number
		for _, other := range cat.Tables {
			if t.Cyclic && other.Cyclic && other.Number < t.Circle && t.reaches(other, map[*Table]bool{}) &&
				other.reaches(t, map[*Table]bool{}) {
				t.Circle = other.Number
			}
		}
	}
	depths := map[int64]int{} // by circle
	for again := true; again; {
		again = false
		for _, t := range cat.Tables {
			for _, l := range t.Up {
				if l.Parent.Circle != t.Circle && depths[t.Circle] <= depths[l.Parent.Circle] {
					depths[t.Circle], again = depths[l.Parent.Circle]+1, true
				}
			}
		}
	}
	for _, t := range cat.Tables {
		t.Depth = depths[t.Circle]
	}
}

func (t *Table) reaches(target *Table, visited map[*Table]bool) bool {
	for _, l := range t.Up {
		if l.Parent == target {
			return true
		}
		if !visited[l.Parent] {
			visited[l.Parent] = true
			if l.Parent.reaches(target, visited) {
				return true
			}
		}
	}
	return false
}

// ByKey reports whether the foreign key refers to the parent's primary key.
func (l *ForeignKey) ByKey() bool { return slices.Equal(l.Refers, l.Parent.Key) }

// ReferredNames are the columns besides the key that rows refer to.
func (t *Table) ReferredNames() (names []string) {
	for _, l := range t.Down {
		for _, c := range l.Refers {
			if name := t.Columns[c].Name; !l.ByKey() && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// Reference is what a row's foreign key says; ok is false if it refers to nothing, because
// one of its columns is NULL or not known.
func (l *ForeignKey) Reference(m *Values) (values []crdt.Value, ok bool) {
	return pick(m, l.Child, l.Columns)
}

// Referred is what a foreign key that refers to a row says.
func (l *ForeignKey) Referred(m *Values) (values []crdt.Value, ok bool) {
	return pick(m, l.Parent, l.Refers)
}

func pick(m *Values, t *Table, columns []int) ([]crdt.Value, bool) {
	values := make([]crdt.Value, len(columns))
	for i, c := range columns {
		v, known := m.Get(crdt.Column(t.Numbers[c]))
		if !known || v.Kind() == crdt.Null {
			return nil, false
		}
		values[i] = v
	}
	return values, true
}

// SameReference reports whether two references are equal, as stored: the same storage class
// and bytes, or, where the column folds, the same key.
func (l *ForeignKey) SameReference(a, b []crdt.Value) bool {
	if slices.Equal(a, b) {
		return true
	}
	for i := range a {
		if !l.Parent.Columns[l.Refers[i]].Same(a[i], b[i]) {
			return false
		}
	}
	return true
}
