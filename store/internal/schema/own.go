package schema

import (
	"errors"
	"fmt"

	"ravno/crdt"
	"ravno/store/internal/sqlite"
)

// ReadOwn reads some of ravno's own tables, which Read leaves out. Those that do not exist
// are missing in the result.
func ReadOwn(c *sqlite.Conn, names ...string) ([]*Table, error) {
	r := &reader{conn: c, schema: &Schema{}, listed: map[string]listing{}}
	var tables []*Table
	err := r.withoutTriggers(func() error {
		if err := r.list(); err != nil {
			return err
		}
		for _, name := range names {
			sql, err := c.Text("SELECT sql FROM sqlite_master WHERE type = 'table' AND name = ?", crdt.TextValue(name))
			if err != nil {
				return err
			}
			if sql == "" {
				continue
			}
			t, err := r.table(object{name: name, kind: "table", sql: sql})
			if err != nil {
				return errors.Join(fmt.Errorf("table %s", name), err)
			}
			tables = append(tables, t)
		}
		return nil
	})
	return tables, err
}
