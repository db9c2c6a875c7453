package store

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
	"ravno/store/internal/capture"
	"ravno/store/internal/sqlite"
)

// Two shops offline both make order 101. Both are to live, so the one the hub learns of
// later gets a fresh key at the hub, and every reference to it follows. Until the maker has
// seen the fresh key it calls the row by the old one: the hub translates what it sends. When
// the fresh key reaches the maker, inside the same delta as the other order 101, it renames
// its row and what refers to it, here and in whatever is not sent yet.

// firstSeed is the time of births that nobody made: rows found in a table when its triggers
// were first installed after enrolment. A migration puts the same rows into every server's
// new table, and they are no collision.
const firstSeed hlc.Time = 1

// maxFreshKey keeps fresh keys out of the way of applications that read integers as
// doubles, as JavaScript does: beyond 2^53 they would run into each other.
const maxFreshKey = 1 << 53

// domainColumn is a column that holds keys of some table.
type domainColumn struct {
	t      *table
	column int // index into Columns
}

// findDomains finds, for each table whose rows can get fresh keys, the columns that hold
// its keys: by foreign keys, and foreign keys to those.
func (cat *catalog) findDomains() {
	for _, t := range cat.tables {
		if t.own || t.class != Synced || !t.RowidKey {
			continue
		}
		refers := slices.ContainsFunc(t.up, func(l *link) bool { return slices.Contains(l.columns, t.Key[0]) })
		if refers {
			continue // its key is another table's: it follows that one
		}
		t.renumbers = true
		t.domain = []domainColumn{{t, t.Key[0]}}
		for i := 0; i < len(t.domain); i++ {
			at := t.domain[i]
			for _, l := range at.t.down {
				for k, column := range l.refers {
					if d := (domainColumn{l.child, l.columns[k]}); column == at.column && !slices.Contains(t.domain, d) {
						t.domain = append(t.domain, d)
					}
				}
			}
		}
		for _, d := range t.domain {
			if d.t.holds == nil {
				d.t.holds = map[int][]*table{}
			}
			d.t.holds[d.column] = append(d.t.holds[d.column], t)
		}
	}
}

// renamedRow is a row as its maker knows it.
type renamedRow struct {
	tab   int64
	old   int64
	birth hlc.Time
}

// renames are fresh keys that rows of one site have got. The zero value has none.
type renames struct {
	rows   map[renamedRow]int64
	latest map[int64]map[int64]int64 // by table number and old key: the newest row of that key
	fresh  map[reference]bool        // the rows' fresh keys
}

func (r *renames) add(row renamedRow, new int64) {
	if r.rows == nil {
		r.rows, r.latest, r.fresh = map[renamedRow]int64{}, map[int64]map[int64]int64{}, map[reference]bool{}
	}
	if r.latest[row.tab] == nil {
		r.latest[row.tab] = map[int64]int64{}
	}
	r.rows[row] = new
	r.latest[row.tab][row.old] = new
	r.fresh[reference{tab: row.tab, key: crdt.NewKey(integer(new))}] = true
}

// value is what a value of a column is now.
func (r *renames) value(t *table, column int, v crdt.Value) (crdt.Value, bool) {
	if v.Kind() != crdt.Integer {
		return v, false
	}
	for _, root := range t.holds[column] {
		if new, ok := r.latest[root.number][v.Int()]; ok {
			return integer(new), true
		}
	}
	return v, false
}

// key is what a row's key is now. birth tells rows apart that had the same key one after the
// other; zero where it is not known.
func (r *renames) key(t *table, key crdt.Key, birth hlc.Time) (crdt.Key, bool, error) {
	if len(r.rows) == 0 || len(t.holds) == 0 {
		return key, false, nil
	}
	values, err := key.Values()
	if err != nil || len(values) != len(t.Key) {
		return key, false, errors.Join(err, errKey)
	}
	changed := false
	for i, k := range t.Key {
		v, moved := r.value(t, k, values[i])
		if t.renumbers && birth != 0 {
			new, ok := r.rows[renamedRow{t.number, values[i].Int(), birth}]
			v, moved = integer(new), ok
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

// rekeying is what one delta has to do with keys that two rows have got.
type rekeying struct {
	tx         *transaction
	author     causal.Site     // of the delta: a node; 0: the hub
	seen       causal.Position // of this site, what its sender had seen
	began      causal.Position // the position of this site before the first change
	heard      hlc.Time        // at the hub: the newest stamp in what the node had sent before
	sliced     bool            // at the hub: an earlier slice of the node's work is here
	renames    renames
	collisions []collision
	superseded []superseded // rows with fresh keys that are gone at their maker
}

// translate puts a change into the keys that are in force.
func (x *rekeying) translate(t *table, change *crdt.Change) (err error) {
	r := &x.renames
	if len(r.rows) == 0 || t.own {
		return nil
	}
	if change.Key, _, err = r.key(t, change.Key, change.Birth.Time); err != nil {
		return err
	}
	for i, reg := range change.Registers {
		change.Registers[i].Value, _ = r.value(t, t.byNum[reg.Column], reg.Value)
	}
	if d := change.Document; d != nil {
		if root := x.tx.cat.byName[strings.ToLower(d.Table)]; root != nil {
			key, _, err := r.key(root, d.Key, 0)
			change.Document = &crdt.Document{Table: d.Table, Key: key} // others may share the former
			return err
		}
	}
	return nil
}

// collides reports whether a change is of another row than the one this site has made under
// that key, which the sender did not know of.
func (m *merging) collides(self causal.Site, known causal.Position) bool {
	birth := m.row.Birth
	return m.present && birth.Stamp != m.change.Birth && birth.Stamp.Site == self && birth.Position > known &&
		(birth.Stamp.Time != firstSeed || m.change.Birth.Time != firstSeed)
}

// collision is a row a node has made under a key that is another row's at the hub.
type collision struct {
	t     *table
	old   int64
	birth hlc.Stamp
	new   int64
	other causal.Site // who made the row that keeps the key
}

// findCollisions goes, at the hub, through a node's delta for rows made under keys that
// others have taken meanwhile, and gives them fresh keys before anything is applied. each goes through the
// sections of the delta; keys are the highest ones of what else the node sends, by table.
func (x *rekeying) findCollisions(each func(func(*crdt.Section) error) error, keys map[string]int64) error {
	tx := x.tx
	err := tx.c.Rows("SELECT tab, old, birth, new FROM ravno_rename WHERE site=? AND position>? ORDER BY position, id",
		[]crdt.Value{integer(x.author), integer(x.seen)}, func(row []crdt.Value) error {
			if t := tx.cat.byName[strings.ToLower(row[0].Bytes())]; t != nil {
				x.renames.add(renamedRow{t.number, row[1].Int(), hlc.Time(row[2].Int())}, row[3].Int())
			}
			return nil
		})
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(tx.cat.tables, func(t *table) bool { return t.renumbers }) {
		return nil // to read the whole delta for nothing would cost much
	}
	var found []collision
	highest := map[*table]int64{} // the node's own keys: a fresh key must be none of them
	for name, key := range keys {
		if t := tx.cat.byName[strings.ToLower(name)]; t != nil && key < maxFreshKey {
			highest[t] = key
		}
	}
	err = each(func(section *crdt.Section) error {
		t := tx.cat.byName[strings.ToLower(section.Table)]
		if t == nil || !t.renumbers || section.Journal {
			return nil
		}
		return tx.inOrder(len(section.Changes), func() error {
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
		if err := x.renumber(c, highest); err != nil {
			return err
		}
	}
	return nil
}

func (x *rekeying) collision(t *table, change crdt.Change, highest map[*table]int64) (c collision, any bool, err error) {
	tx, author := x.tx, x.author
	stored, err := t.shadowKey(change.Key)
	if err != nil {
		return c, false, err
	}
	old := stored.Int()
	if old < maxFreshKey {
		highest[t] = max(highest[t], old)
	}
	if _, has := x.renames.rows[renamedRow{t.number, old, change.Birth.Time}]; has || change.Birth.Site != author {
		return c, false, nil
	}
	if _, renamed := x.renames.latest[t.number][old]; renamed {
		x.supersede(t, old, change.Birth.Time)
	}
	row, remembered, err := tx.readShadowNext(t, change.Key)
	if err != nil || !remembered.found {
		return c, false, err
	}
	other := row.Birth
	// Its own row the author knows by that key, unless it is one that has got the key here.
	seen, err := tx.hasSeen(author, t.reference(change.Key), x.seen)
	if err != nil {
		return c, false, err
	}
	known := other.Stamp.Site == author && !x.renames.fresh[t.reference(change.Key)] || other.Position <= seen
	// A birth the hub has not heard of comes with the whole row. Without it, this is the work of
	// one who did not know that the hub's row has taken the place of the one it is about; unless
	// that is deleted again and newer, and would take the other one with it.
	// What it has heard of before comes whole where a row outlived a deletion that it made itself.
	fresh := change.Whole && (change.Birth.Time > x.heard || change.Birth.Time == firstSeed) || !change.Death.IsZero() && change.Birth.After(other.Stamp)
	if known || !fresh || other.Stamp == change.Birth || other.Stamp.Time == firstSeed && change.Birth.Time == firstSeed {
		return c, false, nil
	}
	return collision{t: t, old: old, birth: change.Birth, other: other.Stamp.Site}, true, nil
}

// superseded is a row that got a fresh key here and is gone at its maker, and when it was born.
type superseded struct {
	row   reference
	birth hlc.Time
}

// supersede notes that the author has made another row in the place of one that has got a
// fresh key here: that one is gone there.
func (x *rekeying) supersede(t *table, old int64, birth hlc.Time) {
	for former, new := range x.renames.rows {
		gone := superseded{row: t.reference(crdt.NewKey(integer(new))), birth: former.birth}
		if former.tab == t.number && former.old == old && former.birth < birth && !slices.Contains(x.superseded, gone) {
			x.superseded = append(x.superseded, gone)
		}
	}
}

// renumber gives a row of a node a fresh key.
func (x *rekeying) renumber(c collision, highest map[*table]int64) (err error) {
	tx := x.tx
	if c.new, err = tx.freshKey(c.t, highest[c.t]); err != nil {
		return err
	}
	highest[c.t] = c.new
	x.renames.add(renamedRow{c.t.number, c.old, c.birth.Time}, c.new)
	x.collisions = append(x.collisions, c)
	if err := tx.c.Exec("INSERT INTO ravno_rename(site, tab, old, birth, new, position) VALUES(?,?,?,?,?,?)", integer(x.author),
		text(c.t.Name), integer(c.old), integer(c.birth.Time), integer(c.new), integer(tx.position())); err != nil {
		return err
	}
	id, err := tx.c.Int("SELECT last_insert_rowid()")
	if err != nil {
		return err
	}
	return tx.logOwn("ravno_rename", crdt.NewKey(integer(id)), capture.Insert, nil)
}

// freshKey is a key no row has or had, as far as is known here, and above some others.
func (tx *transaction) freshKey(t *table, above int64) (int64, error) {
	key := sqlite.Quote(t.Columns[t.Key[0]].Name)
	highest, err := tx.c.Int(fmt.Sprintf(`SELECT max(k) FROM (SELECT max(%[1]s) AS k FROM %[2]s WHERE %[1]s<%[4]d
		UNION ALL SELECT max(key) FROM %[3]s WHERE key<%[4]d UNION ALL SELECT max(new) FROM ravno_rename WHERE lower(tab)=lower(?))`,
		key, sqlite.Quote(t.Name), t.shadow, int64(maxFreshKey)), text(t.Name))
	return max(highest, above, 0) + 1, err
}

// recordCollisions records that rows got fresh keys. It needs nobody: the records are closed.
func (x *rekeying) recordCollisions() error {
	tx, author := x.tx, x.author
	for _, c := range x.collisions {
		old, new := crdt.NewKey(integer(c.old)), crdt.NewKey(integer(c.new))
		det := detail{Renumbered: &renumbering{Site: author, Table: c.t.Name, Old: fmt.Sprintf("%x", string(old)), New: fmt.Sprintf("%x", string(new))}}
		for _, one := range []struct {
			site causal.Site
			key  crdt.Key
		}{{c.other, old}, {author, new}} {
			m, _, err := tx.values(c.t, one.key)
			if err != nil {
				return err
			}
			if m != nil {
				det.Sides = append(det.Sides, c.t.wholeSide(owner(hlc.Stamp{Site: one.site, Time: 1}), one.key, m))
			}
		}
		document, err := tx.root(c.t, new, nil)
		if err != nil {
			return err
		}
		words := fmt.Sprintf("%s %d of %s is %d now", c.t.Name, c.old, tx.siteName(author), c.new)
		id := conflictID(crdt.KeyCollision, c.t.reference(old), c.t, crdt.Claim{Site: author, Stamp: c.birth}, crdt.Claim{Site: c.other})
		if err := tx.writeConflict(newConflict{id: id, kind: crdt.KeyCollision, row: c.t.reference(new), document: document,
			sites: []causal.Site{c.other, author}, detail: det, closed: words}); err != nil {
			return err
		}
		if err := tx.record(journal.Renumbered(tx.siteName(author), words)); err != nil {
			return err
		}
	}
	return nil
}

// sortRenames puts renames in an order in which each new key is free when its turn comes.
func sortRenames(list []collision) {
	slices.SortStableFunc(list, func(a, b collision) int { return cmp.Compare(b.new, a.new) })
}
