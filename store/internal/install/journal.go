package install

import (
	"slices"
	"strings"
	"time"

	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/crdt/hlc"
	"ravno/store/internal/catalog"
	"ravno/store/internal/rows"
	"ravno/store/internal/sqlite"
)

// installKept makes the hub's place for one journal table: its rows of all nodes, keyed by
// site and key, so that two shops' event 5 never meet; and a view of them together with
// the hub's own.
func installKept(tx *rows.Tx, t *catalog.Table) error {
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
	if err := tx.SQL.Exec("CREATE TABLE IF NOT EXISTS " + t.Kept +
		"(ravno_site INTEGER NOT NULL, ravno_received_at INTEGER NOT NULL, " +
		"ravno_birth INTEGER NOT NULL, " + strings.Join(columns, ", ") + ", PRIMARY KEY(ravno_site, ravno_birth, " +
		strings.Join(key, ", ") + "))"); err != nil {
		return err
	}
	present := map[string]bool{}
	err := tx.SQL.Rows("SELECT name FROM pragma_table_info(?)", []crdt.Value{catalog.Text(strings.Trim(t.Kept, `"`))},
		func(row []crdt.Value) error {
			present[strings.ToLower(row[0].Bytes())] = true
			return nil
		})
	if err != nil {
		return err
	}
	for i, c := range t.Columns {
		if !present[strings.ToLower(c.Name)] {
			if err := tx.SQL.Exec("ALTER TABLE " + t.Kept + " ADD COLUMN " + columns[i]); err != nil {
				return err
			}
		}
	}
	name := "ravno_journal_" + strings.TrimPrefix(t.Name, "ravno_")
	list := strings.Join(shown, ", ")
	create := "CREATE VIEW " + sqlite.Quote(name) +
		" AS SELECT coalesce(s.name, k.ravno_site) AS ravno_site, k.ravno_received_at, " +
		qualify("k.", shown) + " FROM " + t.Kept + " k LEFT JOIN ravno_site s ON s.site=k.ravno_site" +
		" UNION ALL SELECT (SELECT s.name FROM ravno_site s, ravno_state st WHERE s.site=st.site), NULL, " + list + " FROM " +
		sqlite.Quote(t.Name)
	current, err := tx.SQL.Text("SELECT sql FROM sqlite_master WHERE type='view' AND name=?", catalog.Text(name))
	if err != nil || current == create {
		return err // unchanged: a new view would be a new schema version for everyone
	}
	if err := tx.SQL.Exec("DROP VIEW IF EXISTS " + sqlite.Quote(name)); err != nil {
		return err
	}
	return tx.SQL.Exec(create)
}

func qualify(prefix string, quoted []string) string {
	named := make([]string, len(quoted))
	for i, q := range quoted {
		named[i] = prefix + q
	}
	return strings.Join(named, ", ")
}

// KeepJournal keeps one row of a node's journal at the hub. A row deleted at the node, to
// save space there, stays here: deletions do not travel.
func KeepJournal(tx *rows.Tx, t *catalog.Table, node causal.Site, change crdt.Change) error {
	if node == 0 {
		return &catalog.SchemaError{Table: t.Name} // journals never come down from the hub
	}
	birth := change.Birth.Time
	if birth == 0 { // forgotten there, or never known: of the rows under that key it is the last
		key, err := change.Key.Values()
		if err != nil {
			return err
		}
		last, err := tx.SQL.Int("SELECT max(ravno_birth) FROM "+t.Kept+" WHERE ravno_site=? AND "+t.Sql.KeyWhere,
			append([]crdt.Value{catalog.Integer(node)}, key...)...)
		if err != nil {
			return err
		}
		birth = hlc.Time(last)
	}
	names := []string{"ravno_site", "ravno_received_at", "ravno_birth"}
	values := []crdt.Value{catalog.Integer(node), catalog.Integer(tx.Now()), catalog.Integer(birth)}
	m := catalog.NewValues(0)
	for _, reg := range change.Registers {
		m.Set(reg.Column, reg.Value)
		tx.State.Clock.Observe(reg.Stamp.Time)
	}
	if _, err := t.Complete(change.Key, m); err != nil {
		return err
	}
	for i, number := range t.Numbers {
		if v, ok := m.Get(crdt.Column(number)); ok {
			names, values = append(names, t.Columns[i].Name), append(values, v)
		}
	}
	return tx.SQL.Exec("INSERT OR REPLACE INTO "+t.Kept+"("+sqlite.QuoteAll("", names)+") VALUES("+
		strings.TrimSuffix(strings.Repeat("?,", len(names)), ",")+")", values...)
}

// JournalRow is one row of the event journal.
type JournalRow struct {
	Site       string
	Table      string
	Key        []catalog.Named
	Row        []catalog.Named
	ReceivedAt time.Time // when the hub committed it; zero for a server's own rows
	order      int64
}

// JournalFilter selects journal rows; zero fields select all.
type JournalFilter struct {
	Table, Site string
	Since       time.Time // received at or after; own rows of ravno_event by their time
}

func ReadJournal(tx *rows.Tx, filter JournalFilter) (rows []JournalRow, err error) {
	for _, t := range tx.Cat.Tables {
		if t.Class != catalog.Journal || filter.Table != "" && !strings.EqualFold(filter.Table, t.Name) {
			continue
		}
		more, err := journalOf(tx, t, filter)
		if err != nil {
			return nil, err
		}
		rows = append(rows, more...)
	}
	slices.SortStableFunc(rows, func(a, b JournalRow) int { return int(max(-1, min(1, a.order-b.order))) })
	return rows, err
}

func journalOf(tx *rows.Tx, t *catalog.Table, filter JournalFilter) ([]JournalRow, error) {
	var found []JournalRow
	columns := sqlite.QuoteAll("+", t.ColumnNames())
	collect := func(site string, received int64, values []crdt.Value) {
		if filter.Site != "" && !strings.EqualFold(filter.Site, site) || received != 0 &&
			received < filter.Since.UnixMilli() {
			return
		}
		row := JournalRow{Site: site, Table: t.Name, order: received}
		if received != 0 {
			row.ReceivedAt = time.UnixMilli(received).UTC()
		}
		for i, v := range values {
			row.Row = append(row.Row, catalog.Named{Name: t.Columns[i].Name, Value: v})
		}
		for _, k := range t.Key {
			row.Key = append(row.Key, row.Row[k])
		}
		found = append(found, row)
	}
	if t.Kept != "" {
		err := tx.SQL.Rows("SELECT ravno_site, ravno_received_at, "+columns+" FROM "+t.Kept+
			" ORDER BY ravno_received_at, ravno_site", nil,
			func(row []crdt.Value) error {
				collect(tx.SiteName(causal.Site(row[0].Int())), row[1].Int(), row[2:])
				return nil
			})
		if err != nil {
			return nil, err
		}
	}
	own := tx.SiteName(tx.State.Site)
	err := tx.SQL.Rows("SELECT "+columns+" FROM "+sqlite.Quote(t.Name), nil, func(row []crdt.Value) error {
		collect(own, 0, row)
		return nil
	})
	return found, err
}
