package catalog

import (
	"slices"

	"ravno/crdt/hlc"
)

// Two shops offline both make order 101. Both are to live, so the one the hub learns of
// later gets a fresh key at the hub, and every reference to it follows. Until the maker has
// seen the fresh key it calls the row by the old one: the hub translates what it sends. When
// the fresh key reaches the maker, inside the same delta as the other order 101, it renames
// its row and what refers to it, here and in whatever is not sent yet.

// FirstSeed is the time of births that nobody made: rows found in a table when its triggers
// were first installed after enrolment. A migration puts the same rows into every server's
// new table, and they are no collision.
const FirstSeed hlc.Time = 1

// MaxFreshKey keeps fresh keys out of the way of applications that read integers as
// doubles, as JavaScript does: beyond 2^53 they would run into each other.
const MaxFreshKey = 1 << 53

// DomainColumn is a column that holds keys of some table.
type DomainColumn struct {
	T      *Table
	Column int // index into Columns
}

// findDomains finds, for each table whose rows can get fresh keys, the columns that hold
// its keys: by foreign keys, and foreign keys to those.
func (cat *Catalog) findDomains() {
	for _, t := range cat.Tables {
		if t.Own || t.Class != Synced || !t.RowidKey {
			continue
		}
		refers := slices.ContainsFunc(t.Up, func(l *ForeignKey) bool { return slices.Contains(l.Columns, t.Key[0]) })
		if refers {
			continue // its key is another table's: it follows that one
		}
		t.Renumbers = true
		t.Domain = []DomainColumn{{t, t.Key[0]}}
		for i := 0; i < len(t.Domain); i++ {
			at := t.Domain[i]
			for _, l := range at.T.Down {
				for k, column := range l.Refers {
					if d := (DomainColumn{l.Child, l.Columns[k]}); column == at.Column && !slices.Contains(t.Domain, d) {
						t.Domain = append(t.Domain, d)
					}
				}
			}
		}
		for _, d := range t.Domain {
			if d.T.Holds == nil {
				d.T.Holds = map[int][]*Table{}
			}
			d.T.Holds[d.Column] = append(d.T.Holds[d.Column], t)
		}
	}
}
