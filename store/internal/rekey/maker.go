package rekey

import (
	"fmt"
	"slices"
	"strings"

	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/crdt/hlc"
	"ravno/store/internal/capture"
	"ravno/store/internal/catalog"
	"ravno/store/internal/held"
	"ravno/store/internal/history"
	"ravno/store/internal/rows"
)

// FollowRekeyed applies, at the maker, the fresh keys that the hub has given to its rows. It changes
// tables, references, shadows, values kept aside and overwritten work. Stamps stay, because the hub has
// translated the same writes. It returns a CrossingError if a row made here since then occupies a fresh
// key.
func (x *Rekeying) FollowRekeyed(h *held.Set) error {
	tx := x.Tx
	rekeyed, err := history.RekeyedRows(tx, tx.State.Site, causal.Position(tx.State.Seen))
	if err != nil {
		return err
	}
	var list []collision
	for _, r := range rekeyed {
		if r.T.Renumbers {
			list = append(list, collision{t: r.T, old: r.Old, new: r.New, birth: hlc.Stamp{Time: r.Birth, Site: tx.State.Site}})
		}
	}
	sortByKey(list)
	moved := keys{}
	for _, c := range list {
		if err := x.rekey(c, &moved); err != nil {
			return err
		}
	}
	if len(moved.rows) == 0 {
		return nil
	}
	h.Try = true
	if err := rekeyShadows(tx, &moved); err != nil {
		return err
	}
	if err := rekeyKept(tx, &moved); err != nil {
		return err
	}
	if err := rekeyDocuments(tx, &moved); err != nil {
		return err
	}
	return rekeyOverwritten(tx, &moved)
}

// rekey moves one row from its old key to its fresh key, and records the move in moved.
func (x *Rekeying) rekey(c collision, moved *keys) error {
	tx := x.Tx
	old, new := crdt.NewKey(catalog.Integer(c.old)), crdt.NewKey(catalog.Integer(c.new))
	row, err := tx.ReadShadow(c.t, old)
	if err != nil {
		return err
	}
	taken, err := tx.ReadTable(c.t, new)
	if err != nil {
		return err
	}
	there, err := tx.ReadShadow(c.t, new)
	if err != nil {
		return err
	}
	if taken != nil || there.Found && (there.Live() || history.UnsentRow(tx, there.Row, x.Seen)) {
		return &history.CrossingError{Table: c.t.Name} // A row made here since has this key. The hub must rekey that row.
	}
	if there.Found { // A stable tombstone. The hub has forgotten it, or it would not give out its key.
		if err := history.ForgetRow(tx, c.t, new); err != nil {
			return err
		}
	}
	if !row.Found || row.Birth.Stamp != c.birth {
		// The row is gone here, or another row has its key. The hub does not know of that deletion yet.
		birth := crdt.Version{Stamp: c.birth}
		if err := tx.WriteShadow(c.t, new, crdt.Row{Birth: birth, Base: birth}, catalog.Reference{}, 0); err != nil {
			return err
		}
		return tx.Log(c.t, new, capture.Delete, nil)
	}
	moved.add(madeRow{c.t.Number, c.old, c.birth.Time}, c.new)
	for _, d := range c.t.Domain {
		if err := history.Rekey(tx, d, c.old, c.new); err != nil {
			return fmt.Errorf("table %s: %w", d.T.Name, err)
		}
	}
	return history.MoveShadow(tx, c.t, old, new)
}

// rekeyShadows moves shadows whose keys contain a rekeyed key, including those of deleted rows. Tables
// that get fresh keys themselves are left to rekey.
func rekeyShadows(tx *rows.Tx, moved *keys) error {
	for _, t := range tx.Cat.Tables {
		if t.Renumbers || !slices.ContainsFunc(t.Key, func(k int) bool { return len(t.Holds[k]) > 0 }) {
			continue
		}
		keys, err := history.RememberedKeys(tx, t)
		if err != nil {
			return err
		}
		var from, to []crdt.Key
		for _, key := range keys {
			new, rekeyed, err := moved.key(t, key, 0)
			if err != nil {
				return err
			}
			if rekeyed {
				from, to = append(from, key), append(to, new)
			}
		}
		order := make([]int, len(from))
		for i := range order {
			order[i] = i
		}
		slices.SortFunc(order, func(a, b int) int { return strings.Compare(string(to[b]), string(to[a])) })
		for _, i := range order { // Highest first, so each target key is free.
			if err := history.MoveShadow(tx, t, from[i], to[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// rekeyKept puts fresh keys into the rows that are kept outside their tables: held, incomplete, and
// tombstone values.
func rekeyKept(tx *rows.Tx, moved *keys) error {
	type kept struct {
		t     *catalog.Table
		key   crdt.Key
		state catalog.Whereabouts
		image *catalog.Values
	}
	var all []kept
	for _, where := range []catalog.Whereabouts{catalog.Held, catalog.Incomplete, catalog.Tombstone} {
		err := tx.EachKept(nil, func(row catalog.Reference, m *catalog.Values) error {
			if t := tx.Cat.ByNumber[row.Tab]; t != nil && len(t.Holds) > 0 {
				all = append(all, kept{t, row.Key, where, m})
			}
			return nil
		}, where)
		if err != nil {
			return err
		}
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
		if err := tx.Drop(k.t, k.key); err != nil {
			return err
		}
		if err := tx.Keep(k.t, key, k.state, k.image); err != nil {
			return err
		}
	}
	return nil
}

// birthOf returns the birth of a row whose shadow has moved to its fresh key. It returns 1, which
// matches no birth, for a row that keeps its key. It returns 0 for tables whose rows are never rekeyed.
func birthOf(tx *rows.Tx, t *catalog.Table, key crdt.Key, moved *keys) (hlc.Time, error) {
	if !t.Renumbers {
		return 0, nil
	}
	values, err := key.Values()
	if err != nil {
		return 0, err
	}
	if row, err := tx.ReadShadow(t, key); err != nil || row.Found {
		return 1, err // The row keeps its key, and no birth is 1 here.
	}
	for row, new := range moved.rows {
		if row.tab == t.Number && row.old == values[0].Int() && new == moved.latest[t.Number][row.old] {
			return row.birth, nil
		}
	}
	return 1, nil
}

// rekeyDocuments updates the document reference in shadows whose document root was rekeyed.
func rekeyDocuments(tx *rows.Tx, moved *keys) error {
	for _, t := range tx.Cat.Tables {
		if t.Parent == nil {
			continue
		}
		type change struct{ from, to catalog.Reference }
		var changes []change
		documents, err := history.Documents(tx, t)
		if err != nil {
			return err
		}
		for _, from := range documents {
			root := tx.Cat.ByNumber[from.Tab]
			if root == nil {
				continue
			}
			key, rekeyed, err := moved.key(root, from.Key, 0)
			if err != nil {
				return err
			}
			if rekeyed {
				changes = append(changes, change{from, catalog.Reference{Tab: from.Tab, Key: key}})
			}
		}
		slices.SortFunc(changes, func(a, b change) int { return strings.Compare(string(b.to.Key), string(a.to.Key)) })
		for _, c := range changes {
			if err := history.MoveDocument(tx, t, c.from, c.to); err != nil {
				return err
			}
		}
	}
	return nil
}

// rekeyOverwritten puts fresh keys into own work that was overwritten before it was acknowledged.
func rekeyOverwritten(tx *rows.Tx, moved *keys) error {
	var all []history.Overwritten
	err := history.EachOverwritten(tx, 0, func(d history.Overwritten) error {
		all = append(all, d)
		return nil
	})
	if err != nil {
		return err
	}
	for _, d := range all {
		var err error
		if d.Change.Key, _, err = moved.key(d.T, d.Change.Key, d.Change.Birth.Time); err != nil {
			return err
		}
		for i, reg := range d.Change.Registers {
			if column, ok := d.T.ByNum[reg.Column]; ok {
				d.Change.Registers[i].Value, _ = moved.value(d.T, column, reg.Value)
			}
		}
		if root := tx.Cat.ByNumber[d.Document.Tab]; root != nil {
			if d.Document.Key, _, err = moved.key(root, d.Document.Key, 0); err != nil {
				return err
			}
		}
		if err := history.UpdateOverwritten(tx, d); err != nil {
			return err
		}
	}
	return nil
}
