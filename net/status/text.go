package status

import (
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Layouts of times for people.
const (
	minuteLayout        = "2006-01-02 15:04"
	minuteAndZoneLayout = "2006-01-02 15:04 MST"
)

// zone is the given location, or UTC. Command ravno chooses the machine's zone.
func zone(loc *time.Location) *time.Location {
	if loc == nil {
		return time.UTC
	}
	return loc
}

func minute(t time.Time, loc *time.Location) string { return t.In(zone(loc)).Format(minuteLayout) }

func minuteAndZone(t time.Time, loc *time.Location) string {
	return t.In(zone(loc)).Format(minuteAndZoneLayout)
}

// minuteOrNever is for a time that may never have been.
func minuteOrNever(t time.Time, loc *time.Location) string {
	if t.IsZero() {
		return "never"
	}
	return minute(t, loc)
}

// Visible spells out everything that is not a printing character. That is escape sequences that would
// drive a terminal, line breaks that would forge a row, direction overrides that would turn a name
// around, and bytes that are not UTF-8. Its output prints, so it is idempotent.
func Visible(text string) string {
	var out strings.Builder
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			out.WriteString(`\x` + strconv.FormatUint(uint64(text[i]), 16))
		case strconv.IsPrint(r):
			out.WriteRune(r)
		default:
			quoted := strconv.QuoteRuneToASCII(r)
			out.WriteString(quoted[1 : len(quoted)-1])
		}
		i += size
	}
	return out.String()
}

// columns is how many columns of a terminal a visible text takes.
func columns(text string) int {
	n := 0
	for _, r := range text {
		n += runeColumns(r)
	}
	return n
}

// wide are the ranges of Unicode Standard Annex 11 that terminals draw two columns wide, as whole blocks.
var wide = &unicode.RangeTable{
	R16: []unicode.Range16{
		{Lo: 0x1100, Hi: 0x115f, Stride: 1}, // Hangul Jamo
		{Lo: 0x2e80, Hi: 0x303e, Stride: 1}, // CJK radicals, punctuation
		{Lo: 0x3041, Hi: 0x33ff, Stride: 1}, // kana, compatibility
		{Lo: 0x3400, Hi: 0x4dbf, Stride: 1}, // CJK extension A
		{Lo: 0x4e00, Hi: 0xa4cf, Stride: 1}, // CJK, Yi
		{Lo: 0xac00, Hi: 0xd7a3, Stride: 1}, // Hangul
		{Lo: 0xf900, Hi: 0xfaff, Stride: 1}, // CJK compatibility
		{Lo: 0xfe30, Hi: 0xfe6f, Stride: 1}, // CJK compatibility forms
		{Lo: 0xff00, Hi: 0xff60, Stride: 1}, // full-width forms
		{Lo: 0xffe0, Hi: 0xffe6, Stride: 1},
	},
	R32: []unicode.Range32{
		{Lo: 0x1f300, Hi: 0x1f64f, Stride: 1}, // pictographs
		{Lo: 0x1f680, Hi: 0x1f6ff, Stride: 1},
		{Lo: 0x1f900, Hi: 0x1f9ff, Stride: 1},
		{Lo: 0x20000, Hi: 0x3fffd, Stride: 1}, // CJK extensions B and up
	},
}

func runeColumns(r rune) int {
	switch {
	case unicode.In(r, unicode.Mn, unicode.Me):
		return 0
	case unicode.Is(wide, r):
		return 2
	default:
		return 1
	}
}

// maxMarksPerColumn bounds combining marks, which take no column and could otherwise pile up without limit.
const maxMarksPerColumn = 3

// cut shortens a visible text to at most limit columns, the last of them an ellipsis if anything was left out.
func cut(text string, limit int) string {
	if columns(text) <= limit && utf8.RuneCountInString(text) <= limit*(1+maxMarksPerColumn) {
		return text
	}
	var out strings.Builder
	width, runes := 0, 0
	for _, r := range text {
		width, runes = width+runeColumns(r), runes+1
		if width > limit-1 || runes > limit*(1+maxMarksPerColumn) {
			break
		}
		out.WriteRune(r)
	}
	return out.String() + "…"
}

// pad fills a visible text with spaces to width columns.
func pad(text string, width int, right bool) string {
	fill := strings.Repeat(" ", max(0, width-columns(text)))
	if right {
		return fill + text
	}
	return text + fill
}

// wrap breaks a visible text at spaces into lines of at most width columns. A longer word gets a line of
// its own and is broken where it must be. A width of 0 or less means one line.
func wrap(text string, width int) []string {
	if width <= 0 || columns(text) <= width {
		return []string{text}
	}
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && columns(line)+1+columns(word) > width {
			lines, line = append(lines, line), ""
		}
		if line != "" {
			line += " "
		}
		for _, r := range word {
			if line != "" && columns(line)+runeColumns(r) > width {
				lines, line = append(lines, line), ""
			}
			line += string(r)
		}
	}
	return append(lines, line)
}
