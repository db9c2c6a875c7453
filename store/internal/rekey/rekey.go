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

// madeRow is a row as its maker knows it.
type madeRow struct {
	tab   int64
	old   int64
	birth hlc.Time
}

// keys are fresh keys that rows of one site have got. The zero value has none.
type keys struct {
	rows   map[madeRow]int64
	latest map[int64]map[int64]int64  // by table number and old key: the newest row of that key
	fresh  map[catalog.Reference]bool // the rows' fresh keys
}

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

// value is what a value of a column is now.
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

// key is what a row's key is now. birth tells rows apart that had the same key one after the
// other; zero where it is not known.
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

// Rekeying is what one delta has to do with keys that two rows have got.
type Rekeying struct {
	Tx         *rows.Tx
	Author     causal.Site     // of the delta: a node; 0: the hub
	Seen       causal.Position // of this site, what its sender had seen
	Began      causal.Position // the position of this site before the first change
	Heard      hlc.Time        // at the hub: the newest stamp in what the node had sent before
	Sliced     bool            // at the hub: an earlier slice of the node's work is here
	keys       keys
	collisions []collision
	Superseded []superseded // rows with fresh keys that are gone at their maker
}

// Translate puts a change into the keys that are in force.
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
			change.Document = &crdt.Document{Table: d.Table, Key: key} // others may share the former
			return err
		}
	}
	return nil
}

// collision is a row a node has made under a key that is another row's at the hub.
type collision struct {
	t     *catalog.Table
	old   int64
	birth hlc.Stamp
	new   int64
	other causal.Site // who made the row that keeps the key
}

// FindCollisions goes, at the hub, through a node's delta for rows made under keys that
// others have taken meanwhile, and gives them fresh keys before anything is applied. each goes through the
// sections of the delta; keys are the highest ones of what else the node sends, by table.
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
		return nil // to read the whole delta for nothing would cost much
	}
	var found []collision
	highest := map[*catalog.Table]int64{} // the node's own keys: a fresh key must be none of them
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
	if _, renamed := x.keys.latest[t.Number][old]; renamed {
		x.supersede(t, old, change.Birth.Time)
	}
	row, err := tx.ReadShadowNext(t, change.Key)
	if err != nil || !row.Found {
		return c, false, err
	}
	other := row.Birth
	// Its own row the author knows by that key, unless it is one that has got the key here.
	seen, err := history.HasSeen(tx, author, t.Reference(change.Key), x.Seen)
	if err != nil {
		return c, false, err
	}
	known := other.Stamp.Site == author && !x.keys.fresh[t.Reference(change.Key)] || other.Position <= seen
	// A birth the hub has not heard of comes with the whole row. Without it, this is the work of
	// one who did not know that the hub's row has taken the place of the one it is about; unless
	// that is deleted again and newer, and would take the other one with it.
	// What it has heard of before comes whole where a row outlived a deletion that it made itself.
	fresh := change.Whole && (change.Birth.Time > x.Heard || change.Birth.Time == catalog.FirstSeed) ||
		!change.Death.IsZero() && change.Birth.After(other.Stamp)
	if known || !fresh || other.Stamp == change.Birth || other.Stamp.Time == catalog.FirstSeed &&
		change.Birth.Time == catalog.FirstSeed {
		return c, false, nil
	}
	return collision{t: t, old: old, birth: change.Birth, other: other.Stamp.Site}, true, nil
}

// superseded is a row that got a fresh key here and is gone at its maker, and when it was born.
type superseded struct {
	Row   catalog.Reference
	Birth hlc.Time
}

// supersede notes that the author has made another row in the place of one that has got a
// fresh key here: that one is gone there.
func (x *Rekeying) supersede(t *catalog.Table, old int64, birth hlc.Time) {
	for former, new := range x.keys.rows {
		gone := superseded{Row: t.Reference(crdt.NewKey(catalog.Integer(new))), Birth: former.birth}
		if former.tab == t.Number && former.old == old && former.birth < birth && !slices.Contains(x.Superseded, gone) {
			x.Superseded = append(x.Superseded, gone)
		}
	}
}

// giveFreshKey gives a row of a node a fresh key.
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

// freshKey is a key no row has or had, as far as is known here, and above some others.
func freshKey(tx *rows.Tx, t *catalog.Table, above int64) (int64, error) {
	highest, err := history.HighestKey(tx, t)
	return max(highest, above, 0) + 1, err
}

// RecordCollisions records that rows got fresh keys. It needs nobody: the records are closed.
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

// sortByKey puts renames in an order in which each new key is free when its turn comes.
func sortByKey(list []collision) {
	slices.SortStableFunc(list, func(a, b collision) int { return cmp.Compare(b.new, a.new) })
}
