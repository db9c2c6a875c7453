package store

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/crdt/hlc"
	"ravno/journal"
	"ravno/store/internal/capture"
)

// detail is what a conflict record keeps, as JSON in ravno_conflict: what each side wrote,
// and what was there before, where that is known. Values are in key encoding, in hex, so
// that every byte survives JSON.
type detail struct {
	Sides  []side `json:"sides"`
	Before []side `json:"before,omitempty"`
	// Renumbered says, of a key_collision, which row got which fresh key.
	Renumbered *renumbering `json:"renumbered,omitempty"`
	// held is, of rows on their way into a record, what no side wrote of them: it is in no table, so it
	// takes the place of what was before it.
	held []side
}

// side is what one site made of one row of the document.
type side struct {
	Site    causal.Site       `json:"site,omitempty"`
	Table   string            `json:"table"`
	Key     string            `json:"key"`
	Deleted bool              `json:"deleted,omitempty"`
	Whole   bool              `json:"whole,omitempty"` // Values are the whole row
	Values  map[string]string `json:"values,omitempty"`
	// Earlier are values of the same side that a later one in Values replaced. Its author may
	// not have seen them: they can have been replaced at the site by someone else's first.
	Earlier map[string][]string `json:"earlier,omitempty"`
	// Noted is the hub's time when this was last noted: a row that was born later under this key is
	// another one. 0: not known.
	Noted hlc.Time `json:"noted,omitempty"`
}

func encodeValue(v crdt.Value) string { return hex.EncodeToString([]byte(crdt.NewKey(v))) }

func decodeValue(s string) (crdt.Value, error) {
	b, err := hex.DecodeString(s)
	if err != nil {
		return crdt.Value{}, err
	}
	values, err := crdt.Key(b).Values()
	if err != nil || len(values) != 1 {
		return crdt.Value{}, fmt.Errorf("malformed value in a conflict: %v", err)
	}
	return values[0], nil
}

// merge takes in more of the same: later values of a side replace earlier ones, which stay
// in the record.
func merge(sides []side, more side, keepOld bool) []side {
	for i := range sides {
		s := &sides[i]
		if s.Site != more.Site || s.Table != more.Table || s.Key != more.Key {
			continue
		}
		if s.Values == nil {
			s.Values = map[string]string{}
		}
		for name, v := range more.Values {
			old, known := s.Values[name]
			if known && keepOld {
				continue
			}
			if known && old != v && !slices.Contains(s.Earlier[name], old) {
				if s.Earlier == nil {
					s.Earlier = map[string][]string{}
				}
				s.Earlier[name] = append(s.Earlier[name], old)
			}
			s.Values[name] = v
		}
		s.Deleted, s.Whole = more.Deleted, s.Whole || more.Whole
		return sides
	}
	return append(sides, more)
}

// judge finds out at the hub whether a node's change was made without knowledge of what
// others did to the same document. If so it is in a conflict, which is recorded in this
// same transaction; the merge goes on either way. It returns the row's document.
func (in *incoming) judge(m *merging) (reference, error) {
	tx := in.tx
	self := m.t.reference(m.change.Key)
	document := self
	if d := m.change.Document; d != nil {
		if root := tx.cat.byName[strings.ToLower(d.Table)]; root != nil {
			document = root.reference(d.Key)
		}
	}
	deleted := m.change.Death.After(m.row.Death.Stamp)
	if !m.out.Changed && len(m.out.Lost) == 0 && !crdt.LostWhole(m.row, m.change, m.out) || m.t.own || m.unheard() {
		return document, nil
	}
	documents := []reference{document}
	if m.t.parent != nil && (m.state == imageTable || m.deathUnseen()) {
		before, err := tx.root(m.t, m.change.Key, nil)
		if err != nil {
			return document, err
		}
		if before != document {
			documents = append(documents, before)
			if err := tx.moves(before, document); err != nil {
				return document, err
			}
		}
	}
	for _, d := range documents {
		found, err := in.touches.of(d, m.author, m.change.Seen)
		if err != nil {
			return document, err
		}
		touches := found.others
		if m.t.alone && m.present && !m.row.Birth.Stamp.IsZero() && m.row.Birth.Position > m.seen { // its birth left no touch
			touches = append(slices.Clip(touches), crdt.Touch{Site: m.row.Birth.Stamp.Site, Position: m.row.Birth.Position,
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
			if kind == crdt.EditDelete && !slices.Contains(in.effects.clashed, d) {
				in.effects.clashed = append(in.effects.clashed, d)
			}
		}
		if m.onlyCounts() {
			err = tx.touchCounted(d, m.t, m.change.Key, m.author)
		} else {
			err = in.touchWith(d, m, deleted, found)
		}
		if err != nil {
			return document, err
		}
	}
	return document, nil
}

// unheard reports whether all that comes is the end of a row of which nobody but its author ever
// knew. It is a side of nothing: what is there under its number, or under that of the document it
// was in, may be others' rows, which only have the same numbers.
func (m *merging) unheard() bool { return !m.present && !m.out.Row.Live() }

// withDeath adds to the touches of a document the death of a row that keeps an older one of its key
// out, where it has left none: what is kept out would be nowhere.
func (m *merging) withDeath(touches []crdt.Touch) []crdt.Touch {
	if !m.out.Outlived || m.row.Live() || slices.ContainsFunc(touches, func(o crdt.Touch) bool { return o.Table == m.t.Name && o.Key == m.change.Key }) {
		return touches
	}
	return append(slices.Clip(touches), crdt.Touch{Site: m.row.Death.Stamp.Site, Position: m.row.Death.Position, Table: m.t.Name, Key: m.change.Key, Dead: true})
}

// deathUnseen reports whether the row was deleted without its author's knowledge: then the
// document it was deleted from is in it too, wherever the author has moved the row.
func (m *merging) deathUnseen() bool {
	death := m.row.Death
	return m.present && !m.row.Live() && causal.Concurrent(m.author, death.Stamp.Site, m.seen, death.Position)
}

// touchWith records the change as a touch, with the values it replaces: they are the
// common ancestor should a change of someone who had not seen it arrive later.
func (in *incoming) touchWith(d reference, m *merging, dead bool, known *touches) (err error) {
	tx := in.tx
	var before *image
	born := !m.present || m.out.Reborn
	if born && m.t.alone && !dead {
		return nil // its shadow says as much, and nobody who has not seen it can touch it
	}
	if born { // a new row: nothing was there before
		return tx.touch(d, m.t, m.change.Key, m.author, dead, before)
	}
	if known.own {
		if before, err = tx.valuesBefore(d, m.t, m.change.Key, m.author); err != nil {
			return err
		}
	}
	known.own = true
	if before == nil {
		before = newImage(len(m.out.Won))
	}
	for _, i := range m.out.Won {
		column := m.change.Registers[i].Column
		if v, ok := m.was.get(column); ok && !m.out.Reborn {
			if _, known := before.get(column); !known {
				before.set(column, v)
			}
		}
	}
	return tx.touch(d, m.t, m.change.Key, m.author, dead, before)
}

// recordConflict writes or extends the one open record of a document.
func (in *incoming) recordConflict(kind crdt.ConflictKind, m *merging, d reference, unseen []crdt.Touch) (bool, error) {
	tx, mine := in.tx, m.authorSide()
	others, before, claims, err := in.otherSides(m, d, unseen)
	if err != nil {
		return false, err
	}
	if (kind == crdt.EditEdit || kind == crdt.KeyCollision) && sameEdit(mine, others) {
		return false, nil // both wrote the same values: nothing to decide
	}
	root := tx.cat.byNumber[d.tab]
	if root == nil {
		root, d = m.t, m.t.reference(m.change.Key)
	}
	row, decided, err := in.recordOf(root, d)
	if err != nil {
		return false, err
	}
	more, sites := detail{Sides: append([]side{mine}, others...), Before: before}, []causal.Site{m.author}
	for _, other := range others {
		sites = append(sites, other.Site)
	}
	if row != nil {
		return true, tx.extendRecord(row, kind, sites, more, decided)
	}
	var det detail
	det.take(more)
	det.note(more, tx.state.clock.Last())
	encoded, err := json.Marshal(det)
	if err != nil {
		return false, err
	}
	document := crdt.Document{Table: root.Name, Key: d.key}
	id := crdt.ConflictID(document, m.claim(), claims)
	values := []crdt.Value{text(id), text(string(kind)), text(m.t.Name), blob(m.change.Key), text(root.Name), blob(d.key),
		text(formatSites(sites)), integer(tx.now()), text(string(encoded)), integer(1)}
	if err := tx.c.Exec(`INSERT OR IGNORE INTO ravno_conflict(id, kind, tab, key, document_tab, document_key, sites, found_at, detail, revision)
		VALUES(?,?,?,?,?,?,?,?,?,?)`, values...); err != nil {
		return false, err
	}
	if err := tx.logOwn("ravno_conflict", crdt.NewKey(text(id)), capture.Insert, nil); err != nil {
		return false, err
	}
	return true, tx.record(journal.Found(tx.siteName(m.author), string(kind), root.Name, id))
}

// take takes in more of the same: what is written later counts, what was before stays.
func (d *detail) take(more detail) {
	for _, s := range more.Sides {
		d.Sides = merge(d.Sides, s, false)
	}
	for _, b := range more.Before {
		d.Before = merge(d.Before, b, true)
	}
	for _, h := range more.held {
		d.Before = merge(d.Before, h, false)
	}
}

// note says of the rows in more when they were noted: all sides are about the row that is in force
// now.
func (d *detail) note(more detail, at hlc.Time) {
	for i := range d.Sides {
		s := &d.Sides[i]
		if slices.ContainsFunc(more.Sides, func(o side) bool { return o.Table == s.Table && o.Key == s.Key }) {
			s.Noted = at
		}
	}
}

// extendRecord takes more into a record as recordOf found it. One that both sides have decided
// stays resolved.
func (tx *transaction) extendRecord(row []crdt.Value, kind crdt.ConflictKind, sites []causal.Site, more detail, decided bool) error {
	var det detail
	if err := json.Unmarshal([]byte(row[3].Bytes()), &det); err != nil {
		return fmt.Errorf("conflict %s: %w", row[0].Bytes(), err)
	}
	det.take(more)
	if old := crdt.ConflictKind(row[1].Bytes()); old != crdt.EditEdit {
		kind = old
	}
	encoded, err := json.Marshal(det)
	if err != nil {
		return err
	}
	among := formatSites(append(sites, parseSites(row[2].Bytes())...))
	if string(encoded) == row[3].Bytes() && string(kind) == row[1].Bytes() && among == row[2].Bytes() && !decided {
		return nil // it says so already
	}
	det.note(more, tx.state.clock.Last())
	if encoded, err = json.Marshal(det); err != nil {
		return err
	}
	values := map[string]crdt.Value{"kind": text(string(kind)), "sites": text(among),
		"detail": text(string(encoded)), "revision": integer(row[4].Int() + 1)}
	if decided {
		values["resolved"] = values["revision"]
	}
	return tx.changeOwn("ravno_conflict", crdt.NewKey(row[0]), values)
}

// recordOf finds the record that a conflict of a document goes into: the open one, or the one
// which two sites have just resolved without knowing of each other. Then the conflict is
// between their decisions, the newer of which is in force, and needs no third.
func (in *incoming) recordOf(root *table, d reference) (row []crdt.Value, decided bool, err error) {
	if id, ok := in.decided[d]; ok {
		row, err = in.tx.c.Row(readRecord+"WHERE id=?", text(id))
		return row, row != nil, err
	}
	row, err = in.tx.openRecord(root, d)
	return row, false, err
}

const readRecord = "SELECT id, kind, sites, detail, revision FROM ravno_conflict "

// openRecord is the open record of a document, nil if it has none. Those of held rows are
// their own: they close by themselves.
func (tx *transaction) openRecord(root *table, d reference) ([]crdt.Value, error) {
	return tx.c.Row(readRecord+`WHERE document_tab=? AND document_key=? AND revision>resolved AND kind<>'unique'
		ORDER BY found_at, id LIMIT 1`, text(root.Name), blob(d.key))
}

// noteDecision remembers that a node has resolved a conflict which another site had resolved
// already, unknown to it.
func (in *incoming) noteDecision(m *merging) error {
	tx := in.tx
	if m.t.Name != "ravno_conflict" || !m.present {
		return nil
	}
	seen, err := tx.hasSeen(m.author, m.t.reference(m.change.Key), in.delta.Seen)
	if err != nil {
		return err
	}
	resolved := crdt.Column(m.t.numbers[m.t.Column("resolved")])
	before := m.row.Version(resolved)
	if before.Stamp.IsZero() || before.Stamp.Site == m.author || before.Position <= seen ||
		!slices.ContainsFunc(m.change.Registers, func(r crdt.Register) bool { return r.Column == resolved }) {
		return nil
	}
	values, err := m.change.Key.Values()
	if err != nil {
		return err
	}
	row, err := tx.c.Row("SELECT document_tab, document_key, resolved FROM ravno_conflict WHERE id=?", values[0])
	if err != nil || row == nil || row[2].Int() == 0 {
		return err
	}
	if root := tx.cat.byName[strings.ToLower(row[0].Bytes())]; root != nil {
		if in.decided == nil {
			in.decided = map[reference]string{}
		}
		in.decided[root.reference(crdt.Key(row[1].Bytes()))] = values[0].Bytes()
	}
	return nil
}

// authorSide is what the change itself says.
func (m *merging) authorSide() side {
	s := side{Site: m.author, Table: m.t.Name, Key: hex.EncodeToString([]byte(m.change.Key)), Whole: m.change.Whole,
		Deleted: m.change.Death.After(m.row.Death.Stamp), Values: map[string]string{}}
	for _, reg := range m.change.Registers {
		if (reg.Stamp.Site == m.author || m.change.Whole) && !m.isBase(reg) {
			s.Values[m.t.Columns[m.t.byNum[reg.Column]].Name] = encodeValue(reg.Value)
		}
	}
	return s
}

// claim is the change as one side of a conflict.
func (m *merging) claim() crdt.Claim {
	newest := m.change.Death
	for _, reg := range m.change.Registers {
		if reg.Stamp.Site == m.author && reg.Stamp.After(newest) {
			newest = reg.Stamp
		}
	}
	return crdt.Claim{Site: m.author, Stamp: newest}
}

// otherSides is what the unseen touches wrote, what was there before them, and the newest
// of them as the other side of the conflict.
func (in *incoming) otherSides(m *merging, d reference, unseen []crdt.Touch) (others, before []side, newest crdt.Claim, err error) {
	tx := in.tx
	for _, touch := range unseen {
		t := tx.cat.byName[strings.ToLower(touch.Table)]
		values, row, here := (*image)(nil), m.row, t == m.t && touch.Key == m.change.Key
		if here {
			values = m.was
		} else if values, _, err = tx.values(t, touch.Key); err != nil {
			return nil, nil, newest, err
		} else if row, _, _, err = tx.readShadow(t, touch.Key); err != nil {
			return nil, nil, newest, err
		}
		seen := m.seen
		if !here {
			if seen, err = tx.hasSeen(m.author, t.reference(touch.Key), m.change.Seen); err != nil {
				return nil, nil, newest, err
			}
		}
		s := side{Site: touch.Site, Table: t.Name, Key: hex.EncodeToString([]byte(touch.Key)), Deleted: touch.Dead, Values: map[string]string{}}
		stamp := row.Death.Stamp
		for number, v := range values.all() {
			version := row.Version(number)
			if !t.isRegister(number) || version.Stamp.Site != touch.Site || version.Position <= seen || touch.Dead {
				continue
			}
			if version.Stamp.After(stamp) {
				stamp = version.Stamp
			}
			s.Values[t.Columns[t.byNum[number]].Name] = encodeValue(v)
		}
		s.Whole = len(s.Values) == t.registers() && !touch.Dead
		if s.Whole || m.out.Died && here { // about to be replaced: keep it whole
			for number, v := range values.all() {
				if t.isRegister(number) {
					s.Values[t.Columns[t.byNum[number]].Name] = encodeValue(v)
				}
			}
			s.Whole = true
		}
		others = append(others, s)
		if claim := (crdt.Claim{Site: touch.Site, Stamp: stamp}); newest.Stamp == (hlc.Stamp{}) || claim.Stamp.After(newest.Stamp) {
			newest = claim
		}
		b, err := tx.beforeTouch(d, t, touch)
		if err != nil {
			return nil, nil, newest, err
		}
		before = append(before, b)
	}
	return others, append(before, m.before()), newest, nil
}

// before is what the author's columns held, where nobody else had changed them meanwhile.
func (m *merging) before() side {
	b := side{Table: m.t.Name, Key: hex.EncodeToString([]byte(m.change.Key)), Values: map[string]string{}}
	for _, reg := range m.change.Registers {
		version := m.row.Version(reg.Column)
		if v, ok := m.was.get(reg.Column); ok && !causal.Concurrent(m.author, version.Stamp.Site, m.seen, version.Position) {
			b.Values[m.t.Columns[m.t.byNum[reg.Column]].Name] = encodeValue(v)
		}
	}
	if m.change.Death.After(m.row.Death.Stamp) {
		for number, v := range m.was.all() {
			version := m.row.Version(number)
			if !m.t.isRegister(number) || causal.Concurrent(m.author, version.Stamp.Site, m.seen, version.Position) {
				continue
			}
			b.Values[m.t.Columns[m.t.byNum[number]].Name] = encodeValue(v)
		}
	}
	return b
}

// beforeTouch is what a touch of another row replaced.
func (tx *transaction) beforeTouch(d reference, t *table, touch crdt.Touch) (side, error) {
	b := side{Table: t.Name, Key: hex.EncodeToString([]byte(touch.Key)), Values: map[string]string{}}
	values, err := tx.valuesBefore(d, t, touch.Key, touch.Site)
	for number, v := range values.all() {
		if i, ok := t.byNum[number]; ok {
			b.Values[t.Columns[i].Name] = encodeValue(v)
		}
	}
	return b, err
}

// sameEdit reports whether all others wrote, to the same row, the values the author wrote.
func sameEdit(mine side, others []side) bool {
	for _, other := range others {
		if other.Table != mine.Table || other.Key != mine.Key || len(other.Values) != len(mine.Values) {
			return false
		}
		for name, v := range mine.Values {
			if other.Values[name] != v {
				return false
			}
		}
	}
	return true
}

func formatSites(sites []causal.Site) string {
	slices.Sort(sites)
	var b strings.Builder
	for i, s := range slices.Compact(sites) {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(s.String())
	}
	return b.String()
}

func parseSites(s string) []causal.Site {
	var sites []causal.Site
	for part := range strings.SplitSeq(s, ",") {
		if n, err := strconv.ParseUint(part, 10, 32); err == nil {
			sites = append(sites, causal.Site(n))
		}
	}
	return sites
}
