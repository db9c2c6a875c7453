package crdt_test

import (
	"flag"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ravno/crdt"
	"ravno/crdt/hlc"
)

var update = flag.Bool("update", false, "rewrite the merge table in MERGE.md")

// The document that prints the table, and the lines it stands between.
const (
	mergePaper = "MERGE.md"
	tableBegin = "<!-- merge table: begin -->\n"
	tableEnd   = "<!-- merge table: end -->\n"
)

const (
	columnA crdt.Column = iota
	columnB
)

// local is what a site has of the row when the change arrives.
type local struct {
	name    string
	present bool
	row     crdt.Row
}

// locals are the four things a site can have. Its own writes are by site 3: born at 10, a
// written at 20, b at 30, deleted at 40. Changes come from site 4 unless a tie is tried; it
// has counted in b before, at 25.
func locals() [4]local {
	birth := crdt.Version{Stamp: stampAt(10, 3)}
	live := crdt.Row{Birth: birth, Base: birth}
	live.Set(columnA, crdt.Version{Stamp: stampAt(20, 3)})
	live.Set(columnB, crdt.Version{Stamp: stampAt(30, 3)})
	live.SetBase(columnB, crdt.IntegerValue(10))
	live.Count(columnB, crdt.IntegerValue(9), crdt.Version{Stamp: stampAt(25, 4)})
	dead := live.Clone()
	dead.Death = crdt.Version{Stamp: stampAt(40, 3)}
	return [4]local{
		{name: "absent"},
		{name: "settled", present: true},
		{name: "live", present: true, row: live},
		{name: "dead", present: true, row: dead},
	}
}

// like is the row an incoming change speaks of: the local one, or where there is none the
// live one, as another site has it.
func (l local) like() crdt.Row {
	if !l.present {
		return locals()[2].row
	}
	return l.row
}

// incoming is one line of the table: a change, which may depend on the local row, and what
// becomes of each of the four.
type incoming struct {
	name   string
	change func(like crdt.Row) crdt.Change
	want   [4]string // by local: absent, settled, live, dead
}

func registerA(stamp hlc.Stamp) crdt.Register { return crdt.Register{Column: columnA, Stamp: stamp} }
func registerB(stamp hlc.Stamp) crdt.Register { return crdt.Register{Column: columnB, Stamp: stamp} }

// edit is a change of the row itself; birth is a whole other row of the same key.
func edit(registers ...crdt.Register) func(crdt.Row) crdt.Change {
	return func(like crdt.Row) crdt.Change {
		return crdt.Change{Birth: like.Birth.Stamp, Registers: registers}
	}
}

func deletion(death hlc.Stamp) func(crdt.Row) crdt.Change {
	return func(like crdt.Row) crdt.Change { return crdt.Change{Birth: like.Birth.Stamp, Death: death} }
}

func count(stamp hlc.Stamp) func(crdt.Row) crdt.Change {
	return func(like crdt.Row) crdt.Change {
		return crdt.Change{Birth: like.Birth.Stamp,
			Parts: []crdt.ChangePart{{Column: columnB, Stamp: stamp, Total: crdt.IntegerValue(-2)}}}
	}
}

func birth(stamp hlc.Stamp) func(crdt.Row) crdt.Change {
	return other(crdt.Change{Birth: stamp, Whole: true, Registers: []crdt.Register{registerA(stamp), registerB(stamp)}})
}

func other(change crdt.Change) func(crdt.Row) crdt.Change {
	return func(crdt.Row) crdt.Change { return change }
}

const (
	aOnly  = "live: a theirs, b unknown; won a"
	aWon   = "live: a theirs, b ours; won a"
	both   = "live: a theirs, b theirs; won a b"
	reborn = "live: a theirs, b theirs; reborn, won a b"
	again  = "live: a theirs, b theirs; reborn, revived, won a b"
	died   = "dead; died"
	still  = "dead; nothing changed"

	bCounted   = "live: a unknown, b unknown; counted b"
	ownCounted = "live: a ours, b ours; counted b"
)

var mergeTable = []incoming{
	{"edit, newer than the column (a 35)", edit(registerA(stampAt(35, 4))),
		[4]string{aOnly, aWon, aWon, "dead; won a"}},
	{"edit, older than the column (a 15)", edit(registerA(stampAt(15, 4))),
		[4]string{aOnly, aWon, "live: a ours, b ours; lost a, nothing changed", "dead; lost a, nothing changed"}},
	{"edit, the same again", func(like crdt.Row) crdt.Change {
		return edit(registerA(like.Version(columnA).Stamp))(like)
	}, [4]string{aOnly, "live: a same, b ours; nothing changed", "live: a same, b ours; nothing changed", still}},
	{"edit, at the same time, of a higher site (a 20)", edit(registerA(stampAt(20, 4))),
		[4]string{aOnly, aWon, aWon, "dead; won a"}},
	{"edit, at the same time, of a lower site (a 20)", edit(registerA(stampAt(20, 2))),
		[4]string{aOnly, aWon, "live: a ours, b ours; lost a, nothing changed", "dead; lost a, nothing changed"}},
	{"edit of two columns, each side newer in one (a 25, b 25)",
		edit(registerA(stampAt(25, 4)), registerB(stampAt(25, 4))),
		[4]string{both, both, "live: a theirs, b ours; won a, lost b", "dead; won a, lost b"}},
	{"edit, newer than everything (a 50)", edit(registerA(stampAt(50, 4))),
		[4]string{aOnly, aWon, aWon, "live: a theirs, b ours; revived, won a"}},
	{"whole row, one column newer (a 35, b the same)", func(like crdt.Row) crdt.Change {
		return crdt.Change{Birth: like.Birth.Stamp, Whole: true,
			Registers: []crdt.Register{registerA(stampAt(35, 4)), registerB(like.Version(columnB).Stamp)}}
	}, [4]string{both, "live: a theirs, b same; won a", "live: a theirs, b same; won a", "dead; won a"}},
	{"whole row that outlived a deletion (deleted 45, a 50, b the same)", func(like crdt.Row) crdt.Change {
		return crdt.Change{Birth: like.Birth.Stamp, Death: stampAt(45, 4), Whole: true,
			Registers: []crdt.Register{registerA(stampAt(50, 4)), registerB(like.Version(columnB).Stamp)}}
	}, [4]string{both, "live: a theirs, b same; won a", "live: a theirs, b same; won a",
		"live: a theirs, b same; revived, won a"}},

	{"count in b, newer than that site's count (35)", count(stampAt(35, 4)),
		[4]string{bCounted, ownCounted, ownCounted, "dead; counted b"}},
	{"count in b, the same again (25)", count(stampAt(25, 4)),
		[4]string{bCounted, ownCounted, "live: a ours, b ours; nothing changed", still}},
	{"count in b, older than that site's count (15)", count(stampAt(15, 4)),
		[4]string{bCounted, ownCounted, "live: a ours, b ours; nothing changed", still}},
	{"count in b, older than another site's (15)", count(stampAt(15, 5)),
		[4]string{bCounted, ownCounted, ownCounted, "dead; counted b"}},
	{"count in b, newer than everything (50)", count(stampAt(50, 4)),
		[4]string{bCounted, ownCounted, ownCounted, "live: a ours, b ours; revived, counted b"}},

	{"deletion, newer than everything (50)", deletion(stampAt(50, 4)), [4]string{"dead", died, died, "dead"}},
	{"deletion, older than an edit (25)", deletion(stampAt(25, 4)),
		[4]string{"dead", died, "live: a ours, b ours", still}},
	{"deletion, the same again (40)", deletion(stampAt(40, 3)), [4]string{"dead", died, died, still}},
	{"deletion, at the time of the last edit, of a higher site (30)", deletion(stampAt(30, 4)),
		[4]string{"dead", died, died, still}},
	{"deletion, at the time of the last edit, of a lower site (30)", deletion(stampAt(30, 2)),
		[4]string{"dead", died, "live: a ours, b ours", still}},
	{"deletion, with the very stamp of the last edit (30)", deletion(stampAt(30, 3)),
		[4]string{"dead", died, "live: a ours, b ours", still}},

	{"birth, newer (45)", birth(stampAt(45, 4)), [4]string{both, reborn, reborn, again}},
	{"birth, at the same time, of a higher site (10)", birth(stampAt(10, 4)), [4]string{both, reborn, reborn, again}},
	{"birth, at the same time, of a lower site (10)", birth(stampAt(10, 2)), [4]string{both, reborn,
		"live: a ours, b ours; outlived, lost a b, nothing changed", "dead; outlived, lost a b, nothing changed"}},
	{"birth, older (5)", birth(stampAt(5, 4)), [4]string{both, reborn,
		"live: a ours, b ours; outlived, lost a b, nothing changed", "dead; outlived, lost a b, nothing changed"}},
	{"birth, newer, deleted since (born 45, deleted 50)", other(crdt.Change{Birth: stampAt(45, 4), Death: stampAt(50, 4)}),
		[4]string{"dead", "dead; reborn, died", "dead; reborn, died", "dead; reborn"}},
	{"edit of a row of an older birth (born 5, a 60)",
		other(crdt.Change{Birth: stampAt(5, 4), Registers: []crdt.Register{registerA(stampAt(60, 4))}}),
		[4]string{aOnly, "live: a theirs, b unknown; reborn, won a",
			"live: a ours, b ours; outlived, lost a, nothing changed", "dead; outlived, lost a, nothing changed"}},
	{"deletion of a row of an older birth (born 5, deleted 60)",
		other(crdt.Change{Birth: stampAt(5, 4), Death: stampAt(60, 4)}),
		[4]string{"dead", "dead; reborn, died", "live: a ours, b ours; outlived, nothing changed",
			"dead; outlived, nothing changed"}},
}

// outcome says in words what merging the change did: whether the row is there and whose
// write is in force in each column, then what the merge reports.
func outcome(l local, change crdt.Change) string {
	h := held{row: l.row, values: map[crdt.Column]crdt.Value{}}
	if l.present {
		h.values[columnA], h.values[columnB] = crdt.TextValue("ours"), crdt.TextValue("ours")
	}
	after, out := h.merge(l.present, change, 1)
	words := "dead"
	if out.Row.Live() {
		words = "live: a " + whose(after, out, change, columnA) + ", b " + whose(after, out, change, columnB)
	}
	var flags []string
	note := func(is bool, flag string) {
		if is {
			flags = append(flags, flag)
		}
	}
	note(out.Reborn, "reborn")
	note(out.Outlived, "outlived")
	note(out.Died, "died")
	note(out.Revived, "revived")
	note(len(out.Won) > 0, "won"+columnNames(change, out.Won))
	note(len(out.Lost) > 0, "lost"+columnNames(change, out.Lost))
	note(len(out.Counted) > 0, "counted"+names(out.Counted))
	note(!out.Changed, "nothing changed")
	if len(flags) > 0 {
		words += "; " + strings.Join(flags, ", ")
	}
	return words
}

func whose(after held, out crdt.Outcome, change crdt.Change, column crdt.Column) string {
	if _, known := after.values[column]; !known {
		return "unknown"
	}
	i := slices.IndexFunc(change.Registers, func(reg crdt.Register) bool { return reg.Column == column })
	switch {
	case slices.Contains(out.Won, i):
		return "theirs"
	case i < 0 || slices.Contains(out.Lost, i):
		return "ours"
	}
	return "same"
}

func columnNames(change crdt.Change, indexes []int) string {
	var columns []crdt.Column
	for _, i := range indexes {
		columns = append(columns, change.Registers[i].Column)
	}
	return names(columns)
}

func names(columns []crdt.Column) (names string) {
	for _, column := range columns {
		names += " " + string(rune('a'+int(column)))
	}
	return names
}

func TestMergeTableEveryCase(t *testing.T) {
	for _, in := range mergeTable {
		for i, l := range locals() {
			t.Run(in.name+" into "+l.name, func(t *testing.T) {
				if got := outcome(l, in.change(l.like())); got != in.want[i] {
					t.Errorf("got  %s\nwant %s", got, in.want[i])
				}
			})
		}
	}
}

// printTable writes what Merge does, not what the table above wants of it: that the two
// are the same is the other test's business.
func printTable() string {
	var b strings.Builder
	b.WriteString("| incoming |")
	for _, l := range locals() {
		b.WriteString(" " + l.name + " |")
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(locals())) + "\n")
	for _, in := range mergeTable {
		b.WriteString("| " + in.name + " |")
		for _, l := range locals() {
			b.WriteString(" " + outcome(l, in.change(l.like())) + " |")
		}
		b.WriteString("\n")
	}
	return b.String()
}

func TestMergeTableAsDocumented(t *testing.T) {
	data, err := os.ReadFile(mergePaper)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, begins := strings.Cut(string(data), tableBegin)
	section, tail, ends := strings.Cut(rest, tableEnd)
	if !begins || !ends {
		t.Fatalf("%s does not have the lines %q and %q", mergePaper, tableBegin, tableEnd)
	}
	table := "\n" + printTable() + "\n"
	if *update {
		if err := os.WriteFile(mergePaper, []byte(head+tableBegin+table+tableEnd+tail), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(section, table); diff != "" {
		t.Errorf("%s is not what Merge does (-printed +done); rewrite it with -update:\n%s", mergePaper, diff)
	}
}
