package catalog

import (
	"fmt"
	"slices"

	"ravno/store/internal/sqlite"
)

// A row may refer to another by a unique value instead of its key. The hub remembers by what
// values a row could be referred to before somebody changed them, for as long as a node may
// send work whose author knew the row by them.

// ReferredOtherwise reports whether rows refer to those of a table by other values than their
// keys.
func (t *Table) ReferredOtherwise() bool {
	return slices.ContainsFunc(t.Down, func(l *ForeignKey) bool { return !l.ByKey() })
}

// What the hub's own application deletes is kept until the next fold, and then as remains:
// a node may have edited the row, or refer to it, without knowing, and then the hub brings
// it back. Rows that a node deletes need no such place, because the hub has them until it
// hears; only where the log cannot tell what a row was is it kept there too: what its counters
// last said, and the unique values by which others refer to it.

// BeforeImageColumns are the columns of the table that takes deleted rows: by number, so that
// they stay when a column goes and comes back.
func (t *Table) BeforeImageColumns() []string {
	names := make([]string, len(t.Numbers))
	for i, number := range t.Numbers {
		names[i] = fmt.Sprintf("c%d", number)
	}
	return names
}

// Update is the text of an UPDATE of some columns by key.
func (t *Table) Update(names []string) string {
	set := ""
	for i, name := range names {
		if i > 0 {
			set += ", "
		}
		set += sqlite.Quote(name) + "=?"
	}
	return "UPDATE " + t.Sql.Or + sqlite.Quote(t.Name) + " SET " + set + " WHERE " + t.Sql.KeyWhere
}
