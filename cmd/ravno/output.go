package main

// The rules of output, for every command:
//
//   - Results go to stdout, everything else (advice, warnings, errors, progress) to stderr.
//   - An error is one line: "ravno: what, which, why. Try: what helps". Nothing follows it.
//   - With --json stdout carries one JSON document, [] and never null for nothing. A list without
//     end (--follow, --watch) has one document per line.
//   - Times are RFC 3339 in UTC in JSON, local date, hour and minute for people.
//   - Colour only on a terminal, never with NO_COLOR or TERM=dumb.
//   - Characters of others' texts (names, values) that do not print are spelled out, so that they
//     cannot drive the terminal or forge a line.

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"

	"ravno/net/status"
)

const (
	minuteLayout   = "2006-01-02 15:04"
	jsonTimeLayout = "2006-01-02T15:04:05.000Z" // as in status: what stamps have, in UTC
)

// printError writes one line. try is the advice if the error brings none.
func printError(w io.Writer, err error, try string) {
	text := strings.TrimRight(strings.TrimPrefix(oneLine(err.Error()), "ravno "), ". ")
	if !strings.Contains(text, "Try: ") {
		text += ". Try: " + try
	}
	fmt.Fprintln(w, "ravno: "+text)
}

// note writes advice or a warning for people, one line, beside the result.
func note(w io.Writer, format string, args ...any) {
	fmt.Fprintln(w, "ravno: "+oneLine(fmt.Sprintf(format, args...)))
}

// oneLine makes a text harmless and one line. The lines of joined errors become clauses.
func oneLine(text string) string {
	return visible(strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' }), "; "))
}

// visible spells out every character that does not print.
func visible(text string) string { return status.Visible(text) }

// printJSON writes one indented document with a line break at its end.
func printJSON(w io.Writer, v any) error {
	compact, err := encodeJSON(v)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	if err := json.Indent(&out, compact, "", "  "); err != nil {
		return fmt.Errorf("indenting JSON: %w", err)
	}
	out.WriteByte('\n')
	_, err = w.Write(out.Bytes())
	return err
}

// printJSONLine writes one document on a line of its own.
func printJSONLine(w io.Writer, v any) error {
	compact, err := encodeJSON(v)
	if err != nil {
		return err
	}
	_, err = w.Write(append(compact, '\n'))
	return err
}

// encodeJSON encodes without HTML's escapes, and with \u for characters that do not print. U+009B
// begins an escape sequence on some terminals, and U+202E turns a line around.
func encodeJSON(v any) ([]byte, error) {
	var raw bytes.Buffer
	encoder := json.NewEncoder(&raw)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return nil, fmt.Errorf("writing JSON: %w", err)
	}
	return status.ASCIIControls(bytes.TrimRight(raw.Bytes(), "\n")), nil
}

// object is a JSON object whose fields keep their order.
type object []field

type field struct {
	name  string
	value any
}

// MarshalJSON writes the fields in order; no field is an empty object.
func (o object) MarshalJSON() ([]byte, error) {
	var out bytes.Buffer
	out.WriteByte('{')
	for i, f := range o {
		if i > 0 {
			out.WriteByte(',')
		}
		name, err := encodeJSON(f.name)
		if err != nil {
			return nil, err
		}
		value, err := encodeJSON(f.value)
		if err != nil {
			return nil, err
		}
		out.Write(name)
		out.WriteByte(':')
		out.Write(value)
	}
	out.WriteByte('}')
	return out.Bytes(), nil
}

// jsonTime is a time in JSON, or null for the zero time.
func jsonTime(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC().Format(jsonTimeLayout)
}

// minute is a time for people, or "never" for the zero time.
func minute(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.Local().Format(minuteLayout)
}

// columnPadding is the space between two columns of a table.
const columnPadding = 2

// grid writes rows of cells as aligned columns after an indent, without trailing spaces.
func grid(w io.Writer, indent string, rows [][]string) error {
	var aligned bytes.Buffer
	table := tabwriter.NewWriter(&aligned, 0, 0, columnPadding, ' ', 0)
	for _, row := range rows {
		cells := make([]string, len(row))
		for i, cell := range row {
			cells[i] = visible(cell) // no tabs, no line breaks
		}
		fmt.Fprintln(table, strings.Join(cells, "\t"))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for line := range strings.Lines(aligned.String()) {
		if _, err := fmt.Fprintln(w, indent+strings.TrimRight(line, " \n")); err != nil {
			return err
		}
	}
	return nil
}

// counted is "1 row", "1204 rows".
func counted(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.FormatInt(n, 10) + " " + noun + "s"
}

// terminalWidth is the width in columns of the terminal that w is, 0 if it is none.
func terminalWidth(w io.Writer) int {
	file, ok := w.(*os.File)
	if !ok {
		return 0
	}
	size, err := unix.IoctlGetWinsize(int(file.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0
	}
	return max(int(size.Col), 1) // a terminal that does not know its size is one all the same
}

// colored reports whether to write colour to w.
func coloredOutput(w io.Writer) bool {
	return terminalWidth(w) > 0 && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}
