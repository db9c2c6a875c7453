package status

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

const (
	// maxNameColumns keeps one long name from pushing every other column off the screen. JSON has it
	// whole.
	maxNameColumns = 32
	// minCauseColumns is the least room in which a cause reads well beside its row. With less it
	// goes below.
	minCauseColumns = 36
	// causeIndent is how far a cause below its row is moved in, in columns.
	causeIndent = 4
	columnGap   = "  "
)

// SGR sequences (ECMA-48), used only where colour is asked for.
const (
	sgrReset = "\x1b[0m"
	sgrBold  = "\x1b[1m"
	sgrRed   = "\x1b[31m"
	sgrGreen = "\x1b[32m"
	sgrGrey  = "\x1b[90m"
)

// TableOptions says how Table draws. The zero value stands for no colour, UTC and lines of any length.
type TableOptions struct {
	Color    bool           // colour the state, with ANSI escape sequences
	Location *time.Location // of the times shown; nil: UTC
	Width    int            // columns of the terminal; causes are wrapped to fit; 0: not limited
	Verbose  bool           // say also what only support asks for
}

// column is a head with its cells, one per server.
type column struct {
	head  string
	right bool // numbers
	cells []string
}

func (c column) width() int {
	widest := columns(c.head)
	for _, cell := range c.cells {
		widest = max(widest, columns(cell))
	}
	return widest
}

// Table writes the snapshot for a terminal. One line sums it up. Then comes one row per server, with
// those first that need attention, and then the notices. Its only error is that of w.
func Table(w io.Writer, s Snapshot, o TableOptions) error {
	s = s.Judged()
	servers := attentionFirst(s.Servers)
	left := tableColumns(s, servers, o)

	var out strings.Builder
	writeIndented(&out, "", headline(s, o.Location), o.Width)
	out.WriteByte('\n')
	writeHead(&out, left, o)
	for i, server := range servers {
		writeRow(&out, left, i, server, o)
	}
	for i, notice := range s.Notices {
		if i == 0 {
			out.WriteByte('\n')
		}
		writeIndented(&out, "! ", Visible(notice), o.Width)
	}
	if o.Verbose {
		out.WriteByte('\n')
		writeIndented(&out, "", writesLine(s.Writes), o.Width)
	}
	if _, err := io.WriteString(w, out.String()); err != nil {
		return fmt.Errorf("status: write table of %q: %w", s.Site, err)
	}
	return nil
}

// writesLine says how the writes here came to the file.
func writesLine(w *Writes) string {
	if w == nil {
		return "writes here: not known, the daemon is not running"
	}
	line := fmt.Sprintf(
		"writes here since the daemon's start: %d at once, %d after a transaction of the application had ended, "+
			"%d regardless of one that only read for too long, %d that let the application in before their end", w.AtOnce,
		w.Waited, w.Forced, w.Overran)
	if w.Ungated > 0 {
		line += fmt.Sprintf(", %d beside which the application may have found the file locked", w.Ungated)
	}
	return line
}

// headline is the first line, with the observer, the time and the sum.
func headline(s Snapshot, loc *time.Location) string {
	short := func(text string) string { return cut(Visible(text), maxNameColumns) }
	who := short(s.Site) + ", " + short(s.Role)
	if s.Hub != "" && s.Hub != s.Site {
		who += " of " + short(s.Hub)
	}
	line := who + ", " + minuteAndZone(s.At, loc) + ": " + summary(s)
	if !s.Daemon {
		line += "; the daemon is not running here"
	}
	return line
}

// summary is "level: all 3 servers green", or how many are not.
func summary(s Snapshot) string {
	if s.Level {
		return "level: all " + counted(int64(len(s.Servers)), "server") + " green"
	}
	return fmt.Sprintf("not level: %d red, %d grey of %s", s.count(Red), len(s.Servers)-s.count(Red)-s.count(Green),
		counted(int64(len(s.Servers)), "server"))
}

// tableColumns builds every column but the cause.
func tableColumns(s Snapshot, servers []Server, o TableOptions) []column {
	name, role := column{head: "SERVER"}, column{head: "ROLE"}
	state, last := column{head: "STATE"}, column{head: "LAST TRANSFER"}
	out, in := column{head: "OUT", right: true}, column{head: "IN", right: true}
	conflicts := column{head: "CONFLICTS", right: true}
	for _, server := range servers {
		name.cells = append(name.cells, tableName(server.Name, server.Name == s.Site))
		role.cells = append(role.cells, cut(Visible(server.Role), maxNameColumns))
		state.cells = append(state.cells, cut(Visible(string(server.State)), maxNameColumns))
		last.cells = append(last.cells, minuteOrNever(server.LastTransfer, o.Location))
		out.cells = append(out.cells, strconv.FormatInt(server.PendingOut, 10))
		in.cells = append(in.cells, strconv.FormatInt(server.PendingIn, 10))
		conflicts.cells = append(conflicts.cells, strconv.Itoa(server.Conflicts))
	}
	return []column{name, role, state, last, out, in, conflicts}
}

// tableName is a name that fits, with a mark on the observer's own.
func tableName(name string, own bool) string {
	const mark = " (here)"
	if own {
		return cut(Visible(name), maxNameColumns-len(mark)) + mark
	}
	return cut(Visible(name), maxNameColumns)
}

// stateColumn is the index of the column that is coloured.
const stateColumn = 2

func writeHead(out *strings.Builder, left []column, o TableOptions) {
	var line strings.Builder
	for _, c := range left {
		line.WriteString(pad(c.head, c.width(), c.right) + columnGap)
	}
	out.WriteString(colored(line.String()+"CAUSE", sgrBold, o.Color) + "\n")
}

func writeRow(out *strings.Builder, left []column, row int, server Server, o TableOptions) {
	var line strings.Builder
	used := 0
	for i, c := range left {
		cell := pad(c.cells[row], c.width(), c.right)
		used += columns(cell) + len(columnGap)
		if i == stateColumn {
			cell = colored(cell, stateColor(server.State), o.Color)
		}
		line.WriteString(cell + columnGap)
	}
	cause := Visible(causeWords(server))
	switch {
	case o.Width <= 0 || o.Width-used >= minCauseColumns || columns(cause) <= o.Width-used:
		lines := wrap(cause, o.Width-used)
		out.WriteString(strings.TrimRight(line.String()+lines[0], " ") + "\n")
		for _, more := range lines[1:] {
			out.WriteString(strings.Repeat(" ", used) + more + "\n")
		}
	default:
		out.WriteString(strings.TrimRight(line.String(), " ") + "\n")
		if cause != "" {
			writeIndented(out, strings.Repeat(" ", causeIndent), cause, o.Width)
		}
	}
}

// writeIndented writes text wrapped to width, the first line after lead and the rest as far in.
func writeIndented(out *strings.Builder, lead, text string, width int) {
	room := 0
	if width > 0 {
		room = max(1, width-columns(lead))
	}
	for _, line := range wrap(text, room) {
		out.WriteString(lead + line + "\n")
		lead = strings.Repeat(" ", columns(lead))
	}
}

// causeWords is the text of the cause, or its name where there is no text.
func causeWords(server Server) string {
	if server.CauseText != "" {
		return server.CauseText
	}
	return string(server.Cause)
}

func stateColor(state State) string {
	switch state {
	case Green:
		return sgrGreen
	case Red:
		return sgrRed
	case Grey:
	}
	return sgrGrey
}

func colored(text, color string, on bool) string {
	if !on {
		return text
	}
	return color + text + sgrReset
}
