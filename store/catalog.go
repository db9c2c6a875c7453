package store

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

// table is everything the store knows about one table it captures.
type table struct {
	*schema.Table
	number   int64
	class    Class
	own      bool   // one of ravno's
	numbers  []int  // column numbers, parallel to Columns
	shadow   string // quoted name of the shadow table
	kept     string // quoted name of the kept journal (hub, class journal)
	gone     string // quoted name of the table that takes deleted rows until the next fold; empty: they are not kept
	parent   *parent
	counters []crdt.Column // that merge by summing differences, ascending
	fresh    bool          // the table was not known before
	added    []int         // columns not seen before, of a table that was; indexes into Columns
	alone    bool          // each row is a document of its own: no parent, no children
	up       []*link       // foreign keys of this table
	down     []*link       // foreign keys that refer to this table
	cyclic   bool          // a row may, over other rows, refer to itself
	depth    int           // how many foreign keys can be followed from it at most, one after the other, circles not counted
	circle   int64         // the lowest number among the tables with which it refers to each other; its own if there is none
	// renumbers: a row whose key another site has given to another row gets a fresh key.
	renumbers bool
	domain    []domainColumn   // the columns that hold keys of this table, its own first
	holds     map[int][]*table // by index into Columns: the tables whose keys the column holds
	// mirrored is whether triggers of the table are mirrored on the writing connection.
	mirrored bool
	byName   map[string]int // index into Columns
	byNum    map[crdt.Column]int
	sql      statements
}

// parent is the way from a row to the next row up in its document.
type parent struct {
	table   *table
	columns []int    // indexes into the child's Columns
	names   []string // the same by name
	refers  []string // column names in the parent
}

// statements are the SQL texts of one table, written once.
type statements struct {
	keyWhere, exists, image, insert, remove, readShadow, readRow, readLogged, writeShadow, changed, changedRow string
	aheadShadows, aheadRows, aheadKeys                                                                         string // empty: that tree is not read ahead
	// or is the clause our own writes to the table need: one that its schema declares, REPLACE
	// say, must not act on them. Elsewhere there is none, because it would override the clauses
	// of statements inside triggers.
	or string
}

// catalog is the set of tables as of one state of the schema and the settings.
type catalog struct {
	version       int64 // ravno_state.catalog
	schemaVersion int64 // PRAGMA schema_version
	tables        []*table
	byName        map[string]*table
	byNumber      map[int64]*table
	refused       []schema.Refusal
	nullKeys      []schema.Refusal // tables that sync, but for rows without a key
	local         []string
	unmirrored    []schema.Refusal        // what grows stale here when rows of others are applied
	sequences     bool                    // some table that syncs counts its own ids
	widths        map[int64]capture.Width // of the entries in ravno_log
	logWidth      capture.Width           // of ravno_log itself, as the writer knows it
}

// is reports whether the catalog is there, and of these versions.
func (cat *catalog) is(version, schemaVersion int64) bool {
	return cat != nil && cat.version == version && cat.schemaVersion == schemaVersion
}

// ownTables are ravno's tables that travel.
var ownTables = map[string]Class{
	"ravno_site": Synced, "ravno_setting": Synced, "ravno_conflict": Synced, "ravno_rename": Synced, "ravno_event": Journal,
}

var ownNames = slices.Sorted(maps.Keys(ownTables))

func readSettings(c *sqlite.Conn) (map[string]Setting, error) {
	settings := map[string]Setting{}
	err := c.Rows("SELECT tab, class, document, counters FROM ravno_setting", nil, func(row []crdt.Value) error {
		s := Setting{Table: row[0].Bytes(), Class: Class(row[1].Bytes()), Document: row[2].Bytes()}
		if counters := row[3].Bytes(); counters != "" {
			s.Counters = strings.Split(counters, ",")
		}
		settings[strings.ToLower(s.Table)] = s
		return nil
	})
	return settings, err
}

// readCatalog reads tables and settings, and gives numbers to tables and columns that have
// none when assign is set (which needs a write transaction).
func readCatalog(c *sqlite.Conn, isHub, assign bool) (*catalog, error) {
	read, err := schema.Read(c, ownNames...)
	if err != nil {
		return nil, err
	}
	settings, err := readSettings(c)
	if err != nil {
		return nil, err
	}
	encoding, err := c.Text("PRAGMA encoding")
	if err != nil {
		return nil, err
	}
	cat := &catalog{byName: map[string]*table{}, byNumber: map[int64]*table{}, widths: map[int64]capture.Width{}}
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
			cat.local = append(cat.local, t.Name)
			continue
		}
		entry := &table{Table: t, class: class, own: isOwn}
		if t.NullKey != nil {
			enrolled, err := c.Int("SELECT count(*) FROM ravno_table WHERE lower(name)=lower(?)", text(t.Name))
			if err != nil {
				return nil, err
			}
			if enrolled == 0 {
				cat.refused = append(cat.refused, *t.NullKey)
				continue
			}
			cat.nullKeys = append(cat.nullKeys, *t.NullKey) // only those rows stay behind
		}
		if err := entry.assignNumbers(c, assign); err != nil {
			return nil, err
		}
		if entry.number == 0 {
			continue // not numbered yet: the next write transaction installs it
		}
		entry.findCounters(settings[strings.ToLower(t.Name)].Counters)
		entry.write(isHub, encoding == "UTF-8")
		cat.tables = append(cat.tables, entry)
		cat.sequences = cat.sequences || entry.counts()
		cat.byName[strings.ToLower(t.Name)] = entry
		cat.byNumber[entry.number] = entry
	}
	for _, r := range read.Refused {
		if settings[strings.ToLower(r.Table)].Class == Local {
			cat.local = append(cat.local, r.Table)
			continue
		}
		cat.refused = append(cat.refused, r)
	}
	for _, t := range cat.tables {
		t.parent = cat.findParent(t, settings[strings.ToLower(t.Name)].Document)
		cat.widths[t.number] = t.spec().Width()
		t.alone = t.parent == nil
	}
	for _, t := range cat.tables {
		if t.parent != nil {
			t.parent.table.alone = false
		}
	}
	cat.link()
	for _, t := range cat.tables {
		if t.class == Synced && !t.own && (isHub || len(t.counters) > 0 || len(t.referredNames()) > 0) {
			t.gone = sqlite.Quote(fmt.Sprintf("ravno_gone_%d", t.number))
		}
	}
	return cat, cat.versions(c)
}

func (cat *catalog) versions(c *sqlite.Conn) (err error) {
	if cat.version, err = c.Int("SELECT catalog FROM ravno_state"); err != nil {
		return err
	}
	cat.schemaVersion, err = c.Int("PRAGMA schema_version")
	return err
}

// assignNumbers finds or assigns the numbers of the table and its columns.
func (t *table) assignNumbers(c *sqlite.Conn, assign bool) (err error) {
	if t.number, err = c.Int("SELECT number FROM ravno_table WHERE lower(name)=lower(?)", text(t.Name)); err != nil {
		return err
	}
	if t.number == 0 && assign {
		if err := c.Exec("INSERT INTO ravno_table(name) VALUES(?)", text(t.Name)); err != nil {
			return err
		}
		if t.number, err = c.Int("SELECT last_insert_rowid()"); err != nil {
			return err
		}
		t.fresh = true
	}
	known, next := map[string]int{}, 0
	err = c.Rows("SELECT number, name FROM ravno_column WHERE tab=?", []crdt.Value{integer(t.number)}, func(row []crdt.Value) error {
		known[strings.ToLower(row[1].Bytes())] = int(row[0].Int())
		next = max(next, int(row[0].Int())+1)
		return nil
	})
	if err != nil {
		return err
	}
	t.byName, t.byNum = map[string]int{}, map[crdt.Column]int{}
	for i, column := range t.Columns {
		number, ok := known[strings.ToLower(column.Name)]
		if !ok {
			number, next = next, next+1
			if len(known) > 0 && column.Register {
				t.added = append(t.added, i)
			}
			if assign {
				err := c.Exec("INSERT INTO ravno_column(tab, number, name) VALUES(?,?,?)", integer(t.number), integer(number), text(column.Name))
				if err != nil {
					return err
				}
			}
		}
		t.numbers = append(t.numbers, number)
		t.byName[strings.ToLower(column.Name)] = i
		t.byNum[crdt.Column(number)] = i
	}
	return nil
}

// write writes the SQL texts of the table.
func (t *table) write(isHub, utf8 bool) {
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
	t.shadow = sqlite.Quote(fmt.Sprintf("ravno_shadow_%d", t.number))
	if isHub && t.class == Journal {
		t.kept = sqlite.Quote(fmt.Sprintf("ravno_kept_%d", t.number))
	}
	if strings.Contains(strings.ToUpper(t.SQL), "CONFLICT") {
		t.sql.or = "OR ABORT "
	}
	t.sql.keyWhere = strings.Join(where, " AND ")
	t.sql.exists = "SELECT 1 FROM " + name + " WHERE " + t.sql.keyWhere
	t.sql.image = "SELECT " + strings.Join(all, ", ") + " FROM " + name + " WHERE " + t.sql.keyWhere
	t.sql.insert = "INSERT " + t.sql.or + "INTO " + name + "(" + sqlite.QuoteAll("", t.columnNames()) + ") VALUES(" + strings.Join(marks, ",") + ")"
	t.sql.remove = "DELETE FROM " + name + " WHERE " + t.sql.keyWhere
	t.sql.readShadow = "SELECT row, document, position FROM " + t.shadow + " WHERE key=?"
	t.sql.readRow, t.sql.readLogged = t.readBoth(t.columnNames()), t.readBoth(t.keyNames()[:1])
	t.sql.changed = "SELECT s.key, s.row, s.document, s.position FROM " + t.shadow + " s WHERE "
	if key := t.keyInShadow(utf8); key != "" { // one statement finds the rows themselves as well
		t.sql.changed = "SELECT s.key, s.row, s.document, s.position, " + sqlite.QuoteAll("+t.", t.columnNames()) + " FROM " + t.shadow + " s LEFT JOIN " +
			name + " t ON t." + sqlite.Quote(t.Columns[t.Key[0]].Name) + "=" + key + " WHERE "
	}
	t.sql.changed, t.sql.changedRow = t.sql.changed+"s."+hasPosition+" AND s.position>? AND s.position<=?", t.sql.changed+"s.key=?"
	t.writeAhead(utf8)
	t.sql.writeShadow = "INSERT OR REPLACE INTO " + t.shadow + "(key, position, row, document) VALUES(?,?,?,?)"
}

// hasPosition is in every question that the index of positions is to answer: there are no other rows
// in it, and SQLite uses it only where it can see that none is asked for. It is no bound, or SQLite
// might begin there and not at the position in question.
const hasPosition = "position<>0"

// readBoth is the text that reads a row's shadow and some columns of the row itself, by the key of
// the one and the key of the other.
func (t *table) readBoth(columns []string) string {
	var where []string
	for _, name := range t.keyNames() {
		where = append(where, "t."+sqlite.Quote(name)+"=?")
	}
	return "SELECT s.row, s.document, s.position, " + sqlite.QuoteAll("+t.", columns) + " FROM (SELECT 1) LEFT JOIN " + t.shadow +
		" s ON s.key=? LEFT JOIN " + sqlite.Quote(t.Name) + " t ON " + strings.Join(where, " AND ")
}

// readAll is the text that reads every row: its key, then its columns.
func (t *table) readAll() string {
	return "SELECT " + sqlite.QuoteAll("+", append(t.keyNames(), t.columnNames()...)) + " FROM " + sqlite.Quote(t.Name)
}

func (t *table) columnNames() []string {
	names := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		names[i] = c.Name
	}
	return names
}

func (t *table) keyNames() []string {
	names := make([]string, len(t.Key))
	for i, k := range t.Key {
		names[i] = t.Columns[k].Name
	}
	return names
}

// isRegister reports whether a column has a register; a key column whose stored bytes the
// key determines has none.
func (t *table) isRegister(column crdt.Column) bool {
	i, ok := t.byNum[column]
	return ok && t.Columns[i].Register
}

func (t *table) registers() (n int) {
	for _, c := range t.Columns {
		if c.Register {
			n++
		}
	}
	return n
}

// findParent finds the table one step up in the document: the one the admin named, or
// else the one that takes this table's rows with it when it is deleted (ON DELETE CASCADE).
func (cat *catalog) findParent(t *table, named string) *parent {
	if strings.EqualFold(named, t.Name) || t.class != Synced {
		return nil
	}
	for _, fk := range t.ForeignKeys {
		if named == "" && !strings.EqualFold(fk.OnDelete, "CASCADE") || named != "" && !strings.EqualFold(fk.Parent, named) {
			continue
		}
		up := cat.byName[strings.ToLower(fk.Parent)]
		if up == nil || up.class != Synced || up == t || len(fk.Columns) != len(fk.ParentColumns) {
			continue
		}
		p := &parent{table: up, names: fk.Columns, refers: fk.ParentColumns}
		for _, name := range fk.Columns {
			i, ok := t.byName[strings.ToLower(name)]
			if !ok {
				return nil
			}
			p.columns = append(p.columns, i)
		}
		return p
	}
	return nil
}

// specs says which triggers the capture needs.
func (cat *catalog) specs() []capture.Spec {
	var specs []capture.Spec
	for _, t := range cat.tables {
		if !t.own { // ravno writes its own itself and logs what it wrote
			specs = append(specs, t.spec())
		}
	}
	return specs
}

func (t *table) spec() capture.Spec {
	spec := capture.Spec{Table: t.Table, Number: t.number, ColumnNumbers: t.numbers}
	if t.parent != nil {
		spec.Parent = t.parent.names
	}
	if t.gone != "" {
		spec.Gone, spec.GoneColumns, spec.Referred = t.gone, t.goneColumns(), t.referredNames()
	}
	return spec
}
