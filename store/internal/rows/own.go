package rows

import (
	"errors"
	"slices"
	"strings"
	"time"

	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/journal"
	"ravno/store/internal/capture"
	"ravno/store/internal/catalog"
)

// ravno's own replicated tables have no triggers: what ravno writes to them it logs itself,
// and from there they travel like any other row.

// Log appends an entry for a row that ravno wrote: its own triggers are off then.
func (tx *Tx) Log(t *catalog.Table, key crdt.Key, op capture.Op, columns []string) error {
	if t == nil {
		return errors.New("a table of ravno's is not in the catalog")
	}
	values, err := key.Values()
	if err != nil {
		return err
	}
	var numbers []int
	for _, c := range columns {
		i, ok := t.ByName[strings.ToLower(c)]
		if !ok {
			return &catalog.SchemaError{Table: t.Name, Column: c}
		}
		numbers = append(numbers, t.Numbers[i])
	}
	tx.positions.logged = true
	return capture.Append(tx.SQL, t.Number, op, capture.Columns(numbers...), tx.Now(), values)
}

// ChangeOwn updates columns of a row of one of ravno's tables and logs it.
func (tx *Tx) ChangeOwn(name string, key crdt.Key, values map[string]crdt.Value) error {
	t := tx.Cat.ByName[strings.ToLower(name)]
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
	if err := tx.SQL.Exec(t.Update(columns), append(args, where...)...); err != nil {
		return err
	}
	return tx.Log(t, key, capture.Update, columns)
}

// Record journals something that happened to ravno itself.
func (tx *Tx) Record(e journal.Event) error {
	at := tx.Clock().UTC().Format(time.RFC3339Nano)
	if err := tx.SQL.Exec("INSERT INTO ravno_event(at, kind, site, text) VALUES(?,?,?,?)", catalog.Text(at),
		catalog.Text(string(e.Kind)), catalog.Text(e.Server), catalog.Text(e.Text)); err != nil {
		return err
	}
	id, err := tx.SQL.Int("SELECT last_insert_rowid()")
	if err != nil {
		return err
	}
	return tx.Log(tx.Cat.ByName["ravno_event"], crdt.NewKey(catalog.Integer(id)), capture.Insert, nil)
}

// SiteName is a site's name, or its number if it has none.
func (tx *Tx) SiteName(site causal.Site) string {
	name, err := tx.SQL.Text("SELECT name FROM ravno_site WHERE site=?", catalog.Integer(site))
	if err != nil || name == "" {
		return "site " + site.String()
	}
	return name
}
