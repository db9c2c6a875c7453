package store

import (
	"encoding/hex"
	"maps"
	"slices"

	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/store/internal/capture"
)

// One server deletes a row while another, not knowing, refers to it, or edits the document
// it belongs to. Row by row, both writes are right, and together they leave a row whose
// parent is gone, or half a document. The hub, which alone sees both, mends that with
// writes of its own, in the transaction in which it finds it: what is referred to comes
// back; of a document deleted and edited at once, the newer of the two is in force as a
// whole, and the other is in the conflict.
//
// A node in which a delta and own work have crossed does not decide. It leaves the delta
// until the hub has seen its work and mended.

// merged is one row that a delta has changed.
type merged struct {
	t        *table
	key      crdt.Key
	document reference
	was      image           // of a row that died
	seen     causal.Position // what the author had seen of this site
}

// arrival is a row that a delta has brought or changed.
type arrival struct {
	reference
	seen causal.Position
}

// unseen asks for work in a table above a position.
type unseen struct {
	t     *table
	above causal.Position
}

// news is what a delta has done to rows that refer to others or are referred to, as far as
// it can have left one without the other.
type news struct {
	died     []merged
	moved    []merged // their values that others refer to have changed; was: what they were
	arrived  []arrival
	unsent   map[reference]bool // at a node: the documents with work the sender did not have
	relevant map[unseen]bool    // there is work in the table that the author had not seen
}

// note remembers what merging a change may have left to mend.
func (tx *transaction) note(m *merging, document reference) error {
	t := m.t
	if t.own || len(t.up)+len(t.down) == 0 || !m.out.Changed {
		return nil
	}
	if tx.news == nil {
		tx.news = &news{relevant: map[unseen]bool{}}
		if m.author == 0 {
			var err error
			if tx.news.unsent, err = tx.unsentDocuments(); err != nil {
				return err
			}
		}
	}
	n := tx.news
	if m.author == 0 && len(n.unsent) == 0 {
		return nil // nothing here that the hub did not know of
	}
	// What the author of a node's change had seen, and of the hub's, the hub itself.
	seen := tx.span.Seen
	if m.author != 0 {
		seen = causal.Position(m.change.Seen)
	}
	deleted := m.change.Death.After(m.row.Death.Stamp)
	if m.out.Died || deleted && m.present {
		n.died = append(n.died, merged{t: t, key: m.change.Key, document: document, was: m.was, seen: seen})
	}
	if !m.out.Row.Live() {
		return nil
	}
	if was := m.formerReferences(); was != nil && m.author != 0 {
		n.moved = append(n.moved, merged{t: t, key: m.change.Key, was: was, seen: seen})
	}
	for _, l := range t.up {
		known, err := tx.unknownWork(l.parent, seen)
		if err != nil {
			return err
		}
		if known {
			n.arrived = append(n.arrived, arrival{t.reference(m.change.Key), seen})
			return nil
		}
	}
	return nil
}

// formerReferences are the values of a row by which others may refer to it, where merging has
// replaced them or has not let them in; nil if there are none.
func (m *merging) formerReferences() image {
	replaced := func(indexes []int, of func(crdt.Register) (crdt.Value, bool)) image {
		former := maps.Clone(m.was)
		any := false
		for _, i := range indexes {
			reg := m.change.Registers[i]
			referred := slices.ContainsFunc(m.t.down, func(l *link) bool {
				return !l.byKey() && slices.Contains(l.refers, m.t.byNum[reg.Column])
			})
			if v, ok := of(reg); referred && ok && former != nil {
				former[reg.Column], any = v, true
			}
		}
		if !any {
			return nil
		}
		return former
	}
	if lost := replaced(m.out.Lost, func(r crdt.Register) (crdt.Value, bool) { return r.Value, true }); lost != nil {
		return lost
	}
	return replaced(m.out.Won, func(r crdt.Register) (crdt.Value, bool) {
		v, known := m.was[r.Column]
		return v, known
	})
}

// unknownWork reports whether a table has rows changed above a position of this site.
func (tx *transaction) unknownWork(t *table, above causal.Position) (bool, error) {
	n, asked := tx.news, unseen{t, above}
	if any, known := n.relevant[asked]; known {
		return any, nil
	}
	count, err := tx.c.Int("SELECT EXISTS(SELECT 1 FROM "+t.shadow+" WHERE position>?)", integer(above))
	n.relevant[asked] = count != 0
	return count != 0, err
}

// crossing refuses, at a node, a delta that cannot be applied beside own work which the hub
// did not know of when it sent.
func (tx *transaction) crossing() error {
	n := tx.news
	if n == nil || len(n.unsent) == 0 {
		return nil
	}
	for _, m := range n.died {
		if n.unsent[m.document] && (!m.t.alone || m.document != m.t.reference(m.key)) {
			return &CrossingError{Table: m.t.Name}
		}
		orphans, err := tx.orphansOf(m, tx.unsent)
		if err != nil {
			return err
		}
		if len(orphans) > 0 {
			return &CrossingError{Table: m.t.Name}
		}
	}
	for _, ref := range n.arrived {
		missing, err := tx.missingParents(ref.reference)
		if err != nil {
			return err
		}
		for _, parent := range missing {
			if row, _, _, err := tx.readShadow(parent.t, parent.key); err != nil || tx.unsent(row) {
				if err != nil {
					return err
				}
				return &CrossingError{Table: parent.t.Name}
			}
		}
	}
	return nil
}

// orphan is a row whose parent is gone.
type orphan struct {
	l   *link
	key crdt.Key
	row crdt.Row
}

// orphansOf are the rows in tables that refer to a row which died, and which the sender of
// the delta did not know.
func (tx *transaction) orphansOf(m merged, unknown func(crdt.Row) bool) (orphans []orphan, err error) {
	for _, l := range m.t.down {
		if any, err := tx.unknownWork(l.child, m.seen); err != nil || !any {
			if err != nil {
				return nil, err
			}
			continue
		}
		reference, ok := l.referred(m.was)
		if !ok {
			continue
		}
		if _, found, err := tx.parentOf(l, reference); err != nil || found {
			if err != nil {
				return nil, err
			}
			continue // it is there after all, or another row is
		}
		children, err := tx.childrenOf(l, reference)
		if err != nil {
			return nil, err
		}
		for _, key := range children {
			row, _, _, err := tx.readShadow(l.child, key)
			if err != nil {
				return nil, err
			}
			if unknown(row) {
				orphans = append(orphans, orphan{l: l, key: key, row: row})
			}
		}
	}
	return orphans, nil
}

// missing is a row that another refers to and that is gone.
type missing struct {
	l   *link
	t   *table
	key crdt.Key
	row crdt.Row
}

// missingParents are the deleted rows that a row in its table refers to.
func (tx *transaction) missingParents(ref reference) (gone []missing, err error) {
	t := tx.cat.byNumber[ref.tab]
	m, err := tx.tableImage(t, ref.key)
	if err != nil || m == nil {
		return nil, err
	}
	for _, l := range t.up {
		reference, ok := l.reference(m)
		if !ok {
			continue
		}
		if _, found, err := tx.parentOf(l, reference); err != nil || found {
			if err != nil {
				return nil, err
			}
			continue
		}
		key, row, found, err := tx.deletedParent(l, reference)
		if err != nil {
			return nil, err
		}
		if found {
			gone = append(gone, missing{l: l, t: l.parent, key: key, row: row})
		}
	}
	return gone, nil
}

// deletedParent finds the deleted row a reference is to: by its key, or among the remains.
func (tx *transaction) deletedParent(l *link, reference []crdt.Value) (key crdt.Key, row crdt.Row, found bool, err error) {
	if slices.Equal(l.refers, l.parent.Key) {
		if key, err = l.parent.CanonicalKey(reference); err != nil {
			return "", row, false, nil // a reference no key can equal
		}
		row, _, found, err = tx.readShadow(l.parent, key)
		return key, row, found && !row.Live(), err
	}
	err = tx.c.Rows("SELECT key, image FROM ravno_image WHERE tab=? AND state='remains'", []crdt.Value{integer(l.parent.number)}, func(values []crdt.Value) error {
		m, err := decodeImage(values[1])
		if err != nil || found {
			return err
		}
		if referred, ok := l.referred(m); ok && l.sameReference(reference, referred) {
			key, found = crdt.Key(values[0].Bytes()), true
		}
		return nil
	})
	if err != nil || !found {
		return "", row, false, err
	}
	row, _, found, err = tx.readShadow(l.parent, key)
	return key, row, found && !row.Live(), err
}

// mend brings back, at the hub, what a node's delta and others' work have left half, and
// records what it did.
func (tx *transaction) mend(author causal.Site, applied *Applied) error {
	mending := &mending{tx: tx, author: author, back: map[reference]bool{}}
	for _, ref := range tx.superseded {
		if err := mending.kill(tx.cat.byNumber[ref.tab], ref.key); err != nil {
			return err
		}
	}
	if tx.news != nil {
		if err := mending.references(tx.news); err != nil {
			return err
		}
	}
	for _, d := range tx.clashed {
		if err := mending.document(d); err != nil {
			return err
		}
	}
	tx.news, tx.clashed, tx.superseded = nil, nil, nil
	if err := tx.recordCollisions(author); err != nil {
		return err
	}
	applied.Conflicts += mending.recorded
	if mending.wrote {
		tx.mending = true // what is mended is no side of its own in anybody's conflict
		_, err := tx.fold()
		tx.mending = false
		return err
	}
	return nil
}

type mending struct {
	tx       *transaction
	author   causal.Site
	back     map[reference]bool // rows brought back
	wrote    bool
	recorded int
}

// unknown reports whether somebody else has written a row, and the author of the delta did
// not know.
func (x *mending) unknown(row crdt.Row, seen causal.Position) bool {
	other := func(v crdt.Version) bool { return v.Stamp.Site != x.author && v.Position > seen }
	return other(row.Birth) || other(row.Base) || slices.ContainsFunc(row.Columns, func(c crdt.ColumnVersion) bool { return other(c.Version) })
}

// references brings back the rows that are referred to by those who did not know of their
// deletion. Those of one document are left to document.
func (x *mending) references(n *news) error {
	for _, m := range n.died {
		orphans, err := x.tx.orphansOf(m, func(row crdt.Row) bool { return x.unknown(row, m.seen) })
		if err != nil {
			return err
		}
		for _, o := range orphans {
			if err := x.refer(o.l, o.key, o.row, m.t, m.key); err != nil {
				return err
			}
		}
	}
	for _, m := range n.moved {
		if err := x.followMoved(m); err != nil {
			return err
		}
	}
	for _, ref := range n.arrived {
		if err := x.followUnseen(ref); err != nil {
			return err
		}
		gone, err := x.tx.missingParents(ref.reference)
		if err != nil {
			return err
		}
		for _, g := range gone {
			if g.row.Death.Stamp.Site == x.author || g.row.Death.Position <= ref.seen {
				continue // its author knew: an application without foreign keys may do so
			}
			row, _, _, err := x.tx.readShadow(g.l.child, ref.key)
			if err != nil {
				return err
			}
			if err := x.refer(g.l, ref.key, row, g.t, g.key); err != nil {
				return err
			}
		}
	}
	return nil
}

// refer mends one reference to a deleted row.
func (x *mending) refer(l *link, child crdt.Key, row crdt.Row, t *table, key crdt.Key) error {
	if _, state, err := x.tx.readImage(t, key); err != nil {
		return err
	} else if l.document && state == imageRemains {
		if ref := t.reference(key); !slices.Contains(x.tx.clashed, ref) {
			x.tx.clashed = append(x.tx.clashed, ref)
		}
		return nil
	}
	parent, _, _, err := x.tx.readShadow(t, key)
	if err != nil {
		return err
	}
	ok, err := x.bringBack(t, key)
	if err != nil {
		return err
	}
	if !ok { // its values are nowhere here: then what refers to it cannot stay
		if err := x.kill(l.child, child); err != nil {
			return err
		}
	}
	return x.recordReference(l, child, row, t, key, parent)
}

// bringBack makes a deleted row live again, and with it what it refers to and what was
// deleted together with it from its document. ok is false if its values are not known here.
func (x *mending) bringBack(t *table, key crdt.Key) (ok bool, err error) {
	tx, ref := x.tx, t.reference(key)
	if x.back[ref] {
		return true, nil
	}
	row, document, found, err := tx.readShadow(t, key)
	if err != nil || !found || row.Live() {
		return found && row.Live(), err
	}
	m, state, err := tx.readImage(t, key)
	if err != nil || state != imageRemains {
		return false, err
	}
	if whole, err := t.complete(key, m); err != nil || !whole {
		return false, err
	}
	x.back[ref], x.wrote = true, true
	if err := tx.putBack(t, key, m); err != nil {
		return false, err
	}
	for _, l := range t.up {
		reference, any := l.reference(m)
		if !any {
			continue
		}
		if _, there, err := tx.parentOf(l, reference); err != nil || there {
			if err != nil {
				return false, err
			}
			continue
		}
		parent, _, gone, err := tx.deletedParent(l, reference)
		if err != nil {
			return false, err
		}
		switch {
		case gone:
			_, err = x.bringBack(l.parent, parent)
		default: // what it refers to is called otherwise by now
			err = x.followOrKill(l, key, reference)
		}
		if err != nil {
			return false, err
		}
	}
	if document == (reference{}) {
		document = ref
	}
	return true, x.bringBackRest(document, row.Death)
}

// bringBackRest brings back the rows of a document that one site deleted in one go.
func (x *mending) bringBackRest(document reference, death crdt.Version) error {
	var rows []reference
	err := x.tx.c.Rows("SELECT tab, key FROM ravno_touch WHERE document=? AND dead=1 AND site=?",
		[]crdt.Value{document.encode(), integer(death.Stamp.Site)}, func(row []crdt.Value) error {
			rows = append(rows, reference{tab: row[0].Int(), key: crdt.Key(row[1].Bytes())})
			return nil
		})
	if err != nil {
		return err
	}
	for _, ref := range rows {
		t := x.tx.cat.byNumber[ref.tab]
		if t == nil {
			continue
		}
		row, _, found, err := x.tx.readShadow(t, ref.key)
		if err != nil {
			return err
		}
		if found && !row.Live() && row.Death.Stamp.Site == death.Stamp.Site && row.Death.Position == death.Position {
			if _, err := x.bringBack(t, ref.key); err != nil {
				return err
			}
		}
	}
	return nil
}

// putBack puts a deleted row into its table again, as an edit of one column that is newer
// than the deletion; or keeps it as held, if a constraint keeps it out.
func (tx *transaction) putBack(t *table, key crdt.Key, m image) error {
	if err := tx.dropImage(t, key); err != nil {
		return err
	}
	if err := tx.restoreCounters(t, key, m); err != nil {
		return err
	}
	err := tx.insertImage(t, m)
	if isConstraint(err) {
		err = tx.keepHeld(t, key, m)
	}
	if err != nil {
		return err
	}
	for i, c := range t.Columns {
		if c.Register && !t.isCounter(crdt.Column(t.numbers[i])) {
			return tx.log(t, key, capture.Update, []string{c.Name})
		}
	}
	return tx.log(t, key, capture.Insert, nil)
}

// kill deletes a row and keeps what it was.
func (x *mending) kill(t *table, key crdt.Key) error {
	m, state, err := x.tx.values(t, key)
	if err != nil || m == nil || state == imageRemains {
		return err
	}
	x.wrote = true
	if err := x.tx.remove(t, key); err != nil {
		return err
	}
	if state == imageTable {
		if err := x.tx.keepImage(t, key, imageRemains, m); err != nil {
			return err
		}
	}
	x.tx.tryHeld = true
	return x.tx.log(t, key, capture.Delete, nil)
}

// document decides, of a document, or of a row in it with all that is below, which was
// deleted at one site and edited at another, which is in force: the newer one, as a whole.
func (x *mending) document(d reference) error {
	tx, t := x.tx, x.tx.cat.byNumber[d.tab]
	if t == nil {
		return nil
	}
	root, document, found, err := tx.readShadow(t, d.key)
	if err != nil || !found || root.Death.Stamp.IsZero() {
		return err // only parts of it were deleted, and nothing is left below them
	}
	if document == (reference{}) {
		document = d
	}
	if x.back[d] {
		return nil
	}
	if root.Live() {
		return x.bringBackRest(document, root.Death)
	}
	parts, err := tx.leftOver(d, document)
	if err != nil || len(parts) == 0 {
		return err
	}
	newer := false
	for _, ref := range parts {
		row, _, _, err := tx.readShadow(tx.cat.byNumber[ref.tab], ref.key)
		if err != nil {
			return err
		}
		outside, err := tx.referredFromOutside(ref, parts)
		if err != nil {
			return err
		}
		newer = newer || outside || row.Newest().After(root.Death.Stamp)
	}
	if newer {
		if ok, err := x.bringBack(t, d.key); err != nil || ok {
			return err
		}
	}
	if err := x.recordKilled(document, root, parts); err != nil {
		return err
	}
	for _, ref := range slices.Backward(parts) {
		if err := x.kill(tx.cat.byNumber[ref.tab], ref.key); err != nil {
			return err
		}
	}
	return nil
}

// recordKilled keeps the rows that go with a deleted document whole in its conflict.
func (x *mending) recordKilled(document reference, root crdt.Row, parts []reference) error {
	deleter := crdt.Claim{Site: owner(root.Death.Stamp), Stamp: root.Death.Stamp}
	var det detail
	sites, newest := []causal.Site{deleter.Site}, crdt.Claim{}
	for _, ref := range parts {
		t := x.tx.cat.byNumber[ref.tab]
		m, err := x.tx.tableImage(t, ref.key)
		if err != nil {
			return err
		}
		row, _, _, err := x.tx.readShadow(t, ref.key)
		if err != nil {
			return err
		}
		site := owner(row.Newest())
		if row.Newest().After(newest.Stamp) {
			newest = crdt.Claim{Site: site, Stamp: row.Newest()}
		}
		sites = append(sites, site)
		det.Sides = append(det.Sides, t.wholeSide(site, ref.key, m))
	}
	id, err := x.tx.extendOpen(document, crdt.EditDelete, sites, det)
	if err != nil || id != "" {
		return err
	}
	t := x.tx.cat.byNumber[document.tab]
	det.Sides = append(det.Sides, side{Site: deleter.Site, Table: t.Name, Key: hex.EncodeToString([]byte(document.key)), Deleted: true})
	x.recorded++
	return x.tx.writeConflict(newConflict{kind: crdt.EditDelete, row: document, document: document, sites: sites, detail: det,
		id: conflictID(crdt.EditDelete, document, t, deleter, newest)})
}

// leftOver are the rows below a deleted row of a document that are in their tables all the
// same: those that refer to it, or to rows that were deleted below it.
func (tx *transaction) leftOver(d, document reference) (parts []reference, err error) {
	dead, err := tx.deadBelow(d, document)
	if err != nil {
		return nil, err
	}
	for ref, m := range dead {
		below, err := tx.parts(tx.cat.byNumber[ref.tab], m)
		if err != nil {
			return nil, err
		}
		for _, part := range below {
			if !slices.Contains(parts, part) {
				parts = append(parts, part)
			}
		}
	}
	return parts, nil
}

// deadBelow are the remains of a deleted row of a document and of the deleted rows below it.
func (tx *transaction) deadBelow(d, document reference) (map[reference]image, error) {
	remains := map[reference]image{}
	candidates := []reference{d}
	err := tx.c.Rows("SELECT DISTINCT tab, key FROM ravno_touch WHERE document=? AND dead=1", []crdt.Value{document.encode()}, func(row []crdt.Value) error {
		candidates = append(candidates, reference{tab: row[0].Int(), key: crdt.Key(row[1].Bytes())})
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, ref := range candidates {
		t := tx.cat.byNumber[ref.tab]
		if t == nil {
			continue
		}
		m, state, err := tx.readImage(t, ref.key)
		if err != nil {
			return nil, err
		}
		if state == imageRemains {
			remains[ref] = m
		}
	}
	below := map[reference]image{}
	if m, ok := remains[d]; ok {
		below[d] = m
	}
	for grown := true; grown; {
		grown = false
		for ref, m := range remains {
			if _, known := below[ref]; !known && tx.isBelow(ref, m, below) {
				below[ref], grown = m, true
			}
		}
	}
	return below, nil
}

// isBelow reports whether a row's document reference is to one of some others.
func (tx *transaction) isBelow(ref reference, m image, others map[reference]image) bool {
	for _, l := range tx.cat.byNumber[ref.tab].up {
		reference, ok := l.reference(m)
		if !l.document || !ok {
			continue
		}
		for other, values := range others {
			if other.tab != l.parent.number {
				continue
			}
			if referred, ok := l.referred(values); ok && l.sameReference(reference, referred) {
				return true
			}
		}
	}
	return false
}

// parts are the rows below a row in its document that are in their tables.
func (tx *transaction) parts(t *table, m image) (parts []reference, err error) {
	for _, l := range t.down {
		reference, ok := l.referred(m)
		if !l.document || !ok {
			continue
		}
		children, err := tx.childrenOf(l, reference)
		if err != nil {
			return nil, err
		}
		for _, key := range children {
			parts = append(parts, l.child.reference(key))
			values, err := tx.tableImage(l.child, key)
			if err != nil {
				return nil, err
			}
			below, err := tx.parts(l.child, values)
			if err != nil {
				return nil, err
			}
			parts = append(parts, below...)
		}
	}
	return parts, nil
}

// referredFromOutside reports whether a row that is not among some others refers to one of
// them.
func (tx *transaction) referredFromOutside(ref reference, parts []reference) (bool, error) {
	t := tx.cat.byNumber[ref.tab]
	m, err := tx.tableImage(t, ref.key)
	if err != nil {
		return false, err
	}
	for _, l := range t.down {
		reference, ok := l.referred(m)
		if l.document || !ok {
			continue
		}
		children, err := tx.childrenOf(l, reference)
		if err != nil {
			return false, err
		}
		for _, key := range children {
			if !slices.Contains(parts, l.child.reference(key)) {
				return true, nil
			}
		}
	}
	return false, nil
}

// recordReference records that a row was deleted here and referred to there, and is back.
func (x *mending) recordReference(l *link, child crdt.Key, row crdt.Row, t *table, key crdt.Key, parent crdt.Row) error {
	tx := x.tx
	m, _, err := tx.values(l.child, child)
	if err != nil {
		return err
	}
	author, stamp := x.author, row.Newest()
	for _, c := range l.columns {
		if v := row.Version(crdt.Column(l.child.numbers[c])); !v.Stamp.IsZero() {
			author, stamp = v.Stamp.Site, v.Stamp
		}
	}
	deleter := owner(parent.Death.Stamp)
	was, _, err := tx.values(t, key)
	if err != nil {
		return err
	}
	before := t.wholeSide(0, key, was)
	document, err := tx.root(t, key, nil)
	if err != nil {
		return err
	}
	det := detail{Sides: []side{{Site: deleter, Table: t.Name, Key: hex.EncodeToString([]byte(key)), Deleted: true},
		l.child.wholeSide(author, child, m)}, Before: []side{before}}
	x.recorded++
	return x.recordForeignKey(t, key, document, det, crdt.Claim{Site: deleter, Stamp: parent.Death.Stamp}, crdt.Claim{Site: author, Stamp: stamp})
}

// recordForeignKey records what was done about a reference to a row, in the open conflict of
// its document if there is one.
func (x *mending) recordForeignKey(t *table, key crdt.Key, document reference, det detail, a, b crdt.Claim) error {
	sites := []causal.Site{a.Site, b.Site}
	id, err := x.tx.extendOpen(document, crdt.ForeignKey, sites, det)
	if err != nil || id != "" {
		return err
	}
	return x.tx.writeConflict(newConflict{kind: crdt.ForeignKey, row: t.reference(key), document: document, sites: sites, detail: det,
		id: conflictID(crdt.ForeignKey, t.reference(key), t, a, b)})
}
