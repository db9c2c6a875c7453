package status

import (
	"errors"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

var errDiskFull = errors.New("disk full")

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errDiskFull }

// Hostile text reaches neither the terminal nor the page nor the JSON.
func TestHostileTextIsDisarmed(t *testing.T) {
	shown := map[string]string{
		"table":            tableOf(t, hostile(), TableOptions{}),
		"narrow table":     tableOf(t, hostile(), TableOptions{Width: 40}),
		"page":             pageOf(t, hostile(), PageOptions{}),
		"JSON":             jsonOf(t, hostile()),
		"wide JSON, table": tableOf(t, hostile(), TableOptions{Width: 400}),
	}
	for where, text := range shown {
		for _, r := range text {
			if r != '\n' && !strconv.IsPrint(r) {
				t.Errorf("%s: %U goes out as it is", where, r)
			}
		}
	}
	for _, where := range []string{"page", "JSON"} {
		if strings.Contains(shown[where], "<script") {
			t.Errorf("%s: a script element goes out as it is", where)
		}
	}
	// headline, empty line, head, one server, empty line, one notice
	if lines := strings.Count(shown["table"], "\n"); lines != 6 {
		t.Errorf("table: %d lines, want 6: a line break in a name forges a row:\n%s", lines, shown["table"])
	}
}

func TestColumnsLineUpInAnyAlphabet(t *testing.T) {
	lines := strings.Split(tableOf(t, chain(), TableOptions{Location: sofia}), "\n")[2:9]
	edge := columns(lines[0][:strings.Index(lines[0], "STATE")])
	for _, line := range lines[1:] {
		for _, state := range []string{" red ", " grey ", " green "} {
			if at := strings.Index(line, state); at >= 0 {
				if got := columns(line[:at+1]); got != edge {
					t.Errorf("state begins in column %d, its head in %d: %s", got, edge, line)
				}
			}
		}
	}
}

// No line is wider than a terminal that can hold the columns.
func TestTableFitsTheTerminal(t *testing.T) {
	for width := 80; width < 160; width++ {
		for line := range strings.SplitSeq(tableOf(t, chain(), TableOptions{Location: sofia, Width: width}), "\n") {
			if columns(line) > width {
				t.Errorf("width %d: %d columns: %s", width, columns(line), line)
			}
		}
	}
}

func TestWrappingLosesNothingOfCause(t *testing.T) {
	cause := chain().Servers[2].CauseText
	for width := -1; width < 160; width++ {
		wrapped := strings.Join(wrap(cause, width), "")
		if strings.ReplaceAll(wrapped, " ", "") != strings.ReplaceAll(cause, " ", "") {
			t.Errorf("width %d: %q", width, wrapped)
		}
	}
}

func TestStateColouredOnlyWhenTold(t *testing.T) {
	plain := tableOf(t, chain(), TableOptions{})
	bright := tableOf(t, chain(), TableOptions{Color: true})
	if strings.Contains(plain, "\x1b") {
		t.Error("an escape sequence without colour asked for")
	}
	for _, code := range []string{sgrReset, sgrBold, sgrRed, sgrGreen, sgrGrey} {
		if !strings.Contains(bright, code) {
			t.Errorf("no %q in the coloured table", code)
		}
		bright = strings.ReplaceAll(bright, code, "")
	}
	if bright != plain {
		t.Error("colour changes more than colour")
	}
}

func TestTextsForPeople(t *testing.T) {
	for in, want := range map[string]string{
		"Ресторант":     "Ресторант",
		"a\x1b[2Jb":     `a\x1b[2Jb`,
		"a\nb\tc":       `a\nb\tc`,
		"a\u009bb":      `a\u009bb`,
		"\u202egro.moc": `\u202egro.moc`,
		"\xffa":         `\xffa`,
		"\x7f\x00":      `\x7f\x00`,
		"��":            "��", // somebody else's repair is printing
		`C:\data`:       `C:\data`,
	} {
		if got := Visible(in); got != want || Visible(got) != want {
			t.Errorf("Visible(%q) = %q, want %q, twice the same", in, got, want)
		}
	}
	for in, want := range map[string]int{"": 0, "abc": 3, "Витоша": 6, "й": 1, "и\u0306": 1, "北京": 4, "한글": 4, "🍕": 2} {
		if got := columns(in); got != want {
			t.Errorf("columns(%q) = %d, want %d", in, got, want)
		}
	}
	for in, want := range map[string]string{
		"short": "short", "Ресторант": "Рестор…", "北京北京": "北京北…", "exactly": "exactly",
	} {
		if got := cut(in, 7); got != want {
			t.Errorf("cut(%q, 7) = %q, want %q", in, got, want)
		}
	}
	if got := cut("a"+strings.Repeat("\u0301", 1000), 7); utf8.RuneCountInString(got) > 7*(1+maxMarksPerColumn)+1 {
		t.Errorf("a pile of %d marks goes out", utf8.RuneCountInString(got))
	}
}

func TestFailedWriteIsReported(t *testing.T) {
	for what, err := range map[string]error{
		"table": Table(fullDisk{}, chain(), TableOptions{}),
		"page":  Page(fullDisk{}, chain(), PageOptions{}),
		"JSON":  Encode(fullDisk{}, chain()),
	} {
		if !errors.Is(err, errDiskFull) || !strings.Contains(err.Error(), "centrala") {
			t.Errorf("%s: %v", what, err)
		}
	}
}
