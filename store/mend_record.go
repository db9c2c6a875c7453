package store

import (
	"encoding/hex"

	"ravno/crdt"
	"ravno/crdt/causal"
)

// recordKilled keeps the rows that go with a deleted document whole in its conflict.
func (x *repairs) recordKilled(document reference, root crdt.Row, parts []reference) error {
	deleter := crdt.Claim{Site: owner(root.Death.Stamp), Stamp: root.Death.Stamp}
	var det detail
	sites, newest := []causal.Site{deleter.Site}, crdt.Claim{}
	for _, ref := range parts {
		t := x.tx.cat.byNumber[ref.tab]
		m, err := x.tx.tableImage(t, ref.key)
		if err != nil {
			return err
		}
		row, _, _, err := x.tx.readShadow(t, ref.key)
		if err != nil {
			return err
		}
		site := owner(row.Newest())
		if row.Newest().After(newest.Stamp) {
			newest = crdt.Claim{Site: site, Stamp: row.Newest()}
		}
		sites = append(sites, site)
		det.Sides = append(det.Sides, t.wholeSide(site, ref.key, m))
	}
	if known, err := x.tx.extendOpen(document, crdt.EditDelete, sites, det); err != nil || known {
		return err
	}
	t := x.tx.cat.byNumber[document.tab]
	det.Sides = append(det.Sides, side{Site: deleter.Site, Table: t.Name, Key: hex.EncodeToString([]byte(document.key)), Deleted: true})
	x.recorded++
	return x.tx.writeConflict(newConflict{kind: crdt.EditDelete, row: document, document: document, sites: sites, detail: det,
		id: conflictID(crdt.EditDelete, document, t, deleter, newest)})
}

// recordReference records that a row was deleted here and referred to there, and is back.
func (x *repairs) recordReference(l *link, child crdt.Key, row crdt.Row, t *table, key crdt.Key, parent crdt.Row) error {
	tx := x.tx
	m, _, err := tx.values(l.child, child)
	if err != nil {
		return err
	}
	author, stamp := x.author, row.Newest()
	for _, c := range l.columns {
		if v := row.Version(crdt.Column(l.child.numbers[c])); !v.Stamp.IsZero() {
			author, stamp = v.Stamp.Site, v.Stamp
		}
	}
	deleter := owner(parent.Death.Stamp)
	was, _, err := tx.values(t, key)
	if err != nil {
		return err
	}
	before := t.wholeSide(0, key, was)
	document, err := tx.root(t, key, nil)
	if err != nil {
		return err
	}
	det := detail{Sides: []side{{Site: deleter, Table: t.Name, Key: hex.EncodeToString([]byte(key)), Deleted: true},
		l.child.wholeSide(author, child, m)}, Before: []side{before}}
	x.recorded++
	return x.recordForeignKey(t, key, document, det, crdt.Claim{Site: deleter, Stamp: parent.Death.Stamp}, crdt.Claim{Site: author, Stamp: stamp})
}

// recordForeignKey records what was done about a reference to a row, in the open conflict of
// its document if there is one.
func (x *repairs) recordForeignKey(t *table, key crdt.Key, document reference, det detail, a, b crdt.Claim) error {
	sites := []causal.Site{a.Site, b.Site}
	if known, err := x.tx.extendOpen(document, crdt.ForeignKey, sites, det); err != nil || known {
		return err
	}
	return x.tx.writeConflict(newConflict{kind: crdt.ForeignKey, row: t.reference(key), document: document, sites: sites, detail: det,
		id: conflictID(crdt.ForeignKey, t.reference(key), t, a, b)})
}

// extendOpen takes more into the open record of a document; known is false if it has none.
func (tx *transaction) extendOpen(document reference, kind crdt.ConflictKind, sites []causal.Site, more detail) (known bool, err error) {
	row, err := tx.openRecord(tx.cat.byNumber[document.tab], document)
	if err != nil || row == nil {
		return false, err
	}
	return true, tx.extendRecord(row, kind, sites, more, false)
}
