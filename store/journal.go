package store

import (
	"slices"
	"strings"
	"time"

	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/crdt/hlc"
	"ravno/store/internal/sqlite"
)

// installKept makes the hub's place for one journal table: its rows of all nodes, keyed by
// site and key, so that two shops' event 5 never meet; and a view of them together with
// the hub's own.
func (tx *transaction) installKept(t *table) error {
	var columns, shown []string
	for _, c := range t.Columns {
		columns = append(columns, sqlite.Quote(c.Name)) // no type: values stay as they were
		shown = append(shown, sqlite.Quote(c.Name))
	}
	var key []string
	for _, k := range t.Key {
		key = append(key, sqlite.Quote(t.Columns[k].Name)+" COLLATE "+sqlite.Quote(t.Columns[k].Collation))
	}
	// The birth is part of the key: a node that trims its journal uses rowids again.
	if err := tx.c.Exec("CREATE TABLE IF NOT EXISTS " + t.kept + "(ravno_site INTEGER NOT NULL, ravno_received_at INTEGER NOT NULL, " +
		"ravno_birth INTEGER NOT NULL, " + strings.Join(columns, ", ") + ", PRIMARY KEY(ravno_site, ravno_birth, " + strings.Join(key, ", ") + "))"); err != nil {
		return err
	}
	present := map[string]bool{}
	err := tx.c.Rows("SELECT name FROM pragma_table_info(?)", []crdt.Value{text(strings.Trim(t.kept, `"`))}, func(row []crdt.Value) error {
		present[strings.ToLower(row[0].Bytes())] = true
		return nil
	})
	if err != nil {
		return err
	}
	for i, c := range t.Columns {
		if !present[strings.ToLower(c.Name)] {
			if err := tx.c.Exec("ALTER TABLE " + t.kept + " ADD COLUMN " + columns[i]); err != nil {
				return err
			}
		}
	}
	name := "ravno_journal_" + strings.TrimPrefix(t.Name, "ravno_")
	list := strings.Join(shown, ", ")
	create := "CREATE VIEW " + sqlite.Quote(name) + " AS SELECT coalesce(s.name, k.ravno_site) AS ravno_site, k.ravno_received_at, " +
		qualify("k.", shown) + " FROM " + t.kept + " k LEFT JOIN ravno_site s ON s.site=k.ravno_site" +
		" UNION ALL SELECT (SELECT s.name FROM ravno_site s, ravno_state st WHERE s.site=st.site), NULL, " + list + " FROM " + sqlite.Quote(t.Name)
	current, err := tx.c.Text("SELECT sql FROM sqlite_master WHERE type='view' AND name=?", text(name))
	if err != nil || current == create {
		return err // unchanged: a new view would be a new schema version for everyone
	}
	if err := tx.c.Exec("DROP VIEW IF EXISTS " + sqlite.Quote(name)); err != nil {
		return err
	}
	return tx.c.Exec(create)
}

func qualify(prefix string, quoted []string) string {
	named := make([]string, len(quoted))
	for i, q := range quoted {
		named[i] = prefix + q
	}
	return strings.Join(named, ", ")
}

// keepJournal keeps one row of a node's journal at the hub. A row deleted at the node, to
// save space there, stays here: deletions do not travel.
func (tx *transaction) keepJournal(t *table, node causal.Site, change crdt.Change) error {
	if node == 0 {
		return &SchemaError{Table: t.Name} // journals never come down from the hub
	}
	birth := change.Birth.Time
	if birth == 0 { // forgotten there, or never known: of the rows under that key it is the last
		key, err := change.Key.Values()
		if err != nil {
			return err
		}
		last, err := tx.c.Int("SELECT max(ravno_birth) FROM "+t.kept+" WHERE ravno_site=? AND "+t.sql.keyWhere, append([]crdt.Value{integer(node)}, key...)...)
		if err != nil {
			return err
		}
		birth = hlc.Time(last)
	}
	names := []string{"ravno_site", "ravno_received_at", "ravno_birth"}
	values := []crdt.Value{integer(node), integer(tx.now()), integer(birth)}
	m := newImage(0)
	for _, reg := range change.Registers {
		m.set(reg.Column, reg.Value)
		tx.state.clock.Observe(reg.Stamp.Time)
	}
	if _, err := t.complete(change.Key, m); err != nil {
		return err
	}
	for i, number := range t.numbers {
		if v, ok := m.get(crdt.Column(number)); ok {
			names, values = append(names, t.Columns[i].Name), append(values, v)
		}
	}
	return tx.c.Exec("INSERT OR REPLACE INTO "+t.kept+"("+sqlite.QuoteAll("", names)+") VALUES("+
		strings.TrimSuffix(strings.Repeat("?,", len(names)), ",")+")", values...)
}

// JournalRow is one row of the event journal.
type JournalRow struct {
	Site       string
	Table      string
	Key        []Named
	Row        []Named
	ReceivedAt time.Time // when the hub committed it; zero for a server's own rows
	order      int64
}

// Named is a value with its column.
type Named struct {
	Name  string
	Value crdt.Value
}

// JournalFilter selects journal rows; zero fields select all.
type JournalFilter struct {
	Table, Site string
	Since       time.Time // received at or after; own rows of ravno_event by their time
}

// JournalRows lists the journal: at the hub every site's, at a node its own. Kept rows come
// in the order of their arrival, after the server's own.
func (s *Store) JournalRows(filter JournalFilter) ([]JournalRow, error) {
	var rows []JournalRow
	err := s.read(func(c *sqlite.Conn, st *state, cat *catalog) (err error) {
		rows, err = readJournal(c, st, cat, filter)
		return err
	})
	return rows, err
}

func readJournal(c *sqlite.Conn, st *state, cat *catalog, filter JournalFilter) (rows []JournalRow, err error) {
	for _, t := range cat.tables {
		if t.class != Journal || filter.Table != "" && !strings.EqualFold(filter.Table, t.Name) {
			continue
		}
		more, err := journalOf(c, st, t, filter)
		if err != nil {
			return nil, err
		}
		rows = append(rows, more...)
	}
	slices.SortStableFunc(rows, func(a, b JournalRow) int { return int(max(-1, min(1, a.order-b.order))) })
	return rows, err
}

func journalOf(c *sqlite.Conn, st *state, t *table, filter JournalFilter) ([]JournalRow, error) {
	var rows []JournalRow
	columns := sqlite.QuoteAll("+", t.columnNames())
	collect := func(site string, received int64, values []crdt.Value) {
		if filter.Site != "" && !strings.EqualFold(filter.Site, site) || received != 0 && received < filter.Since.UnixMilli() {
			return
		}
		row := JournalRow{Site: site, Table: t.Name, order: received}
		if received != 0 {
			row.ReceivedAt = time.UnixMilli(received).UTC()
		}
		for i, v := range values {
			row.Row = append(row.Row, Named{Name: t.Columns[i].Name, Value: v})
		}
		for _, k := range t.Key {
			row.Key = append(row.Key, row.Row[k])
		}
		rows = append(rows, row)
	}
	if t.kept != "" {
		err := c.Rows("SELECT ravno_site, ravno_received_at, "+columns+" FROM "+t.kept+" ORDER BY ravno_received_at, ravno_site", nil,
			func(row []crdt.Value) error {
				collect(siteName(c, causal.Site(row[0].Int())), row[1].Int(), row[2:])
				return nil
			})
		if err != nil {
			return nil, err
		}
	}
	own := siteName(c, st.site)
	err := c.Rows("SELECT "+columns+" FROM "+sqlite.Quote(t.Name), nil, func(row []crdt.Value) error {
		collect(own, 0, row)
		return nil
	})
	return rows, err
}
