package store

import (
	"encoding/json"
	"fmt"
	"slices"

	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/crdt/hlc"
)

// displace keeps, at a node, own work that the hub does not have yet and that the incoming
// change is about to replace in the table. It still goes to the hub, which alone judges
// whether the two were concurrent: so nothing committed is lost between the two.
func (tx *transaction) displace(m *merging) error {
	if !m.present || !m.out.Changed || tx.state.isHub() {
		return nil
	}
	everything := m.out.Reborn || m.out.Died
	lost := crdt.Change{Key: m.change.Key, Birth: m.row.Birth.Stamp}
	own := false
	consider := func(column crdt.Column) {
		version := m.row.Version(column)
		v, known := m.was[column]
		unsent := version.Stamp.Site == tx.state.site && version.Position > tx.state.hubHave
		if !known || !unsent && !everything || !m.t.isRegister(column) {
			return
		}
		if unsent {
			if !own || version.Seen < lost.Seen {
				lost.Seen = version.Seen
			}
			own = true
		}
		if c, counts := m.row.Counter(column); counts {
			v = c.Base
		}
		lost.Registers = append(lost.Registers, crdt.Register{Column: column, Stamp: version.Stamp, Value: v})
	}
	if everything {
		for _, number := range m.t.numbers {
			consider(crdt.Column(number))
		}
		if b := m.row.Birth; m.t.registers() == 0 && b.Stamp.Site == tx.state.site && b.Position > tx.state.hubHave && m.row.Live() {
			own, lost.Seen = true, b.Seen // a row that is all key is nothing but its birth
		}
		// Whole says that the hub has not had the row yet. What is an edit of a row it knows must
		// not look like the birth of one it has to find a place for.
		unheard := m.row.Birth.Stamp.Site == tx.state.site && m.row.Birth.Position > tx.state.hubHave || m.row.Revived > tx.state.hubHave
		lost.Whole = unheard && len(lost.Registers) == m.t.registers()
		if !lost.Whole { // of any other row only what is ours is ours to send
			lost.Registers = slices.DeleteFunc(lost.Registers, func(r crdt.Register) bool { return r.Stamp.Site != tx.state.site })
		}
	} else {
		for _, i := range m.out.Won {
			consider(m.change.Registers[i].Column)
		}
	}
	if !own {
		return nil
	}
	document, err := tx.root(m.t, m.change.Key, nil)
	if err != nil {
		return err
	}
	encoded, err := packDisplaced(lost, document)
	if err != nil {
		return err
	}
	return tx.c.Exec("INSERT INTO ravno_displaced(position, tab, change) VALUES(?,?,?)",
		integer(tx.position()), integer(m.t.number), encoded)
}

func packDisplaced(change crdt.Change, document reference) (crdt.Value, error) {
	encoded, err := json.Marshal(packChange(change, document))
	return crdt.BlobValue(string(encoded)), err
}

// packedChange is a displaced change at rest. It is rare, so it is JSON.
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

func packChange(c crdt.Change, document reference) packedChange {
	p := packedChange{Key: []byte(c.Key), Birth: packedStamp(c.Birth), Seen: c.Seen, Whole: c.Whole,
		DocumentTab: document.tab, DocumentRoot: []byte(document.key)}
	for _, r := range c.Registers {
		p.Registers = append(p.Registers, packedRegister{Column: r.Column, Stamp: packedStamp(r.Stamp), Value: encodeValue(r.Value)})
	}
	return p
}

func unpackChange(b string) (crdt.Change, reference, error) {
	var p packedChange
	if err := json.Unmarshal([]byte(b), &p); err != nil {
		return crdt.Change{}, reference{}, fmt.Errorf("malformed displaced change: %w", err)
	}
	c := crdt.Change{Key: crdt.Key(p.Key), Birth: hlc.Stamp(p.Birth), Seen: p.Seen, Whole: p.Whole}
	for _, r := range p.Registers {
		v, err := decodeValue(r.Value)
		if err != nil {
			return crdt.Change{}, reference{}, err
		}
		c.Registers = append(c.Registers, crdt.Register{Column: r.Column, Stamp: hlc.Stamp(r.Stamp), Value: v})
	}
	return c, reference{tab: p.DocumentTab, key: crdt.Key(p.DocumentRoot)}, nil
}
