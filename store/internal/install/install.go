package install

import (
	"fmt"
	"strings"

	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/crdt/hlc"
	"ravno/store/internal/capture"
	"ravno/store/internal/catalog"
	"ravno/store/internal/rows"
	"ravno/store/internal/schema"
	"ravno/store/internal/sqlite"
)

// Install reads the tables and makes sure that every one that syncs has its shadow table
// and its triggers. enrolling: the file is being made ravno's, and the rows that are there are settled.
func Install(tx *rows.Tx, enrolling bool) (*catalog.Catalog, error) {
	cat, err := ReadCatalog(tx.SQL, tx.State.IsHub(), true)
	if err != nil {
		return nil, err
	}
	for _, t := range cat.Tables {
		key := "key BLOB PRIMARY KEY NOT NULL, position INTEGER NOT NULL, row BLOB NOT NULL, document BLOB) WITHOUT ROWID"
		if t.RowidKey {
			key = "key INTEGER PRIMARY KEY, position INTEGER NOT NULL, row BLOB NOT NULL, document BLOB)"
		}
		index := sqlite.Quote(fmt.Sprintf("ravno_shadow_%d_position", t.Number))
		if err := tx.SQL.Exec("CREATE TABLE IF NOT EXISTS " + t.Shadow + "(" + key); err != nil {
			return nil, err
		}
		// What a node has from the hub has no position here, and nobody asks for it by one. (Files of
		// older versions have all rows in the index, which costs a write for each and does no harm.)
		if err := tx.SQL.Exec("CREATE INDEX IF NOT EXISTS " + index + " ON " + t.Shadow + "(position) WHERE " +
			catalog.HasPosition); err != nil {
			return nil, err
		}
		if t.Kept != "" {
			if err := installKept(tx, t); err != nil {
				return nil, err
			}
		}
		if t.BeforeImages != "" {
			if err := installGone(tx, t); err != nil {
				return nil, err
			}
		}
	}
	specs := cat.Specs()
	current, err := capture.Current(tx.SQL, specs)
	if err != nil {
		return nil, err
	}
	if !current {
		if err := capture.Install(tx.SQL, specs); err != nil {
			return nil, err
		}
	}
	if cat.LogWidth, err = capture.LogWidth(tx.SQL); err != nil {
		return nil, err
	}
	for _, t := range cat.Tables {
		if err := beginCounting(tx, t); err != nil {
			return nil, err
		}
		if t.Fresh && !t.Own && !enrolling {
			tx.Cat = cat
			if err := seed(tx, t); err != nil {
				return nil, err
			}
		}
		t.Fresh = false
		for _, column := range t.Added {
			if err := logBackfill(tx, t, t.Columns[column]); err != nil {
				return nil, err
			}
		}
		t.Added = nil
	}
	if err := PutMirrors(tx, cat); err != nil {
		return nil, err
	}
	return cat, readVersions(tx.SQL, cat)
}

// seed gives births to what a migration put into its new table before our triggers were
// there. They all have the time before all others: the same migration puts the same rows into
// the table at every server, and they are not two rows of one key.
func seed(tx *rows.Tx, t *catalog.Table) error {
	var keys []crdt.Key
	err := tx.SQL.Rows("SELECT "+sqlite.QuoteAll("+", t.KeyNames())+" FROM "+sqlite.Quote(t.Name), nil,
		func(stored []crdt.Value) error {
			if key, err := t.CanonicalKey(stored); err == nil { // a row without a key does not sync
				keys = append(keys, key)
			}
			return nil
		})
	if err != nil || len(keys) == 0 {
		return err
	}
	birth := crdt.Version{Stamp: hlc.Stamp{Time: catalog.FirstSeed, Site: tx.State.Site}, Position: tx.Position(),
		Seen: tx.State.Seen}
	if tx.State.IsHub() {
		birth.Seen = causal.Seen(tx.State.Position)
	}
	tx.HoldFloor()
	for _, key := range keys {
		row, err := tx.ReadShadow(t, key)
		if err != nil {
			return err
		}
		row.Birth, row.Base = birth, birth
		document, err := tx.Root(t, key, nil)
		if err != nil {
			return err
		}
		if err := tx.WriteShadow(t, key, row.Row, document, tx.Position()); err != nil {
			return err
		}
	}
	return nil
}

// logBackfill logs the values a new column was given before our triggers knew it: adding a
// column and filling it in one transaction is how migrations go.
func logBackfill(tx *rows.Tx, t *catalog.Table, column schema.Column) error {
	other := "IS NOT NULL"
	if column.HasDefault {
		other = "IS NOT " + column.DefaultSQL()
	}
	number := t.Numbers[t.ByName[strings.ToLower(column.Name)]]
	return tx.SQL.Rows("SELECT "+sqlite.QuoteAll("+", t.KeyNames())+" FROM "+sqlite.Quote(t.Name)+" WHERE "+
		sqlite.Quote(column.Name)+" "+other, nil,
		func(key []crdt.Value) error {
			return capture.Append(tx.SQL, t.Number, capture.Update, capture.Columns(number), tx.Now(), key)
		})
}

// installGone makes the table that takes the rows of a table which are deleted or replaced, or gives it its
// new columns.
func installGone(tx *rows.Tx, t *catalog.Table) error {
	present := map[string]bool{}
	err := tx.SQL.Rows("SELECT name FROM pragma_table_info(?)",
		[]crdt.Value{catalog.Text(strings.Trim(t.BeforeImages, `"`))}, func(row []crdt.Value) error {
			present[row[0].Bytes()] = true
			return nil
		})
	if err != nil {
		return err
	}
	if len(present) == 0 { // no types: values stay as they were
		return tx.SQL.Exec("CREATE TABLE " + t.BeforeImages + "(" + strings.Join(t.BeforeImageColumns(), ", ") + ")")
	}
	for _, name := range t.BeforeImageColumns() {
		if !present[name] {
			if err := tx.SQL.Exec("ALTER TABLE " + t.BeforeImages + " ADD COLUMN " + name); err != nil {
				return err
			}
		}
	}
	return nil
}
