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
	Sides         []ConflictSide
	Renumbered    *Renumbering     // of a key collision that ravno itself put right; else nil
	History       []PastResolution // earlier resolutions, oldest first

	sites       []causal.Site
	keyHex      string
	documentKey string // in hex
	detail      detail
	undo        undoing
	revision    int64
}

// ConflictSide is one row of the document as one side left it.
type ConflictSide struct {
	Site    string
	Table   string
	Key     []Named
	Deleted bool
	// Subject says that the record is about this row: of two rows that claim one unique
	// value, the one that is held.
	Subject bool
}

// Renumbering says which row got a fresh key, because another had taken its own.
type Renumbering struct {
	Site     string // whose row it is
	Table    string
	Old, New []Named
}

// renumbering is a Renumbering in a record; keys are in hex.
type renumbering struct {
	Site  causal.Site `json:"site"`
	Table string      `json:"table"`
	Old   string      `json:"old"`
	New   string      `json:"new"`
}

// PastResolution is a resolution that is not the record's any more: it was taken back, or
// more was found after it.
type PastResolution struct {
	By, Note             string
	At                   time.Time
	UndoneBy, UndoneNote string
	UndoneAt             time.Time // zero: it was not taken back
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
	Held    bool                    // the row is not there because it is held

	key crdt.Key
}

// Conflicts lists the records, open ones only or all, oldest first.
func (s *Store) Conflicts(all bool) (list []Conflict, err error) {
	err = s.read(func(c *sqlite.Conn, _ *state, cat *catalog) error {
		list, err = listConflicts(c, cat, all)
		return err
	})
	return list, err
}

func listConflicts(c *sqlite.Conn, cat *catalog, all bool) ([]Conflict, error) {
	if all {
		return readConflicts(c, cat, "true")
	}
	return readConflicts(c, cat, "revision>resolved")
}

// FindConflict finds the one record whose identifier begins with prefix.
func (s *Store) FindConflict(prefix string) (x Conflict, err error) {
	err = s.read(func(c *sqlite.Conn, _ *state, cat *catalog) error {
		x, err = readConflict(c, cat, prefix)
		return err
	})
	return x, err
}

func readConflict(c *sqlite.Conn, cat *catalog, prefix string) (Conflict, error) {
	from := text(strings.ToLower(prefix))
	found, err := readConflicts(c, cat, "id>=?1 AND id<?1||'~'", from) // identifiers are of digits below ~
	if err != nil {
		return Conflict{}, err
	}
	switch {
	case len(found) == 0 || prefix == "":
		return Conflict{}, fmt.Errorf("there is no conflict %s. Try: ravno conflict list --all", prefix)
	case len(found) > 1:
		return Conflict{}, fmt.Errorf("%d conflicts begin with %s. Try: more of the identifier", len(found), prefix)
	}
	return found[0], nil
}

func readConflicts(c *sqlite.Conn, cat *catalog, where string, args ...crdt.Value) ([]Conflict, error) {
	var list []Conflict
	err := c.Rows("SELECT "+conflictColumns+" FROM ravno_conflict WHERE "+where+" ORDER BY found_at, id", args, func(row []crdt.Value) error {
		x := Conflict{ID: row[0].Bytes(), Kind: crdt.ConflictKind(row[1].Bytes()), Table: row[2].Bytes(), DocumentTable: row[4].Bytes(),
			FoundAt: millis(row[7].Int()), revision: row[9].Int(), Open: row[9].Int() > row[10].Int(), ResolvedBy: row[11].Bytes(),
			ResolvedAt: millis(row[12].Int()), Note: row[13].Bytes(), sites: parseSites(row[6].Bytes())}
		x.keyHex = hex.EncodeToString([]byte(row[3].Bytes()))
		x.documentKey = hex.EncodeToString([]byte(row[5].Bytes()))
		x.Key = cat.nameKey(x.Table, crdt.Key(row[3].Bytes()))
		x.DocumentKey = cat.nameKey(x.DocumentTable, crdt.Key(row[5].Bytes()))
		err := x.decode(row[8].Bytes(), row[14].Bytes())
		list = append(list, x)
		return err
	})
	if err != nil {
		return nil, err
	}
	for i := range list {
		if err := list[i].describe(c, cat); err != nil {
			return nil, err
		}
		if err := list[i].compare(c, cat); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// decode reads what a record keeps as JSON.
func (x *Conflict) decode(detail, undo string) error {
	if err := json.Unmarshal([]byte(detail), &x.detail); err != nil {
		return fmt.Errorf("conflict %s: %w", x.ID, err)
	}
	if undo == "" {
		return nil
	}
	x.undo.kept = true
	if err := json.Unmarshal([]byte(undo), &x.undo); err != nil {
		return fmt.Errorf("conflict %s: what its resolution replaced: %w", x.ID, err)
	}
	for _, p := range x.undo.History {
		x.History = append(x.History, PastResolution{By: p.By, Note: p.Note, At: millis(p.At), UndoneBy: p.UndoneBy, UndoneNote: p.UndoneNote, UndoneAt: millis(p.UndoneAt)})
	}
	return nil
}

// describe puts names to the record's numbers and keys.
func (x *Conflict) describe(c *sqlite.Conn, cat *catalog) error {
	for _, site := range x.sites {
		x.Sites = append(x.Sites, siteName(c, site))
	}
	for _, s := range x.detail.Sides {
		key, err := cat.nameHex(s.Table, s.Key)
		if err != nil {
			return fmt.Errorf("conflict %s: %w", x.ID, err)
		}
		x.Sides = append(x.Sides, ConflictSide{Site: siteName(c, s.Site), Table: s.Table, Key: key, Deleted: s.Deleted,
			Subject: strings.EqualFold(s.Table, x.Table) && s.Key == x.keyHex})
	}
	r := x.detail.Renumbered
	if r == nil {
		return nil
	}
	before, err := cat.nameHex(r.Table, r.Old)
	if err != nil {
		return fmt.Errorf("conflict %s: %w", x.ID, err)
	}
	now, err := cat.nameHex(r.Table, r.New)
	if err != nil {
		return fmt.Errorf("conflict %s: %w", x.ID, err)
	}
	x.Renumbered = &Renumbering{Site: siteName(c, r.Site), Table: r.Table, Old: before, New: now}
	return nil
}

func (cat *catalog) nameHex(table, key string) ([]Named, error) {
	raw, err := hex.DecodeString(key)
	if err != nil {
		return nil, fmt.Errorf("a key of table %s: %w", table, err)
	}
	return cat.nameKey(table, crdt.Key(raw)), nil
}

// Concerns reports whether a row of the table is in the conflict, or its document's root.
func (x *Conflict) Concerns(table string) bool {
	return strings.EqualFold(table, x.Table) || strings.EqualFold(table, x.DocumentTable) ||
		slices.ContainsFunc(x.Sides, func(s ConflictSide) bool { return strings.EqualFold(table, s.Table) })
}

// RowName is the unambiguous name of a row: TABLE[KEY].
func RowName(table string, key []Named) string {
	var values []string
	for _, k := range key {
		values = append(values, k.Value.String())
	}
	return table + "[" + strings.Join(values, ",") + "]"
}

// Spelling is the unambiguous name of a column in its conflict: TABLE[KEY].NAME.
func (c ConflictColumn) Spelling() string { return RowName(c.Table, c.Key) + "." + c.Name }

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
			if _, changed := values[at]; !changed && (b.Whole || deleted[[2]string{b.Table, b.Key}] != nil) {
				values[at] = map[causal.Site]string{}
			}
		}
	}
	cells := make([]cell, 0, len(values))
	for at := range values {
		cells = append(cells, at)
	}
	slices.SortFunc(cells, func(a, b cell) int { return cat.orderCells(a, b) })
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
	column.Held = where == imageHeld
	if i, known := t.byName[strings.ToLower(at.column)]; known && where == imageTable {
		if v, ok := now.get(crdt.Column(t.numbers[i])); ok {
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
			if i := slices.Index(x.sites, s.Site); i >= 0 {
				column.Earlier[x.Sites[i]] = append(column.Earlier[x.Sites[i]], v)
			}
		}
	}
	return nil
}

// OpenConflicts counts the open conflicts each site is in.
func (s *Store) OpenConflicts() (bySite map[causal.Site]int, total int, err error) {
	err = s.look(func(c *sqlite.Conn, _ *state) error {
		bySite, total, err = countOpen(c)
		return err
	})
	return bySite, total, err
}

func countOpen(c *sqlite.Conn) (bySite map[causal.Site]int, total int, err error) {
	bySite = map[causal.Site]int{}
	err = c.Rows("SELECT sites FROM ravno_conflict WHERE revision>resolved", nil, func(row []crdt.Value) error {
		total++
		for _, site := range parseSites(row[0].Bytes()) {
			bySite[site]++
		}
		return nil
	})
	return bySite, total, err
}
