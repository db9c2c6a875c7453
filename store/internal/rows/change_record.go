package rows

import (
	"ravno/crdt"
	"ravno/store/internal/catalog"
)

// WriteChangeRecord records at the hub that a site changed a row of a document, and the values before. A
// site's number below zero says that it only counted.
func (tx *Tx) WriteChangeRecord(document catalog.Reference, t *catalog.Table, key crdt.Key, site int64, dead bool,
	before crdt.Value) error {
	b := &tx.written.recorded
	b.into("INSERT OR REPLACE INTO ravno_change(document, tab, key, site, position, dead, before) VALUES(?,?,?,?,?,?,?)")
	return tx.written.write(tx.SQL, b, document.Encode(), catalog.Integer(t.Number), catalog.Blob(key),
		catalog.Integer(site),
		catalog.Integer(tx.Position()), catalog.Boolean(dead), before)
}

// Recorded is a document as change records have it, none of which waits to be written then.
func (tx *Tx) Recorded(document catalog.Reference) (crdt.Value, error) {
	d := document.Encode()
	if tx.written.recorded.holds(d) {
		return d, tx.written.recorded.flush(tx.SQL)
	}
	return d, nil
}
