package store

import (
	"encoding/hex"
	"slices"

	"ravno/crdt"
	"ravno/store/internal/capture"
	"ravno/store/internal/sqlite"
)

// A row may refer to another by a unique value instead of its key. If that value changes at
// one server while another one, not knowing, refers to the row by the former, the reference
// follows the row.

// followMoved makes rows follow one whose values a delta has changed.
func (x *repairs) followMoved(m merged) error {
	for _, l := range m.t.down {
		reference, ok := l.referred(m.was)
		if l.byKey() || !ok {
			continue
		}
		if dangles, err := x.tx.dangles(l, reference); err != nil {
			return err
		} else if !dangles {
			continue
		}
		children, err := x.tx.childrenOf(l, reference)
		if err != nil {
			return err
		}
		for _, child := range children {
			if err := x.follow(l, child, m.key); err != nil {
				return err
			}
		}
	}
	return nil
}

// followUnseen makes a row that a delta brought follow a row whose values somebody has changed
// without the author's knowledge.
func (x *repairs) followUnseen(ref arrival) error {
	t := x.tx.cat.byNumber[ref.tab]
	m, err := x.tx.tableImage(t, ref.key)
	if err != nil || m == nil {
		return err
	}
	return x.tx.eachDangling(t, m, func(l *link, reference []crdt.Value) error {
		if l.byKey() {
			return nil
		}
		parent, err := x.tx.formerly(l, reference, x.author, ref.seen)
		if err != nil || parent == "" {
			return err
		}
		row, _, _, err := x.tx.readShadow(l.parent, parent)
		if err != nil {
			return err
		}
		if !row.Live() && (row.Death.Stamp.Site == x.author || row.Death.Position <= ref.seen) {
			return nil // its author knew: an application without foreign keys may do so
		}
		if err := x.follow(l, ref.key, parent); err != nil || row.Live() {
			return err
		}
		if row, _, _, err = x.tx.readShadow(t, ref.key); err != nil {
			return err
		}
		return x.refer(l, ref.key, row, l.parent, parent)
	})
}

// followOrKill makes a row that is back follow the row it referred to, or takes it out again if
// nobody knows which that is.
func (x *repairs) followOrKill(l *link, child crdt.Key, reference []crdt.Value) error {
	if l.byKey() {
		return x.kill(l.child, child)
	}
	parent, err := x.tx.formerly(l, reference, 0, 0)
	if err != nil {
		return err
	}
	if parent == "" {
		return x.kill(l.child, child)
	}
	if err := x.follow(l, child, parent); err != nil {
		return err
	}
	if ok, err := x.bringBack(l.parent, parent); err != nil || ok {
		return err
	}
	return x.kill(l.child, child)
}

// follow puts a row's current values into a reference to it, or, if it is deleted, its last.
func (x *repairs) follow(l *link, child, parent crdt.Key) error {
	tx := x.tx
	now, _, err := tx.values(l.parent, parent)
	if err != nil || now == nil {
		return err
	}
	row, _, _, err := tx.readShadow(l.child, child)
	if err != nil {
		return err
	}
	before, err := tx.tableImage(l.child, child)
	if err != nil || before == nil {
		return err
	}
	det := detail{Sides: []side{l.child.wholeSide(owner(row.Newest()), child, before)}}
	values, columns, names, fits := newImage(0), []crdt.Column(nil), []string(nil), true
	for i, c := range l.columns {
		v := now.value(crdt.Column(l.parent.numbers[l.refers[i]]))
		column := l.child.Columns[c]
		fits = fits && !column.InKey && !(v.Kind() == crdt.Null && column.NotNull)
		number := crdt.Column(l.child.numbers[c])
		values.set(number, v)
		columns, names = append(columns, number), append(names, column.Name)
	}
	x.wrote = true
	if err := tx.renamed(l.child, child, before, tx.state.site); err != nil {
		return err
	}
	if fits {
		err = tx.updateImage(l.child, child, columns, values)
		if err == nil {
			err = tx.log(l.child, child, capture.Update, names)
		}
	}
	if !fits || isConstraint(err) {
		err = x.kill(l.child, child)
	}
	if err != nil {
		return err
	}
	parentRow, document, _, err := tx.readShadow(l.parent, parent)
	if err != nil {
		return err
	}
	if document == (reference{}) {
		document = l.parent.reference(parent)
	}
	changer := owner(parentRow.Newest())
	changed := side{Site: changer, Table: l.parent.Name, Key: hex.EncodeToString([]byte(parent)), Values: map[string]string{}}
	for _, c := range l.refers {
		changed.Values[l.parent.Columns[c].Name] = encodeValue(now.value(crdt.Column(l.parent.numbers[c])))
	}
	det.Sides = append(det.Sides, changed)
	x.recorded++
	return x.recordForeignKey(l.parent, parent, document, det, crdt.Claim{Site: changer, Stamp: parentRow.Newest()},
		crdt.Claim{Site: owner(row.Newest()), Stamp: row.Newest()})
}

// manyFresh is from how many fresh keys of a table on the rows that may refer to them are found by
// going through all rows, and not by asking for each: there may be no index.
const manyFresh = 16

// followFresh makes rows follow those that have just got fresh keys, if they came from their maker
// before these did, and reports whether it wrote any: in an earlier slice of the same work, with a value newer than that slice.
func (x *rekeying) followFresh() (wrote bool, err error) {
	if !x.sliced {
		return false, nil
	}
	fresh := map[*table]map[int64]collision{}
	for _, c := range x.collisions {
		if x.renames.fresh[c.t.reference(crdt.NewKey(integer(c.old)))] {
			continue // it is the fresh key of another row of its maker's, which may be meant as well
		}
		if fresh[c.t] == nil {
			fresh[c.t] = map[int64]collision{}
		}
		fresh[c.t][c.old] = c
	}
	for _, t := range x.tx.cat.tables {
		of := fresh[t]
		for _, d := range t.domain {
			if len(of) == 0 || d.t.Columns[d.column].InKey {
				continue // such a reference is as old as its row, and what it is to came no later (sortRows)
			}
			rows, err := x.tx.rowsWith(d, of)
			if err != nil {
				return wrote, err
			}
			for _, row := range rows {
				some, err := x.refersTo(d, row.key, of[row.value])
				if err != nil {
					return wrote, err
				}
				wrote = wrote || some
			}
		}
	}
	return wrote, nil
}

// referring is a row and what a column of it says.
type referring struct {
	key   crdt.Key
	value int64
}

// rowsWith are the rows whose column has one of some values.
func (tx *transaction) rowsWith(d domainColumn, values map[int64]collision) (rows []referring, err error) {
	if len(values) < manyFresh {
		for value := range values {
			keys, err := tx.keysWith(d, value)
			if err != nil {
				return nil, err
			}
			for _, key := range keys {
				rows = append(rows, referring{key, value})
			}
		}
		return rows, nil
	}
	column := "+" + sqlite.Quote(d.t.Columns[d.column].Name)
	err = tx.c.Rows("SELECT "+column+", "+sqlite.QuoteAll("+", d.t.keyNames())+" FROM "+sqlite.Quote(d.t.Name), nil, func(row []crdt.Value) error {
		if _, any := values[row[0].Int()]; !any || row[0].Kind() != crdt.Integer {
			return nil
		}
		if key, err := d.t.CanonicalKey(slices.Clone(row[1:])); err == nil {
			rows = append(rows, referring{key, row[0].Int()})
		}
		return nil
	})
	return rows, err
}

// refersTo puts a fresh key into a column, if it was the maker of the row that has got it who wrote
// the former key there, after making that row: anybody else means the row that keeps it. What came
// with that row was translated when it came. It reports whether it wrote.
func (x *rekeying) refersTo(d domainColumn, key crdt.Key, c collision) (wrote bool, err error) {
	row, _, _, err := x.tx.readShadow(d.t, key)
	if err != nil {
		return false, err
	}
	number := crdt.Column(d.t.numbers[d.column])
	if v := row.Version(number); v.Stamp.Site != x.author || v.Stamp.Time < c.birth.Time || v.Position > x.began {
		return false, nil
	}
	fresh := newImage(1)
	fresh.set(number, integer(c.new))
	if err := x.tx.updateImage(d.t, key, []crdt.Column{number}, fresh); err != nil {
		return false, err
	}
	return true, x.tx.log(d.t, key, capture.Update, []string{d.t.Columns[d.column].Name})
}
