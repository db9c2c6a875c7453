package store

import (
	"fmt"
	"slices"
	"strings"

	"ravno/crdt"
	"ravno/crdt/hlc"
	"ravno/store/internal/capture"
	"ravno/store/internal/sqlite"
)

// followRenames gives rows made here the fresh keys the hub has given them, and makes
// everything that refers to them follow, in the tables, in the shadows and in what is kept
// aside. Stamps stay: the hub has translated the same writes.
func (x *rekeying) followRenames(h *heldSet) error {
	tx := x.tx
	var list []collision
	err := tx.c.Rows("SELECT tab, old, birth, new FROM ravno_rename WHERE site=? AND position>?",
		[]crdt.Value{integer(tx.state.site), integer(tx.state.seen)}, func(row []crdt.Value) error {
			if t := tx.cat.byName[strings.ToLower(row[0].Bytes())]; t != nil && t.renumbers {
				list = append(list, collision{t: t, old: row[1].Int(), new: row[3].Int(),
					birth: hlc.Stamp{Time: hlc.Time(row[2].Int()), Site: tx.state.site}})
			}
			return nil
		})
	if err != nil {
		return err
	}
	sortRenames(list)
	moved := renames{}
	for _, c := range list {
		if err := x.rename(c, &moved); err != nil {
			return err
		}
	}
	if len(moved.rows) == 0 {
		return nil
	}
	h.try = true
	if err := tx.renameShadows(&moved); err != nil {
		return err
	}
	if err := tx.renameImages(&moved); err != nil {
		return err
	}
	if err := tx.renameDocuments(&moved); err != nil {
		return err
	}
	return tx.renameDisplaced(&moved)
}

// rename gives one row a fresh key.
func (x *rekeying) rename(c collision, moved *renames) error {
	tx := x.tx
	old, new := crdt.NewKey(integer(c.old)), crdt.NewKey(integer(c.new))
	row, _, sent, err := tx.readShadowAt(c.t, old)
	if err != nil {
		return err
	}
	taken, err := tx.exists(c.t, new)
	if err != nil {
		return err
	}
	there, _, known, err := tx.readShadow(c.t, new)
	if err != nil {
		return err
	}
	if taken || known && (there.Live() || tx.unsentRow(there, x.seen)) {
		return &CrossingError{Table: c.t.Name} // a row made here since has the fresh key: it is to get another
	}
	if known { // deleted, and settled: the hub has forgotten it already, or it would not give its key
		if err := tx.forgetRow(c.t, new); err != nil {
			return err
		}
	}
	if !sent.found || row.Birth.Stamp != c.birth {
		// The row is gone here and another has its key: the hub is yet to hear that it is gone.
		birth := crdt.Version{Stamp: c.birth}
		if err := tx.writeShadow(c.t, new, crdt.Row{Birth: birth, Base: birth}, reference{}, 0); err != nil {
			return err
		}
		return tx.log(c.t, new, capture.Delete, nil)
	}
	moved.add(renamedRow{c.t.number, c.old, c.birth.Time}, c.new)
	for _, d := range c.t.domain {
		if err := tx.renameColumn(d, c.old, c.new); err != nil {
			return fmt.Errorf("table %s: %w", d.t.Name, err)
		}
	}
	return tx.moveShadow(c.t, old, new)
}

// renameColumn puts a key's fresh value into a column that holds it.
func (tx *transaction) renameColumn(d domainColumn, old, new int64) error {
	name := sqlite.Quote(d.t.Columns[d.column].Name)
	return tx.put(d.t, "UPDATE "+sqlite.Quote(d.t.Name)+" SET "+name+"=? WHERE "+name+"=?", integer(new), integer(old))
}

// renameShadows moves the shadows of rows, deleted ones too, whose keys hold renamed keys.
func (tx *transaction) renameShadows(moved *renames) error {
	for _, t := range tx.cat.tables {
		if t.renumbers || !slices.ContainsFunc(t.Key, func(k int) bool { return len(t.holds[k]) > 0 }) {
			continue
		}
		var from, to []crdt.Key
		err := tx.c.Rows("SELECT key FROM "+t.shadow, nil, func(row []crdt.Value) error {
			key := t.keyOf(row[0])
			new, renamed, err := moved.key(t, key, 0)
			if renamed {
				from, to = append(from, key), append(to, new)
			}
			return err
		})
		if err != nil {
			return err
		}
		order := make([]int, len(from))
		for i := range order {
			order[i] = i
		}
		slices.SortFunc(order, func(a, b int) int { return strings.Compare(string(to[b]), string(to[a])) })
		for _, i := range order { // the highest first: what it moves to is free
			if err := tx.moveShadow(t, from[i], to[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// keysWith are the keys of the rows whose column has a value, dead ones not among them.
func (tx *transaction) keysWith(d domainColumn, value int64) (keys []crdt.Key, err error) {
	err = tx.c.Rows("SELECT "+sqlite.QuoteAll("+", d.t.keyNames())+" FROM "+sqlite.Quote(d.t.Name)+" WHERE "+
		sqlite.Quote(d.t.Columns[d.column].Name)+"=?", []crdt.Value{integer(value)}, func(stored []crdt.Value) error {
		if key, err := d.t.CanonicalKey(slices.Clone(stored)); err == nil {
			keys = append(keys, key)
		}
		return nil
	})
	return keys, err
}

// moveShadow moves what is remembered of a row to another key.
func (tx *transaction) moveShadow(t *table, from, to crdt.Key) error {
	a, err := t.shadowKey(from)
	if err != nil {
		return err
	}
	b, err := t.shadowKey(to)
	if err != nil {
		return err
	}
	none, err := tx.nothingEarly()
	if err != nil {
		return err
	}
	if !none {
		if err := tx.c.Exec("UPDATE OR REPLACE ravno_early SET key=? WHERE site=0 AND tab=? AND key=?", blob(to), integer(t.number), blob(from)); err != nil {
			return err
		}
	}
	return tx.c.Exec("UPDATE "+t.shadow+" SET key=? WHERE key=?", b, a)
}

// renameImages gives fresh keys to what is kept of rows outside their tables.
func (tx *transaction) renameImages(moved *renames) error {
	type kept struct {
		t     *table
		key   crdt.Key
		state imageState
		image *image
	}
	var all []kept
	err := tx.c.Rows("SELECT tab, key, state, image FROM ravno_image", nil, func(row []crdt.Value) error {
		t := tx.cat.byNumber[row[0].Int()]
		if t == nil || len(t.holds) == 0 {
			return nil
		}
		m, err := decodeImage(row[3])
		all = append(all, kept{t, crdt.Key(row[1].Bytes()), imageState(row[2].Bytes()), m})
		return err
	})
	if err != nil {
		return err
	}
	for _, k := range all {
		birth, err := tx.birthOf(k.t, k.key, moved)
		if err != nil {
			return err
		}
		key, rekeyed, err := moved.key(k.t, k.key, birth)
		if err != nil {
			return err
		}
		changed := rekeyed
		for number, v := range k.image.all() {
			column := k.t.byNum[number]
			if k.t.renumbers && column == k.t.Key[0] {
				if values, err := key.Values(); err == nil {
					k.image.set(number, values[0])
				}
				continue
			}
			if v, ok := moved.value(k.t, column, v); ok {
				k.image.set(number, v)
				changed = true
			}
		}
		if !changed {
			continue
		}
		if err := tx.dropImage(k.t, k.key); err != nil {
			return err
		}
		if err := tx.keepImage(k.t, key, k.state, k.image); err != nil {
			return err
		}
	}
	return nil
}

// birthOf is the birth of a row whose shadow has moved to its fresh key already, if it has.
func (tx *transaction) birthOf(t *table, key crdt.Key, moved *renames) (hlc.Time, error) {
	if !t.renumbers {
		return 0, nil
	}
	values, err := key.Values()
	if err != nil {
		return 0, err
	}
	if _, _, still, err := tx.readShadow(t, key); err != nil || still {
		return 1, err // a row that stays: no birth matches
	}
	for row, new := range moved.rows {
		if row.tab == t.number && row.old == values[0].Int() && new == moved.latest[t.number][row.old] {
			return row.birth, nil
		}
	}
	return 1, nil
}

// renameDocuments makes the shadows of rows follow the root of their document.
func (tx *transaction) renameDocuments(moved *renames) error {
	for _, t := range tx.cat.tables {
		if t.parent == nil {
			continue
		}
		type change struct{ from, to reference }
		var changes []change
		err := tx.c.Rows("SELECT DISTINCT document FROM "+t.shadow+" WHERE document IS NOT NULL", nil, func(row []crdt.Value) error {
			from, ok := decodeReference(row[0])
			root := tx.cat.byNumber[from.tab]
			if !ok || root == nil {
				return nil
			}
			key, renamed, err := moved.key(root, from.key, 0)
			if renamed {
				changes = append(changes, change{from, reference{tab: from.tab, key: key}})
			}
			return err
		})
		if err != nil {
			return err
		}
		slices.SortFunc(changes, func(a, b change) int { return strings.Compare(string(b.to.key), string(a.to.key)) })
		for _, c := range changes {
			if err := tx.c.Exec("UPDATE "+t.shadow+" SET document=? WHERE document=?", c.to.encode(), c.from.encode()); err != nil {
				return err
			}
		}
	}
	return nil
}

// renameDisplaced gives fresh keys to own work that was displaced and is still to be sent.
func (tx *transaction) renameDisplaced(moved *renames) error {
	type displaced struct {
		id     crdt.Value
		t      *table
		change crdt.Change
		root   reference
	}
	var all []displaced
	err := tx.c.Rows("SELECT id, tab, change FROM ravno_displaced", nil, func(row []crdt.Value) error {
		t := tx.cat.byNumber[row[1].Int()]
		if t == nil {
			return nil
		}
		change, root, err := unpackChange(row[2].Bytes())
		all = append(all, displaced{row[0], t, change, root})
		return err
	})
	if err != nil {
		return err
	}
	for _, d := range all {
		var err error
		if d.change.Key, _, err = moved.key(d.t, d.change.Key, d.change.Birth.Time); err != nil {
			return err
		}
		for i, reg := range d.change.Registers {
			if column, ok := d.t.byNum[reg.Column]; ok {
				d.change.Registers[i].Value, _ = moved.value(d.t, column, reg.Value)
			}
		}
		if root := tx.cat.byNumber[d.root.tab]; root != nil {
			if d.root.key, _, err = moved.key(root, d.root.key, 0); err != nil {
				return err
			}
		}
		encoded, err := packDisplaced(d.change, d.root)
		if err != nil {
			return err
		}
		if err := tx.c.Exec("UPDATE ravno_displaced SET change=? WHERE id=?", encoded, d.id); err != nil {
			return err
		}
	}
	return nil
}
