package conflict

import (
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"

	"ravno/crdt"
	"ravno/store/internal/catalog"
	"ravno/store/internal/rows"
)

// NeededRows are the rows that open conflicts are about, and those with values still to come.
func NeededRows(tx *rows.Tx) (map[catalog.Reference]bool, error) {
	rows := map[catalog.Reference]bool{}
	add := func(name string, key crdt.Key) {
		if t := tx.Cat.ByName[strings.ToLower(name)]; t != nil {
			rows[t.Reference(key)] = true
		}
	}
	err := tx.SQL.Rows("SELECT tab, key, document_tab, document_key, detail FROM ravno_conflict WHERE revision>resolved",
		nil, func(row []crdt.Value) error {
			add(row[0].Bytes(), crdt.Key(row[1].Bytes()))
			add(row[2].Bytes(), crdt.Key(row[3].Bytes()))
			var det Detail
			if err := json.Unmarshal([]byte(row[4].Bytes()), &det); err != nil {
				return err
			}
			for _, s := range slices.Concat(det.Sides, det.Before) {
				key, err := hex.DecodeString(s.Key)
				if err != nil {
					return err
				}
				add(s.Table, crdt.Key(key))
			}
			return nil
		})
	if err != nil {
		return nil, err
	}
	err = tx.SQL.Rows("SELECT tab, key FROM ravno_image WHERE state='incomplete'", nil, func(row []crdt.Value) error {
		rows[catalog.Reference{Tab: row[0].Int(), Key: crdt.Key(row[1].Bytes())}] = true
		return nil
	})
	return rows, err
}

// Undoing is what a record keeps as JSON so that its resolution can be taken back: the rows
// before it, and the resolutions before it. Values are as in detail.
type Undoing struct {
	Rows    []ReplacedRow `json:"rows,omitempty"`
	History []PastRecord  `json:"history,omitempty"`
	TooLong bool          `json:"too_long,omitempty"` // the rows were more than maxUndoBytes
	Kept    bool          `json:"-"`                  // something was kept, if only that nothing was replaced
}

// ReplacedRow is what a resolution replaced in one row.
type ReplacedRow struct {
	Table   string            `json:"table"`
	Key     string            `json:"key"`
	Absent  bool              `json:"absent,omitempty"`  // the row was not there
	Held    bool              `json:"held,omitempty"`    // it was held out of its table
	Deleted bool              `json:"deleted,omitempty"` // the resolution deleted it
	Values  map[string]string `json:"values,omitempty"`  // the row before
	Wrote   map[string]string `json:"wrote,omitempty"`   // what the resolution wrote
}

// PastRecord is an earlier resolution at rest; times in Unix milliseconds.
type PastRecord struct {
	By         string `json:"by"`
	At         int64  `json:"at"`
	Note       string `json:"note,omitempty"`
	UndoneBy   string `json:"undone_by,omitempty"`
	UndoneAt   int64  `json:"undone_at,omitempty"`
	UndoneNote string `json:"undone_note,omitempty"`
}
