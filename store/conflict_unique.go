package store

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
)

// byItself is who closes a conflict that needs nobody.
const byItself = "ravno"

// readmitHeld puts held rows into their tables where they fit, and records, at the hub, which are held now.
func (tx *transaction) readmitHeld(h *heldSet) error {
	changed, err := h.readmitAll()
	if err != nil || !changed {
		return err
	}
	return tx.recordHeld(h)
}

// recordHeld sees to it, at the hub, that every row which is held, because another has the
// older claim to a unique value or because what two sites wrote does not fit together, is kept
// whole, with what refers to it, in an open conflict; and closes the conflicts of kind unique of
// rows that are back or gone.
func (tx *transaction) recordHeld(h *heldSet) error {
	if !tx.state.isHub() {
		return nil
	}
	held, err := h.rows()
	if err != nil {
		return err
	}
	open, err := tx.openUnique()
	if err != nil {
		return err
	}
	for _, row := range held {
		stays, err := h.mustStayHeld(row, held)
		if err != nil {
			return err
		}
		if stays {
			continue // it is in the record of the row it belongs to
		}
		blockers, err := h.blockers(row)
		if err != nil {
			return err
		}
		ref := row.t.reference(row.key)
		id, known := open[ref]
		delete(open, ref)
		switch {
		case known:
			err = tx.refreshUnique(id, row, held)
		case len(blockers) == 0:
			err = tx.recordUnfit(row, held)
		default:
			err = tx.recordUnique(h, row, blockers, held)
		}
		if err != nil {
			return err
		}
	}
	for _, id := range open {
		if err := tx.closeByItself(id, "the row is no longer held"); err != nil {
			return err
		}
	}
	return nil
}

// refreshUnique takes what was written of a held row, or came to belong to it, since it was
// recorded into the record: it is nowhere else to be seen.
func (tx *transaction) refreshUnique(id string, row heldRow, held []heldRow) error {
	stored, err := tx.c.Text("SELECT detail FROM ravno_conflict WHERE id=?", text(id))
	if err != nil {
		return err
	}
	var det detail
	if err := json.Unmarshal([]byte(stored), &det); err != nil {
		return err
	}
	followers, err := tx.followers(row, held)
	if err != nil {
		return err
	}
	site := owner(row.priority)
	for _, r := range append([]heldRow{row}, followers...) {
		det.Sides = merge(det.Sides, r.t.wholeSide(site, r.key, r.image), false)
	}
	encoded, err := json.Marshal(det)
	if err != nil || string(encoded) == stored {
		return err
	}
	return tx.changeOwn("ravno_conflict", crdt.NewKey(text(id)), map[string]crdt.Value{"detail": text(string(encoded))})
}

// recordUnfit keeps a row that a CHECK or NOT NULL holds, with what refers to it, in the open
// conflict of its document, together with what neither side wrote.
func (tx *transaction) recordUnfit(row heldRow, held []heldRow) error {
	document, err := tx.root(row.t, row.key, nil)
	if err != nil {
		return err
	}
	followers, err := tx.followers(row, held)
	if err != nil {
		return err
	}
	stored, err := tx.openRecord(tx.cat.byNumber[document.tab], document)
	if err != nil {
		return err
	}
	site, rows := owner(row.priority), append([]heldRow{row}, followers...)
	var det detail
	if stored == nil {
		for _, r := range rows {
			det.Sides = append(det.Sides, r.t.wholeSide(site, r.key, r.image))
		}
		ref := row.t.reference(row.key)
		claim := crdt.Claim{Site: site, Stamp: row.priority}
		return tx.writeConflict(newConflict{kind: crdt.EditEdit, row: ref, document: document, sites: []causal.Site{site},
			detail: det, id: conflictID(crdt.EditEdit, ref, row.t, claim, claim)})
	}
	if err := json.Unmarshal([]byte(stored[3].Bytes()), &det); err != nil {
		return err
	}
	var more detail
	for _, r := range rows {
		before := r.t.wholeSide(0, r.key, r.image)
		for _, s := range det.Sides {
			if s.Table == before.Table && s.Key == before.Key {
				maps.DeleteFunc(before.Values, func(name, _ string) bool { _, wrote := s.Values[name]; return wrote })
			}
		}
		more.held = append(more.held, before)
	}
	return tx.extendRecord(stored, crdt.EditEdit, nil, more, false)
}

// openUnique are the open conflicts of kind unique, by the row that is held.
func (tx *transaction) openUnique() (map[reference]string, error) {
	open := map[reference]string{}
	err := tx.c.Rows("SELECT id, tab, key FROM ravno_conflict WHERE kind=? AND revision>resolved", []crdt.Value{text(string(crdt.Unique))},
		func(row []crdt.Value) error {
			if t := tx.cat.byName[strings.ToLower(row[1].Bytes())]; t != nil {
				open[t.reference(crdt.Key(row[2].Bytes()))] = row[0].Bytes()
			}
			return nil
		})
	return open, err
}

func (tx *transaction) closeByItself(id, note string) error {
	key := crdt.NewKey(text(id))
	revision, err := tx.c.Int("SELECT revision FROM ravno_conflict WHERE id=?", text(id))
	if err != nil {
		return err
	}
	return tx.changeOwn("ravno_conflict", key, map[string]crdt.Value{"resolved": integer(revision), "resolved_by": text(byItself),
		"resolved_at": integer(tx.now()), "note": text(note)})
}

// recordUnique records that a row is held because of others.
func (tx *transaction) recordUnique(h *heldSet, row heldRow, blockers []crdt.Key, held []heldRow) error {
	document, err := tx.root(row.t, row.key, nil)
	if err != nil {
		return err
	}
	site := owner(row.priority)
	det := detail{Sides: []side{row.t.wholeSide(site, row.key, row.image)}}
	sites, claims := []causal.Site{site}, []crdt.Claim{{Site: site, Stamp: row.priority}}
	for _, key := range blockers {
		m, err := tx.tableImage(row.t, key)
		if err != nil {
			return err
		}
		claim, err := h.priority(row.t, key)
		if err != nil {
			return err
		}
		sites, claims = append(sites, owner(claim)), append(claims, crdt.Claim{Site: owner(claim), Stamp: claim})
		det.Sides = append(det.Sides, row.t.wholeSide(owner(claim), key, m))
	}
	followers, err := tx.followers(row, held)
	if err != nil {
		return err
	}
	for _, f := range followers {
		det.Sides = append(det.Sides, f.t.wholeSide(site, f.key, f.image))
	}
	return tx.writeConflict(newConflict{kind: crdt.Unique, row: row.t.reference(row.key), document: document, sites: sites,
		detail: det, id: conflictID(crdt.Unique, row.t.reference(row.key), row.t, claims[0], claims[1])})
}

// followers are the held rows that refer, over others perhaps, to a held row.
func (tx *transaction) followers(row heldRow, held []heldRow) ([]heldRow, error) {
	group := []heldRow{row}
	for i := 0; i < len(group); i++ {
		for _, other := range held {
			if slices.ContainsFunc(group, func(r heldRow) bool { return r.t == other.t && r.key == other.key }) {
				continue
			}
			for _, l := range other.t.up {
				reference, ok := l.reference(other.image)
				referred, also := l.referred(group[i].image)
				if l.parent == group[i].t && ok && also && l.sameReference(reference, referred) {
					group = append(group, other)
					break
				}
			}
		}
	}
	return group[1:], nil
}

// owner is the site of a claim; what was there before ravno came counts as the hub's.
func owner(claim hlc.Stamp) causal.Site {
	if claim.IsZero() {
		return causal.Hub
	}
	return claim.Site
}

// wholeSide is a whole row as one side of a conflict.
func (t *table) wholeSide(site causal.Site, key crdt.Key, m *image) side {
	s := side{Site: site, Table: t.Name, Key: hex.EncodeToString([]byte(key)), Whole: true, Values: map[string]string{}}
	for number, v := range m.all() {
		if t.isRegister(number) {
			s.Values[t.Columns[t.byNum[number]].Name] = encodeValue(v)
		}
	}
	return s
}

// newConflict is a conflict about to be recorded.
type newConflict struct {
	id            string
	kind          crdt.ConflictKind
	row, document reference
	sites         []causal.Site
	detail        detail
	closed        string // why it needs nobody; empty: it is open
}

// conflictID is the identifier of a conflict that is not one of edits: those of one kind about
// one row and two versions are one.
func conflictID(kind crdt.ConflictKind, row reference, t *table, a, b crdt.Claim) string {
	return crdt.ConflictID(crdt.Document{Table: string(kind) + " " + t.Name, Key: row.key}, a, b)
}

// writeConflict records a conflict. One that is there already is opened again with the new
// detail.
func (tx *transaction) writeConflict(x newConflict) error {
	t, root := tx.cat.byNumber[x.row.tab], tx.cat.byNumber[x.document.tab]
	if root == nil {
		root, x.document = t, x.row
	}
	x.detail.note(x.detail, tx.state.clock.Last())
	encoded, err := json.Marshal(x.detail)
	if err != nil {
		return err
	}
	key := crdt.NewKey(text(x.id))
	known, err := tx.c.Row("SELECT revision FROM ravno_conflict WHERE id=?", text(x.id))
	if err != nil {
		return err
	}
	if known != nil {
		return tx.changeOwn("ravno_conflict", key, map[string]crdt.Value{"sites": text(formatSites(x.sites)), "detail": text(string(encoded)),
			"revision": integer(known[0].Int() + 1)})
	}
	resolved, by, at := 0, "", int64(0)
	if x.closed != "" {
		resolved, by, at = 1, byItself, tx.now()
	}
	if err := tx.c.Exec(`INSERT INTO ravno_conflict(id, kind, tab, key, document_tab, document_key, sites, found_at, detail, revision,
		resolved, resolved_by, resolved_at, note) VALUES(?,?,?,?,?,?,?,?,?,1,?,?,?,?)`,
		text(x.id), text(string(x.kind)), text(t.Name), blob(x.row.key), text(root.Name), blob(x.document.key), text(formatSites(x.sites)),
		integer(tx.now()), text(string(encoded)), integer(resolved), text(by), integer(at), text(x.closed)); err != nil {
		return err
	}
	if err := tx.logOwn("ravno_conflict", key, capture.Insert, nil); err != nil {
		return err
	}
	if x.closed != "" {
		return nil // its own event says more
	}
	return tx.record(journal.Found(tx.siteName(x.sites[len(x.sites)-1]), string(x.kind), root.Name, x.id))
}
