package store

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/store/internal/sqlite"
)

// Conflict is one record, read for people and scripts.
type Conflict struct {
	ID            string
	Kind          crdt.ConflictKind
	Table         string
	Key           []Named
	DocumentTable string
	DocumentKey   []Named
	Sites         []string
	FoundAt       time.Time
	Open          bool
	Columns       []ConflictColumn
	ResolvedBy    string
	ResolvedAt    time.Time
	Note          string

	sites       []causal.Site
	documentKey string // in hex
	detail      detail
	revision    int64
}

// ConflictColumn is one column of one row of the document, as each side has it.
type ConflictColumn struct {
	Table   string
	Key     []Named
	Name    string
	Base    *crdt.Value             // before both; nil: not known
	Values  map[string]*crdt.Value  // by site; nil: the site deleted the row
	Earlier map[string][]crdt.Value // what a site had written before its value here, and others had replaced
	InForce *crdt.Value             // nil: the row is not there

	key crdt.Key
}

// Conflicts lists the records, open ones only or all, oldest first.
func (s *Store) Conflicts(all bool) (list []Conflict, err error) {
	err = s.read(func(c *sqlite.Conn, _ *state, cat *catalog) error {
		list, err = readConflicts(c, cat, all)
		return err
	})
	return list, err
}

// FindConflict finds the one record whose identifier begins with prefix.
func (s *Store) FindConflict(prefix string) (Conflict, error) {
	all, err := s.Conflicts(true)
	if err != nil {
		return Conflict{}, err
	}
	return findConflict(all, prefix)
}

func findConflict(all []Conflict, prefix string) (Conflict, error) {
	var found []Conflict
	for _, c := range all {
		if strings.HasPrefix(c.ID, strings.ToLower(prefix)) {
			found = append(found, c)
		}
	}
	switch {
	case len(found) == 0 || prefix == "":
		return Conflict{}, fmt.Errorf("there is no conflict %s. Try: ravno conflict list --all", prefix)
	case len(found) > 1:
		return Conflict{}, fmt.Errorf("%d conflicts begin with %s. Try: more of the identifier", len(found), prefix)
	}
	return found[0], nil
}

func readConflicts(c *sqlite.Conn, cat *catalog, all bool) ([]Conflict, error) {
	query := "SELECT " + conflictColumns + " FROM ravno_conflict"
	if !all {
		query += " WHERE revision>resolved"
	}
	var list []Conflict
	err := c.Rows(query+" ORDER BY found_at, id", nil, func(row []crdt.Value) error {
		x := Conflict{ID: row[0].Bytes(), Kind: crdt.ConflictKind(row[1].Bytes()), Table: row[2].Bytes(), DocumentTable: row[4].Bytes(),
			FoundAt: millis(row[7].Int()), revision: row[9].Int(), Open: row[9].Int() > row[10].Int(), ResolvedBy: row[11].Bytes(),
			ResolvedAt: millis(row[12].Int()), Note: row[13].Bytes(), sites: parseSites(row[6].Bytes())}
		if err := json.Unmarshal([]byte(row[8].Bytes()), &x.detail); err != nil {
			return fmt.Errorf("conflict %s: %w", x.ID, err)
		}
		x.documentKey = hex.EncodeToString([]byte(row[5].Bytes()))
		x.Key = cat.nameKey(x.Table, crdt.Key(row[3].Bytes()))
		x.DocumentKey = cat.nameKey(x.DocumentTable, crdt.Key(row[5].Bytes()))
		list = append(list, x)
		return nil
	})
	if err != nil {
		return nil, err
	}
	for i := range list {
		for _, site := range list[i].sites {
			list[i].Sites = append(list[i].Sites, siteName(c, site))
		}
		if err := list[i].compare(c, cat); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func (cat *catalog) nameKey(table string, key crdt.Key) []Named {
	t := cat.byName[strings.ToLower(table)]
	if t == nil {
		return nil
	}
	named, err := t.namedKey(key)
	if err != nil {
		return nil
	}
	return named
}

// cell names one column of one row in a conflict's detail.
type cell struct{ table, key, column string }

// compare lays the sides of a conflict next to each other, column by column.
func (x *Conflict) compare(c *sqlite.Conn, cat *catalog) error {
	values := map[cell]map[causal.Site]string{}
	deleted := map[[2]string]map[causal.Site]bool{}
	for _, s := range x.detail.Sides {
		if s.Deleted {
			row := [2]string{s.Table, s.Key}
			if deleted[row] == nil {
				deleted[row] = map[causal.Site]bool{}
			}
			deleted[row][s.Site] = true
		}
		for name, v := range s.Values {
			at := cell{s.Table, s.Key, name}
			if values[at] == nil {
				values[at] = map[causal.Site]string{}
			}
			values[at][s.Site] = v
		}
	}
	base := map[cell]string{}
	for _, b := range x.detail.Before {
		for name, v := range b.Values {
			at := cell{b.Table, b.Key, name}
			base[at] = v
			if _, changed := values[at]; !changed && deleted[[2]string{b.Table, b.Key}] != nil {
				values[at] = map[causal.Site]string{}
			}
		}
	}
	cells := make([]cell, 0, len(values))
	for at := range values {
		cells = append(cells, at)
	}
	slices.SortFunc(cells, cat.orderCells)
	tx := &transaction{c: c, cat: cat}
	for _, at := range cells {
		column, ok, err := x.column(tx, at, values[at], base, deleted[[2]string{at.table, at.key}])
		if err != nil {
			return err
		}
		if ok {
			x.Columns = append(x.Columns, column)
		}
	}
	return nil
}

// orderCells orders by table and row, then as the columns stand in the table.
func (cat *catalog) orderCells(a, b cell) int {
	if order := strings.Compare(a.table+"\x00"+a.key, b.table+"\x00"+b.key); order != 0 {
		return order
	}
	if t := cat.byName[strings.ToLower(a.table)]; t != nil {
		return t.byName[strings.ToLower(a.column)] - t.byName[strings.ToLower(b.column)]
	}
	return strings.Compare(a.column, b.column)
}

func (x *Conflict) column(tx *transaction, at cell, written map[causal.Site]string, base map[cell]string, deleted map[causal.Site]bool) (column ConflictColumn, ok bool, err error) {
	t := tx.cat.byName[strings.ToLower(at.table)]
	if t == nil {
		return column, false, nil // the table is gone; the record stays as it is
	}
	if _, known := t.byName[strings.ToLower(at.column)]; !known {
		return column, false, nil // and so may be a column
	}
	raw, err := hex.DecodeString(at.key)
	if err != nil {
		return column, false, err
	}
	key := crdt.Key(raw)
	column = ConflictColumn{Table: t.Name, Key: tx.cat.nameKey(t.Name, key), Name: at.column, Values: map[string]*crdt.Value{}, key: key}
	if b, known := base[at]; known {
		v, err := decodeValue(b)
		if err != nil {
			return column, false, err
		}
		column.Base = &v
	}
	for i, site := range x.sites {
		switch v, wrote := written[site]; {
		case deleted[site]:
			column.Values[x.Sites[i]] = nil
		case wrote:
			value, err := decodeValue(v)
			if err != nil {
				return column, false, err
			}
			column.Values[x.Sites[i]] = &value
		case column.Base != nil: // this side left it as it was
			column.Values[x.Sites[i]] = column.Base
		}
	}
	if err := x.earlier(&column, at); err != nil {
		return column, false, err
	}
	now, where, err := tx.values(t, key)
	if err != nil {
		return column, false, err
	}
	if i, known := t.byName[strings.ToLower(at.column)]; known && where == imageTable {
		if v, ok := now[crdt.Column(t.numbers[i])]; ok {
			column.InForce = &v
		}
	}
	return column, true, nil
}

// earlier adds the values that later ones of the same side replaced in the record.
func (x *Conflict) earlier(column *ConflictColumn, at cell) error {
	for _, s := range x.detail.Sides {
		if s.Table != at.table || s.Key != at.key {
			continue
		}
		for _, encoded := range s.Earlier[at.column] {
			v, err := decodeValue(encoded)
			if err != nil {
				return err
			}
			if column.Earlier == nil {
				column.Earlier = map[string][]crdt.Value{}
			}
			name := x.Sites[slices.Index(x.sites, s.Site)]
			column.Earlier[name] = append(column.Earlier[name], v)
		}
	}
	return nil
}

// OpenConflicts counts the open conflicts each site is in.
func (s *Store) OpenConflicts() (bySite map[causal.Site]int, total int, err error) {
	bySite = map[causal.Site]int{}
	err = s.read(func(c *sqlite.Conn, _ *state, _ *catalog) error {
		return c.Rows("SELECT sites FROM ravno_conflict WHERE revision>resolved", nil, func(row []crdt.Value) error {
			total++
			for _, site := range parseSites(row[0].Bytes()) {
				bySite[site]++
			}
			return nil
		})
	})
	return bySite, total, err
}
