package merge

import (
	"encoding/hex"
	"slices"
	"strings"

	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/crdt/hlc"
	"ravno/store/internal/catalog"
	"ravno/store/internal/conflict"
	"ravno/store/internal/history"
	"ravno/store/internal/rows"
)

// judge decides, at the hub, whether a node's change is concurrent with other changes of its document.
// If it is, judge records a conflict in this transaction. The merge happens either way. It returns the
// row's document.
func (in *incoming) judge(m *merging) (catalog.Reference, error) {
	tx := in.tx
	self := m.t.Reference(m.change.Key)
	document := self
	if d := m.change.Document; d != nil {
		if root := tx.Cat.ByName[strings.ToLower(d.Table)]; root != nil {
			document = root.Reference(d.Key)
		}
	}
	deleted := m.change.Death.After(m.row.Death.Stamp)
	if !m.out.Changed && len(m.out.Lost) == 0 && !crdt.LostWhole(m.row, m.change, m.out) || m.t.Own || m.unacknowledged() {
		return document, nil
	}
	documents := []catalog.Reference{document}
	if m.t.Parent != nil && (m.state == catalog.InTable || m.deathUnseen()) {
		before, err := tx.Root(m.t, m.change.Key, nil)
		if err != nil {
			return document, err
		}
		if before != document {
			documents = append(documents, before)
			if err := history.Moves(tx, before, document); err != nil {
				return document, err
			}
		}
	}
	for _, d := range documents {
		found, err := in.changes.Of(d, m.author, m.change.Seen)
		if err != nil {
			return document, err
		}
		records := found.Others
		if m.t.Alone && m.present && !m.row.Birth.Stamp.IsZero() && m.row.Birth.Position > m.seen {
			// The birth of such a row leaves no change record.
			records = append(slices.Clip(records), crdt.ChangeRecord{
				Site: m.row.Birth.Stamp.Site, Position: m.row.Birth.Position,
				Table: m.t.Name, Key: m.change.Key, Dead: !m.row.Live()})
		}
		if d == document {
			records = m.withDeath(records)
		}
		unseen := crdt.Clash(m.author, m.change.Seen, records)
		if kind, ok := crdt.Classify(m.row, m.present, m.change, m.out, unseen, m.t.Name); len(unseen) > 0 && ok {
			recorded, err := in.recordConflict(kind, m, d, unseen)
			if err != nil {
				return document, err
			}
			if recorded {
				in.applied.Conflicts++
			}
			if kind == crdt.EditDelete && !slices.Contains(in.effects.Clashed, d) {
				in.effects.Clashed = append(in.effects.Clashed, d)
			}
		}
		if m.onlyCounts() {
			err = history.RecordCount(tx, d, m.t, m.change.Key, m.author)
		} else {
			err = in.recordChange(d, m, deleted, found)
		}
		if err != nil {
			return document, err
		}
	}
	return document, nil
}

// unacknowledged reports whether the change only ends a row that no site but its author ever knew. Such
// a deletion belongs to no side of the conflict. Other sites may have reused the key of the row, or of
// its document.
func (m *merging) unacknowledged() bool { return !m.present && !m.out.Row.Live() }

// withDeath adds the death of a newer row that keeps an older row of the same key out. It adds nothing
// if the key has a change record already. Without it the values of the older row would be in no
// conflict.
func (m *merging) withDeath(records []crdt.ChangeRecord) []crdt.ChangeRecord {
	if !m.out.Outlived || m.row.Live() || slices.ContainsFunc(
		records, func(o crdt.ChangeRecord) bool { return o.Table == m.t.Name && o.Key == m.change.Key }) {
		return records
	}
	return append(slices.Clip(records), crdt.ChangeRecord{
		Site: m.row.Death.Stamp.Site, Position: m.row.Death.Position, Table: m.t.Name, Key: m.change.Key, Dead: true})
}

// deathUnseen reports whether another site deleted the row without the author's knowledge. The document
// that the row was deleted from is then in conflict too, wherever the author moved the row.
func (m *merging) deathUnseen() bool {
	death := m.row.Death
	return m.present && !m.row.Live() && causal.Concurrent(m.author, death.Stamp.Site, m.seen, death.Position)
}

// recordChange writes the change record with the values that the change replaces. They are the common
// ancestor, should a concurrent change arrive later.
func (in *incoming) recordChange(d catalog.Reference, m *merging, dead bool, known *history.Changes) (err error) {
	tx := in.tx
	var before *catalog.Values
	born := !m.present || m.out.Reborn
	if born && m.t.Alone && !dead {
		return nil // The shadow holds the birth. Only a site that has seen the row can change it.
	}
	if born { // A new row replaces no values.
		return history.RecordChange(tx, d, m.t, m.change.Key, m.author, dead, before)
	}
	if known.Own {
		if before, err = history.ValuesBefore(tx, d, m.t, m.change.Key, m.author); err != nil {
			return err
		}
	}
	known.Own = true
	if before == nil {
		before = catalog.NewValues(len(m.out.Won))
	}
	for _, i := range m.out.Won {
		column := m.change.Registers[i].Column
		if v, ok := m.was.Get(column); ok && !m.out.Reborn {
			if _, known := before.Get(column); !known {
				before.Set(column, v)
			}
		}
	}
	return history.RecordChange(tx, d, m.t, m.change.Key, m.author, dead, before)
}

// recordConflict writes or extends the one open record of a document. It reports false if all sides
// wrote the same values, so that nothing is left to decide.
func (in *incoming) recordConflict(kind crdt.ConflictKind, m *merging, d catalog.Reference,
	unseen []crdt.ChangeRecord) (bool, error) {
	tx, mine := in.tx, m.authorSide()
	others, before, claims, err := in.otherSides(m, d, unseen)
	if err != nil {
		return false, err
	}
	if kind.SettledByEqual() && conflict.SameEdit(mine, others) {
		return false, nil // Both wrote the same values.
	}
	root := tx.Cat.ByNumber[d.Tab]
	if root == nil {
		root, d = m.t, m.t.Reference(m.change.Key)
	}
	row, decided, err := in.recordOf(root, d)
	if err != nil {
		return false, err
	}
	more, sites := conflict.Detail{Sides: append([]conflict.Side{mine}, others...), Before: before},
		[]causal.Site{m.author}
	for _, other := range others {
		sites = append(sites, other.Site)
	}
	if row != nil {
		return true, conflict.ExtendRecord(tx, row, kind, sites, more, decided)
	}
	var det conflict.Detail
	det.Take(more)
	det.Note(more, tx.State.Clock.Last())
	document := crdt.Document{Table: root.Name, Key: d.Key}
	return true, conflict.AddRecord(tx, conflict.New{Id: crdt.ConflictID(document, m.side(), claims), Kind: kind,
		Row: m.t.Reference(m.change.Key), Document: root.Reference(d.Key), Sites: sites, Detail: det}, m.author)
}

// recordOf finds the record for a conflict of a document. It is the open record, or a record that two
// sites have just resolved at once. In that case decided is true, and the newer of the two decisions is
// in force. The row is nil if there is no such record.
func (in *incoming) recordOf(root *catalog.Table, d catalog.Reference) (row []crdt.Value, decided bool, err error) {
	if id, ok := in.decided[d]; ok {
		row, err = conflict.ReadRecord(in.tx, id)
		return row, row != nil, err
	}
	row, err = conflict.OpenRecord(in.tx, root, d)
	return row, false, err
}

// noteDecision notes that a node resolved a conflict which another site had resolved, unknown to the
// node.
func (in *incoming) noteDecision(m *merging) error {
	tx := in.tx
	if m.t.Name != "ravno_conflict" || !m.present {
		return nil
	}
	seen, err := history.HasSeen(tx, m.author, m.t.Reference(m.change.Key), in.delta.Seen)
	if err != nil {
		return err
	}
	resolved := crdt.Column(m.t.Numbers[m.t.Column("resolved")])
	before := m.row.Version(resolved)
	if before.Stamp.IsZero() || before.Stamp.Site == m.author || before.Position <= seen ||
		!slices.ContainsFunc(m.change.Registers, func(r crdt.Register) bool { return r.Column == resolved }) {
		return nil
	}
	values, err := m.change.Key.Values()
	if err != nil {
		return err
	}
	document, done, err := conflict.DocumentOf(tx, values[0])
	if err != nil || !done {
		return err
	}
	if in.decided == nil {
		in.decided = map[catalog.Reference]string{}
	}
	in.decided[document] = values[0].Bytes()
	return nil
}

// authorSide returns the author's side of the conflict, from the change itself.
func (m *merging) authorSide() conflict.Side {
	s := conflict.Side{Site: m.author, Table: m.t.Name, Key: hex.EncodeToString([]byte(m.change.Key)),
		Whole:   m.change.Whole,
		Deleted: m.change.Death.After(m.row.Death.Stamp), Values: map[string]string{}}
	for _, reg := range m.change.Registers {
		if (reg.Stamp.Site == m.author || m.change.Whole) && !m.isBase(reg) {
			s.Values[m.t.Columns[m.t.ByNum[reg.Column]].Name] = catalog.EncodeValue(reg.Value)
		}
	}
	return s
}

// side identifies the author's side: the site and the newest stamp that it wrote in the change.
func (m *merging) side() crdt.Claim {
	newest := m.change.Death
	for _, reg := range m.change.Registers {
		if reg.Stamp.Site == m.author && reg.Stamp.After(newest) {
			newest = reg.Stamp
		}
	}
	return crdt.Claim{Site: m.author, Stamp: newest}
}

// otherSides reads the sides of the concurrent changes and the values before them. The result newest
// identifies the newest of the other sides.
func (in *incoming) otherSides(m *merging, d catalog.Reference, unseen []crdt.ChangeRecord) (
	others, before []conflict.Side, newest crdt.Claim, err error) {
	tx := in.tx
	for _, record := range unseen {
		t := tx.Cat.ByName[strings.ToLower(record.Table)]
		values, row, here := (*catalog.Values)(nil), m.row, t == m.t && record.Key == m.change.Key
		if here {
			values = m.was
		} else if values, _, err = conflict.ValuesOf(tx, t, record.Key); err != nil {
			return nil, nil, newest, err
		} else {
			there, err := tx.ReadShadow(t, record.Key)
			if err != nil {
				return nil, nil, newest, err
			}
			row = there.Row
		}
		seen := m.seen
		if !here {
			if seen, err = history.HasSeen(tx, m.author, t.Reference(record.Key), m.change.Seen); err != nil {
				return nil, nil, newest, err
			}
		}
		s := conflict.Side{Site: record.Site, Table: t.Name, Key: hex.EncodeToString([]byte(record.Key)), Deleted: record.Dead,
			Values: map[string]string{}}
		stamp := row.Death.Stamp
		for number, v := range values.All() {
			version := row.Version(number)
			if !t.HasRegister(number) || version.Stamp.Site != record.Site || version.Position <= seen || record.Dead {
				continue
			}
			if version.Stamp.After(stamp) {
				stamp = version.Stamp
			}
			s.Values[t.Columns[t.ByNum[number]].Name] = catalog.EncodeValue(v)
		}
		s.Whole = len(s.Values) == t.Registers() && !record.Dead
		if s.Whole || m.out.Died && here { // The row is about to go, so the record keeps it whole.
			for number, v := range values.All() {
				if t.HasRegister(number) {
					s.Values[t.Columns[t.ByNum[number]].Name] = catalog.EncodeValue(v)
				}
			}
			s.Whole = true
		}
		others = append(others, s)
		if claim := (crdt.Claim{Site: record.Site, Stamp: stamp}); newest.Stamp == (hlc.Stamp{}) ||
			claim.Stamp.After(newest.Stamp) {
			newest = claim
		}
		b, err := beforeChange(tx, d, t, record)
		if err != nil {
			return nil, nil, newest, err
		}
		before = append(before, b)
	}
	return others, append(before, m.before()), newest, nil
}

// before returns the values that the author's columns had before, where no concurrent change had
// replaced them.
func (m *merging) before() conflict.Side {
	b := conflict.Side{Table: m.t.Name, Key: hex.EncodeToString([]byte(m.change.Key)), Values: map[string]string{}}
	for _, reg := range m.change.Registers {
		version := m.row.Version(reg.Column)
		if v, ok := m.was.Get(reg.Column); ok && !causal.Concurrent(m.author, version.Stamp.Site, m.seen, version.Position) {
			b.Values[m.t.Columns[m.t.ByNum[reg.Column]].Name] = catalog.EncodeValue(v)
		}
	}
	if m.change.Death.After(m.row.Death.Stamp) {
		for number, v := range m.was.All() {
			version := m.row.Version(number)
			if !m.t.HasRegister(number) || causal.Concurrent(m.author, version.Stamp.Site, m.seen, version.Position) {
				continue
			}
			b.Values[m.t.Columns[m.t.ByNum[number]].Name] = catalog.EncodeValue(v)
		}
	}
	return b
}

// beforeChange returns the values that a recorded change of a row replaced.
func beforeChange(tx *rows.Tx, d catalog.Reference, t *catalog.Table, record crdt.ChangeRecord) (conflict.Side, error) {
	b := conflict.Side{Table: t.Name, Key: hex.EncodeToString([]byte(record.Key)), Values: map[string]string{}}
	values, err := history.ValuesBefore(tx, d, t, record.Key, record.Site)
	for number, v := range values.All() {
		if i, ok := t.ByNum[number]; ok {
			b.Values[t.Columns[i].Name] = catalog.EncodeValue(v)
		}
	}
	return b, err
}

// collides reports whether this site made another row under the key of the change, unknown to the
// sender. The position known is this site's position that the sender had seen. Two rows that a
// migration inserted do not collide.
func (m *merging) collides(self causal.Site, known causal.Position) bool {
	birth := m.row.Birth
	return m.present && birth.Stamp != m.change.Birth && birth.Stamp.Site == self && birth.Position > known &&
		(birth.Stamp.Time != catalog.FirstSeed || m.change.Birth.Time != catalog.FirstSeed)
}
