package rows

import (
	"fmt"
	"slices"

	"ravno/crdt"
	"ravno/store/internal/catalog"
)

// Where AUTOINCREMENT goes on is each server's own: a row of another server that is put
// into a table moves it (https://sqlite.org/autoinc.html), and once that row is deleted, the
// ids of this server would go on from there, in a range that another one counts in.

// OwnSequences remembers where the tables that sync go on counting; restore puts it back
// after rows of others were put into them, and writes only what they moved.
func (tx *Tx) OwnSequences() (restore func() error, err error) {
	if !tx.Cat.Sequences {
		return func() error { return nil }, nil
	}
	var counting []string
	for _, t := range tx.Cat.Tables {
		if t.Counts() {
			counting = append(counting, t.Name)
		}
	}
	before, err := tx.sequences(counting)
	if err != nil {
		return nil, err
	}
	return func() error {
		after, err := tx.sequences(counting)
		if err != nil {
			return err
		}
		for name, moved := range after {
			own, had := before[name]
			switch {
			case had && own != moved:
				err = tx.SQL.Exec("UPDATE sqlite_sequence SET seq=? WHERE name=?", own, catalog.Text(name))
			case !had:
				err = tx.SQL.Exec("DELETE FROM sqlite_sequence WHERE name=?", catalog.Text(name))
			}
			if err != nil {
				return fmt.Errorf("own ids of table %s: %w", name, err)
			}
		}
		return nil
	}, nil
}

// sequences reads where some tables go on counting. A table nothing was ever put into has no row.
func (tx *Tx) sequences(of []string) (map[string]crdt.Value, error) {
	sequences := map[string]crdt.Value{}
	err := tx.SQL.Rows("SELECT name, seq FROM sqlite_sequence", nil, func(row []crdt.Value) error {
		if name := row[0].Bytes(); slices.Contains(of, name) {
			sequences[name] = row[1]
		}
		return nil
	})
	return sequences, err
}
