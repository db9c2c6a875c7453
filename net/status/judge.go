package status

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
)

// maxGivenText bounds, in runes, one text from elsewhere, such as an error of the operating system. A
// cause is one line that a person reads.
const maxGivenText = 200

// ClockLimit is the offset from which a wrong clock is a cause, seen from the hub and at the node
// itself. Stamps are corrected by the offset to the hub. Minutes of it mean that nobody looks after
// that clock.
const ClockLimit = 5 * time.Minute

// Facts is the observer's knowledge about one server. The zero value knows nothing, and is judged grey,
// never green.
type Facts struct {
	// Known is false if the observer's knowledge of this server comes through the hub and the link
	// to the hub is down. Then only the facts that the observer holds itself (Conflicts, Revoked)
	// still count, because the rest may have changed.
	Known bool

	LinkUp bool
	// since when the link is as it is (if !Known: since when the observer has no link); zero: never had one
	LinkSince   time.Time
	LinkTrouble string // why the link is down, "hub unreachable"; may be empty
	Stopped     string // why this server itself does nothing, "the daemon is not running"; empty: it does

	PendingOut, PendingIn int64 // changes yet to be sent and received

	Conflicts     int    // open conflicts that involve this server
	ConflictAbout string // the oldest of them in words, "orders changed on two sides"; no row values; may be empty

	ClockOffset time.Duration // ahead of the hub's clock; negative: behind
	ClockLimit  time.Duration // beyond this the clock is a cause; zero: the clock is not judged

	SchemaDifference string // in words, "orders lacks column tip"; empty: none that matters
	Parked           int64  // changes that cannot be placed yet

	DiskTrouble     string // in words, "disk full: 0 bytes free on /srv"; empty: none
	IdentityTrouble string // in words, "restored from a backup"; empty: none
	Revoked         bool
	OtherTrouble    string // in words; empty: none
}

// Verdict is the judgement on one server.
type Verdict struct {
	State     State
	Cause     Cause
	CauseText string
}

// finding is one thing that is wrong. try is the command or act that helps, where there is one.
type finding struct {
	cause     Cause
	what, try string
}

// Judge turns facts into a verdict. Of several causes the one to fix first is named, and its text mentions the others.
// Times in the text are local to loc (nil: UTC) and carry their zone, because a hub's text is read at nodes elsewhere.
//
// The order of causes:
//
//	revoked, identity    nobody will speak with this server until an admin acts; all else is moot
//	disk                 it cannot keep what it is sent; often the reason for the rest
//	no_link              nothing moves, and what the causes below say may be out of date
//	clock, then schema   the roots; a wrong clock spoils more with every write, a schema may differ for weeks
//	parked               what they lead to
//	error                work has stopped somewhere in a way that has no name
//	conflict             last, because a conflict never stops the flow: with the link down and a conflict open, the
//	                     link comes first, as more conflicts may be waiting behind it
//
// With no cause: green if nothing is pending, otherwise grey and transferring.
func Judge(f Facts, loc *time.Location) Verdict {
	found := f.findings(loc)
	switch {
	case len(found) > 0:
		return Verdict{Red, found[0].cause, sentence(found)}
	case !f.Known:
		return Verdict{Grey, NoCause, f.unknownText(loc)}
	case f.PendingOut != 0 || f.PendingIn != 0:
		return Verdict{Grey, NoCause, "transferring: " + counted(saturatingSum(f.PendingOut, f.PendingIn), "change") +
			" to go"}
	default:
		return Verdict{Green, NoCause, ""}
	}
}

// rank says which of several causes to fix first: the one with the least number. It is a map, so that the
// linter sees whether a cause is missing.
var rank = map[Cause]int{
	NoCause: 0, Revoked: 1, Identity: 2, Disk: 3, NoLink: 4, Clock: 5, Schema: 6, Parked: 7, Error: 8, Conflict: 9,
}

// byRank has every cause, the one to fix first in front.
var byRank = slices.SortedFunc(maps.Keys(rank), func(a, b Cause) int { return cmp.Compare(rank[a], rank[b]) })

// findings lists everything that is wrong, the one to fix first in front.
func (f Facts) findings(loc *time.Location) (found []finding) {
	for _, cause := range byRank {
		if wrong, what, try := f.look(cause, loc); wrong {
			found = append(found, finding{cause, what, try})
		}
	}
	return found
}

// look reports whether a cause is there, what to say of it, and what to try.
func (f Facts) look(cause Cause, loc *time.Location) (wrong bool, what, try string) {
	live := f.Known
	switch cause {
	case NoCause:
		return false, "", ""
	case Revoked:
		return f.Revoked, "revoked: the hub refuses this server", "ravno node add at the hub, then ravno join on this server"
	case Identity:
		return live && f.IdentityTrouble != "", oneLine(f.IdentityTrouble), ""
	case Disk:
		return live && f.DiskTrouble != "", oneLine(f.DiskTrouble), ""
	case NoLink:
		return live && !f.LinkUp, f.linkText(loc), ""
	case Clock:
		return live && f.clockWrong(), f.clockText(), "synchronise its clock"
	case Schema:
		return live && f.SchemaDifference != "", "schema differs: " + oneLine(f.SchemaDifference), ""
	case Parked:
		return live && f.Parked != 0, counted(f.Parked, "change") + " parked", ""
	case Error:
		return live && f.OtherTrouble != "", oneLine(f.OtherTrouble), ""
	case Conflict:
		return f.Conflicts != 0, f.conflictText(), "ravno conflict list"
	}
	return false, "", ""
}

// sentence is the first finding, the others after it, and the advice for the first.
func sentence(found []finding) string {
	text := found[0].what
	for i, other := range found[1:] {
		if i == 0 {
			text += "; also: " + other.what
		} else {
			text += "; " + other.what
		}
	}
	if try := found[0].try; try != "" {
		text += ". Try: " + try
	}
	return text
}

func (f Facts) linkText(loc *time.Location) string {
	if f.Stopped != "" {
		return oneLine(f.Stopped)
	}
	text := "no link yet"
	if !f.LinkSince.IsZero() {
		text = "no link since " + minuteAndZone(f.LinkSince, loc)
	}
	if f.LinkTrouble != "" {
		text += ": " + oneLine(f.LinkTrouble)
	}
	return text
}

func (f Facts) unknownText(loc *time.Location) string {
	if f.LinkSince.IsZero() {
		return "not known: no link to the hub yet"
	}
	return "not known: no link to the hub since " + minuteAndZone(f.LinkSince, loc)
}

func (f Facts) clockWrong() bool {
	return f.ClockLimit > 0 && f.ClockOffset.Abs() > f.ClockLimit
}

func (f Facts) clockText() string {
	direction := "ahead of"
	if f.ClockOffset < 0 {
		direction = "behind"
	}
	offset := f.ClockOffset.Abs()
	if offset > time.Minute {
		offset = offset.Truncate(time.Second)
	}
	return fmt.Sprintf("clock is %v %s the hub's (limit %v)", offset, direction, f.ClockLimit)
}

func (f Facts) conflictText() string {
	text := counted(int64(f.Conflicts), "conflict") + " open"
	if f.ConflictAbout != "" {
		text = oneLine(f.ConflictAbout) + ": " + text
	}
	return text
}

// counted is "1 change", "120 changes".
func counted(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func saturatingSum(a, b int64) int64 {
	if a > 0 && b > math.MaxInt64-a {
		return math.MaxInt64
	}
	return a + b
}

// oneLine makes a text from elsewhere fit for the middle of a sentence. It is one line without a full
// stop, and bounded.
func oneLine(text string) string {
	text = strings.TrimRight(strings.Join(strings.Fields(text), " "), ".")
	if runes := []rune(text); len(runes) > maxGivenText {
		return string(runes[:maxGivenText-1]) + "…"
	}
	return text
}
