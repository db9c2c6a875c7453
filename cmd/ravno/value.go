package main

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"ravno/crdt"
	"ravno/store"
)

// maxExactInteger is the largest magnitude up to which every integer survives a reader that
// takes JSON numbers for doubles (RFC 8259, section 6).
const maxExactInteger = 1 << 53

// jsonValue is a value in JSON. NULL, numbers and text stand as themselves where JSON can hold them
// exactly. Any other value is an object that names its form. A REAL always has a point or an
// exponent, so 1.0 and 1 stay two values.
func jsonValue(v crdt.Value) any {
	switch v.Kind() {
	case crdt.Integer:
		if i := v.Int(); i >= -maxExactInteger && i <= maxExactInteger {
			return i
		}
		return object{{"int", strconv.FormatInt(v.Int(), 10)}}
	case crdt.Real:
		if math.IsInf(v.Float(), 0) {
			return object{{"real", v.String()}}
		}
		return jsonNumber(realText(v.Float()))
	case crdt.Text:
		if utf8.ValidString(v.Bytes()) {
			return v.Bytes()
		}
		return object{{"text_base64", base64.StdEncoding.EncodeToString([]byte(v.Bytes()))}}
	case crdt.Blob:
		return object{{"blob", base64.StdEncoding.EncodeToString([]byte(v.Bytes()))}}
	case crdt.Null:
	}
	return nil
}

// jsonNumber is a number written exactly as it stands. encoding/json would keep a json.Number too, but
// -0.0 and 1.0 must not depend on that.
type jsonNumber string

// MarshalJSON writes the number.
func (n jsonNumber) MarshalJSON() ([]byte, error) { return []byte(n), nil }

// realText is the shortest text that reads back as the same REAL.
func realText(f float64) string {
	text := strconv.FormatFloat(f, 'g', -1, 64)
	if !strings.ContainsAny(text, ".eEI") { // I: Inf
		text += ".0"
	}
	return text
}

// jsonPointer is jsonValue, or null for a value that is not there.
func jsonPointer(v *crdt.Value) any {
	if v == nil {
		return nil
	}
	return jsonValue(*v)
}

// jsonNamed is a key or a row as an object, its columns in order.
func jsonNamed(row []store.Named) object {
	o := object{}
	for _, n := range row {
		o = append(o, field{n.Name, jsonValue(n.Value)})
	}
	return o
}

// namedText is a key or a row for people.
func namedText(row []store.Named) string {
	var parts []string
	for _, n := range row {
		parts = append(parts, n.Name+"="+literal(n.Value))
	}
	return strings.Join(parts, " ")
}

// literal writes a value as parseLiteral reads it. Text goes without quotes if it reads back as the
// same text and is not empty. Infinity is written by its name, because nobody types it.
func literal(v crdt.Value) string {
	switch v.Kind() {
	case crdt.Real:
		return realText(v.Float())
	case crdt.Text:
		if again, err := parseLiteral(v.Bytes()); err != nil || again != v || v.Bytes() == "" {
			return "'" + strings.ReplaceAll(v.Bytes(), "'", "''") + "'"
		}
	case crdt.Null, crdt.Integer, crdt.Blob:
	}
	return v.String()
}

var (
	integerForm = regexp.MustCompile(`^-?(0|[1-9][0-9]*)$`)
	realForm    = regexp.MustCompile(`^[+-]?(([0-9]+\.[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+)$`)
	blobForm    = regexp.MustCompile(`^[xX]'([0-9a-fA-F]*)'$`)
)

// literalRules explains parseLiteral in the help.
const literalRules = `VALUE is NULL, a number (5, -3, 12.50), a blob (x'00ff') or text. A value in quotes is
always text ('0045', 'NULL', with '' for a quote inside). A number with leading zeros is
text, and so is any number if the column holds text on every side.`

// parseLiteral reads a value as an admin types it.
func parseLiteral(s string) (crdt.Value, error) {
	switch {
	case strings.EqualFold(s, "null"):
		return crdt.Value{}, nil
	case blobForm.MatchString(s):
		raw, err := hex.DecodeString(blobForm.FindStringSubmatch(s)[1])
		if err != nil {
			return crdt.Value{}, wrongUsage("blob "+s+": an odd number of hex digits", "two digits for each byte")
		}
		return crdt.BlobValue(string(raw)), nil
	case len(s) > 0 && s[0] == '\'':
		inner := s[1:max(1, len(s)-1)]
		if len(s) < 2 || s[len(s)-1] != '\'' || strings.Contains(strings.ReplaceAll(inner, "''", ""), "'") {
			return crdt.Value{}, wrongUsage("text "+s+" does not end with its quote", "'...' with each quote inside doubled")
		}
		return crdt.TextValue(strings.ReplaceAll(inner, "''", "'")), nil
	case integerForm.MatchString(s):
		i, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return crdt.Value{}, wrongUsage("integer "+s+" does not fit 64 bits",
				fmt.Sprintf("'%s' for text, or %s.0 for a real", s, s))
		}
		return crdt.IntegerValue(i), nil
	case realForm.MatchString(s):
		f, err := strconv.ParseFloat(s, 64)
		if err != nil {
			return crdt.Value{}, wrongUsage("real "+s+" does not fit 64 bits", "'"+s+"' for text")
		}
		return crdt.RealValue(f), nil
	}
	return crdt.TextValue(s), nil
}
