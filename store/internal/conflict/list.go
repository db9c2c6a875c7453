package conflict

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/store/internal/catalog"
	"ravno/store/internal/rows"
)

// Conflict is one record, read for people and scripts.
type Conflict struct {
	ID            string
	Kind          crdt.ConflictKind
	Table         string
	Key           []catalog.Named
	DocumentTable string
	DocumentKey   []catalog.Named
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

	SiteNumbers []causal.Site
	KeyHex      string
	DocumentHex string // in hex
	Detail      Detail
	Undo        Undoing
	Revision    int64
}

// ConflictSide is one row of the document as one side left it.
type ConflictSide struct {
	Site    string
	Table   string
	Key     []catalog.Named
	Deleted bool
	// Subject says that the record is about this row: of two rows that claim one unique
	// value, the one that is held.
	Subject bool
}

// Renumbering says which row got a fresh key, because another had taken its own.
type Renumbering struct {
	Site     string // whose row it is
	Table    string
	Old, New []catalog.Named
}

// Rekeyed is a Renumbering in a record; keys are in hex.
type Rekeyed struct {
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
	Key     []catalog.Named
	Name    string
	Base    *crdt.Value             // before both; nil: not known
	Values  map[string]*crdt.Value  // by site; nil: the site deleted the row
	Earlier map[string][]crdt.Value // what a site had written before its value here, and others had replaced
	InForce *crdt.Value             // nil: the row is not there
	Held    bool                    // the row is not there because it is held

	RowKey crdt.Key
}

func List(tx *rows.Tx, all bool) ([]Conflict, error) {
	if all {
		return readConflicts(tx, "true")
	}
	return readConflicts(tx, "revision>resolved")
}

func Find(tx *rows.Tx, prefix string) (Conflict, error) {
	from := catalog.Text(strings.ToLower(prefix))
	found, err := readConflicts(tx, "id>=?1 AND id<?1||'~'", from) // identifiers are of digits below ~
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

func readConflicts(tx *rows.Tx, where string, args ...crdt.Value) ([]Conflict, error) {
	var list []Conflict
	err := tx.SQL.Rows("SELECT "+ColumnNames+" FROM ravno_conflict WHERE "+where+" ORDER BY found_at, id", args,
		func(row []crdt.Value) error {
			x := Conflict{ID: row[0].Bytes(), Kind: crdt.ConflictKind(row[1].Bytes()), Table: row[2].Bytes(),
				DocumentTable: row[4].Bytes(),
				FoundAt:       catalog.Millis(row[7].Int()), Revision: row[9].Int(), Open: row[9].Int() > row[10].Int(),
				ResolvedBy: row[11].Bytes(),
				ResolvedAt: catalog.Millis(row[12].Int()), Note: row[13].Bytes(), SiteNumbers: parseSites(row[6].Bytes())}
			x.KeyHex = hex.EncodeToString([]byte(row[3].Bytes()))
			x.DocumentHex = hex.EncodeToString([]byte(row[5].Bytes()))
			x.Key = tx.Cat.NameKey(x.Table, crdt.Key(row[3].Bytes()))
			x.DocumentKey = tx.Cat.NameKey(x.DocumentTable, crdt.Key(row[5].Bytes()))
			err := x.decode(row[8].Bytes(), row[14].Bytes())
			list = append(list, x)
			return err
		})
	if err != nil {
		return nil, err
	}
	for i := range list {
		if err := list[i].describe(tx); err != nil {
			return nil, err
		}
		if err := list[i].compare(tx); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// decode reads what a record keeps as JSON.
func (x *Conflict) decode(detail, undo string) error {
	if err := json.Unmarshal([]byte(detail), &x.Detail); err != nil {
		return fmt.Errorf("conflict %s: %w", x.ID, err)
	}
	if undo == "" {
		return nil
	}
	x.Undo.Kept = true
	if err := json.Unmarshal([]byte(undo), &x.Undo); err != nil {
		return fmt.Errorf("conflict %s: what its resolution replaced: %w", x.ID, err)
	}
	for _, p := range x.Undo.History {
		x.History = append(x.History, PastResolution{
			By: p.By, Note: p.Note, At: catalog.Millis(p.At), UndoneBy: p.UndoneBy, UndoneNote: p.UndoneNote,
			UndoneAt: catalog.Millis(p.UndoneAt)})
	}
	return nil
}

// describe puts names to the record's numbers and keys.
func (x *Conflict) describe(tx *rows.Tx) error {
	for _, site := range x.SiteNumbers {
		x.Sites = append(x.Sites, tx.SiteName(site))
	}
	for _, s := range x.Detail.Sides {
		key, err := tx.Cat.NameHex(s.Table, s.Key)
		if err != nil {
			return fmt.Errorf("conflict %s: %w", x.ID, err)
		}
		x.Sides = append(x.Sides, ConflictSide{Site: tx.SiteName(s.Site), Table: s.Table, Key: key, Deleted: s.Deleted,
			Subject: strings.EqualFold(s.Table, x.Table) && s.Key == x.KeyHex})
	}
	r := x.Detail.Renumbered
	if r == nil {
		return nil
	}
	before, err := tx.Cat.NameHex(r.Table, r.Old)
	if err != nil {
		return fmt.Errorf("conflict %s: %w", x.ID, err)
	}
	now, err := tx.Cat.NameHex(r.Table, r.New)
	if err != nil {
		return fmt.Errorf("conflict %s: %w", x.ID, err)
	}
	x.Renumbered = &Renumbering{Site: tx.SiteName(r.Site), Table: r.Table, Old: before, New: now}
	return nil
}

// Concerns reports whether a row of the table is in the conflict, or its document's root.
func (x *Conflict) Concerns(table string) bool {
	return strings.EqualFold(table, x.Table) || strings.EqualFold(table, x.DocumentTable) ||
		slices.ContainsFunc(x.Sides, func(s ConflictSide) bool { return strings.EqualFold(table, s.Table) })
}

// Spelling is the unambiguous name of a column in its conflict: TABLE[KEY].NAME.
func (c ConflictColumn) Spelling() string { return catalog.RowName(c.Table, c.Key) + "." + c.Name }

// cell names one column of one row in a conflict's detail.
type cell struct{ table, key, column string }

// compare lays the sides of a conflict next to each other, column by column.
func (x *Conflict) compare(tx *rows.Tx) error {
	values := map[cell]map[causal.Site]string{}
	deleted := map[[2]string]map[causal.Site]bool{}
	for _, s := range x.Detail.Sides {
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
	for _, b := range x.Detail.Before {
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
	slices.SortFunc(cells, func(a, b cell) int { return orderCells(tx.Cat, a, b) })
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
func orderCells(cat *catalog.Catalog, a, b cell) int {
	if order := strings.Compare(a.table+"\x00"+a.key, b.table+"\x00"+b.key); order != 0 {
		return order
	}
	if t := cat.ByName[strings.ToLower(a.table)]; t != nil {
		return t.ByName[strings.ToLower(a.column)] - t.ByName[strings.ToLower(b.column)]
	}
	return strings.Compare(a.column, b.column)
}

func (x *Conflict) column(tx *rows.Tx, at cell, written map[causal.Site]string, base map[cell]string,
	deleted map[causal.Site]bool) (column ConflictColumn, ok bool, err error) {
	t := tx.Cat.ByName[strings.ToLower(at.table)]
	if t == nil {
		return column, false, nil // the table is gone; the record stays as it is
	}
	if _, known := t.ByName[strings.ToLower(at.column)]; !known {
		return column, false, nil // and so may be a column
	}
	raw, err := hex.DecodeString(at.key)
	if err != nil {
		return column, false, err
	}
	key := crdt.Key(raw)
	column = ConflictColumn{Table: t.Name, Key: tx.Cat.NameKey(t.Name, key), Name: at.column,
		Values: map[string]*crdt.Value{}, RowKey: key}
	if b, known := base[at]; known {
		v, err := catalog.DecodeValue(b)
		if err != nil {
			return column, false, err
		}
		column.Base = &v
	}
	for i, site := range x.SiteNumbers {
		switch v, wrote := written[site]; {
		case deleted[site]:
			column.Values[x.Sites[i]] = nil
		case wrote:
			value, err := catalog.DecodeValue(v)
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
	now, where, err := ValuesOf(tx, t, key)
	if err != nil {
		return column, false, err
	}
	column.Held = where == catalog.Held
	if i, known := t.ByName[strings.ToLower(at.column)]; known && where == catalog.InTable {
		if v, ok := now.Get(crdt.Column(t.Numbers[i])); ok {
			column.InForce = &v
		}
	}
	return column, true, nil
}

// earlier adds the values that later ones of the same side replaced in the record.
func (x *Conflict) earlier(column *ConflictColumn, at cell) error {
	for _, s := range x.Detail.Sides {
		if s.Table != at.table || s.Key != at.key {
			continue
		}
		for _, encoded := range s.Earlier[at.column] {
			v, err := catalog.DecodeValue(encoded)
			if err != nil {
				return err
			}
			if column.Earlier == nil {
				column.Earlier = map[string][]crdt.Value{}
			}
			if i := slices.Index(x.SiteNumbers, s.Site); i >= 0 {
				column.Earlier[x.Sites[i]] = append(column.Earlier[x.Sites[i]], v)
			}
		}
	}
	return nil
}

func CountOpen(tx *rows.Tx) (bySite map[causal.Site]int, total int, err error) {
	bySite = map[causal.Site]int{}
	err = tx.SQL.Rows("SELECT sites FROM ravno_conflict WHERE revision>resolved", nil, func(row []crdt.Value) error {
		total++
		for _, site := range parseSites(row[0].Bytes()) {
			bySite[site]++
		}
		return nil
	})
	return bySite, total, err
}
