package install

import (
	"fmt"
	"slices"
	"strings"

	"ravno/crdt"
	"ravno/store/internal/capture"
	"ravno/store/internal/catalog"
	"ravno/store/internal/rows"
	"ravno/store/internal/schema"
	"ravno/store/internal/sqlite"
)

// beginCounting gives every row of a table the base of counters that are new.
func beginCounting(tx *rows.Tx, t *catalog.Table) error {
	var fresh []crdt.Column
	for _, column := range t.Counters {
		known, err := tx.SQL.Int("SELECT count(*) FROM ravno_counting WHERE tab=? AND col=?", catalog.Integer(t.Number),
			catalog.Integer(int64(column)))
		if err != nil {
			return err
		}
		if known == 0 {
			fresh = append(fresh, column)
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	for _, column := range fresh {
		if err := tx.SQL.Exec("INSERT INTO ravno_counting(tab, col) VALUES(?,?)", catalog.Integer(t.Number),
			catalog.Integer(int64(column))); err != nil {
			return err
		}
	}
	var keys []crdt.Key
	var values [][]crdt.Value
	err := tx.SQL.Rows(t.ReadAll(), nil, func(row []crdt.Value) error {
		key, err := t.CanonicalKey(row[:len(t.Key)])
		if err != nil {
			return nil // a row without a key does not sync
		}
		keys = append(keys, key)
		values = append(values, slices.Clone(row[len(t.Key):]))
		return nil
	})
	if err != nil {
		return err
	}
	for i, key := range keys {
		row, err := tx.ReadShadow(t, key)
		if err != nil {
			return err
		}
		for _, column := range fresh {
			row.SetBase(column, values[i][t.ByNum[column]])
		}
		if err := tx.WriteShadow(t, key, row.Row, row.Document, row.Position); err != nil {
			return err
		}
	}
	return nil
}

// checkCounter refuses a counter that could not be one.
func checkCounter(t *schema.Table, name string) error {
	i := t.Column(name)
	refuse := func(why, try string) error {
		return &catalog.SettingError{What: fmt.Sprintf("%s.%s cannot be a counter: %s", t.Name, name, why), Try: try}
	}
	switch {
	case i < 0 || t.Columns[i].InKey:
		return refuse("it is part of the key, or generated", "a column that holds a quantity")
	case slices.ContainsFunc(t.ForeignKeys, func(fk schema.ForeignKey) bool {
		return slices.ContainsFunc(fk.Columns, func(c string) bool { return strings.EqualFold(c, name) })
	}):
		return refuse("it refers to another row", "a column that holds a quantity")
	}
	for _, index := range t.Unique {
		for _, part := range index.Parts {
			if part.Column == i || part.Column < 0 {
				return refuse("it is part of a unique index", "a column that holds a quantity")
			}
		}
	}
	return nil
}

// Refusal is a table that cannot sync, why, and the way out.
type Refusal struct{ Table, Reason, Try string }

func Refusals(found []schema.Refusal) []Refusal {
	var list []Refusal
	for _, f := range found {
		list = append(list, Refusal(f))
	}
	return list
}

func WriteSettings(c *sqlite.Conn, settings []catalog.Setting) error {
	for _, s := range settings {
		document := crdt.Value{}
		if s.Document != "" {
			document = catalog.Text(s.Document)
		}
		if err := c.Exec("INSERT OR REPLACE INTO ravno_setting(tab, class, document, counters) VALUES(?,?,?,?)",
			catalog.Text(s.Table), catalog.Text(string(s.Class)), document,
			catalog.Text(strings.Join(s.Counters, ","))); err != nil {
			return err
		}
	}
	return nil
}

// CheckSettings refuses settings of tables and columns that do not exist.
func CheckSettings(c *sqlite.Conn, settings []catalog.Setting) error {
	for _, s := range settings {
		exists := func(table string) (bool, error) {
			n, err := c.Int("SELECT count(*) FROM sqlite_master WHERE type='table' AND lower(name)=lower(?)",
				catalog.Text(table))
			return n > 0, err
		}
		for _, name := range []string{s.Table, s.Document} {
			if name == "" {
				continue
			}
			if ok, err := exists(name); err != nil {
				return err
			} else if !ok {
				return &catalog.SettingError{What: "there is no table " + name, Try: "the table's name as in the database's schema"}
			}
		}
		if s.Document != "" && !strings.EqualFold(s.Document, s.Table) {
			n, err := c.Int("SELECT count(*) FROM pragma_foreign_key_list(?) WHERE lower(\"table\")=lower(?)",
				catalog.Text(s.Table), catalog.Text(s.Document))
			if err != nil {
				return err
			}
			if n == 0 {
				return &catalog.SettingError{What: fmt.Sprintf(
					"table %s has no foreign key to %s, so its rows cannot belong to that document", s.Table, s.Document),
					Try: "the table its foreign key refers to"}
			}
		}
		for _, column := range s.Counters {
			n, err := c.Int("SELECT count(*) FROM pragma_table_info(?) WHERE lower(name)=lower(?)", catalog.Text(s.Table),
				catalog.Text(column))
			if err != nil {
				return err
			}
			if n == 0 {
				return &catalog.SettingError{What: "table " + s.Table + " has no column " + column,
					Try: "the column's name as in the schema"}
			}
		}
		if err := checkCounters(c, s); err != nil {
			return err
		}
	}
	return nil
}

func checkCounters(c *sqlite.Conn, s catalog.Setting) error {
	if len(s.Counters) == 0 {
		return nil
	}
	read, err := schema.Read(c)
	if err != nil {
		return err
	}
	t := read.Table(s.Table)
	if t == nil {
		return nil // it is refused, with its own reason
	}
	for _, column := range s.Counters {
		if err := checkCounter(t, column); err != nil {
			return err
		}
	}
	return nil
}

// TableInfo is one table as ravno treats it.
type TableInfo struct {
	catalog.Setting
	Parent string // the table one step up in its documents; empty: its own root
	Reason string // why it is refused; empty: it is not
	Try    string
}

func ListTables(tx *rows.Tx) (list []TableInfo, err error) {
	settings, err := ReadSettings(tx.SQL)
	if err != nil {
		return nil, err
	}
	add := func(name string, class catalog.Class, parent, reason, try string) {
		set := settings[strings.ToLower(name)]
		set.Table, set.Class = name, class
		list = append(list, TableInfo{Setting: set, Parent: parent, Reason: reason, Try: try})
	}
	for _, t := range tx.Cat.Tables {
		if t.Own {
			continue
		}
		up := ""
		if t.Parent != nil {
			up = t.Parent.Table.Name
		}
		add(t.Name, t.Class, up, "", "")
	}
	for _, name := range tx.Cat.Local {
		add(name, catalog.Local, "", "", "")
	}
	for _, r := range tx.Cat.Refused {
		add(r.Table, catalog.Synced, "", r.Reason, r.Try)
	}
	return list, nil
}

// SetTable changes a setting. The log is folded.
func SetTable(tx *rows.Tx, set catalog.Setting) error {
	if err := CheckSettings(tx.SQL, []catalog.Setting{set}); err != nil {
		return err
	}
	if err := mayChangeClass(tx, set); err != nil {
		return err
	}
	known, err := tx.SQL.Int("SELECT count(*) FROM ravno_setting WHERE tab=?", catalog.Text(set.Table))
	if err != nil {
		return err
	}
	if err := WriteSettings(tx.SQL, []catalog.Setting{set}); err != nil {
		return err
	}
	op, columns := capture.Insert, []string(nil)
	if known > 0 {
		op, columns = capture.Update, []string{"class", "document", "counters"}
	}
	if err := tx.Log(tx.Cat.ByName["ravno_setting"], crdt.NewKey(catalog.Text(set.Table)), op, columns); err != nil {
		return err
	}
	return FollowSettings(tx) // at once: counting begins from what is folded now
}

// mayChangeClass refuses to begin syncing a table while nodes are enrolled: each of them
// has rows of its own in it, which nobody has compared.
func mayChangeClass(tx *rows.Tx, set catalog.Setting) error {
	settings, err := ReadSettings(tx.SQL)
	if err != nil {
		return err
	}
	before, known := settings[strings.ToLower(set.Table)]
	if !known || before.Class == catalog.Synced || set.Class != catalog.Synced {
		return nil
	}
	n, err := tx.SQL.Int("SELECT count(*) FROM ravno_site WHERE role='node' AND NOT removed")
	if err == nil && n > 0 {
		err = &catalog.SettingError{What: fmt.Sprintf("table %s is %s, and %d nodes hold rows of their own in it", set.Table,
			before.Class, n),
			Try: "remove the nodes, change the table, and join them again with --keep-local"}
	}
	return err
}

// FollowSettings makes what the hub has decided about tables hold here at once.
func FollowSettings(tx *rows.Tx) (err error) {
	tx.State.Catalog++
	tx.Cat, err = Install(tx, false)
	return err
}
