package install

import (
	"strings"

	"ravno/crdt"
	"ravno/store/internal/catalog"
	"ravno/store/internal/schema"
	"ravno/store/internal/sqlite"
)

// ReadSettings are the settings of tables, by name in lower case.
func ReadSettings(c *sqlite.Conn) (map[string]catalog.Setting, error) {
	settings := map[string]catalog.Setting{}
	err := c.Rows("SELECT tab, class, document, counters FROM ravno_setting ORDER BY tab", nil,
		func(row []crdt.Value) error {
			s := catalog.Setting{Table: row[0].Bytes(), Class: catalog.Class(row[1].Bytes()), Document: row[2].Bytes()}
			if counters := row[3].Bytes(); counters != "" {
				s.Counters = strings.Split(counters, ",")
			}
			settings[strings.ToLower(s.Table)] = s
			return nil
		})
	return settings, err
}

// ReadCatalog reads tables and settings. assign: it gives numbers to tables and columns that have none,
// which needs a write transaction.
func ReadCatalog(c *sqlite.Conn, isHub, assign bool) (*catalog.Catalog, error) {
	read, err := schema.Read(c, catalog.OwnNames()...)
	if err != nil {
		return nil, err
	}
	facts := catalog.Facts{Schema: read, IsHub: isHub}
	if facts.Settings, err = ReadSettings(c); err != nil {
		return nil, err
	}
	encoding, err := c.Text("PRAGMA encoding")
	if err != nil {
		return nil, err
	}
	facts.UTF8 = encoding == "UTF-8"
	if facts.Numbering, err = readNumbering(c); err != nil {
		return nil, err
	}
	if assign {
		facts.Numbering.NewTable = func(name string) (int64, error) {
			if err := c.Exec("INSERT INTO ravno_table(name) VALUES(?)", catalog.Text(name)); err != nil {
				return 0, err
			}
			return c.Int("SELECT last_insert_rowid()")
		}
		facts.Numbering.NewColumn = func(table int64, number int, name string) error {
			return c.Exec("INSERT INTO ravno_column(tab, number, name) VALUES(?,?,?)", catalog.Integer(table),
				catalog.Integer(number), catalog.Text(name))
		}
	}
	cat, err := catalog.New(facts)
	if err != nil {
		return nil, err
	}
	return cat, readVersions(c, cat)
}

// readVersions reads as of which versions of the settings and the schema a catalog is.
func readVersions(c *sqlite.Conn, cat *catalog.Catalog) (err error) {
	if cat.Version, err = c.Int("SELECT catalog FROM ravno_state"); err != nil {
		return err
	}
	cat.SchemaVersion, err = c.SchemaVersion()
	return err
}

func readNumbering(c *sqlite.Conn) (catalog.Numbering, error) {
	n := catalog.Numbering{Tables: map[string]int64{}, Columns: map[int64]map[string]int{}}
	err := c.Rows("SELECT name, number FROM ravno_table ORDER BY number", nil, func(row []crdt.Value) error {
		n.Tables[schema.LowerASCII(row[0].Bytes())] = row[1].Int()
		return nil
	})
	if err != nil {
		return n, err
	}
	err = c.Rows("SELECT tab, name, number FROM ravno_column ORDER BY tab, number", nil, func(row []crdt.Value) error {
		table := row[0].Int()
		if n.Columns[table] == nil {
			n.Columns[table] = map[string]int{}
		}
		n.Columns[table][strings.ToLower(row[1].Bytes())] = int(row[2].Int())
		return nil
	})
	return n, err
}
