package rekey

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/crdt/hlc"
	"ravno/journal"
	"ravno/store/internal/catalog"
	"ravno/store/internal/conflict"
	"ravno/store/internal/history"
	"ravno/store/internal/rows"
)

// madeRow identifies a row as its maker knows it: table number, key at the maker, and time of birth.
type madeRow struct {
	tab   int64
	old   int64
	birth hlc.Time
}

// keys maps the rows of one site to their fresh keys. The zero value is empty.
type keys struct {
	rows   map[madeRow]int64
	latest map[int64]map[int64]int64  // by table number and old key: the fresh key added last
	fresh  map[catalog.Reference]bool // the rows under their fresh keys
}

// add records that a row got the key new.
func (r *keys) add(row madeRow, new int64) {
	if r.rows == nil {
		r.rows, r.latest, r.fresh = map[madeRow]int64{}, map[int64]map[int64]int64{}, map[catalog.Reference]bool{}
	}
	if r.latest[row.tab] == nil {
		r.latest[row.tab] = map[int64]int64{}
	}
	r.rows[row] = new
	r.latest[row.tab][row.old] = new
	r.fresh[catalog.Reference{Tab: row.tab, Key: crdt.NewKey(catalog.Integer(new))}] = true
}

// value translates an integer that a column holds. It returns the fresh key and true if v is the old
// key of a rekeyed row that the column may hold. Otherwise it returns v and false.
func (r *keys) value(t *catalog.Table, column int, v crdt.Value) (crdt.Value, bool) {
	if v.Kind() != crdt.Integer {
		return v, false
	}
	for _, root := range t.Holds[column] {
		if new, ok := r.latest[root.Number][v.Int()]; ok {
			return catalog.Integer(new), true
		}
	}
	return v, false
}

// key translates the key of a row and reports whether it changed. The birth tells apart rows that had
// the same key one after the other. A birth of 0 means that the birth is unknown.
func (r *keys) key(t *catalog.Table, key crdt.Key, birth hlc.Time) (crdt.Key, bool, error) {
	if len(r.rows) == 0 || len(t.Holds) == 0 {
		return key, false, nil
	}
	values, err := key.Values()
	if err != nil || len(values) != len(t.Key) {
		return key, false, errors.Join(err, catalog.ErrKey)
	}
	changed := false
	for i, k := range t.Key {
		v, moved := r.value(t, k, values[i])
		if t.Renumbers && birth != 0 {
			new, ok := r.rows[madeRow{t.Number, values[i].Int(), birth}]
			v, moved = catalog.Integer(new), ok
		}
		if moved {
			values[i], changed = v, true
		}
	}
	if !changed {
		return key, false, nil
	}
	return crdt.NewKey(values...), true, nil
}

// Rekeying finds and follows the rekeyed rows of one delta. It belongs to one transaction and is not
// safe for concurrent use.
type Rekeying struct {
	Tx         *rows.Tx
	Author     causal.Site     // the author of the delta, or 0 for the hub
	Seen       causal.Position // this site's position that the sender had seen
	Began      causal.Position // this site's position before the first change
	Heard      hlc.Time        // at the hub: the newest stamp that the node had sent before
	Sliced     bool            // at the hub: an earlier slice of the node's work is here
	keys       keys
	collisions []collision
	Superseded []superseded // rekeyed rows that their maker has replaced
}

// Translate replaces old keys in a change with fresh ones: in its key, its values and its document. It
// changes the registers in place. Tables of ravno's own are left alone.
func (x *Rekeying) Translate(t *catalog.Table, change *crdt.Change) (err error) {
	r := &x.keys
	if len(r.rows) == 0 || t.Own {
		return nil
	}
	if change.Key, _, err = r.key(t, change.Key, change.Birth.Time); err != nil {
		return err
	}
	for i, reg := range change.Registers {
		change.Registers[i].Value, _ = r.value(t, t.ByNum[reg.Column], reg.Value)
	}
	if d := change.Document; d != nil {
		if root := x.Tx.Cat.ByName[strings.ToLower(d.Table)]; root != nil {
			key, _, err := r.key(root, d.Key, 0)
			change.Document = &crdt.Document{Table: d.Table, Key: key} // a copy, because other changes may share d
			return err
		}
	}
	return nil
}

// collision is a node's row whose key belongs to another row at the hub.
type collision struct {
	t     *catalog.Table
	old   int64
	birth hlc.Stamp
	new   int64
	other causal.Site // the site that made the row that keeps the key
}

// FindCollisions gives fresh keys, at the hub, to a node's rows whose keys belong to other rows here.
// It runs before anything of the delta is applied. The function each calls its argument with every
// section. The map keys has, by table name, the highest key in the rest of the node's work.
func (x *Rekeying) FindCollisions(each func(func(*crdt.Section) error) error, keys map[string]int64) error {
	tx := x.Tx
	rekeyed, err := history.RekeyedRows(tx, x.Author, x.Seen)
	if err != nil {
		return err
	}
	for _, r := range rekeyed {
		x.keys.add(madeRow{r.T.Number, r.Old, r.Birth}, r.New)
	}
	if !slices.ContainsFunc(tx.Cat.Tables, func(t *catalog.Table) bool { return t.Renumbers }) {
		return nil // No table can collide. Reading the whole delta would be wasted.
	}
	var found []collision
	highest := map[*catalog.Table]int64{} // the node's own highest keys, below every fresh key
	for name, key := range keys {
		if t := tx.Cat.ByName[strings.ToLower(name)]; t != nil && key < catalog.MaxFreshKey {
			highest[t] = key
		}
	}
	err = each(func(section *crdt.Section) error {
		t := tx.Cat.ByName[strings.ToLower(section.Table)]
		if t == nil || !t.Renumbers || section.Journal {
			return nil
		}
		return tx.InOrder(len(section.Changes), func() error {
			for _, change := range section.Changes {
				c, any, err := x.collision(t, change, highest)
				if err != nil {
					return fmt.Errorf("table %s: %w", t.Name, err)
				}
				if any {
					found = append(found, c)
				}
			}
			return nil
		})
	})
	if err != nil {
		return err
	}
	for _, c := range found {
		if err := x.giveFreshKey(c, highest); err != nil {
			return err
		}
	}
	return nil
}

// collision decides whether one change makes a row under a key of another row. It reports true with the
// collision, whose new key is still to be chosen. It also raises the highest key of the table.
func (x *Rekeying) collision(t *catalog.Table, change crdt.Change, highest map[*catalog.Table]int64) (
	c collision, any bool, err error) {
	tx, author := x.Tx, x.Author
	stored, err := t.ShadowKey(change.Key)
	if err != nil {
		return c, false, err
	}
	old := stored.Int()
	if old < catalog.MaxFreshKey {
		highest[t] = max(highest[t], old)
	}
	if _, has := x.keys.rows[madeRow{t.Number, old, change.Birth.Time}]; has || change.Birth.Site != author {
		return c, false, nil
	}
	if _, rekeyed := x.keys.latest[t.Number][old]; rekeyed {
		x.supersede(t, old, change.Birth.Time)
	}
	row, err := tx.ReadShadowNext(t, change.Key)
	if err != nil || !row.Found {
		return c, false, err
	}
	other := row.Birth
	// The author knows its own row by this key, unless that row was rekeyed to it here.
	seen, err := history.HasSeen(tx, author, t.Reference(change.Key), x.Seen)
	if err != nil {
		return c, false, err
	}
	known := other.Stamp.Site == author && !x.keys.fresh[t.Reference(change.Key)] || other.Position <= seen
	// A birth that the hub has not heard of arrives with the whole row. A change without the whole
	// row is work on a row that the hub's row has replaced, and is no collision. The exception is a
	// deleted row with a later birth than the hub's row, because its death would delete that row.
	// A birth heard of before can arrive whole too, after its row outlived a deletion.
	fresh := change.Whole && (change.Birth.Time > x.Heard || change.Birth.Time == catalog.FirstSeed) ||
		!change.Death.IsZero() && change.Birth.After(other.Stamp)
	if known || !fresh || other.Stamp == change.Birth || other.Stamp.Time == catalog.FirstSeed &&
		change.Birth.Time == catalog.FirstSeed {
		return c, false, nil
	}
	return collision{t: t, old: old, birth: change.Birth, other: other.Stamp.Site}, true, nil
}

// superseded is a rekeyed row, under its fresh key, that its maker has replaced by another. Birth is
// the time of its birth.
type superseded struct {
	Row   catalog.Reference
	Birth hlc.Time
}

// supersede notes that the author made another row under a key whose earlier row was rekeyed here. So
// the earlier row is gone at its maker.
func (x *Rekeying) supersede(t *catalog.Table, old int64, birth hlc.Time) {
	for former, new := range x.keys.rows {
		gone := superseded{Row: t.Reference(crdt.NewKey(catalog.Integer(new))), Birth: former.birth}
		if former.tab == t.Number && former.old == old && former.birth < birth && !slices.Contains(x.Superseded, gone) {
			x.Superseded = append(x.Superseded, gone)
		}
	}
}

// giveFreshKey chooses the fresh key of one collision and records it. The record travels to the maker.
func (x *Rekeying) giveFreshKey(c collision, highest map[*catalog.Table]int64) (err error) {
	tx := x.Tx
	if c.new, err = freshKey(tx, c.t, highest[c.t]); err != nil {
		return err
	}
	highest[c.t] = c.new
	x.keys.add(madeRow{c.t.Number, c.old, c.birth.Time}, c.new)
	x.collisions = append(x.collisions, c)
	return history.NoteRekeyed(tx, x.Author, history.Rekeyed{T: c.t, Old: c.old, New: c.new, Birth: c.birth.Time})
}

// freshKey returns a key above every key that a row of the table has or had here, and above a given
// key.
func freshKey(tx *rows.Tx, t *catalog.Table, above int64) (int64, error) {
	highest, err := history.HighestKey(tx, t)
	return max(highest, above, 0) + 1, err
}

// RecordCollisions writes a conflict record and a journal event for each row that got a fresh key. The
// records are closed, because they need no decision.
func (x *Rekeying) RecordCollisions() error {
	tx, author := x.Tx, x.Author
	for _, c := range x.collisions {
		old, new := crdt.NewKey(catalog.Integer(c.old)), crdt.NewKey(catalog.Integer(c.new))
		det := conflict.Detail{Renumbered: &conflict.Rekeyed{
			Site: author, Table: c.t.Name, Old: fmt.Sprintf("%x", string(old)), New: fmt.Sprintf("%x", string(new))}}
		for _, one := range []struct {
			site causal.Site
			key  crdt.Key
		}{{c.other, old}, {author, new}} {
			m, _, err := conflict.ValuesOf(tx, c.t, one.key)
			if err != nil {
				return err
			}
			if m != nil {
				det.Sides = append(det.Sides, conflict.WholeSide(c.t, conflict.Owner(hlc.Stamp{Site: one.site, Time: 1}), one.key,
					m))
			}
		}
		document, err := tx.Root(c.t, new, nil)
		if err != nil {
			return err
		}
		words := fmt.Sprintf("%s %d of %s is %d now", c.t.Name, c.old, tx.SiteName(author), c.new)
		id := conflict.IDOf(crdt.KeyCollision, c.t.Reference(old), c.t, crdt.Claim{Site: author, Stamp: c.birth},
			crdt.Claim{Site: c.other})
		if err := conflict.Write(tx, conflict.New{Id: id, Kind: crdt.KeyCollision, Row: c.t.Reference(new),
			Document: document,
			Sites:    []causal.Site{c.other, author}, Detail: det, Closed: words}); err != nil {
			return err
		}
		if err := tx.Record(journal.Renumbered(tx.SiteName(author), words)); err != nil {
			return err
		}
	}
	return nil
}

// sortByKey orders collisions by new key, highest first, so each new key is free when its turn comes.
func sortByKey(list []collision) {
	slices.SortStableFunc(list, func(a, b collision) int { return cmp.Compare(b.new, a.new) })
}
