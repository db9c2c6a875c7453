package catalog

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"ravno/crdt"
	"ravno/store/internal/capture"
	"ravno/store/internal/schema"
	"ravno/store/internal/sqlite"
)

// Class says where the rows of a table go.
type Class string

// The classes of tables.
const (
	Synced  Class = "synced"  // to every server
	Journal Class = "journal" // from a node to the hub only
	Local   Class = "local"   // nowhere
)

// Setting is what an admin has decided about a table; a table without one is synced.
type Setting struct {
	Table    string
	Class    Class
	Document string   // parent table; empty: by ON DELETE CASCADE; the table itself: its own document
	Counters []string // columns that merge by summing differences
}

// Table is everything the store knows about one table it captures.
type Table struct {
	*schema.Table
	Number       int64
	Class        Class
	Own          bool   // one of ravno's
	Numbers      []int  // column numbers, parallel to Columns
	Shadow       string // quoted name of the shadow table
	Kept         string // quoted name of the kept journal (hub, class journal)
	BeforeImages string // quoted name of the table that takes deleted rows until the next fold; empty: they are not kept
	Parent       *parent
	Counters     []crdt.Column      // that merge by summing differences, ascending
	classes      []crdt.ColumnClass // by column number
	Fresh        bool               // the table was not known before
	Added        []int              // columns not seen before, of a table that was; indexes into Columns
	Alone        bool               // each row is a document of its own: no parent, no children
	Up           []*ForeignKey      // foreign keys of this table
	Down         []*ForeignKey      // foreign keys that refer to this table
	Cyclic       bool               // a row may, over other rows, refer to itself
	// how many foreign keys can be followed from it at most, one after the other, circles not counted
	Depth int
	// the lowest number among the tables with which it refers to each other; its own if there is none
	Circle int64
	// Renumbers: a row whose key another site has given to another row gets a fresh key.
	Renumbers bool
	Domain    []DomainColumn   // the columns that hold keys of this table, its own first
	Holds     map[int][]*Table // by index into Columns: the tables whose keys the column holds
	// mirrored is whether triggers of the table are mirrored on the writing connection.
	Mirrored bool
	ByName   map[string]int // index into Columns
	ByNum    map[crdt.Column]int
	Sql      statements
}

// parent is the way from a row to the next row up in its document.
type parent struct {
	Table   *Table
	columns []int    // indexes into the child's Columns
	Names   []string // the same by name
	Refers  []string // column names in the parent
}

// Catalog is the set of tables as of one state of the schema and the settings.
type Catalog struct {
	Version       int64 // ravno_state.catalog
	SchemaVersion int64 // PRAGMA schema_version
	Tables        []*Table
	ByName        map[string]*Table
	ByNumber      map[int64]*Table
	Refused       []schema.Refusal
	NullKeys      []schema.Refusal // tables that sync, but for rows without a key
	Local         []string
	Unmirrored    []schema.Refusal        // what grows stale here when rows of others are applied
	Sequences     bool                    // some table that syncs counts its own ids
	Widths        map[int64]capture.Width // of the entries in ravno_log
	LogWidth      capture.Width           // of ravno_log itself, as the writer knows it
}

// Is reports whether the catalog is there, and of these versions.
func (cat *Catalog) Is(version, schemaVersion int64) bool {
	return cat != nil && cat.Version == version && cat.SchemaVersion == schemaVersion
}

// ownTables are ravno's tables that travel.
var ownTables = map[string]Class{
	"ravno_site": Synced, "ravno_setting": Synced, "ravno_conflict": Synced, "ravno_rename": Synced,
	"ravno_event": Journal,
}

// Format is the version of ravno's own tables, written by this program.
const Format = 5

// OwnNames are the names of ravno's tables that travel, in order.
func OwnNames() []string { return slices.Sorted(maps.Keys(ownTables)) }

// Facts are what a catalog is made of.
type Facts struct {
	Schema    *schema.Schema
	Settings  map[string]Setting // by name in lower case
	Numbering Numbering
	IsHub     bool
	UTF8      bool // how the file stores text
}

// New makes a catalog. Its versions are for the caller to set.
func New(f Facts) (*Catalog, error) {
	read, settings := f.Schema, f.Settings
	cat := &Catalog{ByName: map[string]*Table{}, ByNumber: map[int64]*Table{}, Widths: map[int64]capture.Width{}}
	for _, t := range slices.Concat(read.Tables, read.Own) {
		class := settings[strings.ToLower(t.Name)].Class
		ownClass, isOwn := ownTables[t.Name]
		switch {
		case isOwn:
			class = ownClass
		case strings.HasPrefix(strings.ToLower(t.Name), "ravno_"):
			continue
		case class == "":
			class = Synced
		case class == Local:
			cat.Local = append(cat.Local, t.Name)
			continue
		}
		entry := &Table{Table: t, Class: class, Own: isOwn}
		if t.NullKey != nil {
			if f.Numbering.Tables[schema.LowerASCII(t.Name)] == 0 {
				cat.Refused = append(cat.Refused, *t.NullKey)
				continue
			}
			cat.NullKeys = append(cat.NullKeys, *t.NullKey) // only those rows stay behind
		}
		if err := entry.number(f.Numbering); err != nil {
			return nil, err
		}
		if entry.Number == 0 {
			continue // not numbered yet: the next write transaction installs it
		}
		entry.findCounters(settings[strings.ToLower(t.Name)].Counters)
		entry.classify()
		entry.write(f.IsHub, f.UTF8)
		cat.Tables = append(cat.Tables, entry)
		cat.Sequences = cat.Sequences || entry.Counts()
		cat.ByName[strings.ToLower(t.Name)] = entry
		cat.ByNumber[entry.Number] = entry
	}
	for _, r := range read.Refused {
		if settings[strings.ToLower(r.Table)].Class == Local {
			cat.Local = append(cat.Local, r.Table)
			continue
		}
		cat.Refused = append(cat.Refused, r)
	}
	for _, t := range cat.Tables {
		t.Parent = cat.findParent(t, settings[strings.ToLower(t.Name)].Document)
		cat.Widths[t.Number] = t.spec().Width()
		t.Alone = t.Parent == nil
	}
	for _, t := range cat.Tables {
		if t.Parent != nil {
			t.Parent.Table.Alone = false
		}
	}
	cat.link()
	for _, t := range cat.Tables {
		if t.Class == Synced && !t.Own && (f.IsHub || len(t.Counters) > 0 || len(t.ReferredNames()) > 0) {
			t.BeforeImages = sqlite.Quote(fmt.Sprintf("ravno_gone_%d", t.Number))
		}
	}
	return cat, nil
}

// Numbering has the numbers that ravno has given to tables and columns in this file. They stay when a
// table or column goes and comes back.
type Numbering struct {
	Tables  map[string]int64         // by name, as schema.LowerASCII has it
	Columns map[int64]map[string]int // by table and name in lower case
	// NewTable and NewColumn give numbers to what has none; nil: nothing gets one.
	NewTable  func(name string) (int64, error)
	NewColumn func(table int64, number int, name string) error
}

// number gives the table and its columns their numbers.
func (t *Table) number(n Numbering) (err error) {
	t.Number = n.Tables[schema.LowerASCII(t.Name)]
	if t.Number == 0 && n.NewTable != nil {
		if t.Number, err = n.NewTable(t.Name); err != nil {
			return err
		}
		t.Fresh = true
	}
	known, next := n.Columns[t.Number], 0
	for _, number := range known {
		next = max(next, number+1)
	}
	t.ByName, t.ByNum = map[string]int{}, map[crdt.Column]int{}
	for i, column := range t.Columns {
		number, ok := known[strings.ToLower(column.Name)]
		if !ok {
			number, next = next, next+1
			if len(known) > 0 && column.Register {
				t.Added = append(t.Added, i)
			}
			if n.NewColumn != nil {
				if err := n.NewColumn(t.Number, number, column.Name); err != nil {
					return err
				}
			}
		}
		t.Numbers = append(t.Numbers, number)
		t.ByName[strings.ToLower(column.Name)] = i
		t.ByNum[crdt.Column(number)] = i
	}
	return nil
}

// write writes the SQL texts of the table.
func (t *Table) write(isHub, utf8 bool) {
	name := sqlite.Quote(t.Name)
	var where, all, marks []string
	for _, k := range t.Key {
		where = append(where, sqlite.Quote(t.Columns[k].Name)+"=?")
	}
	for _, column := range t.Columns {
		// The unary plus takes the declared type away, and nothing else.
		all = append(all, "+"+sqlite.Quote(column.Name))
		marks = append(marks, "?")
	}
	t.Shadow = sqlite.Quote(fmt.Sprintf("ravno_shadow_%d", t.Number))
	if isHub && t.Class == Journal {
		t.Kept = sqlite.Quote(fmt.Sprintf("ravno_kept_%d", t.Number))
	}
	if strings.Contains(strings.ToUpper(t.SQL), "CONFLICT") {
		t.Sql.Or = "OR ABORT "
	}
	t.Sql.KeyWhere = strings.Join(where, " AND ")
	t.Sql.Exists = "SELECT 1 FROM " + name + " WHERE " + t.Sql.KeyWhere
	t.Sql.Image = "SELECT " + strings.Join(all, ", ") + " FROM " + name + " WHERE " + t.Sql.KeyWhere
	t.Sql.Insert = "INSERT " + t.Sql.Or + "INTO " + name + "(" + sqlite.QuoteAll("", t.ColumnNames()) + ") VALUES(" +
		strings.Join(marks, ",") + ")"
	t.Sql.Remove = "DELETE FROM " + name + " WHERE " + t.Sql.KeyWhere
	t.Sql.ReadShadow = "SELECT row, document, position FROM " + t.Shadow + " WHERE key=?"
	t.Sql.ReadRow, t.Sql.ReadLogged = t.readBoth(t.ColumnNames()), t.readBoth(t.KeyNames()[:1])
	t.Sql.Changed = "SELECT s.key, s.row, s.document, s.position FROM " + t.Shadow + " s WHERE "
	if key := t.keyInShadow(utf8); key != "" { // one statement finds the rows themselves as well
		t.Sql.Changed = "SELECT s.key, s.row, s.document, s.position, " + sqlite.QuoteAll("+t.", t.ColumnNames()) + " FROM " +
			t.Shadow + " s LEFT JOIN " +
			name + " t ON t." + sqlite.Quote(t.Columns[t.Key[0]].Name) + "=" + key + " WHERE "
	}
	t.Sql.Changed, t.Sql.ChangedRow = t.Sql.Changed+"s."+HasPosition+" AND s.position>? AND s.position<=?", t.Sql.Changed+
		"s.key=?"
	t.writeAhead(utf8)
	t.Sql.WriteShadow = "INSERT OR REPLACE INTO " + t.Shadow + "(key, position, row, document) VALUES(?,?,?,?)"
}

func (t *Table) ColumnNames() []string {
	names := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		names[i] = c.Name
	}
	return names
}

func (t *Table) KeyNames() []string {
	names := make([]string, len(t.Key))
	for i, k := range t.Key {
		names[i] = t.Columns[k].Name
	}
	return names
}

// ClassOf is the class of a column. A key column whose stored bytes the key determines has none.
func (t *Table) ClassOf(column crdt.Column) crdt.ColumnClass {
	if int(column) >= len(t.classes) {
		return crdt.ClassNone
	}
	return t.classes[column]
}

// classify gives the columns their classes, once their numbers and the counters are known.
func (t *Table) classify() {
	for i, number := range t.Numbers {
		for len(t.classes) <= number {
			t.classes = append(t.classes, crdt.ClassNone)
		}
		switch {
		case slices.Contains(t.Counters, crdt.Column(number)):
			t.classes[number] = crdt.ClassCounter
		case t.Columns[i].Register:
			t.classes[number] = crdt.ClassRegister
		}
	}
}

// HasRegister reports whether a column has a register: whether its writes have stamps.
func (t *Table) HasRegister(column crdt.Column) bool {
	switch t.ClassOf(column) {
	case crdt.ClassRegister, crdt.ClassCounter:
		return true
	case crdt.ClassNone:
	}
	return false
}

// Registers counts the columns that have a register.
func (t *Table) Registers() (n int) {
	for _, c := range t.Columns {
		if c.Register {
			n++
		}
	}
	return n
}

// findParent finds the table one step up in the document: the one the admin named, or
// else the one that takes this table's rows with it when it is deleted (ON DELETE CASCADE).
func (cat *Catalog) findParent(t *Table, named string) *parent {
	if strings.EqualFold(named, t.Name) || t.Class != Synced {
		return nil
	}
	for _, fk := range t.ForeignKeys {
		if named == "" && !strings.EqualFold(fk.OnDelete, "CASCADE") || named != "" && !strings.EqualFold(fk.Parent, named) {
			continue
		}
		up := cat.ByName[strings.ToLower(fk.Parent)]
		if up == nil || up.Class != Synced || up == t || len(fk.Columns) != len(fk.ParentColumns) {
			continue
		}
		p := &parent{Table: up, Names: fk.Columns, Refers: fk.ParentColumns}
		for _, name := range fk.Columns {
			i, ok := t.ByName[strings.ToLower(name)]
			if !ok {
				return nil
			}
			p.columns = append(p.columns, i)
		}
		return p
	}
	return nil
}

// Specs says which triggers the capture needs.
func (cat *Catalog) Specs() []capture.Spec {
	var specs []capture.Spec
	for _, t := range cat.Tables {
		if !t.Own { // ravno writes its own itself and logs what it wrote
			specs = append(specs, t.spec())
		}
	}
	return specs
}

func (t *Table) spec() capture.Spec {
	spec := capture.Spec{Table: t.Table, Number: t.Number, ColumnNumbers: t.Numbers}
	if t.Parent != nil {
		spec.Parent = t.Parent.Names
	}
	if t.BeforeImages != "" {
		spec.Gone, spec.GoneColumns, spec.Referred = t.BeforeImages, t.BeforeImageColumns(), t.ReferredNames()
	}
	return spec
}
