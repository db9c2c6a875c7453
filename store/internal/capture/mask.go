package capture

import (
	"fmt"
	"iter"
	"math/bits"
	"slices"
	"strconv"
	"strings"

	"ravno/crdt"
	"ravno/store/internal/schema"
	"ravno/store/internal/sqlite"
)

// groupBits is how many columns one number of a mask covers: all bits of an SQLite integer
// but the sign and one, so that a sum of them never overflows.
const groupBits = 62

// ColumnSet is a set of column numbers. The zero ColumnSet is empty.
type ColumnSet struct {
	first uint64   // numbers below groupBits, which is nearly all tables have
	more  []uint64 // group g+1 at index g
}

// Columns is the set of these numbers, each from 0 to MaxColumnNumber.
func Columns(numbers ...int) ColumnSet {
	var s ColumnSet
	for _, n := range numbers {
		s.Add(n)
	}
	return s
}

// Add adds a number.
func (s *ColumnSet) Add(n int) {
	g, bit := n/groupBits, uint64(1)<<(n%groupBits)
	if g == 0 {
		s.first |= bit
		return
	}
	if len(s.more) < g {
		s.more = append(s.more, make([]uint64, g-len(s.more))...)
	}
	s.more[g-1] |= bit
}

// Has reports whether the number is in the set.
func (s ColumnSet) Has(n int) bool { return s.group(n/groupBits)>>(n%groupBits)&1 != 0 }

// Empty reports whether no number is in the set.
func (s ColumnSet) Empty() bool {
	return s.first == 0 && !slices.ContainsFunc(s.more, func(g uint64) bool { return g != 0 })
}

// Equal reports whether the two hold the same numbers.
func (s ColumnSet) Equal(o ColumnSet) bool {
	for g := range max(len(s.more), len(o.more)) + 1 {
		if s.group(g) != o.group(g) {
			return false
		}
	}
	return true
}

// All are the numbers, ascending.
func (s ColumnSet) All() iter.Seq[int] {
	return func(yield func(int) bool) {
		for g := 0; g <= len(s.more); g++ {
			for rest := s.group(g); rest != 0; rest &= rest - 1 {
				if !yield(g*groupBits + bits.TrailingZeros64(rest)) {
					return
				}
			}
		}
	}
}

func (s ColumnSet) group(g int) uint64 {
	switch {
	case g == 0:
		return s.first
	case g <= len(s.more):
		return s.more[g-1]
	}
	return 0
}

// value is the set as the log holds it: an integer, or the groups in decimal with commas.
func (s ColumnSet) value() crdt.Value {
	if len(s.more) == 0 {
		return crdt.IntegerValue(int64(s.first))
	}
	text := strconv.AppendUint(nil, s.first, 10)
	for _, g := range s.more {
		text = strconv.AppendUint(append(text, ','), g, 10)
	}
	return crdt.TextValue(string(text))
}

// maxGroups is how many groups the largest number needs.
const maxGroups = MaxColumnNumber/groupBits + 1

// lastGroup is the last of those groups with every number in it that there is.
const lastGroup = 1<<(MaxColumnNumber%groupBits+1) - 1

func parseColumns(text string) (ColumnSet, error) {
	var s ColumnSet
	for i, group := range strings.SplitN(text, ",", maxGroups+1) {
		g, err := strconv.ParseUint(group, 10, groupBits)
		if err != nil || i == maxGroups || i == maxGroups-1 && g > lastGroup {
			return ColumnSet{}, fmt.Errorf("%q is no mask of columns", text)
		}
		if i == 0 {
			s.first = g
		} else {
			s.more = append(s.more, g)
		}
	}
	return s, nil
}

// groups is how many groups the table's masks have.
func (s Spec) groups() int { return slices.Max(s.ColumnNumbers)/groupBits + 1 }

// columnCondition is a condition on one column of OLD and NEW; empty if there is none.
type columnCondition func(schema.Column, *schema.Table) string

// mask gives two SQL expressions: whether the condition holds for any register of the
// table, and the mask of those for which it does. Both are empty if it applies to none.
// The first stops at the first register that meets it, so that most updates evaluate far
// less than all of them twice. Both nest by groups: SQLite's expressions have a depth of
// 1000 at most, and its tables more columns than that.
func (s Spec) mask(condition columnCondition) (anyOf, mask string) {
	conditions, sums := make([][]string, s.groups()), make([][]string, s.groups())
	for i, c := range s.Table.Columns {
		if !c.Register {
			continue
		}
		if holds := condition(c, s.Table); holds != "" {
			g, bit := s.ColumnNumbers[i]/groupBits, uint64(1)<<(s.ColumnNumbers[i]%groupBits)
			conditions[g] = append(conditions[g], holds)
			sums[g] = append(sums[g], fmt.Sprintf("CASE WHEN %s THEN %d ELSE 0 END", holds, bit))
		}
	}
	var groups, masks []string
	for g := range conditions {
		if len(conditions[g]) == 0 {
			masks = append(masks, "0")
			continue
		}
		groups = append(groups, "("+strings.Join(conditions[g], " OR ")+")")
		masks = append(masks, "("+strings.Join(sums[g], " + ")+")")
	}
	if len(groups) == 0 {
		return "", ""
	}
	return "(" + strings.Join(groups, " OR ") + ")", strings.Join(masks, " || ',' || ")
}

// changed is the condition that a column's storage class or bytes changed. IS NOT compares
// bytes under BINARY, but takes an integer and a real of the same value for one. By what
// each affinity can store, the class must be compared too only where both can be there:
//
//   - TEXT holds no numbers and REAL no integers.
//   - INTEGER and NUMERIC turn each real that equals an integer into it, but for -2^63,
//     which SQLite's test leaves out.
//   - BLOB holds both. Numbers sort before every text, so c < ” is true of numbers only,
//     and spares the others the function call.
//
// Reals differ in bytes and not in value only as 0.0 and -0.0; see zeroAgain.
func changed(c schema.Column, t *schema.Table) string {
	name := sqlite.Quote(c.Name)
	condition := "OLD." + name + " IS NOT NEW." + name + collate(schema.Binary)
	class := "typeof(OLD." + name + ") <> typeof(NEW." + name + ")"
	switch c.Affinity {
	case schema.BlobAffinity:
		return condition + " OR (OLD." + name + " < '' AND " + class + ")"
	case schema.IntegerAffinity, schema.NumericAffinity:
		if !t.Strict {
			return condition + " OR (OLD." + name + " < -9223372036854775807 AND " + class + ")"
		}
	case schema.TextAffinity, schema.RealAffinity:
	}
	return condition
}

// zeroAgain is the condition that a column was and is a real zero: 0.0 may have become
// -0.0 or the reverse. No function or operator of SQLite tells them apart, so a column
// that was named in SET and is zero again counts as changed. Only columns without affinity
// come into question: -0.0 becomes 0.0 in a REAL column, 0 in an INTEGER or NUMERIC one,
// and text in a TEXT one.
func zeroAgain(c schema.Column, _ *schema.Table) string {
	if c.Affinity != schema.BlobAffinity {
		return ""
	}
	name := sqlite.Quote(c.Name)
	return fmt.Sprintf("NEW.%[1]s = 0.0 AND OLD.%[1]s = 0.0 AND typeof(NEW.%[1]s) = 'real' AND typeof(OLD.%[1]s) = 'real'",
		name)
}

// untyped are the registers zeroAgain applies to.
func (s Spec) untyped() []string {
	var names []string
	for _, c := range s.Table.Columns {
		if c.Register && zeroAgain(c, s.Table) != "" {
			names = append(names, c.Name)
		}
	}
	return names
}
