package crdt

import (
	"cmp"
	"math"
	"slices"

	"ravno/crdt/causal"
	"ravno/crdt/hlc"
)

// Counter is the state of one counter column, such as stock on hand. It has the value the column
// was last set to as a whole, and each site's difference to it since. The version of Base is that
// of the column's ordinary register, Row.Version(Column). A site writes only its own part, and
// always its total. So every difference counts exactly once, in whichever order and however often
// parts arrive (Shapiro et al. 2011, section 3.1.3, the PN-Counter, with one signed total in place
// of two growing ones).
type Counter struct {
	Column Column
	Base   Value
	Parts  []Part // ascending by site, one per site
}

// Part is one site's difference to a counter's base, the sum of all it has ever added and taken.
// Version.Stamp.Site is that site. Total is an Integer or a Real.
type Part struct {
	Version
	Total Value
}

// ChangePart is a part as it travels. Stamp.Site is the site whose part it is.
type ChangePart struct {
	Column Column
	Stamp  hlc.Stamp
	Total  Value
}

// Sum is the value of the column, the base and all parts. They are added in the order of sites,
// because sums of reals depend on the order and every site must get the same bits. Integers are
// added exactly. As with SQLite's +, a sum beyond 64 bits becomes a Real. A base that is no number
// is returned as it is while there are no parts, and counts as 0 with them.
func (c Counter) Sum() Value {
	if len(c.Parts) == 0 {
		return c.Base
	}
	sum := number(c.Base)
	for _, p := range c.Parts {
		sum = add(sum, number(p.Total))
	}
	return sum
}

// Counter is what the row remembers of a counter column. ok is false if nobody has set its
// base or counted in it.
func (r Row) Counter(column Column) (c Counter, ok bool) {
	if i, found := slices.BinarySearchFunc(r.Counters, column, compareCounter); found {
		return r.Counters[i], true
	}
	return Counter{Column: column}, false
}

// SetBase gives a counter column a new base and keeps the parts.
func (r *Row) SetBase(column Column, base Value) { r.counter(column).Base = base }

// Count records that the application at the site of v's stamp has set a counter column to now.
// That site's part takes the difference to the sum of the counter. Count returns the new sum. It
// can differ from now, because a value that is no number counts as 0 and a difference of reals
// may be rounded; then the caller writes the sum into the table. If now equals the sum already, in
// class and bytes, nothing changes. A column without a base must be given one first, with SetBase.
func (r *Row) Count(column Column, now Value, v Version) Value {
	known, _ := r.Counter(column)
	sum := known.Sum()
	if now == sum {
		return sum
	}
	c := r.counter(column)
	i, found := slices.BinarySearchFunc(c.Parts, v.Stamp.Site, compareSite)
	if !found {
		c.Parts = slices.Insert(c.Parts, i, Part{Total: IntegerValue(0)})
	}
	c.Parts[i] = Part{Version: v, Total: add(number(c.Parts[i].Total), subtract(number(now), number(sum)))}
	return c.Sum()
}

// counter is the entry of a column, made if there is none.
func (r *Row) counter(column Column) *Counter {
	i, found := slices.BinarySearchFunc(r.Counters, column, compareCounter)
	if !found {
		r.Counters = slices.Insert(r.Counters, i, Counter{Column: column})
	}
	return &r.Counters[i]
}

// lacksBase reports whether a register brings a base that is not known here, although its version
// is. The base was lost with a deleted row, or parts arrived before it. NULL stands for a base
// that is not known. A base that really is NULL counts as the same number.
func (r Row) lacksBase(reg Register) bool {
	switch reg.Class {
	case ClassRegister, ClassNone:
		return false
	case ClassCounter:
	}
	known, _ := r.Counter(reg.Column)
	return known.Base == Value{} && reg.Value != Value{}
}

// setBaseOf sets the base of a counter to what its register says. A register of another class has none.
func (r *Row) setBaseOf(reg Register) {
	switch reg.Class {
	case ClassRegister, ClassNone:
	case ClassCounter:
		r.SetBase(reg.Column, reg.Value)
	}
}

// take gives a site's part the total that travelled, unless the row has the same or a newer
// one of that site. It reports whether it did.
func (r *Row) take(p ChangePart, v Version) bool {
	known, _ := r.Counter(p.Column)
	i, found := slices.BinarySearchFunc(known.Parts, p.Stamp.Site, compareSite)
	if found && !p.Stamp.After(known.Parts[i].Stamp) {
		return false
	}
	c := r.counter(p.Column)
	if !found {
		c.Parts = slices.Insert(c.Parts, i, Part{})
	}
	c.Parts[i] = Part{Version: v, Total: p.Total}
	return true
}

func compareCounter(c Counter, column Column) int { return int(c.Column) - int(column) }
func compareSite(p Part, site causal.Site) int    { return cmp.Compare(p.Stamp.Site, site) }

// number is the number a value counts as. Text, blobs and NULL are 0. An infinity is the greatest
// real, because the difference of two infinities is not a number.
func number(v Value) Value {
	switch v.Kind() {
	case Integer:
		return v
	case Real:
		return finite(v.Float())
	case Null, Text, Blob:
	}
	return IntegerValue(0)
}

func finite(f float64) Value {
	return RealValue(min(max(f, -math.MaxFloat64), math.MaxFloat64))
}

// add adds two numbers: two integers exactly if 64 bits hold the sum, all else as reals.
func add(a, b Value) Value {
	if a.Kind() == Integer && b.Kind() == Integer {
		if sum := a.Int() + b.Int(); (sum > a.Int()) == (b.Int() > 0) {
			return IntegerValue(sum)
		}
	}
	return finite(real64(a) + real64(b))
}

// subtract is a - b, under the rules of add.
func subtract(a, b Value) Value {
	if a.Kind() == Integer && b.Kind() == Integer {
		if difference := a.Int() - b.Int(); (difference < a.Int()) == (b.Int() > 0) {
			return IntegerValue(difference)
		}
	}
	return finite(real64(a) - real64(b))
}

// real64 is a number as a real.
func real64(v Value) float64 {
	if v.Kind() == Integer {
		return float64(v.Int())
	}
	return v.Float()
}
