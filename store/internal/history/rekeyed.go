package history

import (
	"fmt"
	"strings"

	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/crdt/hlc"
	"ravno/store/internal/capture"
	"ravno/store/internal/catalog"
	"ravno/store/internal/rows"
	"ravno/store/internal/sqlite"
)

// Rekeyed is a row that its maker made under one key, and that has another since.
type Rekeyed struct {
	T        *catalog.Table
	Old, New int64
	Birth    hlc.Time
}

// RekeyedRows are the rows of a maker that got fresh keys above a position, in the order in which they
// did.
func RekeyedRows(tx *rows.Tx, maker causal.Site, above causal.Position) (found []Rekeyed, err error) {
	err = tx.SQL.Rows("SELECT tab, old, birth, new FROM ravno_rename WHERE site=? AND position>? ORDER BY position, id",
		[]crdt.Value{catalog.Integer(maker), catalog.Integer(above)}, func(row []crdt.Value) error {
			if t := tx.Cat.ByName[strings.ToLower(row[0].Bytes())]; t != nil {
				found = append(found, Rekeyed{T: t, Old: row[1].Int(), New: row[3].Int(), Birth: hlc.Time(row[2].Int())})
			}
			return nil
		})
	return found, err
}

// NoteRekeyed notes that a row of a maker has got a fresh key; it travels to the maker.
func NoteRekeyed(tx *rows.Tx, maker causal.Site, r Rekeyed) error {
	if err := tx.SQL.Exec("INSERT INTO ravno_rename(site, tab, old, birth, new, position) VALUES(?,?,?,?,?,?)",
		catalog.Integer(maker),
		catalog.Text(r.T.Name), catalog.Integer(r.Old), catalog.Integer(r.Birth), catalog.Integer(r.New),
		catalog.Integer(tx.Position())); err != nil {
		return err
	}
	id, err := tx.SQL.Int("SELECT last_insert_rowid()")
	if err != nil {
		return err
	}
	return tx.Log(tx.Cat.ByName["ravno_rename"], crdt.NewKey(catalog.Integer(id)), capture.Insert, nil)
}

// NewestRekeyed is the newest position of a fresh key that a maker is to hear of.
func NewestRekeyed(tx *rows.Tx, maker causal.Site) (causal.Position, error) {
	newest, err := tx.SQL.Int("SELECT max(s.position) FROM "+tx.Cat.ByName["ravno_rename"].Shadow+
		" s JOIN ravno_rename r ON r.id=s.key WHERE r.site=?",
		catalog.Integer(maker))
	return causal.Position(newest), err
}

// HighestKey is the highest key a row of a table has or had, as far as is known here.
func HighestKey(tx *rows.Tx, t *catalog.Table) (int64, error) {
	key := sqlite.Quote(t.Columns[t.Key[0]].Name)
	return tx.SQL.Int(fmt.Sprintf(`SELECT max(k) FROM (SELECT max(%[1]s) AS k FROM %[2]s WHERE %[1]s<%[4]d
		UNION ALL SELECT max(key) FROM %[3]s WHERE key<%[4]d UNION ALL SELECT max(new) FROM ravno_rename WHERE
		lower(tab)=lower(?))`,
		key, sqlite.Quote(t.Name), t.Shadow, int64(catalog.MaxFreshKey)), catalog.Text(t.Name))
}

// RememberedKeys are the keys of all rows of a table of which something is remembered, deleted ones too.
func RememberedKeys(tx *rows.Tx, t *catalog.Table) (keys []crdt.Key, err error) {
	err = tx.SQL.Rows("SELECT key FROM "+t.Shadow+" ORDER BY key", nil, func(row []crdt.Value) error {
		keys = append(keys, t.KeyOf(row[0]))
		return nil
	})
	return keys, err
}

// MoveShadow moves what is remembered of a row to another key.
func MoveShadow(tx *rows.Tx, t *catalog.Table, from, to crdt.Key) error {
	a, err := t.ShadowKey(from)
	if err != nil {
		return err
	}
	b, err := t.ShadowKey(to)
	if err != nil {
		return err
	}
	none, err := NoneShippedAhead(tx)
	if err != nil {
		return err
	}
	if !none {
		if err := tx.SQL.Exec("UPDATE OR REPLACE ravno_ahead SET key=? WHERE site=0 AND tab=? AND key=?", catalog.Blob(to),
			catalog.Integer(t.Number), catalog.Blob(from)); err != nil {
			return err
		}
	}
	return tx.SQL.Exec("UPDATE "+t.Shadow+" SET key=? WHERE key=?", b, a)
}

// Documents are the documents that the rows of a table belong to, without those that are one row.
func Documents(tx *rows.Tx, t *catalog.Table) (found []catalog.Reference, err error) {
	err = tx.SQL.Rows("SELECT DISTINCT document FROM "+t.Shadow+" WHERE document IS NOT NULL ORDER BY document", nil,
		func(row []crdt.Value) error {
			if d, ok := catalog.DecodeReference(row[0]); ok {
				found = append(found, d)
			}
			return nil
		})
	return found, err
}

// MoveDocument says that the rows of a table which belong to one document belong to another.
func MoveDocument(tx *rows.Tx, t *catalog.Table, from, to catalog.Reference) error {
	return tx.SQL.Exec("UPDATE "+t.Shadow+" SET document=? WHERE document=?", to.Encode(), from.Encode())
}
