package store

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/journal"
	"ravno/store/internal/capture"
	"ravno/store/internal/sqlite"
)

// ravno's own replicated tables have no triggers: what ravno writes to them it logs itself,
// and from there they travel like any other row.

// logOwn appends an entry for a row ravno wrote with triggers off.
func (tx *transaction) logOwn(name string, key crdt.Key, op capture.Op, columns []string) error {
	t := tx.cat.byName[strings.ToLower(name)]
	if t == nil {
		return fmt.Errorf("table %s is not in the catalog", name)
	}
	return tx.log(t, key, op, columns)
}

func (tx *transaction) log(t *table, key crdt.Key, op capture.Op, columns []string) error {
	values, err := key.Values()
	if err != nil {
		return err
	}
	var numbers []int
	for _, c := range columns {
		i, ok := t.byName[strings.ToLower(c)]
		if !ok {
			return &SchemaError{Table: t.Name, Column: c}
		}
		numbers = append(numbers, t.numbers[i])
	}
	tx.wrote = true
	return capture.Append(tx.c, t.number, op, capture.Columns(numbers...), tx.now(), values)
}

// changeOwn updates columns of a row of one of ravno's tables and logs it.
func (tx *transaction) changeOwn(name string, key crdt.Key, values map[string]crdt.Value) error {
	t := tx.cat.byName[strings.ToLower(name)]
	var columns []string
	for c := range values {
		columns = append(columns, c)
	}
	slices.Sort(columns)
	var args []crdt.Value
	for _, c := range columns {
		args = append(args, values[c])
	}
	where, err := key.Values()
	if err != nil {
		return err
	}
	if err := tx.c.Exec(t.update(columns), append(args, where...)...); err != nil {
		return err
	}
	return tx.logOwn(name, key, capture.Update, columns)
}

// record journals something that happened to ravno itself.
func (tx *transaction) record(e journal.Event) error {
	at := tx.clock().UTC().Format(time.RFC3339Nano)
	if err := tx.c.Exec("INSERT INTO ravno_event(at, kind, site, text) VALUES(?,?,?,?)", text(at), text(string(e.Kind)), text(e.Server), text(e.Text)); err != nil {
		return err
	}
	id, err := tx.c.Int("SELECT last_insert_rowid()")
	if err != nil {
		return err
	}
	return tx.logOwn("ravno_event", crdt.NewKey(integer(id)), capture.Insert, nil)
}

// Record journals something that happened at this site: a link up or down, a first load, a
// refusal. It travels to the hub like every journal row.
func (s *Store) Record(e journal.Event) error {
	return s.write(func(tx *transaction) error { return tx.record(e) })
}

// siteName is a site's name, or its number if it has none.
func (tx *transaction) siteName(site causal.Site) string { return siteName(tx.c, site) }

func siteName(c *sqlite.Conn, site causal.Site) string {
	name, err := c.Text("SELECT name FROM ravno_site WHERE site=?", integer(site))
	if err != nil || name == "" {
		return "site " + site.String()
	}
	return name
}

// refuseRow notes a row that cannot sync: it stays in its table, and the journal says so.
func (tx *transaction) refuseRow(t *table, cause error) error {
	return tx.record(journal.RowLeft(tx.siteName(tx.state.site), t.Name, cause))
}
