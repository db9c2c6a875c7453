package history

import (
	"fmt"

	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/store/internal/catalog"
	"ravno/store/internal/rows"
)

// RecordChange records at the hub that a site changed a row of a document, and the values before,
// where they are known.
func RecordChange(tx *rows.Tx, document catalog.Reference, t *catalog.Table, key crdt.Key, site causal.Site, dead bool,
	before *catalog.Values) error {
	return tx.WriteChangeRecord(document, t, key, int64(site), dead, before.Encode())
}

// RecordCount records at the hub that a site counted in a row. It stands beside what the
// site has written of the row otherwise, under the site's number below zero.
func RecordCount(tx *rows.Tx, document catalog.Reference, t *catalog.Table, key crdt.Key, site causal.Site) error {
	return tx.WriteChangeRecord(document, t, key, -int64(site), false, crdt.BlobValue(""))
}

// Changes are the recorded changes of a document, for a change of one site to it.
type Changes struct {
	author causal.Site
	after  causal.Seen
	// by others than the site, after a position; they stay the same while its changes are applied
	Others []crdt.ChangeRecord
	Own    bool // there are some by the site, of whatever row and time
}

// maxKnownDocuments bounds how many documents' change records one transaction keeps in memory.
const maxKnownDocuments = 4096

// KnownChanges reads the recorded changes of documents, of each document once.
type KnownChanges struct {
	Tx    *rows.Tx
	known map[catalog.Reference]*Changes
}

// Of are the recorded changes of a document after a position by others than a site. A
// document with many rows is asked about once, not once a row.
func (k *KnownChanges) Of(document catalog.Reference, author causal.Site, after causal.Seen) (*Changes, error) {
	tx := k.Tx
	t := tx.Cat.ByNumber[document.Tab]
	if t != nil && t.Alone { // there is no other row in it
		if none, err := tx.NobodyChanged(t, document.Encode()); err != nil || none {
			return &Changes{author: author, after: after}, err
		}
		return readChanges(tx, document, author, after)
	}
	if known, ok := k.known[document]; ok && known.author == author && known.after == after {
		return known, nil
	}
	found, err := readChanges(tx, document, author, after)
	if err != nil {
		return nil, err
	}
	if k.known == nil || len(k.known) >= maxKnownDocuments {
		k.known = map[catalog.Reference]*Changes{}
	}
	k.known[document] = found
	return found, nil
}

func readChanges(tx *rows.Tx, document catalog.Reference, author causal.Site, after causal.Seen) (*Changes, error) {
	d, err := tx.Recorded(document)
	if err != nil {
		return nil, err
	}
	found := &Changes{author: author, after: after}
	unseen := "position>?3"
	none, err := NoneShippedAhead(tx)
	if err != nil {
		return nil, err
	}
	if !none {
		unseen += " AND NOT EXISTS(SELECT 1 FROM ravno_ahead e WHERE e.site=?2 AND e.tab=t.tab AND e.key=t.key AND " +
			"e.slice<=?3 AND e.there AND e.until>=t.position)"
	}
	err = tx.SQL.Rows(
		"SELECT tab, key, site, position, dead FROM ravno_change AS t WHERE document=?1 AND (abs(site)=?2 OR "+unseen+")",
		[]crdt.Value{d, catalog.Integer(author), catalog.Integer(after)}, func(row []crdt.Value) error {
			t, site := tx.Cat.ByNumber[row[0].Int()], row[2].Int()
			switch by := causal.Site(max(site, -site)); {
			case by == author:
				found.Own = true
			case t != nil: // else the table is gone
				found.Others = append(found.Others, crdt.ChangeRecord{Table: t.Name, Key: crdt.Key(row[1].Bytes()), Site: by,
					Position: causal.Position(row[3].Int()), Dead: row[4].Int() != 0, Counted: site < 0})
			}
			return nil
		})
	return found, err
}

// ValuesBefore are the values that a site's recorded change of a row replaced; nil if there is
// no such record.
func ValuesBefore(tx *rows.Tx, document catalog.Reference, t *catalog.Table, key crdt.Key, site causal.Site) (
	*catalog.Values, error) {
	d, err := tx.Recorded(document)
	if err != nil {
		return nil, err
	}
	row, err := tx.SQL.First("SELECT before FROM ravno_change WHERE document=? AND tab=? AND key=? AND site=?",
		d, catalog.Integer(t.Number), catalog.Blob(key), catalog.Integer(site))
	if err != nil || row == nil {
		return nil, err
	}
	return catalog.DecodeValues(row[0])
}

// ForgetSeenBy is trimTouches when one node has just said how far it is. In a chain of a thousand
// hardly any of them is the last, and who is next is likely to be behind: so it is asked first.
func ForgetSeenBy(tx *rows.Tx, site causal.Site) error {
	const behind = "EXISTS(SELECT 1 FROM ravno_peer p CROSS JOIN ravno_site s ON s.site=p.site WHERE min(p.floor, " +
		"p.acked)<oldest AND NOT s.removed AND p.site"
	left, err := tx.SQL.Int("SELECT oldest IS NULL OR "+behind+">?1) OR "+behind+`<=?1) FROM (SELECT min(position)
		AS oldest FROM (
		SELECT min(position) AS position FROM ravno_change UNION ALL SELECT min(position) FROM ravno_former UNION ALL SELECT
		min(position) FROM ravno_moved))`,
		catalog.Integer(site))
	if err != nil || left != 0 {
		return err // there is nothing to forget, or somebody else has yet to see it
	}
	return ForgetSeenByAll(tx)
}

// ForgetSeenByAll forgets changes that every enrolled node has seen, in work it may still send
// too. They can no longer be concurrent with anything.
func ForgetSeenByAll(tx *rows.Tx) error {
	seen, err := knownToAll(tx.SQL, tx.State.Position)
	for _, table := range []string{"ravno_change", "ravno_former", "ravno_moved"} {
		if err == nil {
			err = tx.SQL.Exec("DELETE FROM "+table+" WHERE position <= ?", catalog.Integer(seen))
		}
	}
	if err != nil {
		return fmt.Errorf("forgetting what every node has seen: %w", err)
	}
	return nil
}
