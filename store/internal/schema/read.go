package schema

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"ravno/crdt"
	"ravno/store/internal/sqlite"
)

// Read reads the schema of the file c is open on, and besides, by their names, some of
// ravno's own tables. It writes nothing and takes no lock beyond those of reading. One table
// that cannot be captured does not stop the others: an error means that the file as a whole
// could not be read.
func Read(c *sqlite.Conn, own ...string) (*Schema, error) {
	r := &reader{conn: c, schema: &Schema{}, listed: map[string]listing{}, indexSQL: map[string]string{}}
	err := r.withoutTriggers(func() error {
		if err := r.all(); err != nil {
			return err
		}
		return r.own(own)
	})
	if err != nil {
		return nil, fmt.Errorf("schema: read %s: %w", c.Path(), err)
	}
	return r.schema, nil
}

// reader collects a schema from one connection.
type reader struct {
	conn    *sqlite.Conn
	schema  *Schema
	listed  map[string]listing // by name
	objects []object
	virtual []object
	ravno   []object // ravno's own tables
	// indexSQL is how indexes were made, by name; empty for those of constraints.
	indexSQL map[string]string
}

// listing is what PRAGMA table_list says of a table.
type listing struct {
	kind                 string // table, view, virtual, shadow
	withoutRowid, strict bool
}

// object is a row of sqlite_master.
type object struct{ name, kind, sql string }

// refused is the reason why one table cannot be captured; it travels as an error through
// the reading of that table only.
type refused struct{ reason, try string }

func (r refused) Error() string { return r.reason }

const tryLeavingOut = "or leave the table out with --local "

func refuse(try, reason string, args ...any) error {
	return refused{reason: fmt.Sprintf(reason, args...), try: try}
}

// withoutTriggers runs f while this connection compiles no trigger: one that calls an
// application's function says nothing about whether its table can be written here.
func (r *reader) withoutTriggers(f func() error) (err error) {
	set := func(to int) (was int64, err error) { // -1 only asks; the query is read to its end
		return r.conn.Int(fmt.Sprintf("SELECT ravno_triggers(%d)", to))
	}
	on, err := set(-1)
	if err != nil {
		return err
	}
	if on != 0 {
		if _, err := set(0); err != nil {
			return err
		}
		defer func() {
			_, failed := set(1)
			err = errors.Join(err, failed)
		}()
	}
	return f()
}

func (r *reader) all() error {
	if err := r.list(); err != nil {
		return err
	}
	for _, o := range r.objects {
		reason, err := r.aside(o)
		if reason != "" {
			r.schema.Ignored = append(r.schema.Ignored, Ignored{Name: o.name, Reason: reason})
			continue
		}
		var t *Table
		if err == nil {
			t, err = r.table(o)
		}
		var no refused
		switch {
		case errors.As(err, &no):
			r.schema.Refused = append(r.schema.Refused,
				Refusal{Table: o.name, Reason: no.reason, Try: no.try + tryLeavingOut + o.name})
		case err != nil:
			return fmt.Errorf("table %q: %w", o.name, err)
		default:
			r.schema.Tables = append(r.schema.Tables, t)
		}
	}
	return nil
}

// own reads ravno's own tables of these names. Those that do not exist are missing.
func (r *reader) own(names []string) error {
	for _, name := range names {
		at := slices.IndexFunc(r.ravno, func(o object) bool { return o.name == name })
		if at < 0 {
			continue
		}
		t, err := r.table(r.ravno[at])
		if err != nil {
			return errors.Join(fmt.Errorf("table %s", name), err)
		}
		r.schema.Own = append(r.schema.Own, t)
	}
	return nil
}

// list reads the names of everything that can be selected from, sorted, and of the indexes.
func (r *reader) list() error {
	err := r.conn.Rows(
		"SELECT name, type, coalesce(sql, '') FROM sqlite_master WHERE type IN ('table', 'view', 'index') ORDER BY name", nil,
		func(row []crdt.Value) error {
			o := object{name: row[0].Bytes(), kind: row[1].Bytes(), sql: row[2].Bytes()}
			if o.kind == "index" {
				r.indexSQL[o.name] = o.sql
				return nil
			}
			folded := LowerASCII(o.name)
			if strings.HasPrefix(folded, "ravno_") && o.kind == "table" {
				r.ravno = append(r.ravno, o)
			}
			if strings.HasPrefix(folded, "sqlite_") || strings.HasPrefix(folded, "ravno_") {
				return nil
			}
			r.objects = append(r.objects, o)
			if isVirtual(o) {
				r.virtual = append(r.virtual, o)
			}
			return nil
		})
	if err != nil {
		return err
	}
	return r.conn.Rows("SELECT name, type, wr, strict FROM pragma_table_list WHERE schema = 'main'", nil,
		func(row []crdt.Value) error {
			r.listed[row[0].Bytes()] = listing{kind: row[1].Bytes(), withoutRowid: row[2].Int() != 0, strict: row[3].Int() != 0}
			return nil
		})
}

// table reads one ordinary table.
func (r *reader) table(o object) (*Table, error) {
	listed := r.listed[o.name]
	t := &Table{Name: o.name, WithoutRowid: listed.withoutRowid, Strict: listed.strict, SQL: o.sql}
	layout, err := r.columns(t)
	if err != nil {
		return nil, err
	}
	indexes, err := r.indexes(t, layout)
	if err != nil {
		return nil, err
	}
	if indexes, err = t.chooseKey(layout, indexes); err != nil {
		return nil, err
	}
	for _, i := range indexes {
		if !i.onRowid {
			t.Unique = append(t.Unique, i.UniqueIndex)
		}
	}
	slices.SortFunc(t.Unique, func(a, b UniqueIndex) int { return strings.Compare(a.Name, b.Name) })
	for _, check := range []func(*Table) error{r.foreignKeys, checkCollations, r.checkWritable, r.checkNullKey} {
		if err := check(t); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// layout is how the numbers of PRAGMA table_xinfo, which count generated columns too, map
// to the columns of a Table.
type layout struct {
	column    []int    // by cid: index into Table.Columns, -1 for a generated column
	generated []string // by cid: name of a generated column
	primary   []int    // cids of the PRIMARY KEY in its order
}

func (r *reader) columns(t *Table) (layout, error) {
	declared := tableSource(t.SQL)
	t.Autoincrement = declared.autoincrement
	var l layout
	var places []int64 // of the primary key's columns within it, parallel to l.primary
	err := r.conn.Rows(
		`SELECT name, type, "notnull", dflt_value, pk, hidden FROM pragma_table_xinfo(?, 'main') ORDER BY cid`,
		[]crdt.Value{crdt.TextValue(t.Name)}, func(row []crdt.Value) error {
			name, cid := row[0].Bytes(), len(l.column)
			if row[5].Int() != 0 {
				t.Generated = append(t.Generated, name)
				l.column, l.generated = append(l.column, -1), append(l.generated, name)
				return nil
			}
			c := Column{Name: name, Type: row[1].Bytes(), Collation: Binary, NotNull: row[2].Int() != 0,
				Default: row[3].Bytes(), HasDefault: row[3].Kind() != crdt.Null, Register: true}
			c.Affinity = affinityOf(c.Type, t.Strict)
			if c.Type == "" && declared.emptyType[LowerASCII(name)] {
				c.Affinity = NumericAffinity
			}
			if collation, ok := declared.collations[LowerASCII(name)]; ok {
				c.Collation = collation
			}
			if place := row[4].Int(); place > 0 {
				at, _ := slices.BinarySearch(places, place)
				places, l.primary = slices.Insert(places, at, place), slices.Insert(l.primary, at, cid)
			}
			l.column, l.generated = append(l.column, len(t.Columns)), append(l.generated, "")
			t.Columns = append(t.Columns, c)
			return nil
		})
	return l, err
}

// foreignKeys reads the references in declared order, which is the reverse of SQLite's.
func (r *reader) foreignKeys(t *Table) error {
	last := int64(-1)
	var keys []ForeignKey
	err := r.conn.Rows(`SELECT id, "table", "from", "to", on_delete, on_update FROM pragma_foreign_key_list(?, 'main')
		ORDER BY id DESC, seq`,
		[]crdt.Value{crdt.TextValue(t.Name)}, func(row []crdt.Value) error {
			if row[0].Int() != last {
				last = row[0].Int()
				keys = append(keys, ForeignKey{Parent: row[1].Bytes(), OnDelete: row[4].Bytes(), OnUpdate: row[5].Bytes()})
			}
			key := &keys[len(keys)-1]
			from := row[2].Bytes()
			if i := t.Column(from); i >= 0 {
				from = t.Columns[i].Name
			}
			key.Columns = append(key.Columns, from)
			if row[3].Kind() != crdt.Null {
				key.ParentColumns = append(key.ParentColumns, row[3].Bytes())
			}
			return nil
		})
	if err != nil {
		return err
	}
	for i := range keys {
		if err := r.resolveParent(&keys[i]); err != nil {
			return err
		}
	}
	t.ForeignKeys = keys
	return nil
}

// resolveParent gives the parent and its columns the parent's own spelling, and fills in
// its primary key where the declaration names no columns.
func (r *reader) resolveParent(key *ForeignKey) error {
	at := slices.IndexFunc(r.objects, func(o object) bool { return sameName(o.name, key.Parent) })
	if at < 0 {
		return nil
	}
	key.Parent = r.objects[at].name
	var primary []string
	err := r.conn.Rows(`SELECT name, pk FROM pragma_table_xinfo(?, 'main') ORDER BY pk, cid`,
		[]crdt.Value{crdt.TextValue(key.Parent)}, func(row []crdt.Value) error {
			name := row[0].Bytes()
			if row[1].Int() > 0 {
				primary = append(primary, name)
			}
			for i, c := range key.ParentColumns {
				if sameName(c, name) {
					key.ParentColumns[i] = name
				}
			}
			return nil
		})
	if key.ParentColumns == nil {
		key.ParentColumns = primary
	}
	return err
}
