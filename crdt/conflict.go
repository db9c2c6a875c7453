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
	Unique       ConflictKind = "unique"        // two rows claim one unique value
	ForeignKey   ConflictKind = "foreign_key"   // one deleted what the other refers to
)

// Touch is a change of a row of a document which the hub has committed.
type Touch struct {
	Site     causal.Site
	Position causal.Position
	Table    string
	Key      Key
	Dead     bool // the touch deleted the row
	Counted  bool // the touch only counted: it set no register and deleted nothing
}

// Clash returns the touches of a document that a change by author was made without
// knowledge of. None means no conflict.
func Clash(author causal.Site, seen causal.Seen, touches []Touch) []Touch {
	var unseen []Touch
	for _, t := range touches {
		if causal.Concurrent(author, t.Site, seen, t.Position) {
			unseen = append(unseen, t)
		}
	}
	return unseen
}

// Classify names the conflict between a change and the unseen touches of its document,
// given the outcome of merging it and the row it was merged into. Counting agrees with any
// edit and any other counting, and only clashes with a deletion. ok is false if there is
// nothing to decide: no touch was unseen, the change brings no news, both sides only
// deleted, or one of them only counted and neither deleted.
func Classify(row Row, present bool, change Change, out Outcome, unseen []Touch, table string) (kind ConflictKind, ok bool) {
	deleted := change.Death.After(row.Death.Stamp)
	edited := len(out.Won)+len(out.Lost) > 0 || LostWhole(row, change, out)
	counted := len(out.Counted) > 0
	otherDead, otherLive, otherEdited, sameRow := false, false, false, false
	for _, t := range unseen {
		otherDead = otherDead || t.Dead
		otherLive = otherLive || !t.Dead
		otherEdited = otherEdited || !t.Dead && !t.Counted
		sameRow = sameRow || t.Table == table && t.Key == change.Key && !t.Dead
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

// LostWhole reports whether a change brings a row without a single register, all key, which a
// deletion of another row of that key keeps out: there is no register that could be lost.
func LostWhole(row Row, change Change, out Outcome) bool {
	return out.Outlived && change.Whole && len(change.Registers) == 0 && change.Death.IsZero() && !row.Live()
}

// bothCreated reports whether a change brings a row its author made without knowing the row
// of the same key that is here. Two births alone do not say so: whoever deletes a row it
// knows and makes it anew collides with nobody, and neither does an edit of the former row.
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

// ConflictID derives the identifier of a conflict from the document and the two versions,
// whichever side finds it, so that one conflict has one identifier everywhere.
func ConflictID(document Document, a, b Claim) string {
	claims := []Claim{a, b}
	slices.SortFunc(claims, func(x, y Claim) int { return x.Stamp.Compare(y.Stamp) })
	data := binary.AppendUvarint(nil, uint64(len(document.Table)))
	data = append(data, document.Table...)
	data = binary.AppendUvarint(data, uint64(len(document.Key)))
	data = append(data, document.Key...)
	for _, c := range claims {
		data = binary.BigEndian.AppendUint64(data, uint64(c.Stamp.Time))
		data = binary.BigEndian.AppendUint32(data, uint32(c.Stamp.Site))
	}
	return uuid.NewSHA1(conflictSpace, data).String()
}
