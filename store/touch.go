package store

import (
	"fmt"

	"ravno/crdt"
	"ravno/crdt/causal"
)

// touch records at the hub that a site changed a row of a document, and the values before,
// where they are known.
func (tx *transaction) touch(document reference, t *table, key crdt.Key, site causal.Site, dead bool, before *image) error {
	return tx.writeTouch(document, t, key, int64(site), dead, before.encode())
}

// touchCounted records at the hub that a site counted in a row. It stands beside what the
// site has written of the row otherwise, under the site's number below zero.
func (tx *transaction) touchCounted(document reference, t *table, key crdt.Key, site causal.Site) error {
	return tx.writeTouch(document, t, key, -int64(site), false, crdt.BlobValue(""))
}

func (tx *transaction) writeTouch(document reference, t *table, key crdt.Key, site int64, dead bool, before crdt.Value) error {
	tx.touched.into("INSERT OR REPLACE INTO ravno_touch(document, tab, key, site, position, dead, before) VALUES(?,?,?,?,?,?,?)")
	return tx.writeOwn(&tx.touched, document.encode(), integer(t.number), blob(key), integer(site), integer(tx.position()), boolean(dead), before)
}

func (tx *transaction) flushTouches() error { return tx.touched.flush(tx.c) }

// lookUpTouches is a document as touches have it, none of whose are on their way then.
func (tx *transaction) lookUpTouches(document reference) (crdt.Value, error) {
	d := document.encode()
	if tx.touched.holds(d) {
		return d, tx.flushTouches()
	}
	return d, nil
}

// touches are the recorded changes of a document, for a change of one site to it.
type touches struct {
	author causal.Site
	after  causal.Seen
	others []crdt.Touch // by others than the site, after a position; they stay the same while its changes are applied
	own    bool         // there are some by the site, of whatever row and time
}

// maxKnownDocuments bounds how many documents' touches one transaction keeps in memory.
const maxKnownDocuments = 4096

// knownTouches reads the recorded changes of documents, of each document once.
type knownTouches struct {
	tx    *transaction
	known map[reference]*touches
}

// of are the recorded changes of a document after a position by others than a site. A
// document with many rows is asked about once, not once a row.
func (k *knownTouches) of(document reference, author causal.Site, after causal.Seen) (*touches, error) {
	tx := k.tx
	t := tx.cat.byNumber[document.tab]
	if t != nil && t.alone { // there is no other row in it
		if none, err := tx.untouched(t, document.encode()); err != nil || none {
			return &touches{author: author, after: after}, err
		}
		return tx.readTouches(document, author, after)
	}
	if known, ok := k.known[document]; ok && known.author == author && known.after == after {
		return known, nil
	}
	found, err := tx.readTouches(document, author, after)
	if err != nil {
		return nil, err
	}
	if k.known == nil || len(k.known) >= maxKnownDocuments {
		k.known = map[reference]*touches{}
	}
	k.known[document] = found
	return found, nil
}

func (tx *transaction) readTouches(document reference, author causal.Site, after causal.Seen) (*touches, error) {
	d, err := tx.lookUpTouches(document)
	if err != nil {
		return nil, err
	}
	found := &touches{author: author, after: after}
	unseen := "position>?3"
	none, err := tx.nothingEarly()
	if err != nil {
		return nil, err
	}
	if !none {
		unseen += " AND NOT EXISTS(SELECT 1 FROM ravno_early e WHERE e.site=?2 AND e.tab=t.tab AND e.key=t.key AND e.slice<=?3 AND e.there AND e.until>=t.position)"
	}
	err = tx.c.Rows("SELECT tab, key, site, position, dead FROM ravno_touch AS t WHERE document=?1 AND (abs(site)=?2 OR "+unseen+")",
		[]crdt.Value{d, integer(author), integer(after)}, func(row []crdt.Value) error {
			t, site := tx.cat.byNumber[row[0].Int()], row[2].Int()
			switch by := causal.Site(max(site, -site)); {
			case by == author:
				found.own = true
			case t != nil: // else the table is gone
				found.others = append(found.others, crdt.Touch{Table: t.Name, Key: crdt.Key(row[1].Bytes()), Site: by,
					Position: causal.Position(row[3].Int()), Dead: row[4].Int() != 0, Counted: site < 0})
			}
			return nil
		})
	return found, err
}

// valuesBefore are the values that a site's recorded change of a row replaced; nil if there is
// no such record.
func (tx *transaction) valuesBefore(document reference, t *table, key crdt.Key, site causal.Site) (*image, error) {
	d, err := tx.lookUpTouches(document)
	if err != nil {
		return nil, err
	}
	row, err := tx.c.First("SELECT before FROM ravno_touch WHERE document=? AND tab=? AND key=? AND site=?",
		d, integer(t.number), blob(key), integer(site))
	if err != nil || row == nil {
		return nil, err
	}
	return decodeImage(row[0])
}

// trimTouchesAfter is trimTouches when one node has just said how far it is. In a chain of a thousand
// hardly any of them is the last, and who is next is likely to be behind: so it is asked first.
func (tx *transaction) trimTouchesAfter(site causal.Site) error {
	const behind = "EXISTS(SELECT 1 FROM ravno_peer p CROSS JOIN ravno_site s ON s.site=p.site WHERE min(p.floor, p.acked)<oldest AND NOT s.removed AND p.site"
	left, err := tx.c.Int("SELECT oldest IS NULL OR "+behind+">?1) OR "+behind+`<=?1) FROM (SELECT min(position) AS oldest FROM (
		SELECT min(position) AS position FROM ravno_touch UNION ALL SELECT min(position) FROM ravno_former UNION ALL SELECT min(position) FROM ravno_moved))`,
		integer(site))
	if err != nil || left != 0 {
		return err // there is nothing to forget, or somebody else has yet to see it
	}
	return tx.trimTouches()
}

// trimTouches forgets changes that every enrolled node has seen, in work it may still send
// too. They can no longer be concurrent with anything.
func (tx *transaction) trimTouches() error {
	seen, err := knownToAll(tx.c, tx.state.position)
	for _, table := range []string{"ravno_touch", "ravno_former", "ravno_moved"} {
		if err == nil {
			err = tx.c.Exec("DELETE FROM "+table+" WHERE position <= ?", integer(seen))
		}
	}
	if err != nil {
		return fmt.Errorf("forgetting what every node has seen: %w", err)
	}
	return nil
}
