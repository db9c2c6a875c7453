package store

import (
	"slices"
	"strings"

	"ravno/crdt"
	"ravno/store/internal/sqlite"
)

// link is one foreign key between two tables that sync.
type link struct {
	child, parent   *table
	columns, refers []int  // indexes into the Columns of child and parent
	document        bool   // it is the way to the next row up in the document
	onDelete        string // CASCADE, SET NULL and so on, in capitals
	// hasParent and findChildren are SQL texts: whether there is a row referred to, and the
	// keys of the rows that refer, each by the values of the reference.
	hasParent, findChildren string
}

// link lays the foreign keys between the tables.
func (cat *catalog) link() {
	for _, t := range cat.tables {
		if t.own || t.class != Synced {
			continue
		}
		for _, fk := range t.ForeignKeys {
			up := cat.byName[strings.ToLower(fk.Parent)]
			if up == nil || up.class != Synced || len(fk.Columns) != len(fk.ParentColumns) {
				continue
			}
			l := &link{child: t, parent: up, onDelete: strings.ToUpper(fk.OnDelete), document: t.parent != nil && t.parent.table == up && slices.Equal(t.parent.names, fk.Columns)}
			for i := range fk.Columns {
				l.columns = append(l.columns, t.Column(fk.Columns[i]))
				l.refers = append(l.refers, up.Column(fk.ParentColumns[i]))
			}
			if slices.Contains(l.columns, -1) || slices.Contains(l.refers, -1) {
				continue // over a generated column: SQLite computes it, nobody writes it
			}
			l.write()
			t.up, up.down = append(t.up, l), append(up.down, l)
		}
	}
	for _, t := range cat.tables {
		t.cyclic = t.reaches(t, map[*table]bool{})
	}
	cat.findDepths()
	cat.findDomains()
}

// write writes the SQL texts. A reference is compared as its parent's column compares.
func (l *link) write() {
	var parent, child []string
	for i := range l.columns {
		up, down := l.parent.Columns[l.refers[i]], l.child.Columns[l.columns[i]]
		parent = append(parent, sqlite.Quote(up.Name)+"=?")
		collate := ""
		if up.Collation != down.Collation {
			collate = " COLLATE " + sqlite.Quote(up.Collation)
		}
		child = append(child, sqlite.Quote(down.Name)+"=?"+collate)
	}
	l.hasParent = "SELECT 1 FROM " + sqlite.Quote(l.parent.Name) + " WHERE " + strings.Join(parent, " AND ")
	l.findChildren = "SELECT " + sqlite.QuoteAll("+", l.child.keyNames()) + " FROM " + sqlite.Quote(l.child.Name) + " WHERE " + strings.Join(child, " AND ")
}

// findDepths finds which tables come before which, so that what is referred to comes before what
// refers to it. Tables that refer to each other in a circle are one.
func (cat *catalog) findDepths() {
	for _, t := range cat.tables {
		t.circle = t.number
		for _, other := range cat.tables {
			if t.cyclic && other.cyclic && other.number < t.circle && t.reaches(other, map[*table]bool{}) && other.reaches(t, map[*table]bool{}) {
				t.circle = other.number
			}
		}
	}
	depths := map[int64]int{} // by circle
	for again := true; again; {
		again = false
		for _, t := range cat.tables {
			for _, l := range t.up {
				if l.parent.circle != t.circle && depths[t.circle] <= depths[l.parent.circle] {
					depths[t.circle], again = depths[l.parent.circle]+1, true
				}
			}
		}
	}
	for _, t := range cat.tables {
		t.depth = depths[t.circle]
	}
}

func (t *table) reaches(target *table, visited map[*table]bool) bool {
	for _, l := range t.up {
		if l.parent == target {
			return true
		}
		if !visited[l.parent] {
			visited[l.parent] = true
			if l.parent.reaches(target, visited) {
				return true
			}
		}
	}
	return false
}

// byKey reports whether the foreign key refers to the parent's primary key.
func (l *link) byKey() bool { return slices.Equal(l.refers, l.parent.Key) }

// referredNames are the columns besides the key that rows refer to.
func (t *table) referredNames() (names []string) {
	for _, l := range t.down {
		for _, c := range l.refers {
			if name := t.Columns[c].Name; !l.byKey() && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// reference is what a row's foreign key says; ok is false if it refers to nothing, because
// one of its columns is NULL or not known.
func (l *link) reference(m *image) (values []crdt.Value, ok bool) {
	return pick(m, l.child, l.columns)
}

// referred is what a foreign key that refers to a row says.
func (l *link) referred(m *image) (values []crdt.Value, ok bool) {
	return pick(m, l.parent, l.refers)
}

func pick(m *image, t *table, columns []int) ([]crdt.Value, bool) {
	values := make([]crdt.Value, len(columns))
	for i, c := range columns {
		v, known := m.get(crdt.Column(t.numbers[c]))
		if !known || v.Kind() == crdt.Null {
			return nil, false
		}
		values[i] = v
	}
	return values, true
}

// dangles reports whether there is no row in the parent's table that a reference is to.
func (tx *transaction) dangles(l *link, reference []crdt.Value) (bool, error) {
	row, err := tx.c.Row(l.hasParent, reference...)
	return row == nil && err == nil, err
}

// eachDangling goes through the links over which a row with these values refers to a row that
// is not in its table. Each is asked about when its turn comes: what was done about the ones
// before may have mended it.
func (tx *transaction) eachDangling(t *table, m *image, each func(l *link, reference []crdt.Value) error) error {
	for _, l := range t.up {
		reference, ok := l.reference(m)
		if !ok {
			continue
		}
		dangles, err := tx.dangles(l, reference)
		if err == nil && dangles {
			err = each(l, reference)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// childrenOf finds the rows in the child's table with a reference.
func (tx *transaction) childrenOf(l *link, reference []crdt.Value) (keys []crdt.Key, err error) {
	err = tx.c.Rows(l.findChildren, reference, func(stored []crdt.Value) error {
		key, err := l.child.CanonicalKey(slices.Clone(stored))
		if err != nil {
			return nil // a row that cannot sync
		}
		keys = append(keys, key)
		return nil
	})
	return keys, err
}

// sameReference reports whether two references are equal, as stored: the same storage class
// and bytes, or, where the column folds, the same key.
func (l *link) sameReference(a, b []crdt.Value) bool {
	if slices.Equal(a, b) {
		return true
	}
	for i := range a {
		if !l.parent.Columns[l.refers[i]].Same(a[i], b[i]) {
			return false
		}
	}
	return true
}
