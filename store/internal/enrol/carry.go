package enrol

import (
	"fmt"
	"slices"
	"strings"

	"ravno/crdt"
	"ravno/store/internal/catalog"
	"ravno/store/internal/rows"
	"ravno/store/internal/shadow"
	"ravno/store/internal/sqlite"
)

// A first load brings the births and stamps of rows that are not stable. Without them a node would
// take an update of such a row for an update of another row. Each site numbers tables and columns
// itself, so the numbers are translated by name. Positions belong to the hub, so they are dropped.

// attachLoad returns a function that attaches the first load to a connection, as schema ravno_load.
func attachLoad(load string) func(*sqlite.Conn) error {
	return func(c *sqlite.Conn) error {
		return c.Exec("ATTACH DATABASE " + sqlite.Literal(load) + " AS ravno_load")
	}
}

// carried translates the hub's numbers of tables and columns into this site's.
type carried struct {
	tables  map[int64]*catalog.Table              // by the hub's number
	columns map[int64]map[crdt.Column]crdt.Column // by the hub's table number
}

// carryShadows copies the hub's shadow rows and kept values from the attached first load.
func carryShadows(tx *rows.Tx) error {
	c := &carried{tables: map[int64]*catalog.Table{}, columns: map[int64]map[crdt.Column]crdt.Column{}}
	err := tx.SQL.Rows("SELECT number, name FROM ravno_load.ravno_table", nil, func(row []crdt.Value) error {
		if t := tx.Cat.ByName[strings.ToLower(row[1].Bytes())]; t != nil && t.Class == catalog.Synced {
			c.tables[row[0].Int()] = t
			c.columns[row[0].Int()] = map[crdt.Column]crdt.Column{}
		}
		return nil
	})
	if err != nil {
		return err
	}
	err = tx.SQL.Rows("SELECT tab, number, name FROM ravno_load.ravno_column", nil, func(row []crdt.Value) error {
		if t := c.tables[row[0].Int()]; t != nil {
			if i, ok := t.ByName[strings.ToLower(row[2].Bytes())]; ok {
				c.columns[row[0].Int()][crdt.Column(row[1].Int())] = crdt.Column(t.Numbers[i])
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for number, t := range c.tables {
		if err := c.shadows(tx, number, t); err != nil {
			return fmt.Errorf("table %s: %w", t.Name, err)
		}
	}
	return c.images(tx)
}

// shadows copies the shadow rows of one table, whose number at the hub is given.
func (c *carried) shadows(tx *rows.Tx, number int64, t *catalog.Table) error {
	from := sqlite.Quote(fmt.Sprintf("ravno_shadow_%d", number))
	return tx.SQL.Rows("SELECT key, row, document FROM ravno_load."+from, nil, func(values []crdt.Value) error {
		row, err := shadow.Decode(values[1].Bytes())
		if err != nil {
			return err
		}
		document, ok := catalog.DecodeReference(values[2])
		if root := c.tables[document.Tab]; ok && root != nil {
			document.Tab = root.Number
		} else {
			document = catalog.Reference{}
		}
		return tx.WriteShadow(t, t.KeyOf(values[0]), c.row(number, row), document, 0)
	})
}

// row returns a shadow with this site's column numbers and without positions.
func (c *carried) row(number int64, row crdt.Row) crdt.Row {
	here := func(v crdt.Version) crdt.Version { return crdt.Version{Stamp: v.Stamp} }
	carried := crdt.Row{Birth: here(row.Birth), Death: here(row.Death), Base: here(row.Base)}
	for _, column := range row.Columns {
		if to, ok := c.columns[number][column.Column]; ok {
			carried.Set(to, here(column.Version))
		}
	}
	for _, counter := range row.Counters {
		if to, ok := c.columns[number][counter.Column]; ok {
			counter.Column, counter.Parts = to, slices.Clone(counter.Parts)
			for i, p := range counter.Parts {
				counter.Parts[i].Version = here(p.Version)
			}
			carried.Counters = append(carried.Counters, counter)
		}
	}
	slices.SortFunc(carried.Counters, func(a, b crdt.Counter) int { return int(a.Column) - int(b.Column) })
	return carried
}

// images copies the values that the hub keeps outside the tables.
func (c *carried) images(tx *rows.Tx) error {
	return tx.SQL.Rows("SELECT tab, key, state, image FROM ravno_load.ravno_image", nil, func(values []crdt.Value) error {
		t := c.tables[values[0].Int()]
		if t == nil {
			return nil
		}
		m, err := catalog.DecodeValues(values[3])
		if err != nil {
			return err
		}
		here := catalog.NewValues(0)
		for column, v := range m.All() {
			if to, ok := c.columns[values[0].Int()][column]; ok {
				here.Set(to, v)
			}
		}
		return tx.Keep(t, crdt.Key(values[1].Bytes()), catalog.Whereabouts(values[2].Bytes()), here)
	})
}
