// Package shadow is the bytes of a shadow row: crdt.Row packed into one BLOB, which only
// ravno reads. It refuses to know tables and SQL.
//
// Format 1. One byte of format, one byte of flags, then unsigned varints:
//
//	birth     if flagBirth:   version
//	death     if flagDeath:   version
//	base      if flagBase:    version (otherwise the base is the birth)
//	revived   if flagRevived: position
//	columns   count, then per column: number minus the previous number, version
//	counters  if flagCounters: count, then per counter: number minus the previous number,
//	          base, count of parts, then per part, ascending by site: version, total
//
// A version is time, site, position, seen. A base and a total are a length and the bytes of
// a crdt.Key of that one value. A row without counters has the bytes it had before there
// were counters; an older program refuses a row with them, for their flag. A row that was there before ravno came has
// neither birth nor base: both are zero.
package shadow

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/crdt/hlc"
)

// format is the first byte of every shadow row. A newer one is refused, never guessed.
const format = 1

const (
	flagBirth = 1 << iota
	flagDeath
	flagBase
	flagRevived
	flagCounters
	knownFlags = flagBirth | flagDeath | flagBase | flagRevived | flagCounters
)

var errShadow = errors.New("malformed shadow row")

// Append packs a row behind what is in b.
func Append(b []byte, row crdt.Row) []byte {
	var flags byte
	if row.Birth != (crdt.Version{}) {
		flags |= flagBirth
	}
	if row.Death != (crdt.Version{}) {
		flags |= flagDeath
	}
	if row.Base != row.Birth {
		flags |= flagBase
	}
	if row.Revived != 0 {
		flags |= flagRevived
	}
	if len(row.Counters) > 0 {
		flags |= flagCounters
	}
	b = append(b, format, flags)
	if flags&flagBirth != 0 {
		b = appendVersion(b, row.Birth)
	}
	if flags&flagDeath != 0 {
		b = appendVersion(b, row.Death)
	}
	if flags&flagBase != 0 {
		b = appendVersion(b, row.Base)
	}
	if flags&flagRevived != 0 {
		b = binary.AppendUvarint(b, uint64(row.Revived))
	}
	b = binary.AppendUvarint(b, uint64(len(row.Columns)))
	previous := uint64(0)
	for _, c := range row.Columns {
		b = binary.AppendUvarint(b, uint64(c.Column)-previous)
		previous = uint64(c.Column)
		b = appendVersion(b, c.Version)
	}
	if flags&flagCounters != 0 {
		b = appendCounters(b, row.Counters)
	}
	return b
}

func appendCounters(b []byte, counters []crdt.Counter) []byte {
	b = binary.AppendUvarint(b, uint64(len(counters)))
	previous := uint64(0)
	for _, c := range counters {
		b = binary.AppendUvarint(b, uint64(c.Column)-previous)
		previous = uint64(c.Column)
		b = appendValue(b, c.Base)
		b = binary.AppendUvarint(b, uint64(len(c.Parts)))
		for _, p := range c.Parts {
			b = appendVersion(b, p.Version)
			b = appendValue(b, p.Total)
		}
	}
	return b
}

func appendValue(b []byte, v crdt.Value) []byte {
	k := crdt.NewKey(v)
	b = binary.AppendUvarint(b, uint64(len(k)))
	return append(b, k...)
}

func appendVersion(b []byte, v crdt.Version) []byte {
	b = binary.AppendUvarint(b, uint64(v.Stamp.Time))
	b = binary.AppendUvarint(b, uint64(v.Stamp.Site))
	b = binary.AppendUvarint(b, uint64(v.Position))
	return binary.AppendUvarint(b, uint64(v.Seen))
}

// Decode unpacks a row. It fails on anything Append cannot have written.
func Decode(b string) (crdt.Row, error) {
	if len(b) < 2 {
		return crdt.Row{}, fmt.Errorf("%w: %d bytes", errShadow, len(b))
	}
	if b[0] != format || b[1]&^knownFlags != 0 {
		return crdt.Row{}, fmt.Errorf("%w: format %d, flags %#x: written by a newer ravno?", errShadow, b[0], b[1])
	}
	flags := b[1]
	r := reader{rest: b[2:]}
	var row crdt.Row
	if flags&flagBirth != 0 {
		row.Birth = r.versionUnlike(crdt.Version{}, "birth")
	}
	if flags&flagDeath != 0 {
		row.Death = r.versionUnlike(crdt.Version{}, "death")
	}
	row.Base = row.Birth
	if flags&flagBase != 0 {
		row.Base = r.versionUnlike(row.Birth, "base")
	}
	if flags&flagRevived != 0 {
		if row.Revived = causal.Position(r.uvarint()); row.Revived == 0 {
			r.fail("no position, which a flag announced")
		}
	}
	row.Columns = r.columns()
	if flags&flagCounters != 0 {
		row.Counters = r.counters()
	}
	if r.err == nil && len(r.rest) > 0 {
		r.fail("%d bytes follow it", len(r.rest))
	}
	if r.err != nil {
		return crdt.Row{}, r.err
	}
	return row, nil
}

// reader takes a row apart. The first error stays, and leaves nothing to read.
type reader struct {
	rest string
	err  error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s", errShadow, fmt.Sprintf(format, args...))
	}
	r.rest = ""
}

// The fewest bytes that a version, a column, a part and a counter take.
const (
	versionBytes = 4
	columnBytes  = 1 + versionBytes
	partBytes    = versionBytes + 2
	counterBytes = 4
)

// count reads how many of something follow, each of which takes so many bytes at least: it
// refuses before memory is taken for them.
func (r *reader) count(what string, least int) int {
	n := r.uvarint()
	if n > uint64(len(r.rest)/least) {
		r.fail("%d %s in %d bytes", n, what, len(r.rest))
		return 0
	}
	return int(n)
}

// column reads the number of a column, given the one before; each is higher, save that the
// first may be 0.
func (r *reader) column(previous crdt.Column, first bool) crdt.Column {
	step := r.uvarint()
	if step > uint64(math.MaxUint16-previous) || step == 0 && !first {
		r.fail("%d columns after column %d", step, previous)
		return 0
	}
	return previous + crdt.Column(step)
}

func (r *reader) columns() []crdt.ColumnVersion {
	count := r.count("columns", columnBytes)
	if count == 0 {
		return nil
	}
	columns := make([]crdt.ColumnVersion, count)
	number := crdt.Column(0)
	for i := range columns {
		number = r.column(number, i == 0)
		columns[i] = crdt.ColumnVersion{Column: number, Version: r.version()}
	}
	return columns
}

func (r *reader) counters() []crdt.Counter {
	count := r.count("counters", counterBytes)
	if count == 0 {
		r.fail("no counters, which a flag announced")
		return nil
	}
	counters := make([]crdt.Counter, count)
	number := crdt.Column(0)
	for i := range counters {
		number = r.column(number, i == 0)
		counters[i] = crdt.Counter{Column: number, Base: r.value(), Parts: r.parts()}
	}
	return counters
}

func (r *reader) parts() []crdt.Part {
	count := r.count("parts of a counter", partBytes)
	if count == 0 {
		return nil
	}
	parts := make([]crdt.Part, count)
	for i := range parts {
		parts[i] = crdt.Part{Version: r.version(), Total: r.value()}
		switch kind := parts[i].Total.Kind(); {
		case r.err != nil:
			return nil
		case i > 0 && parts[i].Stamp.Site <= parts[i-1].Stamp.Site:
			r.fail("the part of site %d after that of site %d", parts[i].Stamp.Site, parts[i-1].Stamp.Site)
		case kind != crdt.Integer && kind != crdt.Real:
			r.fail("a part of a counter that is %s", kind)
		}
	}
	return parts
}

func (r *reader) value() crdt.Value {
	n := r.count("bytes of a value", 1)
	values, err := crdt.Key(r.rest[:n]).Values()
	r.rest = r.rest[n:]
	if err == nil && len(values) == 1 {
		return values[0]
	}
	r.fail("%d values in %d bytes: %v", len(values), n, err)
	return crdt.Value{}
}

// uvarint reads a number. One that is written longer than needed, or is beyond 64 bits, is none.
func (r *reader) uvarint() uint64 {
	var v uint64
	for i := 0; i < len(r.rest) && i < binary.MaxVarintLen64; i++ {
		b := r.rest[i]
		v |= uint64(b&0x7f) << (7 * i)
		if b >= 0x80 {
			continue
		}
		if i > 0 && b == 0 || i == binary.MaxVarintLen64-1 && b > 1 {
			break
		}
		r.rest = r.rest[i+1:]
		return v
	}
	r.fail("wrong length")
	return 0
}

func (r *reader) site() causal.Site {
	n := r.uvarint()
	if n > math.MaxUint32 {
		r.fail("site %d", n)
	}
	return causal.Site(n)
}

// versionUnlike reads a version that a flag announced because it is another one.
func (r *reader) versionUnlike(usual crdt.Version, what string) crdt.Version {
	v := r.version()
	if v == usual {
		r.fail("the usual %s, which a flag announced as another", what)
	}
	return v
}

func (r *reader) version() crdt.Version {
	return crdt.Version{
		Stamp:    hlc.Stamp{Time: hlc.Time(r.uvarint()), Site: r.site()},
		Position: causal.Position(r.uvarint()),
		Seen:     causal.Seen(r.uvarint()),
	}
}
