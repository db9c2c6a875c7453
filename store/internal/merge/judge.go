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

// judge finds out at the hub whether a node's change was made without knowledge of what
// others did to the same document. If so it is in a conflict, which is recorded in this
// same transaction; the merge goes on either way. It returns the row's document.
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
		touches := found.Others
		if m.t.Alone && m.present && !m.row.Birth.Stamp.IsZero() && m.row.Birth.Position > m.seen {
			// Its birth left no record.
			touches = append(slices.Clip(touches), crdt.ChangeRecord{
				Site: m.row.Birth.Stamp.Site, Position: m.row.Birth.Position,
				Table: m.t.Name, Key: m.change.Key, Dead: !m.row.Live()})
		}
		if d == document {
			touches = m.withDeath(touches)
		}
		unseen := crdt.Clash(m.author, m.change.Seen, touches)
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

// unacknowledged reports whether all that comes is the end of a row of which nobody but its author ever
// knew. It is a side of nothing: what is there under its number, or under that of the document it
// was in, may be others' rows, which only have the same numbers.
func (m *merging) unacknowledged() bool { return !m.present && !m.out.Row.Live() }

// withDeath adds to the change records of a document the death of a row that keeps an older one of its key
// out, where it has left none: what is kept out would be nowhere.
func (m *merging) withDeath(touches []crdt.ChangeRecord) []crdt.ChangeRecord {
	if !m.out.Outlived || m.row.Live() || slices.ContainsFunc(
		touches, func(o crdt.ChangeRecord) bool { return o.Table == m.t.Name && o.Key == m.change.Key }) {
		return touches
	}
	return append(slices.Clip(touches), crdt.ChangeRecord{
		Site: m.row.Death.Stamp.Site, Position: m.row.Death.Position, Table: m.t.Name, Key: m.change.Key, Dead: true})
}

// deathUnseen reports whether the row was deleted without its author's knowledge: then the
// document it was deleted from is in it too, wherever the author has moved the row.
func (m *merging) deathUnseen() bool {
	death := m.row.Death
	return m.present && !m.row.Live() && causal.Concurrent(m.author, death.Stamp.Site, m.seen, death.Position)
}

// recordChange records the change, with the values it replaces: they are the
// common ancestor should a change of someone who had not seen it arrive later.
func (in *incoming) recordChange(d catalog.Reference, m *merging, dead bool, known *history.Changes) (err error) {
	tx := in.tx
	var before *catalog.Values
	born := !m.present || m.out.Reborn
	if born && m.t.Alone && !dead {
		return nil // its shadow says as much, and nobody who has not seen it can change it
	}
	if born { // a new row: nothing was there before
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

// recordConflict writes or extends the one open record of a document.
func (in *incoming) recordConflict(kind crdt.ConflictKind, m *merging, d catalog.Reference,
	unseen []crdt.ChangeRecord) (bool, error) {
	tx, mine := in.tx, m.authorSide()
	others, before, claims, err := in.otherSides(m, d, unseen)
	if err != nil {
		return false, err
	}
	if kind.SettledByEqual() && conflict.SameEdit(mine, others) {
		return false, nil // both wrote the same values: nothing to decide
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

// recordOf finds the record that a conflict of a document goes into: the open one, or the one
// which two sites have just resolved without knowing of each other. Then the conflict is
// between their decisions, the newer of which is in force, and needs no third.
func (in *incoming) recordOf(root *catalog.Table, d catalog.Reference) (row []crdt.Value, decided bool, err error) {
	if id, ok := in.decided[d]; ok {
		row, err = conflict.ReadRecord(in.tx, id)
		return row, row != nil, err
	}
	row, err = conflict.OpenRecord(in.tx, root, d)
	return row, false, err
}

// noteDecision remembers that a node has resolved a conflict which another site had resolved
// already, unknown to it.
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

// authorSide is what the change itself says.
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

// side is the change as one side of a conflict.
func (m *merging) side() crdt.Claim {
	newest := m.change.Death
	for _, reg := range m.change.Registers {
		if reg.Stamp.Site == m.author && reg.Stamp.After(newest) {
			newest = reg.Stamp
		}
	}
	return crdt.Claim{Site: m.author, Stamp: newest}
}

// otherSides is what the concurrent changes wrote, what was there before them, and the newest
// of them as the other side of the conflict.
func (in *incoming) otherSides(m *merging, d catalog.Reference, unseen []crdt.ChangeRecord) (
	others, before []conflict.Side, newest crdt.Claim, err error) {
	tx := in.tx
	for _, touch := range unseen {
		t := tx.Cat.ByName[strings.ToLower(touch.Table)]
		values, row, here := (*catalog.Values)(nil), m.row, t == m.t && touch.Key == m.change.Key
		if here {
			values = m.was
		} else if values, _, err = conflict.ValuesOf(tx, t, touch.Key); err != nil {
			return nil, nil, newest, err
		} else {
			there, err := tx.ReadShadow(t, touch.Key)
			if err != nil {
				return nil, nil, newest, err
			}
			row = there.Row
		}
		seen := m.seen
		if !here {
			if seen, err = history.HasSeen(tx, m.author, t.Reference(touch.Key), m.change.Seen); err != nil {
				return nil, nil, newest, err
			}
		}
		s := conflict.Side{Site: touch.Site, Table: t.Name, Key: hex.EncodeToString([]byte(touch.Key)), Deleted: touch.Dead,
			Values: map[string]string{}}
		stamp := row.Death.Stamp
		for number, v := range values.All() {
			version := row.Version(number)
			if !t.HasRegister(number) || version.Stamp.Site != touch.Site || version.Position <= seen || touch.Dead {
				continue
			}
			if version.Stamp.After(stamp) {
				stamp = version.Stamp
			}
			s.Values[t.Columns[t.ByNum[number]].Name] = catalog.EncodeValue(v)
		}
		s.Whole = len(s.Values) == t.Registers() && !touch.Dead
		if s.Whole || m.out.Died && here { // about to be replaced: keep it whole
			for number, v := range values.All() {
				if t.HasRegister(number) {
					s.Values[t.Columns[t.ByNum[number]].Name] = catalog.EncodeValue(v)
				}
			}
			s.Whole = true
		}
		others = append(others, s)
		if claim := (crdt.Claim{Site: touch.Site, Stamp: stamp}); newest.Stamp == (hlc.Stamp{}) ||
			claim.Stamp.After(newest.Stamp) {
			newest = claim
		}
		b, err := beforeChange(tx, d, t, touch)
		if err != nil {
			return nil, nil, newest, err
		}
		before = append(before, b)
	}
	return others, append(before, m.before()), newest, nil
}

// before is what the author's columns held, where nobody else had changed them meanwhile.
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

// beforeChange is what a recorded change of another row replaced.
func beforeChange(tx *rows.Tx, d catalog.Reference, t *catalog.Table, touch crdt.ChangeRecord) (conflict.Side, error) {
	b := conflict.Side{Table: t.Name, Key: hex.EncodeToString([]byte(touch.Key)), Values: map[string]string{}}
	values, err := history.ValuesBefore(tx, d, t, touch.Key, touch.Site)
	for number, v := range values.All() {
		if i, ok := t.ByNum[number]; ok {
			b.Values[t.Columns[i].Name] = catalog.EncodeValue(v)
		}
	}
	return b, err
}

// collides reports whether a change is of another row than the one this site has made under
// that key, which the sender did not know of.
func (m *merging) collides(self causal.Site, known causal.Position) bool {
	birth := m.row.Birth
	return m.present && birth.Stamp != m.change.Birth && birth.Stamp.Site == self && birth.Position > known &&
		(birth.Stamp.Time != catalog.FirstSeed || m.change.Birth.Time != catalog.FirstSeed)
}
