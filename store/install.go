package store

import (
	"fmt"
	"strings"

	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/crdt/hlc"
	"ravno/store/internal/capture"
	"ravno/store/internal/schema"
	"ravno/store/internal/sqlite"
)

// install reads the tables and makes sure that every one that syncs has its shadow table
// and its triggers. enrolling: the file is being made ravno's, and the rows that are there are settled.
func (tx *transaction) install(enrolling bool) (*catalog, error) {
	cat, err := readCatalog(tx.c, tx.state.isHub(), true)
	if err != nil {
		return nil, err
	}
	for _, t := range cat.tables {
		key := "key BLOB PRIMARY KEY NOT NULL, position INTEGER NOT NULL, row BLOB NOT NULL, document BLOB) WITHOUT ROWID"
		if t.RowidKey {
			key = "key INTEGER PRIMARY KEY, position INTEGER NOT NULL, row BLOB NOT NULL, document BLOB)"
		}
		index := sqlite.Quote(fmt.Sprintf("ravno_shadow_%d_position", t.number))
		if err := tx.c.Exec("CREATE TABLE IF NOT EXISTS " + t.shadow + "(" + key); err != nil {
			return nil, err
		}
		// What a node has from the hub has no position here, and nobody asks for it by one. (Files of
		// older versions have all rows in the index, which costs a write for each and does no harm.)
		if err := tx.c.Exec("CREATE INDEX IF NOT EXISTS " + index + " ON " + t.shadow + "(position) WHERE " + hasPosition); err != nil {
			return nil, err
		}
		if t.kept != "" {
			if err := tx.installKept(t); err != nil {
				return nil, err
			}
		}
		if t.gone != "" {
			if err := tx.installGone(t); err != nil {
				return nil, err
			}
		}
	}
	specs := cat.specs()
	current, err := capture.Current(tx.c, specs)
	if err != nil {
		return nil, err
	}
	if !current {
		if err := capture.Install(tx.c, specs); err != nil {
			return nil, err
		}
	}
	if cat.logWidth, err = capture.LogWidth(tx.c); err != nil {
		return nil, err
	}
	for _, t := range cat.tables {
		if err := tx.beginCounting(t); err != nil {
			return nil, err
		}
		if t.fresh && !t.own && !enrolling {
			tx.cat = cat
			if err := tx.seed(t); err != nil {
				return nil, err
			}
		}
		t.fresh = false
		for _, column := range t.added {
			if err := tx.logBackfill(t, t.Columns[column]); err != nil {
				return nil, err
			}
		}
		t.added = nil
	}
	if err := tx.mirror(cat); err != nil {
		return nil, err
	}
	return cat, cat.versions(tx.c)
}

// seed gives births to what a migration put into its new table before our triggers were
// there. They all have the time before all others: the same migration puts the same rows into
// the table at every server, and they are not two rows of one key.
func (tx *transaction) seed(t *table) error {
	var keys []crdt.Key
	err := tx.c.Rows("SELECT "+sqlite.QuoteAll("+", t.keyNames())+" FROM "+sqlite.Quote(t.Name), nil, func(stored []crdt.Value) error {
		if key, err := t.CanonicalKey(stored); err == nil { // a row without a key does not sync
			keys = append(keys, key)
		}
		return nil
	})
	if err != nil || len(keys) == 0 {
		return err
	}
	birth := crdt.Version{Stamp: hlc.Stamp{Time: firstSeed, Site: tx.state.site}, Position: tx.position(), Seen: tx.state.seen}
	if tx.state.isHub() {
		birth.Seen = causal.Seen(tx.state.position)
	}
	tx.holdFloor()
	for _, key := range keys {
		row, _, _, err := tx.readShadow(t, key)
		if err != nil {
			return err
		}
		row.Birth, row.Base = birth, birth
		document, err := tx.root(t, key, nil)
		if err != nil {
			return err
		}
		if err := tx.writeShadow(t, key, row, document, tx.position()); err != nil {
			return err
		}
	}
	return nil
}

// logBackfill logs the values a new column was given before our triggers knew it: adding a
// column and filling it in one transaction is how migrations go.
func (tx *transaction) logBackfill(t *table, column schema.Column) error {
	other := "IS NOT NULL"
	if column.HasDefault {
		other = "IS NOT " + column.DefaultSQL()
	}
	number := t.numbers[t.byName[strings.ToLower(column.Name)]]
	return tx.c.Rows("SELECT "+sqlite.QuoteAll("+", t.keyNames())+" FROM "+sqlite.Quote(t.Name)+" WHERE "+sqlite.Quote(column.Name)+" "+other, nil,
		func(key []crdt.Value) error {
			return capture.Append(tx.c, t.number, capture.Update, capture.Columns(number), tx.now(), key)
		})
}
