package schema

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"ravno/crdt"
	"ravno/store/internal/sqlite"
)

// index is a UNIQUE index while the key is being chosen.
type index struct {
	UniqueIndex
	primary bool // it is the PRIMARY KEY's
	onRowid bool // it has the hidden rowid in it: a row it finds is the row of that rowid
}

// indexes reads the UNIQUE indexes of a table, that of the PRIMARY KEY among them.
func (r *reader) indexes(t *Table, l layout) ([]index, error) {
	var all []index
	err := r.conn.Rows(`SELECT name, origin FROM pragma_index_list(?, 'main') WHERE "unique" ORDER BY name`,
		[]crdt.Value{crdt.TextValue(t.Name)}, func(row []crdt.Value) error {
			i := index{UniqueIndex: UniqueIndex{Name: row[0].Bytes()}, primary: row[1].Bytes() == "pk"}
			err := r.parts(&i, l, r.indexSQL[i.Name])
			all = append(all, i)
			return err
		})
	return all, err
}

// parts reads the parts of one index; sql is empty for those that constraints make.
func (r *reader) parts(i *index, l layout, sql string) error {
	expressions, where := indexSource(sql)
	i.Where = where
	return r.conn.Rows(`SELECT cid, coll FROM pragma_index_xinfo(?, 'main') WHERE "key" ORDER BY seqno`,
		[]crdt.Value{crdt.TextValue(i.Name)}, func(row []crdt.Value) error {
			cid, place := row[0].Int(), len(i.Parts)
			part := IndexPart{Column: -1, Collation: upperASCII(row[1].Bytes())}
			switch {
			case cid >= 0 && cid < int64(len(l.column)):
				if part.Column = l.column[cid]; part.Column < 0 {
					part.Expr = sqlite.Quote(l.generated[cid])
				}
			case cid == -1:
				i.onRowid = true
			case place < len(expressions):
				part.Expr = expressions[place]
			default:
				return fmt.Errorf("index %q: expression %d not found in %s", i.Name, place+1, sql)
			}
			i.Parts = append(i.Parts, part)
			return nil
		})
}

// chooseKey sets the key and returns the other indexes: INTEGER PRIMARY KEY, else PRIMARY
// KEY, else a UNIQUE index no row can escape. Among several, the one with the fewest
// columns, then the first by their names: the same at every site, in whatever order the
// indexes were made.
func (t *Table) chooseKey(l layout, indexes []index) ([]index, error) {
	at := slices.IndexFunc(indexes, func(i index) bool { return i.primary })
	switch {
	case at >= 0:
	case len(l.primary) == 1:
		t.RowidKey = true
		t.setKey([]IndexPart{{Column: l.column[l.primary[0]], Collation: Binary}})
		return indexes, nil
	default:
		for i := range indexes {
			if t.canBeKey(indexes[i]) && (at < 0 || t.compareIndexes(indexes[i], indexes[at]) < 0) {
				at = i
			}
		}
	}
	if at < 0 {
		return nil, refuse("add a primary key, or a unique index on columns declared NOT NULL, ",
			"nothing identifies its rows: no primary key, and no unique index whose columns are all NOT NULL")
	}
	parts := indexes[at].Parts
	if len(parts) > MaxKeyColumns {
		return nil, refuse(fmt.Sprintf("use a key of at most %d columns, ", MaxKeyColumns),
			"its key has %d columns, at most %d can be captured", len(parts), MaxKeyColumns)
	}
	t.setKey(parts)
	if len(t.Key) != len(parts) {
		return nil, refuse("name each column once in the key, ", "its key names one column twice")
	}
	return slices.Delete(indexes, at, at+1), nil
}

func (t *Table) setKey(parts []IndexPart) {
	for _, p := range parts {
		c := &t.Columns[p.Column]
		if c.InKey {
			continue
		}
		t.Key = append(t.Key, p.Column)
		c.InKey, c.Collation = true, p.Collation
		c.Register = hasSpellings(*c, t.RowidKey)
	}
}

func (t *Table) canBeKey(i index) bool {
	return i.Where == "" && !slices.ContainsFunc(i.Parts, func(p IndexPart) bool {
		return p.Column < 0 || !t.Columns[p.Column].NotNull
	})
}

func (t *Table) compareIndexes(a, b index) int {
	byName := func(p, q IndexPart) int {
		return strings.Compare(t.Columns[p.Column].Name, t.Columns[q.Column].Name)
	}
	return cmp.Or(cmp.Compare(len(a.Parts), len(b.Parts)), slices.CompareFunc(a.Parts, b.Parts, byName))
}

// ChangedBy are the columns whose change can bring a row into conflict over an index: its
// own, and those its expressions and predicate mention. It is nil if any column may do so,
// because a generated column is involved.
func (t *Table) ChangedBy(u UniqueIndex) []string {
	mentioned := names(u.Where)
	for _, p := range u.Parts {
		if p.Column >= 0 {
			mentioned = append(mentioned, t.Columns[p.Column].Name)
		}
		mentioned = append(mentioned, names(p.Expr)...)
	}
	var columns []string
	for _, name := range mentioned {
		if slices.ContainsFunc(t.Generated, func(g string) bool { return sameName(g, name) }) {
			return nil
		}
		if i := t.Column(name); i >= 0 && !slices.Contains(columns, t.Columns[i].Name) {
			columns = append(columns, t.Columns[i].Name)
		}
	}
	return columns
}
