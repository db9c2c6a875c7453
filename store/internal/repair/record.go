package repair

import (
	"encoding/hex"

	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/store/internal/catalog"
	"ravno/store/internal/conflict"
	"ravno/store/internal/rows"
)

// recordKilled keeps the rows that are deleted with their document whole in the conflict of the
// document.
func (x *Repairs) recordKilled(document catalog.Reference, root crdt.Row, parts []catalog.Reference) error {
	deleter := crdt.Claim{Site: conflict.Owner(root.Death.Stamp), Stamp: root.Death.Stamp}
	var det conflict.Detail
	sites, newest := []causal.Site{deleter.Site}, crdt.Claim{}
	for _, ref := range parts {
		t := x.Tx.Cat.ByNumber[ref.Tab]
		m, err := x.Tx.ReadTable(t, ref.Key)
		if err != nil {
			return err
		}
		row, err := x.Tx.ReadShadow(t, ref.Key)
		if err != nil {
			return err
		}
		site := conflict.Owner(row.Newest())
		if row.Newest().After(newest.Stamp) {
			newest = crdt.Claim{Site: site, Stamp: row.Newest()}
		}
		sites = append(sites, site)
		det.Sides = append(det.Sides, conflict.WholeSide(t, site, ref.Key, m))
	}
	if known, err := extendOpen(x.Tx, document, crdt.EditDelete, sites, det); err != nil || known {
		return err
	}
	t := x.Tx.Cat.ByNumber[document.Tab]
	det.Sides = append(det.Sides, conflict.Side{
		Site: deleter.Site, Table: t.Name, Key: hex.EncodeToString([]byte(document.Key)), Deleted: true})
	x.Recorded++
	return conflict.Write(x.Tx, conflict.New{Kind: crdt.EditDelete, Row: document, Document: document, Sites: sites,
		Detail: det,
		Id:     conflict.IDOf(crdt.EditDelete, document, t, deleter, newest)})
}

// recordReference records that one site deleted a row which another site refers to. The row t and key
// is back, or the child is deleted.
func (x *Repairs) recordReference(l *catalog.ForeignKey, child crdt.Key, row crdt.Row, t *catalog.Table, key crdt.Key,
	parent crdt.Row) error {
	tx := x.Tx
	m, _, err := conflict.ValuesOf(tx, l.Child, child)
	if err != nil {
		return err
	}
	author, stamp := x.Author, row.Newest()
	for _, c := range l.Columns {
		if v := row.Version(crdt.Column(l.Child.Numbers[c])); !v.Stamp.IsZero() {
			author, stamp = v.Stamp.Site, v.Stamp
		}
	}
	deleter := conflict.Owner(parent.Death.Stamp)
	was, _, err := conflict.ValuesOf(tx, t, key)
	if err != nil {
		return err
	}
	before := conflict.WholeSide(t, 0, key, was)
	document, err := tx.Root(t, key, nil)
	if err != nil {
		return err
	}
	det := conflict.Detail{Sides: []conflict.Side{
		{Site: deleter, Table: t.Name, Key: hex.EncodeToString([]byte(key)), Deleted: true},
		conflict.WholeSide(l.Child, author, child, m)}, Before: []conflict.Side{before}}
	x.Recorded++
	return x.recordForeignKey(t, key, document, det, crdt.Claim{Site: deleter, Stamp: parent.Death.Stamp},
		crdt.Claim{Site: author, Stamp: stamp})
}

// recordForeignKey records the repair of a reference to a row. It extends the open conflict of the
// document, if there is one.
func (x *Repairs) recordForeignKey(t *catalog.Table, key crdt.Key, document catalog.Reference, det conflict.Detail, a,
	b crdt.Claim) error {
	sites := []causal.Site{a.Site, b.Site}
	if known, err := extendOpen(x.Tx, document, crdt.ForeignKey, sites, det); err != nil || known {
		return err
	}
	return conflict.Write(x.Tx, conflict.New{Kind: crdt.ForeignKey, Row: t.Reference(key), Document: document,
		Sites: sites, Detail: det,
		Id: conflict.IDOf(crdt.ForeignKey, t.Reference(key), t, a, b)})
}

// extendOpen adds to the open record of a document. It reports false if the document has no open
// record.
func extendOpen(tx *rows.Tx, document catalog.Reference, kind crdt.ConflictKind, sites []causal.Site,
	more conflict.Detail) (known bool, err error) {
	row, err := conflict.OpenRecord(tx, tx.Cat.ByNumber[document.Tab], document)
	if err != nil || row == nil {
		return false, err
	}
	return true, conflict.ExtendRecord(tx, row, kind, sites, more, false)
}
