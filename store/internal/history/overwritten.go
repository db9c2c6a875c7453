package history

import (
	"encoding/json"
	"fmt"
	"slices"

	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/crdt/hlc"
	"ravno/store/internal/catalog"
	"ravno/store/internal/rows"
)

// KeepOverwritten keeps those of a row's columns that are own work which the hub does not have,
// and, if everything is replaced of a row it has not heard of, the row.
func KeepOverwritten(tx *rows.Tx, t *catalog.Table, key crdt.Key, row crdt.Row, was *catalog.Values, columns []int,
	everything bool) error {
	lost := crdt.Change{Key: key, Birth: row.Birth.Stamp}
	has, err := HubHas(tx, t.Reference(key))
	if err != nil {
		return err
	}
	own := false
	for _, number := range columns {
		column := crdt.Column(number)
		version := row.Version(column)
		v, known := was.Get(column)
		unheard := Unacknowledged(tx, version, has)
		if !known || !unheard && !everything || !t.HasRegister(column) {
			continue
		}
		if unheard {
			if !own || version.Seen < lost.Seen {
				lost.Seen = version.Seen
			}
			own = true
		}
		if c, counts := row.Counter(column); counts {
			v = c.Base
		}
		lost.Registers = append(lost.Registers, crdt.Register{Column: column, Stamp: version.Stamp, Value: v})
	}
	if everything {
		if b := row.Birth; t.Registers() == 0 && Unacknowledged(tx, b, has) && row.Live() {
			own, lost.Seen = true, b.Seen // a row that is all key is nothing but its birth
		}
		// Whole says that the hub has not had the row yet. What is an edit of a row it knows must
		// not look like the birth of one it has to find a place for.
		lost.Whole = (Unacknowledged(tx, row.Birth, has) || row.Revived > has) && len(lost.Registers) == t.Registers()
		if !lost.Whole { // of any other row only what is ours is ours to send
			lost.Registers = slices.DeleteFunc(lost.Registers,
				func(r crdt.Register) bool { return r.Stamp.Site != tx.State.Site })
		}
	}
	if !own {
		return nil
	}
	document, err := tx.Root(t, key, nil)
	if err != nil {
		return err
	}
	encoded, err := packOverwritten(lost, document)
	if err != nil {
		return err
	}
	return tx.SQL.Exec("INSERT INTO ravno_overwritten(position, tab, change) VALUES(?,?,?)",
		catalog.Integer(tx.Position()), catalog.Integer(t.Number), encoded)
}

// Unacknowledged reports whether a version is this site's own work that the hub does not have yet,
// given up to where it has the row (hubHas).
func Unacknowledged(tx *rows.Tx, v crdt.Version, has causal.Position) bool {
	return v.Stamp.Site == tx.State.Site && v.Position > has
}

func packOverwritten(change crdt.Change, document catalog.Reference) (crdt.Value, error) {
	encoded, err := json.Marshal(packChange(change, document))
	return crdt.BlobValue(string(encoded)), err
}

// packedChange is overwritten work at rest. It is rare, so it is JSON.
type packedChange struct {
	Key          []byte           `json:"key"`
	Birth        packedStamp      `json:"birth"`
	Seen         causal.Seen      `json:"seen"`
	Whole        bool             `json:"whole"`
	Registers    []packedRegister `json:"registers"`
	DocumentTab  int64            `json:"document_tab"`
	DocumentRoot []byte           `json:"document_key"`
}

type packedStamp struct {
	Time hlc.Time    `json:"time"`
	Site causal.Site `json:"site"`
}

type packedRegister struct {
	Column crdt.Column `json:"column"`
	Stamp  packedStamp `json:"stamp"`
	Value  string      `json:"value"`
}

func packChange(c crdt.Change, document catalog.Reference) packedChange {
	p := packedChange{Key: []byte(c.Key), Birth: packedStamp(c.Birth), Seen: c.Seen, Whole: c.Whole,
		DocumentTab: document.Tab, DocumentRoot: []byte(document.Key)}
	for _, r := range c.Registers {
		p.Registers = append(p.Registers, packedRegister{
			Column: r.Column, Stamp: packedStamp(r.Stamp), Value: catalog.EncodeValue(r.Value)})
	}
	return p
}

func unpackChange(b string) (crdt.Change, catalog.Reference, error) {
	var p packedChange
	if err := json.Unmarshal([]byte(b), &p); err != nil {
		return crdt.Change{}, catalog.Reference{}, fmt.Errorf("malformed displaced change: %w", err)
	}
	c := crdt.Change{Key: crdt.Key(p.Key), Birth: hlc.Stamp(p.Birth), Seen: p.Seen, Whole: p.Whole}
	for _, r := range p.Registers {
		v, err := catalog.DecodeValue(r.Value)
		if err != nil {
			return crdt.Change{}, catalog.Reference{}, err
		}
		c.Registers = append(c.Registers, crdt.Register{Column: r.Column, Stamp: hlc.Stamp(r.Stamp), Value: v})
	}
	return c, catalog.Reference{Tab: p.DocumentTab, Key: crdt.Key(p.DocumentRoot)}, nil
}
