package crdt_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"pgregory.net/rapid"

	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/crdt/hlc"
)

func TestClashIsUnseenOfOthers(t *testing.T) {
	mine := crdt.ChangeRecord{Site: 2, Position: 10, Table: "orders", Key: "mine"}
	seen := crdt.ChangeRecord{Site: 3, Position: 7, Table: "orders", Key: "seen"}
	just := crdt.ChangeRecord{Site: 3, Position: 8, Table: "orders", Key: "just seen"}
	concurrent := crdt.ChangeRecord{Site: 3, Position: 9, Table: "orders", Key: "concurrent"}
	hub := crdt.ChangeRecord{Site: causal.Hub, Position: 11, Table: "lines", Key: "by the hub", Dead: true}
	all := []crdt.ChangeRecord{mine, seen, just, concurrent, hub}
	cases := []struct {
		name    string
		author  causal.Site
		seen    causal.Seen
		records []crdt.ChangeRecord
		want    []crdt.ChangeRecord
	}{
		{"nobody changed the document", 2, 0, nil, nil},
		{"the author alone did", 2, 0, []crdt.ChangeRecord{mine}, nil},
		{"the author had seen everything", 2, 11, all, nil},
		{"the author had seen up to a position, that one included", 2, 8, all, []crdt.ChangeRecord{concurrent, hub}},
		{"the other side looks at the same", 3, 8, all, []crdt.ChangeRecord{mine, hub}},
		{"an author who had seen nothing", 4, 0, all, all},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, crdt.Clash(c.author, c.seen, c.records)); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

// Sites 3 and 4 change the row of key "k" or its document, and neither has seen the other. The
// kind of the conflict must not depend on which change reaches the hub first and is there as a
// change record when the other one comes.
func TestClassifySameWhicheverSideFirst(t *testing.T) {
	settled := crdt.Change{Key: "k"}
	born := crdt.Change{Key: "k", Birth: stampAt(10, 9)}
	edits := func(c crdt.Change, column crdt.Column, stamp hlc.Stamp) crdt.Change {
		c.Registers = []crdt.Register{{Column: column, Stamp: stamp}}
		return c
	}
	deletes := func(c crdt.Change, stamp hlc.Stamp) crdt.Change {
		c.Death = stamp
		return c
	}
	bears := func(stamp hlc.Stamp) crdt.Change {
		return crdt.Change{Key: "k", Birth: stamp, Whole: true, Registers: []crdt.Register{{Column: 0, Stamp: stamp}}}
	}
	counts := func(c crdt.Change, stamp hlc.Stamp) crdt.Change {
		c.Parts = append(slices.Clone(c.Parts), crdt.ChangePart{Column: 1, Stamp: stamp, Total: crdt.IntegerValue(-1)})
		return c
	}
	row := func(c crdt.Change) crdt.Row {
		v := crdt.Version{Stamp: c.Birth}
		return crdt.Row{Birth: v, Base: v}
	}
	cases := []struct {
		name    string
		row     crdt.Row // at the hub before either
		present bool
		x, y    crdt.Change
		kind    crdt.ConflictKind // empty: nothing to decide
	}{
		{"both edit one column", row(settled), true, edits(settled, 0, stampAt(20, 3)), edits(settled, 0, stampAt(30, 4)),
			crdt.EditEdit},
		{"both edit one column at one time", row(settled), true, edits(settled, 0, stampAt(20, 3)),
			edits(settled, 0, stampAt(20, 4)), crdt.EditEdit},
		{"each edits another column", row(born), true, edits(born, 0, stampAt(20, 3)), edits(born, 1, stampAt(30, 4)),
			crdt.EditEdit},
		{"one edits, the other deletes later", row(born), true, edits(born, 0, stampAt(20, 3)), deletes(born, stampAt(30, 4)),
			crdt.EditDelete},
		{"one deletes, the other edits later", row(born), true, deletes(born, stampAt(20, 3)), edits(born, 0, stampAt(30, 4)),
			crdt.EditDelete},
		{"one deletes and the other edits at one time", row(born), true, deletes(born, stampAt(20, 4)),
			edits(born, 0, stampAt(20, 3)), crdt.EditDelete},
		{"both delete", row(born), true, deletes(born, stampAt(20, 3)), deletes(born, stampAt(30, 4)), ""},
		{"both delete a settled row", row(settled), true, deletes(settled, stampAt(20, 3)), deletes(settled, stampAt(20, 4)),
			""},
		{"both create the row", crdt.Row{}, false, bears(stampAt(20, 3)), bears(stampAt(30, 4)), crdt.KeyCollision},
		{"both create the row at one time", crdt.Row{}, false, bears(stampAt(20, 3)), bears(stampAt(20, 4)),
			crdt.KeyCollision},
		{"one edits, the other deletes it and makes a new one", row(born), true, edits(born, 0, stampAt(30, 3)),
			bears(stampAt(20, 4)), crdt.EditEdit},
		{"both count", row(settled), true, counts(settled, stampAt(20, 3)), counts(settled, stampAt(30, 4)), ""},
		{"both count at one time", row(born), true, counts(born, stampAt(20, 3)), counts(born, stampAt(20, 4)), ""},
		{"one counts, the other edits", row(born), true, counts(born, stampAt(20, 3)), edits(born, 0, stampAt(30, 4)), ""},
		{"one counts, the other sets the counter", row(born), true, counts(born, stampAt(20, 3)),
			edits(born, 1, stampAt(30, 4)), ""},
		{"one counts and edits, the other counts", row(born), true, counts(edits(born, 0, stampAt(20, 3)), stampAt(20, 3)),
			counts(born, stampAt(30, 4)), ""},
		{"one counts and edits, the other edits", row(born), true, counts(edits(born, 0, stampAt(20, 3)), stampAt(20, 3)),
			edits(born, 2, stampAt(30, 4)), crdt.EditEdit},
		{"one counts, the other deletes later", row(born), true, counts(born, stampAt(20, 3)), deletes(born, stampAt(30, 4)),
			crdt.EditDelete},
		{"one deletes, the other counts later", row(born), true, deletes(born, stampAt(20, 3)), counts(born, stampAt(30, 4)),
			crdt.EditDelete},
		{"both create the row and count in it", crdt.Row{}, false, counts(bears(stampAt(20, 3)), stampAt(21, 3)),
			counts(bears(stampAt(30, 4)), stampAt(31, 4)), crdt.KeyCollision},
	}
	for _, c := range cases {
		for _, turn := range []struct {
			name          string
			first, second crdt.Change
			site          causal.Site // of the second
		}{{"x first", c.x, c.y, 4}, {"y first", c.y, c.x, 3}} {
			t.Run(c.name+", "+turn.name, func(t *testing.T) {
				before := crdt.Merge(c.row, c.present, turn.first, 5)
				turn.second.Seen = 4
				first := crdt.ChangeRecord{Site: 7 - turn.site, Position: 5, Table: "t", Key: "k", Dead: !turn.first.Death.IsZero(),
					Counted: len(turn.first.Parts) > 0 && len(turn.first.Registers) == 0 && turn.first.Death.IsZero()}
				concurrent := crdt.Clash(turn.site, turn.second.Seen, []crdt.ChangeRecord{first})
				out := crdt.Merge(before.Row, true, turn.second, 6)
				kind, ok := crdt.Classify(before.Row, true, turn.second, out, concurrent, "t")
				if kind != c.kind || ok != (c.kind != "") {
					t.Errorf("kind %q %v, want %q", kind, ok, c.kind)
				}
			})
		}
	}
}

func TestClassifyWithinDocument(t *testing.T) {
	row := crdt.Row{Birth: crdt.Version{Stamp: stampAt(10, 3), Position: 5},
		Base: crdt.Version{Stamp: stampAt(10, 3), Position: 5}}
	other := row.Clone()
	other.Death = crdt.Version{Stamp: stampAt(40, 3)}
	edit := crdt.Change{Key: "line 1", Birth: stampAt(10, 3), Registers: []crdt.Register{{Stamp: stampAt(20, 4)}}}
	deletion := crdt.Change{Key: "line 1", Birth: stampAt(10, 3), Death: stampAt(20, 4)}
	creation := crdt.Change{Key: "line 1", Birth: stampAt(30, 4), Whole: true,
		Registers: []crdt.Register{{Stamp: stampAt(30, 4)}}}
	deletedThenEdited := edit
	deletedThenEdited.Death = stampAt(15, 4)
	count := crdt.Change{Key: "line 1", Birth: stampAt(10, 3),
		Parts: []crdt.ChangePart{{Stamp: stampAt(20, 4), Total: crdt.IntegerValue(-1)}}}
	editAndCount, countedThenDeleted, deletedThenCounted := edit, count, count
	editAndCount.Parts = count.Parts
	countedThenDeleted.Death = stampAt(25, 4)
	deletedThenCounted.Death = stampAt(15, 4)
	known := row.Clone()
	known.Count(0, crdt.IntegerValue(-1), crdt.Version{Stamp: stampAt(20, 4)})
	sameCount := count
	sameCount.Whole, sameCount.Registers = true, []crdt.Register{{Stamp: stampAt(10, 3)}}
	nothingNew := crdt.Change{Key: "line 1", Birth: stampAt(10, 3)}
	record := func(table string, key crdt.Key, dead bool) crdt.ChangeRecord {
		return crdt.ChangeRecord{Site: 3, Position: 5, Table: table, Key: key, Dead: dead}
	}
	counted := func(table string, key crdt.Key) crdt.ChangeRecord {
		r := record(table, key, false)
		r.Counted = true
		return r
	}
	cases := []struct {
		name       string
		row        crdt.Row
		present    bool
		change     crdt.Change
		concurrent []crdt.ChangeRecord
		kind       crdt.ConflictKind
	}{
		{"count, the row counted in", row, true, count, []crdt.ChangeRecord{counted("lines", "line 1")}, ""},
		{"count, the row edited", row, true, count, []crdt.ChangeRecord{record("lines", "line 1", false)}, ""},
		{"count, the row deleted", row, true, count, []crdt.ChangeRecord{record("lines", "line 1", true)}, crdt.EditDelete},
		{"count, another row deleted", row, true, count, []crdt.ChangeRecord{record("lines", "line 2", true)},
			crdt.EditDelete},
		{"count, one row edited and another deleted", row, true, count,
			[]crdt.ChangeRecord{record("lines", "line 2", false), record("lines", "line 3", true)}, crdt.EditDelete},
		{"a count nobody clashed with", row, true, count, nil, ""},
		{"a count of a row sent whole, nothing else new, the row edited", row, true, sameCount,
			[]crdt.ChangeRecord{record("lines", "line 1", false)}, ""},
		{"a count that is not new, the row deleted", known, true, count, []crdt.ChangeRecord{record("lines", "line 1", true)},
			""},
		{"edit, the row counted in", row, true, edit, []crdt.ChangeRecord{counted("lines", "line 1")}, ""},
		{"edit, one row counted in and another edited", row, true, edit,
			[]crdt.ChangeRecord{counted("lines", "line 1"), record("lines", "line 2", false)}, crdt.EditEdit},
		{"edit, one row counted in and another deleted", row, true, edit,
			[]crdt.ChangeRecord{counted("lines", "line 1"), record("lines", "line 2", true)}, crdt.EditDelete},
		{"edit and count, the row counted in", row, true, editAndCount, []crdt.ChangeRecord{counted("lines", "line 1")}, ""},
		{"edit and count, the row edited", row, true, editAndCount, []crdt.ChangeRecord{record("lines", "line 1", false)},
			crdt.EditEdit},
		{"deletion, the row counted in", row, true, deletion, []crdt.ChangeRecord{counted("lines", "line 1")},
			crdt.EditDelete},
		{"deletion, another row counted in", row, true, deletion, []crdt.ChangeRecord{counted("lines", "line 2")},
			crdt.EditDelete},
		{"counted, then deleted, the row counted in", row, true, countedThenDeleted,
			[]crdt.ChangeRecord{counted("lines", "line 1")}, crdt.EditDelete},
		{"counted, then deleted, and the other side only deleted", row, true, countedThenDeleted,
			[]crdt.ChangeRecord{record("lines", "line 1", true)}, crdt.EditDelete},
		{"deleted, then counted, the row counted in", row, true, deletedThenCounted,
			[]crdt.ChangeRecord{counted("lines", "line 1")}, crdt.EditDelete},
		{"created, where the other side had created and counted", row, true, creation,
			[]crdt.ChangeRecord{counted("lines", "line 1")}, crdt.KeyCollision},
		{"created, another row counted in", crdt.Row{}, false, creation, []crdt.ChangeRecord{counted("lines", "line 2")}, ""},
		{"edit, another row edited", row, true, edit, []crdt.ChangeRecord{record("lines", "line 2", false)}, crdt.EditEdit},
		{"edit, another row deleted", row, true, edit, []crdt.ChangeRecord{record("lines", "line 2", true)}, crdt.EditDelete},
		{"edit, one row edited and another deleted", row, true, edit,
			[]crdt.ChangeRecord{record("lines", "line 2", false), record("lines", "line 3", true)}, crdt.EditDelete},
		{"deletion, the root edited", row, true, deletion, []crdt.ChangeRecord{record("orders", "1", false)},
			crdt.EditDelete},
		{"deletion, another row deleted", row, true, deletion, []crdt.ChangeRecord{record("lines", "line 2", true)}, ""},
		{"deletion, one row edited and another deleted", row, true, deletion,
			[]crdt.ChangeRecord{record("lines", "line 2", false), record("lines", "line 3", true)}, crdt.EditDelete},
		{"a deletion the row already outlived by a newer one", other, true, deletion,
			[]crdt.ChangeRecord{record("lines", "line 1", true)}, ""},
		{"deleted, then edited, and the other side only deleted", row, true, deletedThenEdited,
			[]crdt.ChangeRecord{record("lines", "line 2", true)}, crdt.EditDelete},
		{"created, a row of the same key and another table changed", row, true, creation,
			[]crdt.ChangeRecord{record("orders", "line 1", false)}, crdt.EditEdit},
		{"created, another row changed", crdt.Row{}, false, creation, []crdt.ChangeRecord{record("lines", "line 2", false)},
			crdt.EditEdit},
		{"created, where the other side had created and deleted", other, true, creation,
			[]crdt.ChangeRecord{record("lines", "line 1", true)}, crdt.EditDelete},
		{"created, where the other side had created", row, true, creation,
			[]crdt.ChangeRecord{record("lines", "line 1", false)}, crdt.KeyCollision},
		{"an edit nobody clashed with", row, true, edit, nil, ""},
		{"a deletion nobody clashed with", row, true, deletion, nil, ""},
		{"nothing new, another row edited", row, true, nothingNew, []crdt.ChangeRecord{record("lines", "line 2", false)}, ""},
		{"nothing new, another row deleted", row, true, nothingNew, []crdt.ChangeRecord{record("lines", "line 2", true)}, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			out := crdt.Merge(c.row, c.present, c.change, 6)
			kind, ok := crdt.Classify(c.row, c.present, c.change, out, c.concurrent, "lines")
			if kind != c.kind || ok != (c.kind != "") {
				t.Errorf("kind %q %v, want %q", kind, ok, c.kind)
			}
		})
	}
}

// Two births of a key by one author are no collision, and neither is a birth over a row from before
// ravno. A site may delete a row and make it anew.
func TestClassifyCollidesOnlyTwoBirths(t *testing.T) {
	creation := func(stamp hlc.Stamp) crdt.Change {
		return crdt.Change{Key: "k", Birth: stamp, Whole: true, Registers: []crdt.Register{{Stamp: stamp}}}
	}
	seenAll := func(c crdt.Change) crdt.Change {
		c.Seen = 5
		return c
	}
	cases := []struct {
		name  string
		birth hlc.Stamp // of the row here
		by    crdt.Change
		want  crdt.ConflictKind
	}{
		{"newer, by another site", stampAt(10, 3), creation(stampAt(20, 4)), crdt.KeyCollision},
		{"older, by another site", stampAt(30, 3), creation(stampAt(20, 4)), crdt.KeyCollision},
		{"newer, by the same site", stampAt(10, 4), creation(stampAt(20, 4)), crdt.EditEdit},
		{"older, by the same site", stampAt(30, 4), creation(stampAt(20, 4)), crdt.EditEdit},
		{"newer, by another site that had seen the row it replaced", stampAt(10, 3), seenAll(creation(stampAt(20, 4))),
			crdt.EditEdit},
		{"an edit of a former row", stampAt(30, 3), crdt.Change{Key: "k", Birth: stampAt(10, 4),
			Registers: []crdt.Register{{Stamp: stampAt(20, 4)}}}, crdt.EditEdit},
		{"an edit of a former row of a third site, sent whole", stampAt(30, 3), crdt.Change{Key: "k", Birth: stampAt(10, 9),
			Whole: true, Registers: []crdt.Register{{Stamp: stampAt(20, 4)}}}, crdt.EditEdit},
		{"over a row from before ravno", hlc.Stamp{}, creation(stampAt(20, 4)), crdt.EditEdit},
		{"an edit of a row from before ravno under a new row", stampAt(10, 3),
			crdt.Change{Key: "k", Registers: []crdt.Register{{Stamp: stampAt(20, 4)}}}, crdt.EditEdit},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			v := crdt.Version{Stamp: c.birth, Position: 5}
			row := crdt.Row{Birth: v, Base: v}
			out := crdt.Merge(row, true, c.by, 6)
			concurrent := []crdt.ChangeRecord{{Site: 3, Position: 5, Table: "t", Key: "k"}}
			if kind, ok := crdt.Classify(row, true, c.by, out, concurrent, "t"); kind != c.want || !ok {
				t.Errorf("kind %q %v, want %q", kind, ok, c.want)
			}
		})
	}
}

func TestConflictIDSameFromEitherSide(t *testing.T) {
	documents := rapid.Custom(func(t *rapid.T) crdt.Document {
		return crdt.Document{Table: rapid.String().Draw(t, "table"), Key: crdt.Key(rapid.String().Draw(t, "key"))}
	})
	claims := rapid.Custom(func(t *rapid.T) crdt.Claim {
		site := causal.Site(rapid.Uint32().Draw(t, "site"))
		return crdt.Claim{Site: site, Stamp: stampAt(hlc.Time(rapid.Uint64Range(0, 3).Draw(t, "time")), site)}
	})
	rapid.Check(t, func(t *rapid.T) {
		document, a, b := documents.Draw(t, "document"), claims.Draw(t, "a"), claims.Draw(t, "b")
		id := crdt.ConflictID(document, a, b)
		if other := crdt.ConflictID(document, b, a); other != id {
			t.Fatalf("one side says %s, the other %s", id, other)
		}
		if parsed, err := uuid.Parse(id); err != nil || parsed.Version() != 5 {
			t.Fatalf("%s is not a UUID made from a name: %v", id, err)
		}
	})
}

func TestConflictIDDiffersByConflict(t *testing.T) {
	document := crdt.Document{Table: "orders", Key: "1"}
	claim := func(time hlc.Time, site causal.Site) crdt.Claim {
		return crdt.Claim{Site: site, Stamp: stampAt(time, site)}
	}
	// The same bytes, cut elsewhere, so that a table cannot run into its key.
	ids := map[string]string{
		"the conflict":       crdt.ConflictID(document, claim(20, 3), claim(30, 4)),
		"another time":       crdt.ConflictID(document, claim(20, 3), claim(31, 4)),
		"another site":       crdt.ConflictID(document, claim(20, 3), claim(30, 5)),
		"times exchanged":    crdt.ConflictID(document, claim(30, 3), claim(20, 4)),
		"another table":      crdt.ConflictID(crdt.Document{Table: "lines", Key: "1"}, claim(20, 3), claim(30, 4)),
		"another key":        crdt.ConflictID(crdt.Document{Table: "orders", Key: "2"}, claim(20, 3), claim(30, 4)),
		"a border moved":     crdt.ConflictID(crdt.Document{Table: "order", Key: "s1"}, claim(20, 3), claim(30, 4)),
		"no table":           crdt.ConflictID(crdt.Document{Key: "orders1"}, claim(20, 3), claim(30, 4)),
		"one version unborn": crdt.ConflictID(document, claim(20, 3), crdt.Claim{}),
	}
	found := map[string]string{}
	for name, id := range ids {
		if other, taken := found[id]; taken {
			t.Errorf("%q and %q have one identifier", name, other)
		}
		found[id] = name
	}
	// Identifiers are kept in databases, so the way they are made never changes.
	const kept = "3fd932d5-6533-5ec7-af86-606805a3e2e5"
	if ids["the conflict"] != kept {
		t.Errorf("the identifier of the conflict is %s, must stay %s", ids["the conflict"], kept)
	}
}
