package rekey

import (
	"fmt"
	"slices"
	"strings"

	"ravno/crdt"
	"ravno/crdt/hlc"
	"ravno/store/internal/capture"
	"ravno/store/internal/catalog"
	"ravno/store/internal/held"
	"ravno/store/internal/history"
	"ravno/store/internal/rows"
	"ravno/store/internal/sqlite"
)

// FollowRenames gives rows made here the fresh keys the hub has given them, and makes
// everything that refers to them follow, in the tables, in the shadows and in what is kept
// aside. Stamps stay: the hub has translated the same writes.
func (x *Rekeying) FollowRenames(h *held.HeldSet) error {
	tx := x.Tx
	var list []collision
	err := tx.C.Rows("SELECT tab, old, birth, new FROM ravno_rename WHERE site=? AND position>?",
		[]crdt.Value{catalog.Integer(tx.State.Site), catalog.Integer(tx.State.Seen)}, func(row []crdt.Value) error {
			if t := tx.Cat.ByName[strings.ToLower(row[0].Bytes())]; t != nil && t.Renumbers {
				list = append(list, collision{t: t, old: row[1].Int(), new: row[3].Int(),
					birth: hlc.Stamp{Time: hlc.Time(row[2].Int()), Site: tx.State.Site}})
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
	h.Try = true
	if err := renameShadows(tx, &moved); err != nil {
		return err
	}
	if err := renameImages(tx, &moved); err != nil {
		return err
	}
	if err := renameDocuments(tx, &moved); err != nil {
		return err
	}
	return renameDisplaced(tx, &moved)
}

// rename gives one row a fresh key.
func (x *Rekeying) rename(c collision, moved *renames) error {
	tx := x.Tx
	old, new := crdt.NewKey(catalog.Integer(c.old)), crdt.NewKey(catalog.Integer(c.new))
	row, _, sent, err := tx.ReadShadowAt(c.t, old)
	if err != nil {
		return err
	}
	taken, err := tx.Exists(c.t, new)
	if err != nil {
		return err
	}
	there, _, known, err := tx.ReadShadow(c.t, new)
	if err != nil {
		return err
	}
	if taken || known && (there.Live() || history.UnsentRow(tx, there, x.Seen)) {
		return &history.CrossingError{Table: c.t.Name} // a row made here since has the fresh key: it is to get another
	}
	if known { // deleted, and settled: the hub has forgotten it already, or it would not give its key
		if err := history.ForgetRow(tx, c.t, new); err != nil {
			return err
		}
	}
	if !sent.Found || row.Birth.Stamp != c.birth {
		// The row is gone here and another has its key: the hub is yet to hear that it is gone.
		birth := crdt.Version{Stamp: c.birth}
		if err := tx.WriteShadow(c.t, new, crdt.Row{Birth: birth, Base: birth}, catalog.Reference{}, 0); err != nil {
			return err
		}
		return tx.Log(c.t, new, capture.Delete, nil)
	}
	moved.add(renamedRow{c.t.Number, c.old, c.birth.Time}, c.new)
	for _, d := range c.t.Domain {
		if err := renameColumn(tx, d, c.old, c.new); err != nil {
			return fmt.Errorf("table %s: %w", d.T.Name, err)
		}
	}
	return moveShadow(tx, c.t, old, new)
}

// renameColumn puts a key's fresh value into a column that holds it.
func renameColumn(tx *rows.Tx, d catalog.DomainColumn, old, new int64) error {
	name := sqlite.Quote(d.T.Columns[d.Column].Name)
	return tx.Put(d.T, "UPDATE "+sqlite.Quote(d.T.Name)+" SET "+name+"=? WHERE "+name+"=?", catalog.Integer(new), catalog.Integer(old))
}

// renameShadows moves the shadows of rows, deleted ones too, whose keys hold renamed keys.
func renameShadows(tx *rows.Tx, moved *renames) error {
	for _, t := range tx.Cat.Tables {
		if t.Renumbers || !slices.ContainsFunc(t.Key, func(k int) bool { return len(t.Holds[k]) > 0 }) {
			continue
		}
		var from, to []crdt.Key
		err := tx.C.Rows("SELECT key FROM "+t.Shadow, nil, func(row []crdt.Value) error {
			key := t.KeyOf(row[0])
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
			if err := moveShadow(tx, t, from[i], to[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// keysWith are the keys of the rows whose column has a value, dead ones not among them.
func keysWith(tx *rows.Tx, d catalog.DomainColumn, value int64) (keys []crdt.Key, err error) {
	err = tx.C.Rows("SELECT "+sqlite.QuoteAll("+", d.T.KeyNames())+" FROM "+sqlite.Quote(d.T.Name)+" WHERE "+
		sqlite.Quote(d.T.Columns[d.Column].Name)+"=?", []crdt.Value{catalog.Integer(value)}, func(stored []crdt.Value) error {
		if key, err := d.T.CanonicalKey(slices.Clone(stored)); err == nil {
			keys = append(keys, key)
		}
		return nil
	})
	return keys, err
}

// moveShadow moves what is remembered of a row to another key.
func moveShadow(tx *rows.Tx, t *catalog.Table, from, to crdt.Key) error {
	a, err := t.ShadowKey(from)
	if err != nil {
		return err
	}
	b, err := t.ShadowKey(to)
	if err != nil {
		return err
	}
	none, err := history.NothingEarly(tx)
	if err != nil {
		return err
	}
	if !none {
		if err := tx.C.Exec("UPDATE OR REPLACE ravno_early SET key=? WHERE site=0 AND tab=? AND key=?", catalog.Blob(to), catalog.Integer(t.Number), catalog.Blob(from)); err != nil {
			return err
		}
	}
	return tx.C.Exec("UPDATE "+t.Shadow+" SET key=? WHERE key=?", b, a)
}

// renameImages gives fresh keys to what is kept of rows outside their tables.
func renameImages(tx *rows.Tx, moved *renames) error {
	type kept struct {
		t     *catalog.Table
		key   crdt.Key
		state rows.ImageState
		image *catalog.Values
	}
	var all []kept
	err := tx.C.Rows("SELECT tab, key, state, image FROM ravno_image", nil, func(row []crdt.Value) error {
		t := tx.Cat.ByNumber[row[0].Int()]
		if t == nil || len(t.Holds) == 0 {
			return nil
		}
		m, err := catalog.DecodeImage(row[3])
		all = append(all, kept{t, crdt.Key(row[1].Bytes()), rows.ImageState(row[2].Bytes()), m})
		return err
	})
	if err != nil {
		return err
	}
	for _, k := range all {
		birth, err := birthOf(tx, k.t, k.key, moved)
		if err != nil {
			return err
		}
		key, rekeyed, err := moved.key(k.t, k.key, birth)
		if err != nil {
			return err
		}
		changed := rekeyed
		for number, v := range k.image.All() {
			column := k.t.ByNum[number]
			if k.t.Renumbers && column == k.t.Key[0] {
				if values, err := key.Values(); err == nil {
					k.image.Set(number, values[0])
				}
				continue
			}
			if v, ok := moved.value(k.t, column, v); ok {
				k.image.Set(number, v)
				changed = true
			}
		}
		if !changed {
			continue
		}
		if err := tx.DropImage(k.t, k.key); err != nil {
			return err
		}
		if err := tx.KeepImage(k.t, key, k.state, k.image); err != nil {
			return err
		}
	}
	return nil
}

// birthOf is the birth of a row whose shadow has moved to its fresh key already, if it has.
func birthOf(tx *rows.Tx, t *catalog.Table, key crdt.Key, moved *renames) (hlc.Time, error) {
	if !t.Renumbers {
		return 0, nil
	}
	values, err := key.Values()
	if err != nil {
		return 0, err
	}
	if _, _, still, err := tx.ReadShadow(t, key); err != nil || still {
		return 1, err // a row that stays: no birth matches
	}
	for row, new := range moved.rows {
		if row.tab == t.Number && row.old == values[0].Int() && new == moved.latest[t.Number][row.old] {
			return row.birth, nil
		}
	}
	return 1, nil
}

// renameDocuments makes the shadows of rows follow the root of their document.
func renameDocuments(tx *rows.Tx, moved *renames) error {
	for _, t := range tx.Cat.Tables {
		if t.Parent == nil {
			continue
		}
		type change struct{ from, to catalog.Reference }
		var changes []change
		err := tx.C.Rows("SELECT DISTINCT document FROM "+t.Shadow+" WHERE document IS NOT NULL", nil, func(row []crdt.Value) error {
			from, ok := catalog.DecodeReference(row[0])
			root := tx.Cat.ByNumber[from.Tab]
			if !ok || root == nil {
				return nil
			}
			key, renamed, err := moved.key(root, from.Key, 0)
			if renamed {
				changes = append(changes, change{from, catalog.Reference{Tab: from.Tab, Key: key}})
			}
			return err
		})
		if err != nil {
			return err
		}
		slices.SortFunc(changes, func(a, b change) int { return strings.Compare(string(b.to.Key), string(a.to.Key)) })
		for _, c := range changes {
			if err := tx.C.Exec("UPDATE "+t.Shadow+" SET document=? WHERE document=?", c.to.Encode(), c.from.Encode()); err != nil {
				return err
			}
		}
	}
	return nil
}

// renameDisplaced gives fresh keys to own work that was displaced and is still to be sent.
func renameDisplaced(tx *rows.Tx, moved *renames) error {
	type displaced struct {
		id     crdt.Value
		t      *catalog.Table
		change crdt.Change
		root   catalog.Reference
	}
	var all []displaced
	err := tx.C.Rows("SELECT id, tab, change FROM ravno_displaced", nil, func(row []crdt.Value) error {
		t := tx.Cat.ByNumber[row[1].Int()]
		if t == nil {
			return nil
		}
		change, root, err := history.UnpackChange(row[2].Bytes())
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
			if column, ok := d.t.ByNum[reg.Column]; ok {
				d.change.Registers[i].Value, _ = moved.value(d.t, column, reg.Value)
			}
		}
		if root := tx.Cat.ByNumber[d.root.Tab]; root != nil {
			if d.root.Key, _, err = moved.key(root, d.root.Key, 0); err != nil {
				return err
			}
		}
		encoded, err := history.PackDisplaced(d.change, d.root)
		if err != nil {
			return err
		}
		if err := tx.C.Exec("UPDATE ravno_displaced SET change=? WHERE id=?", encoded, d.id); err != nil {
			return err
		}
	}
	return nil
}
