package schema

import (
	"slices"
	"strings"
)

// token is one word, name, literal or sign of an SQL text, comments and blanks left out.
type token struct {
	text       string // as written
	start, end int    // byte offsets in the SQL text
	quoted     bool   // in '..', "..", `..` or [..]: never a keyword
}

// is reports whether the token is this keyword or sign.
func (t token) is(word string) bool { return !t.quoted && sameName(t.text, word) }

// isAny is whether the token is one of these keywords or signs.
func (t token) isAny(words ...string) bool { return slices.ContainsFunc(words, t.is) }

// name is the identifier the token stands for.
func (t token) name() string {
	if !t.quoted {
		return t.text
	}
	inner := t.text[1 : len(t.text)-1]
	if quote := t.text[:1]; quote != "[" {
		inner = strings.ReplaceAll(inner, quote+quote, quote)
	}
	return inner
}

// tokens splits SQL that SQLite itself has accepted: an unclosed quote cannot occur, and if
// it did, its token would reach to the end of the text.
func tokens(sql string) []token {
	var all []token
	for i := 0; i < len(sql); {
		end, kind := scan(sql, i)
		if kind != blank {
			all = append(all, token{text: sql[i:end], start: i, end: end, quoted: kind == quoted})
		}
		i = end
	}
	return all
}

type tokenKind int

const (
	blank tokenKind = iota
	quoted
	word
	sign
)

// scan returns the end and the kind of the token that starts at i.
func scan(sql string, i int) (end int, kind tokenKind) {
	rest := sql[i:]
	switch b := sql[i]; {
	case strings.IndexByte(" \t\n\v\f\r", b) >= 0: // SQLite takes \v only behind another of them
		return i + 1, blank
	case strings.HasPrefix(rest, byteOrderMark):
		return i + len(byteOrderMark), blank
	case strings.HasPrefix(rest, "--"):
		return i + endOf(rest, 2, "\n"), blank
	case strings.HasPrefix(rest, "/*"):
		return i + endOf(rest, 2, "*/"), blank
	case b == '[':
		return i + endOf(rest, 1, "]"), quoted
	case b == '\'' || b == '"' || b == '`':
		return i + endOfQuoted(rest), quoted
	case isDigit(b) || b == '.' && len(rest) > 1 && isDigit(rest[1]):
		return i + endOfNumber(rest), word
	case isWordByte(b):
		for end = i + 1; end < len(sql) && isWordByte(sql[end]); end++ {
		}
		return end, word
	}
	return i + 1, sign
}

// byteOrderMark is a blank wherever a token could begin.
const byteOrderMark = "\ufeff"

func isDigit(b byte) bool { return '0' <= b && b <= '9' }

// endOfNumber is the end of a number: digits, or 0x and more, with a point and an exponent. SQLite
// takes no letter right behind it.
func endOfNumber(s string) int {
	digits := func(i int) int {
		for i < len(s) && (isDigit(s[i]) || s[i] == '_') {
			i++
		}
		return i
	}
	i := digits(0)
	if i < len(s) && s[i] == '.' {
		i = digits(i + 1)
	}
	if i+1 < len(s) && (s[i] == 'e' || s[i] == 'E') && (s[i+1] == '+' || s[i+1] == '-') {
		i += 2
	}
	for i < len(s) && isWordByte(s[i]) { // an exponent, or what follows 0x
		i++
	}
	return i
}

func endOf(s string, from int, closing string) int {
	if n := strings.Index(s[from:], closing); n >= 0 {
		return from + n + len(closing)
	}
	return len(s)
}

// endOfQuoted finds the closing quote; a doubled one stands for itself.
func endOfQuoted(s string) int {
	for i := 1; i < len(s); i++ {
		if s[i] != s[0] {
			continue
		}
		if i+1 < len(s) && s[i+1] == s[0] {
			i++
			continue
		}
		return i + 1
	}
	return len(s)
}

// isWordByte follows SQLite's tokenizer: every byte outside ASCII belongs to a word.
func isWordByte(b byte) bool {
	return b == '_' || b == '$' || b >= 0x80 || isDigit(b) || 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z'
}

// isName reports whether a token that stands alone is a name: not a string in single
// quotes, a number, or a keyword that is a value.
func isName(t token) bool {
	if t.quoted {
		return t.text[0] != '\''
	}
	switch strings.ToUpper(t.text) {
	case "NULL", "CURRENT_TIME", "CURRENT_DATE", "CURRENT_TIMESTAMP":
		return false
	}
	return isWordByte(t.text[0]) && !isDigit(t.text[0])
}

// list splits the tokens from the first opening parenthesis at or after from, at the
// commas of its own level. after is the index behind the closing parenthesis.
func list(all []token, from int) (items [][]token, after int) {
	for from < len(all) && !all[from].is("(") {
		from++
	}
	depth, start := 0, from+1
	for i := from; i < len(all); i++ {
		switch {
		case all[i].is("("):
			depth++
		case all[i].is(")"):
			if depth--; depth == 0 {
				return append(items, all[start:i]), i + 1
			}
		case all[i].is(",") && depth == 1:
			items = append(items, all[start:i])
			start = i + 1
		}
	}
	return items, len(all)
}

// source is the SQL text from the first to the last of the tokens, as written. A comment
// behind the last one is left out, so that it cannot swallow what is put there.
func source(sql string, part []token) string {
	if len(part) == 0 {
		return ""
	}
	return sql[part[0].start:part[len(part)-1].end]
}

// indexSource takes the parts of an index and the predicate of a partial one from its
// CREATE INDEX statement. An unquoted ON cannot be a name.
func indexSource(sql string) (parts []string, where string) {
	all := tokens(sql)
	on := 0
	for on < len(all) && !all[on].is("ON") {
		on++
	}
	items, after := list(all, on)
	for _, item := range items {
		parts = append(parts, source(sql, withoutOrder(item)))
	}
	if after < len(all) && all[after].is("WHERE") {
		where = source(sql, all[after+1:])
	}
	return parts, where
}

// withoutOrder takes ASC, DESC and COLLATE name off the end of an index part.
func withoutOrder(part []token) []token {
	for len(part) > 1 {
		last := len(part) - 1
		switch {
		case part[last].isAny("ASC", "DESC") && endsExpression(part[last-1]):
			part = part[:last]
		case last > 1 && part[last-1].is("COLLATE"):
			part = part[:last-1]
		default:
			return part
		}
	}
	return part
}

// endsExpression reports whether an expression may end with a token, so that ASC or DESC behind it
// is an order. Behind an operator they are names of columns.
func endsExpression(t token) bool {
	switch {
	case t.quoted:
		return true
	case t.text == ")":
		return true
	case t.isAny("AND", "OR", "NOT", "IS", "LIKE", "GLOB", "MATCH", "REGEXP", "BETWEEN", "ESCAPE", "COLLATE", "FROM"):
		return false
	}
	return isWordByte(t.text[0]) || len(t.text) > 1 // a number may begin with a point
}

// declared is what a CREATE TABLE statement tells and no pragma does, of columns by folded name.
type declared struct {
	collations    map[string]string
	emptyType     map[string]bool // in quotes: a type for which SQLite converts as for any unknown one
	autoincrement bool
}

func tableSource(sql string) declared {
	all := tokens(sql)
	d := declared{collations: map[string]string{}, emptyType: map[string]bool{}}
	for _, t := range all {
		d.autoincrement = d.autoincrement || t.is("AUTOINCREMENT")
	}
	items, _ := list(all, 0)
	for _, item := range items {
		if len(item) == 0 {
			continue
		}
		d.emptyType[LowerASCII(item[0].name())] = len(item) > 1 && item[1].quoted && item[1].name() == ""
		depth := 0
		for i, t := range item[:len(item)-1] {
			switch {
			case t.is("("):
				depth++
			case t.is(")"):
				depth--
			case depth == 0 && t.is("COLLATE"):
				d.collations[LowerASCII(item[0].name())] = upperASCII(item[i+1].name())
			}
		}
	}
	return d
}

// names are the identifiers that occur in an SQL expression, string literals included,
// since SQLite may take a double-quoted one for either. Keywords and functions are among
// them: the caller picks those that name a column.
func names(expression string) []string {
	var found []string
	for _, t := range tokens(expression) {
		if t.quoted || isWordByte(t.text[0]) {
			found = append(found, t.name())
		}
	}
	return found
}
