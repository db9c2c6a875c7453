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
func (in *incoming) displace(m *merging) error {
	tx := in.tx
	if !m.present || !m.out.Changed || tx.state.isHub() {
		return nil
	}
	if m.out.Reborn || m.out.Died {
		return tx.keepDisplaced(m.t, m.change.Key, m.row, m.was, m.t.numbers, true)
	}
	var won []int
	for _, i := range m.out.Won {
		won = append(won, int(m.change.Registers[i].Column))
	}
	return tx.keepDisplaced(m.t, m.change.Key, m.row, m.was, won, false)
}

// madeOver sees to a row that is held when the application makes another under the same key:
// it cannot see the held one. The hub records it. A node keeps what was written to it here and
// the hub does not have yet.
func (p *pass) madeOver(f *folding, was crdt.Row) error {
	tx := p.tx
	if tx.noImages || f.t.own {
		return nil
	}
	m, state, err := tx.readImage(f.t, f.key)
	if err != nil || state != imageHeld {
		return err
	}
	p.held.changed = true
	if tx.state.isHub() {
		document, err := tx.root(f.t, f.key, nil)
		if err != nil {
			return err
		}
		made, err := tx.tableImage(f.t, f.key)
		if err != nil {
			return err
		}
		self := tx.state.site
		return tx.keepMadeOver(f.t, f.key, was, m, document, crdt.Claim{Site: self, Stamp: hlc.Stamp{Site: self, Time: f.bornAt}}, f.t.wholeSide(self, f.key, made))
	}
	return tx.keepDisplaced(f.t, f.key, was, m, f.t.numbers, true)
}

// keepDisplaced keeps those of a row's columns that are own work which the hub does not have,
// and, if everything is replaced of a row it has not heard of, the row.
func (tx *transaction) keepDisplaced(t *table, key crdt.Key, row crdt.Row, was *image, columns []int, everything bool) error {
	lost := crdt.Change{Key: key, Birth: row.Birth.Stamp}
	has, err := tx.hubHas(t.reference(key))
	if err != nil {
		return err
	}
	own := false
	for _, number := range columns {
		column := crdt.Column(number)
		version := row.Version(column)
		v, known := was.get(column)
		unheard := tx.unheard(version, has)
		if !known || !unheard && !everything || !t.isRegister(column) {
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
		if b := row.Birth; t.registers() == 0 && tx.unheard(b, has) && row.Live() {
			own, lost.Seen = true, b.Seen // a row that is all key is nothing but its birth
		}
		// Whole says that the hub has not had the row yet. What is an edit of a row it knows must
		// not look like the birth of one it has to find a place for.
		lost.Whole = (tx.unheard(row.Birth, has) || row.Revived > has) && len(lost.Registers) == t.registers()
		if !lost.Whole { // of any other row only what is ours is ours to send
			lost.Registers = slices.DeleteFunc(lost.Registers, func(r crdt.Register) bool { return r.Stamp.Site != tx.state.site })
		}
	}
	if !own {
		return nil
	}
	document, err := tx.root(t, key, nil)
	if err != nil {
		return err
	}
	encoded, err := packDisplaced(lost, document)
	if err != nil {
		return err
	}
	return tx.c.Exec("INSERT INTO ravno_displaced(position, tab, change) VALUES(?,?,?)",
		integer(tx.position()), integer(t.number), encoded)
}

// unheard reports whether a version is this site's own work that the hub does not have yet,
// given up to where it has the row (hubHas).
func (tx *transaction) unheard(v crdt.Version, has causal.Position) bool {
	return v.Stamp.Site == tx.state.site && v.Position > has
}

// recordMadeOver records, at the hub, that a row was made in the place of one that its maker
// could not see: one that is held, or one with work of the maker's own that was displaced there,
// unseen, and came along in the same delta.
func (in *incoming) recordMadeOver(m *merging, document reference) error {
	came := func(v crdt.Version) bool { return v.Stamp.Site == m.author && v.Position > in.began }
	if !m.out.Reborn || m.t.own || m.state != imageHeld && !came(m.row.Birth) && !slices.ContainsFunc(m.row.Columns, func(c crdt.ColumnVersion) bool { return came(c.Version) }) {
		return nil
	}
	in.applied.Conflicts++
	return in.tx.keepMadeOver(m.t, m.change.Key, m.row, m.was, document, m.claim(), m.authorSide())
}

// keepMadeOver keeps such a row whole in a conflict of its own, beside what was made of it if
// that is another site's.
func (tx *transaction) keepMadeOver(t *table, key crdt.Key, row crdt.Row, was *image, document reference, maker crdt.Claim, made side) error {
	ref, former := t.reference(key), crdt.Claim{Site: owner(row.Newest()), Stamp: row.Newest()}
	sides := []side{t.wholeSide(former.Site, key, was)}
	if former.Site != maker.Site {
		sides = append(sides, made)
	}
	return tx.writeConflict(newConflict{kind: crdt.KeyCollision, row: ref, document: document, sites: []causal.Site{former.Site, maker.Site},
		detail: detail{Sides: sides}, id: conflictID(crdt.KeyCollision, ref, t, former, maker)})
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
