package conflict

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/crdt/hlc"
	"ravno/journal"
	"ravno/store/internal/capture"
	"ravno/store/internal/catalog"
	"ravno/store/internal/rows"
)

// Detail is what a conflict record keeps, as JSON in ravno_conflict: what each side wrote,
// and what was there before, where that is known. Values are in key encoding, in hex, so
// that every byte survives JSON.
type Detail struct {
	Sides  []Side `json:"sides"`
	Before []Side `json:"before,omitempty"`
	// Renumbered says, of a key_collision, which row got which fresh key.
	Renumbered *Rekeyed `json:"renumbered,omitempty"`
	// held is, of rows on their way into a record, what no side wrote of them: it is in no table, so it
	// takes the place of what was before it.
	held []Side
}

// Side is what one site made of one row of the document.
type Side struct {
	Site    causal.Site       `json:"site,omitempty"`
	Table   string            `json:"table"`
	Key     string            `json:"key"`
	Deleted bool              `json:"deleted,omitempty"`
	Whole   bool              `json:"whole,omitempty"` // Values are the whole row
	Values  map[string]string `json:"values,omitempty"`
	// Earlier are values of the same side that a later one in Values replaced. Its author may
	// not have seen them: they can have been replaced at the site by someone else's first.
	Earlier map[string][]string `json:"earlier,omitempty"`
	// Noted is the hub's time when this was last noted: a row that was born later under this key is
	// another one. 0: not known.
	Noted hlc.Time `json:"noted,omitempty"`
}

// merge takes in more of the same: later values of a side replace earlier ones, which stay
// in the record.
func merge(sides []Side, more Side, keepOld bool) []Side {
	for i := range sides {
		s := &sides[i]
		if s.Site != more.Site || s.Table != more.Table || s.Key != more.Key {
			continue
		}
		if s.Values == nil {
			s.Values = map[string]string{}
		}
		for name, v := range more.Values {
			old, known := s.Values[name]
			if known && keepOld {
				continue
			}
			if known && old != v && !slices.Contains(s.Earlier[name], old) {
				if s.Earlier == nil {
					s.Earlier = map[string][]string{}
				}
				s.Earlier[name] = append(s.Earlier[name], old)
			}
			s.Values[name] = v
		}
		s.Deleted, s.Whole = more.Deleted, s.Whole || more.Whole
		return sides
	}
	return append(sides, more)
}

// Take takes in more of the same: what is written later counts, what was before stays.
func (d *Detail) Take(more Detail) {
	for _, s := range more.Sides {
		d.Sides = merge(d.Sides, s, false)
	}
	for _, b := range more.Before {
		d.Before = merge(d.Before, b, true)
	}
	for _, h := range more.held {
		d.Before = merge(d.Before, h, false)
	}
}

// Note says of the rows in more when they were noted: all sides are about the row that is in force
// now.
func (d *Detail) Note(more Detail, at hlc.Time) {
	for i := range d.Sides {
		s := &d.Sides[i]
		if slices.ContainsFunc(more.Sides, func(o Side) bool { return o.Table == s.Table && o.Key == s.Key }) {
			s.Noted = at
		}
	}
}

// ExtendRecord takes more into a record as recordOf found it. One that both sides have decided
// stays resolved.
func ExtendRecord(tx *rows.Tx, row []crdt.Value, kind crdt.ConflictKind, sites []causal.Site, more Detail,
	decided bool) error {
	var det Detail
	if err := json.Unmarshal([]byte(row[3].Bytes()), &det); err != nil {
		return fmt.Errorf("conflict %s: %w", row[0].Bytes(), err)
	}
	det.Take(more)
	kind = crdt.ConflictKind(row[1].Bytes()).With(kind)
	encoded, err := json.Marshal(det)
	if err != nil {
		return err
	}
	among := FormatSites(append(sites, parseSites(row[2].Bytes())...))
	if string(encoded) == row[3].Bytes() && string(kind) == row[1].Bytes() && among == row[2].Bytes() && !decided {
		return nil // it says so already
	}
	det.Note(more, tx.State.Clock.Last())
	if encoded, err = json.Marshal(det); err != nil {
		return err
	}
	values := map[string]crdt.Value{"kind": catalog.Text(string(kind)), "sites": catalog.Text(among),
		"detail": catalog.Text(string(encoded)), "revision": catalog.Integer(row[4].Int() + 1)}
	if decided {
		values["resolved"] = values["revision"]
	}
	return tx.ChangeOwn("ravno_conflict", crdt.NewKey(row[0]), values)
}

const readRecord = "SELECT id, kind, sites, detail, revision FROM ravno_conflict "

// ReadRecord is the record of an identifier, as ExtendRecord wants it; nil if there is none.
func ReadRecord(tx *rows.Tx, id string) ([]crdt.Value, error) {
	return tx.SQL.Row(readRecord+"WHERE id=?", catalog.Text(id))
}

// AddRecord records a conflict that is not recorded yet. by: whose change it was found in.
func AddRecord(tx *rows.Tx, x New, by causal.Site) error {
	encoded, err := json.Marshal(x.Detail)
	if err != nil {
		return err
	}
	t, root := tx.Cat.ByNumber[x.Row.Tab], tx.Cat.ByNumber[x.Document.Tab]
	err = tx.SQL.Exec(`INSERT OR IGNORE INTO ravno_conflict(id, kind, tab, key, document_tab, document_key, sites,
		found_at, detail, revision)
		VALUES(?,?,?,?,?,?,?,?,?,1)`, catalog.Text(x.Id), catalog.Text(string(x.Kind)), catalog.Text(t.Name),
		catalog.Blob(x.Row.Key),
		catalog.Text(root.Name), catalog.Blob(x.Document.Key), catalog.Text(FormatSites(x.Sites)), catalog.Integer(tx.Now()),
		catalog.Text(string(encoded)))
	if err != nil {
		return err
	}
	if err := tx.Log(tx.Cat.ByName["ravno_conflict"], crdt.NewKey(catalog.Text(x.Id)), capture.Insert, nil); err != nil {
		return err
	}
	return tx.Record(journal.Found(tx.SiteName(by), string(x.Kind), root.Name, x.Id))
}

// DocumentOf is the document that a record is about, and whether it is resolved. It is not, for a
// document whose table is not here.
func DocumentOf(tx *rows.Tx, id crdt.Value) (document catalog.Reference, resolved bool, err error) {
	row, err := tx.SQL.Row("SELECT document_tab, document_key, resolved FROM ravno_conflict WHERE id=?", id)
	if err != nil || row == nil || row[2].Int() == 0 {
		return document, false, err
	}
	root := tx.Cat.ByName[strings.ToLower(row[0].Bytes())]
	if root == nil {
		return document, false, nil
	}
	return root.Reference(crdt.Key(row[1].Bytes())), true, nil
}

// OpenRecord is the open record of a document, nil if it has none. Those of held rows are
// their own: they close by themselves.
func OpenRecord(tx *rows.Tx, root *catalog.Table, d catalog.Reference) ([]crdt.Value, error) {
	return tx.SQL.Row(readRecord+`WHERE document_tab=? AND document_key=? AND revision>resolved AND kind<>'unique'
		ORDER BY found_at, id LIMIT 1`, catalog.Text(root.Name), catalog.Blob(d.Key))
}

// SameEdit reports whether all others wrote, to the same row, the values the author wrote.
func SameEdit(mine Side, others []Side) bool {
	for _, other := range others {
		if other.Table != mine.Table || other.Key != mine.Key || len(other.Values) != len(mine.Values) {
			return false
		}
		for name, v := range mine.Values {
			if other.Values[name] != v {
				return false
			}
		}
	}
	return true
}

func FormatSites(sites []causal.Site) string {
	slices.Sort(sites)
	var b strings.Builder
	for i, s := range slices.Compact(sites) {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(s.String())
	}
	return b.String()
}

func parseSites(s string) []causal.Site {
	var sites []causal.Site
	for part := range strings.SplitSeq(s, ",") {
		if n, err := strconv.ParseUint(part, 10, 32); err == nil {
			sites = append(sites, causal.Site(n))
		}
	}
	return sites
}

const ColumnNames = `id, kind, tab, key, document_tab, document_key, sites, found_at, detail, revision, resolved, ` +
	`resolved_by, resolved_at, note, undo`
