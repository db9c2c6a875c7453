package crdt

import (
	"encoding/binary"
	"slices"

	"github.com/google/uuid"

	"ravno/crdt/causal"
	"ravno/crdt/hlc"
)

// ConflictKind says how two sides came to change one document at once.
type ConflictKind string

// The kinds of conflict. The words are part of the command line's contract.
const (
	EditEdit     ConflictKind = "edit_edit"     // both wrote
	EditDelete   ConflictKind = "edit_delete"   // one wrote, the other deleted
	KeyCollision ConflictKind = "key_collision" // both created a row with one key
	Unique       ConflictKind = "unique"        // two rows have one unique value
	ForeignKey   ConflictKind = "foreign_key"   // one deleted what the other refers to
)

// SettledByEqual reports whether a conflict of this kind is none if both sides wrote the same values.
func (k ConflictKind) SettledByEqual() bool {
	switch k {
	case EditEdit, KeyCollision:
		return true
	case EditDelete, Unique, ForeignKey:
	}
	return false
}

// With is the kind of a record of this kind that takes in a conflict of another. Edits give way to
// whatever else is found. Of any other kind, the first stays.
func (k ConflictKind) With(more ConflictKind) ConflictKind {
	switch k {
	case EditEdit:
		return more
	case EditDelete, KeyCollision, Unique, ForeignKey:
	}
	return k
}

// ChangeRecord records that a site changed a row of a document, as the hub committed it.
type ChangeRecord struct {
	Site     causal.Site
	Position causal.Position
	Table    string
	Key      Key
	Dead     bool // it deleted the row
	Counted  bool // it only counted: it set no register and deleted nothing
}

// Clash returns the change records of a document that are concurrent with a change by author. If
// there are none, there is no conflict.
func Clash(author causal.Site, seen causal.Seen, records []ChangeRecord) []ChangeRecord {
	var concurrent []ChangeRecord
	for _, r := range records {
		if causal.Concurrent(author, r.Site, seen, r.Position) {
			concurrent = append(concurrent, r)
		}
	}
	return concurrent
}

// Classify names the conflict between a change and the concurrent changes of its document,
// given the outcome of merging it and the row it was merged into. Counting agrees with any
// edit and any other counting, and only clashes with a deletion. ok is false if there is
// nothing to decide: no record is concurrent, the change has nothing new, both sides only
// deleted, or one of them only counted and neither deleted.
func Classify(row Row, present bool, change Change, out Outcome, concurrent []ChangeRecord, table string) (
	kind ConflictKind, ok bool) {
	deleted := change.Death.After(row.Death.Stamp)
	edited := len(out.Won)+len(out.Lost) > 0 || LostWhole(row, change, out)
	counted := len(out.Counted) > 0
	otherDead, otherLive, otherEdited, sameRow := false, false, false, false
	for _, r := range concurrent {
		otherDead = otherDead || r.Dead
		otherLive = otherLive || !r.Dead
		otherEdited = otherEdited || !r.Dead && !r.Counted
		sameRow = sameRow || r.Table == table && r.Key == change.Key && !r.Dead
	}
	switch {
	case present && edited && sameRow && bothCreated(row, change):
		return KeyCollision, true
	case otherDead && (edited || counted), otherLive && deleted:
		return EditDelete, true
	case otherEdited && edited:
		return EditEdit, true
	}
	return "", false
}

// LostWhole reports whether a change brings a row without registers, whose columns are all key,
// that a deletion of another row of that key keeps out. It has no register that could be lost.
func LostWhole(row Row, change Change, out Outcome) bool {
	return out.Outlived && change.Whole && len(change.Registers) == 0 && change.Death.IsZero() && !row.Live()
}

// bothCreated reports whether a change brings a row that its author made without knowing the row
// of the same key that is here. Two births alone do not say so. A site that deletes a row it
// knows and makes it anew collides with nobody, and neither does an edit of the deleted row.
func bothCreated(row Row, change Change) bool {
	if !change.Whole || change.Birth.IsZero() || row.Birth.Stamp.IsZero() || change.Birth == row.Birth.Stamp {
		return false
	}
	creator := change.Birth.Site
	return causal.Concurrent(creator, row.Birth.Stamp.Site, change.Seen, row.Birth.Position) &&
		slices.ContainsFunc(change.Registers, func(r Register) bool { return r.Stamp.Site == creator })
}

// conflictSpace is the namespace of conflict identifiers: a constant drawn once.
var conflictSpace = uuid.MustParse("6f1c9a52-8f0b-5b7e-9d5e-2c7a1e0f4b31")

// Claim is one side of a conflict: a site and the stamp of what it wrote.
type Claim struct {
	Site  causal.Site
	Stamp hlc.Stamp
}

// ConflictID derives the identifier of a conflict from the document and the two sides. The order
// of the sides does not matter, so one conflict has one identifier everywhere.
func ConflictID(document Document, a, b Claim) string {
	sides := []Claim{a, b}
	slices.SortFunc(sides, func(x, y Claim) int { return x.Stamp.Compare(y.Stamp) })
	data := binary.AppendUvarint(nil, uint64(len(document.Table)))
	data = append(data, document.Table...)
	data = binary.AppendUvarint(data, uint64(len(document.Key)))
	data = append(data, document.Key...)
	for _, s := range sides {
		data = binary.BigEndian.AppendUint64(data, uint64(s.Stamp.Time))
		data = binary.BigEndian.AppendUint32(data, uint32(s.Stamp.Site))
	}
	return uuid.NewSHA1(conflictSpace, data).String()
}
