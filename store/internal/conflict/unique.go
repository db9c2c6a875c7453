package conflict

import (
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/crdt/hlc"
	"ravno/journal"
	"ravno/store/internal/capture"
	"ravno/store/internal/catalog"
	"ravno/store/internal/held"
	"ravno/store/internal/rows"
)

// ByItself is who closes a conflict that needs nobody.
const ByItself = "ravno"

// ReadmitHeld puts held rows into their tables where they fit, and records, at the hub, which are held now.
func ReadmitHeld(tx *rows.Tx, h *held.Set) error {
	changed, err := h.ReadmitAll()
	if err != nil || !changed {
		return err
	}
	return recordHeld(tx, h)
}

// recordHeld sees to it, at the hub, that every row which is held, because another has the
// older claim to a unique value or because what two sites wrote does not fit together, is kept
// whole, with what refers to it, in an open conflict; and closes the conflicts of kind unique of
// rows that are back or gone.
func recordHeld(tx *rows.Tx, h *held.Set) error {
	if !tx.State.IsHub() {
		return nil
	}
	held, err := h.Rows()
	if err != nil {
		return err
	}
	open, err := openUnique(tx)
	if err != nil {
		return err
	}
	for _, row := range held {
		stays, err := h.MustStayHeld(row, held)
		if err != nil {
			return err
		}
		if stays {
			continue // it is in the record of the row it belongs to
		}
		blockers, err := tx.Blockers(row.T, row.Key, row.Image)
		if err != nil {
			return err
		}
		ref := row.T.Reference(row.Key)
		id, known := open[ref]
		delete(open, ref)
		switch {
		case known:
			err = refreshUnique(tx, id, row, held)
		case len(blockers) == 0:
			err = recordUnfit(tx, row, held)
		default:
			err = recordUnique(tx, h, row, blockers, held)
		}
		if err != nil {
			return err
		}
	}
	for _, id := range open {
		if err := closeByItself(tx, id, "the row is no longer held"); err != nil {
			return err
		}
	}
	return nil
}

// refreshUnique takes what was written of a held row, or came to belong to it, since it was
// recorded into the record: it is nowhere else to be seen.
func refreshUnique(tx *rows.Tx, id string, row held.Row, h []held.Row) error {
	stored, err := tx.SQL.Text("SELECT detail FROM ravno_conflict WHERE id=?", catalog.Text(id))
	if err != nil {
		return err
	}
	var det Detail
	if err := json.Unmarshal([]byte(stored), &det); err != nil {
		return err
	}
	followers, err := followers(tx, row, h)
	if err != nil {
		return err
	}
	site := Owner(row.Priority)
	for _, r := range append([]held.Row{row}, followers...) {
		det.Sides = merge(det.Sides, WholeSide(r.T, site, r.Key, r.Image), false)
	}
	encoded, err := json.Marshal(det)
	if err != nil || string(encoded) == stored {
		return err
	}
	return tx.ChangeOwn("ravno_conflict", crdt.NewKey(catalog.Text(id)),
		map[string]crdt.Value{"detail": catalog.Text(string(encoded))})
}

// recordUnfit keeps a row that a CHECK or NOT NULL holds, with what refers to it, in the open
// conflict of its document, together with what neither side wrote.
func recordUnfit(tx *rows.Tx, row held.Row, h []held.Row) error {
	document, err := tx.Root(row.T, row.Key, nil)
	if err != nil {
		return err
	}
	followers, err := followers(tx, row, h)
	if err != nil {
		return err
	}
	stored, err := OpenRecord(tx, tx.Cat.ByNumber[document.Tab], document)
	if err != nil {
		return err
	}
	site, rows := Owner(row.Priority), append([]held.Row{row}, followers...)
	var det Detail
	if stored == nil {
		for _, r := range rows {
			det.Sides = append(det.Sides, WholeSide(r.T, site, r.Key, r.Image))
		}
		ref := row.T.Reference(row.Key)
		claim := crdt.Claim{Site: site, Stamp: row.Priority}
		return Write(tx, New{Kind: crdt.EditEdit, Row: ref, Document: document, Sites: []causal.Site{site},
			Detail: det, Id: IDOf(crdt.EditEdit, ref, row.T, claim, claim)})
	}
	if err := json.Unmarshal([]byte(stored[3].Bytes()), &det); err != nil {
		return err
	}
	var more Detail
	for _, r := range rows {
		before := WholeSide(r.T, 0, r.Key, r.Image)
		for _, s := range det.Sides {
			if s.Table == before.Table && s.Key == before.Key {
				maps.DeleteFunc(before.Values, func(name, _ string) bool { _, wrote := s.Values[name]; return wrote })
			}
		}
		more.held = append(more.held, before)
	}
	return ExtendRecord(tx, stored, crdt.EditEdit, nil, more, false)
}

// openUnique are the open conflicts of kind unique, by the row that is held.
func openUnique(tx *rows.Tx) (map[catalog.Reference]string, error) {
	open := map[catalog.Reference]string{}
	err := tx.SQL.Rows("SELECT id, tab, key FROM ravno_conflict WHERE kind=? AND revision>resolved",
		[]crdt.Value{catalog.Text(string(crdt.Unique))},
		func(row []crdt.Value) error {
			if t := tx.Cat.ByName[strings.ToLower(row[1].Bytes())]; t != nil {
				open[t.Reference(crdt.Key(row[2].Bytes()))] = row[0].Bytes()
			}
			return nil
		})
	return open, err
}

func closeByItself(tx *rows.Tx, id, note string) error {
	key := crdt.NewKey(catalog.Text(id))
	revision, err := tx.SQL.Int("SELECT revision FROM ravno_conflict WHERE id=?", catalog.Text(id))
	if err != nil {
		return err
	}
	return tx.ChangeOwn("ravno_conflict", key, map[string]crdt.Value{
		"resolved": catalog.Integer(revision), "resolved_by": catalog.Text(ByItself),
		"resolved_at": catalog.Integer(tx.Now()), "note": catalog.Text(note)})
}

// recordUnique records that a row is held because of others.
func recordUnique(tx *rows.Tx, h *held.Set, row held.Row, blockers []crdt.Key, held []held.Row) error {
	document, err := tx.Root(row.T, row.Key, nil)
	if err != nil {
		return err
	}
	site := Owner(row.Priority)
	det := Detail{Sides: []Side{WholeSide(row.T, site, row.Key, row.Image)}}
	sites, claims := []causal.Site{site}, []crdt.Claim{{Site: site, Stamp: row.Priority}}
	for _, key := range blockers {
		m, err := tx.ReadTable(row.T, key)
		if err != nil {
			return err
		}
		claim, err := h.Priority(row.T, key)
		if err != nil {
			return err
		}
		sites, claims = append(sites, Owner(claim)), append(claims, crdt.Claim{Site: Owner(claim), Stamp: claim})
		det.Sides = append(det.Sides, WholeSide(row.T, Owner(claim), key, m))
	}
	followers, err := followers(tx, row, held)
	if err != nil {
		return err
	}
	for _, f := range followers {
		det.Sides = append(det.Sides, WholeSide(f.T, site, f.Key, f.Image))
	}
	return Write(tx, New{Kind: crdt.Unique, Row: row.T.Reference(row.Key), Document: document, Sites: sites,
		Detail: det, Id: IDOf(crdt.Unique, row.T.Reference(row.Key), row.T, claims[0], claims[1])})
}

// followers are the held rows that refer, over others perhaps, to a held row.
func followers(tx *rows.Tx, row held.Row, h []held.Row) ([]held.Row, error) {
	group := []held.Row{row}
	for i := 0; i < len(group); i++ {
		for _, other := range h {
			if slices.ContainsFunc(group, func(r held.Row) bool { return r.T == other.T && r.Key == other.Key }) {
				continue
			}
			for _, l := range other.T.Up {
				reference, ok := l.Reference(other.Image)
				referred, also := l.Referred(group[i].Image)
				if l.Parent == group[i].T && ok && also && l.SameReference(reference, referred) {
					group = append(group, other)
					break
				}
			}
		}
	}
	return group[1:], nil
}

// Owner is the site of a claim; what was there before ravno came counts as the hub's.
func Owner(claim hlc.Stamp) causal.Site {
	if claim.IsZero() {
		return causal.Hub
	}
	return claim.Site
}

// WholeSide is a whole row as one side of a conflict.
func WholeSide(t *catalog.Table, site causal.Site, key crdt.Key, m *catalog.Values) Side {
	s := Side{Site: site, Table: t.Name, Key: hex.EncodeToString([]byte(key)), Whole: true, Values: map[string]string{}}
	for number, v := range m.All() {
		if t.HasRegister(number) {
			s.Values[t.Columns[t.ByNum[number]].Name] = catalog.EncodeValue(v)
		}
	}
	return s
}

// New is a conflict about to be recorded.
type New struct {
	Id            string
	Kind          crdt.ConflictKind
	Row, Document catalog.Reference
	Sites         []causal.Site
	Detail        Detail
	Closed        string // why it needs nobody; empty: it is open
}

// IDOf is the identifier of a conflict that is not one of edits: those of one kind about
// one row and two versions are one.
func IDOf(kind crdt.ConflictKind, row catalog.Reference, t *catalog.Table, a, b crdt.Claim) string {
	return crdt.ConflictID(crdt.Document{Table: string(kind) + " " + t.Name, Key: row.Key}, a, b)
}

// Write records a conflict. One that is there already is opened again with the new
// detail.
func Write(tx *rows.Tx, x New) error {
	t, root := tx.Cat.ByNumber[x.Row.Tab], tx.Cat.ByNumber[x.Document.Tab]
	if root == nil {
		root, x.Document = t, x.Row
	}
	x.Detail.Note(x.Detail, tx.State.Clock.Last())
	encoded, err := json.Marshal(x.Detail)
	if err != nil {
		return err
	}
	key := crdt.NewKey(catalog.Text(x.Id))
	known, err := tx.SQL.Row("SELECT revision FROM ravno_conflict WHERE id=?", catalog.Text(x.Id))
	if err != nil {
		return err
	}
	if known != nil {
		return tx.ChangeOwn("ravno_conflict", key, map[string]crdt.Value{
			"sites": catalog.Text(FormatSites(x.Sites)), "detail": catalog.Text(string(encoded)),
			"revision": catalog.Integer(known[0].Int() + 1)})
	}
	resolved, by, at := 0, "", int64(0)
	if x.Closed != "" {
		resolved, by, at = 1, ByItself, tx.Now()
	}
	if err := tx.SQL.Exec(`INSERT INTO ravno_conflict(id, kind, tab, key, document_tab, document_key, sites, found_at,
		detail, revision,
		resolved, resolved_by, resolved_at, note) VALUES(?,?,?,?,?,?,?,?,?,1,?,?,?,?)`,
		catalog.Text(x.Id), catalog.Text(string(x.Kind)), catalog.Text(t.Name), catalog.Blob(x.Row.Key),
		catalog.Text(root.Name), catalog.Blob(x.Document.Key), catalog.Text(FormatSites(x.Sites)),
		catalog.Integer(tx.Now()), catalog.Text(string(encoded)), catalog.Integer(resolved), catalog.Text(by),
		catalog.Integer(at), catalog.Text(x.Closed)); err != nil {
		return err
	}
	if err := tx.Log(tx.Cat.ByName["ravno_conflict"], key, capture.Insert, nil); err != nil {
		return err
	}
	if x.Closed != "" {
		return nil // its own event says more
	}
	return tx.Record(journal.Found(tx.SiteName(x.Sites[len(x.Sites)-1]), string(x.Kind), root.Name, x.Id))
}

// CountKept counts the rows that are held, and those with values still to come.
func CountKept(tx *rows.Tx) (held, partial int64, err error) {
	if held, err = tx.SQL.Int("SELECT count(*) FROM ravno_image WHERE state='held'"); err == nil {
		partial, err = tx.SQL.Int("SELECT count(*) FROM ravno_image WHERE state='incomplete'")
	}
	return held, partial, err
}

// CountersInto puts what the counters say into values of a row that is put back.
func CountersInto(tx *rows.Tx, t *catalog.Table, key crdt.Key, m *catalog.Values) error {
	if len(t.Counters) == 0 {
		return nil
	}
	row, err := tx.ReadShadow(t, key)
	if err == nil && row.Found {
		t.CountersOf(row.Row, m)
	}
	return err
}
