package wire

import (
	"bytes"
	"fmt"
	"io"
	"math"

	"github.com/vmihailenco/msgpack/v5"
	"github.com/vmihailenco/msgpack/v5/msgpcode"

	"ravno/crdt/causal"
	"ravno/crdt/hlc"
)

// decoder reads one payload held in memory. It is stricter than the msgpack library, which takes nil
// for 0 and wraps numbers out of range. It never calls the library's unbounded functions: DecodeBytes
// takes the declared length in memory at once, and Skip recurses as deep as the input says. The first
// error stays, and makes the rest no-ops.
type decoder struct {
	payload []byte
	src     *bytes.Reader
	mp      *msgpack.Decoder
	where   string // what is being decoded, for errors
	err     error
}

// begin starts on a payload. What is decoded may share memory with it where it says so.
func (d *decoder) begin(payload []byte, where string) {
	if d.src == nil {
		d.src = bytes.NewReader(nil)
		d.mp = msgpack.NewDecoder(d.src)
	}
	d.payload, d.where, d.err = payload, where, nil
	d.src.Reset(payload)
}

// finish checks that nothing follows, and returns the first error.
func (d *decoder) finish() error {
	if n := d.left(); n > 0 && d.err == nil {
		d.fail("end", "%d bytes follow it", n)
	}
	return d.err
}

func (d *decoder) left() int { return d.src.Len() }

func (d *decoder) fail(what, format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: %s: %.64s at byte %d: %s", ErrMalformed, d.where, what,
			len(d.payload)-d.left(), fmt.Sprintf(format, args...))
	}
}

// code is the next msgpack code, not consumed. ok is false at the end or after an error.
func (d *decoder) code(what string) (c byte, ok bool) {
	if d.err != nil {
		return 0, false
	}
	left := d.left()
	if left == 0 {
		d.fail(what, "missing, the payload ends here")
		return 0, false
	}
	return d.payload[len(d.payload)-left], true
}

func (d *decoder) check(what string, err error) bool {
	if err != nil {
		d.fail(what, "%v", err)
	}
	return err == nil
}

func (d *decoder) uint(what string) uint64 {
	c, ok := d.code(what)
	if !ok {
		return 0
	}
	if c > msgpcode.PosFixedNumHigh && (c < msgpcode.Uint8 || c > msgpcode.Uint64) {
		d.fail(what, "code %#02x is not an unsigned integer", c)
		return 0
	}
	v, err := d.mp.DecodeUint64()
	d.check(what, err)
	return v
}

// upTo reads an unsigned integer and refuses one above most.
func (d *decoder) upTo(what string, most uint64) uint64 {
	v := d.uint(what)
	if v > most {
		d.fail(what, "%d, at most %d is allowed", v, most)
		return 0
	}
	return v
}

func (d *decoder) uint16(what string) uint16 { return uint16(d.upTo(what, math.MaxUint16)) }

func (d *decoder) site(what string) causal.Site { return causal.Site(d.upTo(what, math.MaxUint32)) }

func (d *decoder) position(what string) causal.Position { return causal.Position(d.uint(what)) }

func (d *decoder) int(what string) int64 {
	c, ok := d.code(what)
	if !ok {
		return 0
	}
	if c > msgpcode.PosFixedNumHigh && c < msgpcode.NegFixedNumLow && (c < msgpcode.Uint8 || c > msgpcode.Int64) {
		d.fail(what, "code %#02x is not an integer", c)
		return 0
	}
	v, err := d.mp.DecodeInt64()
	if d.check(what, err) && c == msgpcode.Uint64 && v < 0 {
		d.fail(what, "beyond 2^63-1")
	}
	return v
}

func (d *decoder) real(what string) float64 {
	c, ok := d.code(what)
	if !ok {
		return 0
	}
	if c != msgpcode.Double {
		d.fail(what, "code %#02x is not a float64", c)
		return 0
	}
	v, err := d.mp.DecodeFloat64()
	if d.check(what, err) && math.IsNaN(v) {
		d.fail(what, "NaN, which SQLite cannot hold")
	}
	return v
}

func (d *decoder) bool(what string) bool {
	c, ok := d.code(what)
	if !ok {
		return false
	}
	if c != msgpcode.False && c != msgpcode.True {
		d.fail(what, "code %#02x is not a bool", c)
		return false
	}
	v, err := d.mp.DecodeBool()
	d.check(what, err)
	return v
}

// array reads the length of an array. Each element takes at least one byte.
func (d *decoder) array(what string, most int) int {
	c, ok := d.code(what)
	if !ok {
		return 0
	}
	if !msgpcode.IsFixedArray(c) && c != msgpcode.Array16 && c != msgpcode.Array32 {
		d.fail(what, "code %#02x is not an array", c)
		return 0
	}
	n, err := d.mp.DecodeArrayLen()
	if !d.check(what, err) {
		return 0
	}
	if n > most || n > d.left() {
		d.fail(what, "%d elements, at most %d are allowed and %d bytes are left", n, most, d.left())
		return 0
	}
	return n
}

// text reads a msgpack str.
func (d *decoder) text(what string) string {
	c, ok := d.code(what)
	if !ok {
		return ""
	}
	if !msgpcode.IsString(c) {
		d.fail(what, "code %#02x is not a string", c)
		return ""
	}
	return string(d.take(what))
}

// bytes reads a msgpack bin. The result shares memory with the payload.
func (d *decoder) bytes(what string) []byte {
	c, ok := d.code(what)
	if !ok {
		return nil
	}
	if !msgpcode.IsBin(c) {
		d.fail(what, "code %#02x is not a bin", c)
		return nil
	}
	return d.take(what)
}

// copied reads a msgpack bin into memory of its own. An empty one is nil.
func (d *decoder) copied(what string) []byte {
	if b := d.bytes(what); len(b) > 0 {
		return bytes.Clone(b)
	}
	return nil
}

// take reads a length and as many bytes, without a copy.
func (d *decoder) take(what string) []byte {
	n, err := d.mp.DecodeBytesLen()
	if !d.check(what, err) {
		return nil
	}
	if n < 0 || n > d.left() {
		d.fail(what, "%d bytes, only %d are left", n, d.left())
		return nil
	}
	return d.pass(n)
}

// pass moves over n bytes, which must be there, and returns them.
func (d *decoder) pass(n int) []byte {
	at := len(d.payload) - d.left()
	if _, err := d.src.Seek(int64(n), io.SeekCurrent); err != nil {
		d.fail("position", "%v", err)
		return nil
	}
	return d.payload[at : at+n : at+n]
}

// fixed reads a bin of exactly len(into) bytes.
func (d *decoder) fixed(what string, into []byte) {
	b := d.bytes(what)
	if d.err == nil && len(b) != len(into) {
		d.fail(what, "%d bytes instead of %d", len(b), len(into))
		return
	}
	copy(into, b)
}

func (d *decoder) incarnation(what string) (i causal.Incarnation) {
	d.fixed(what, i[:])
	return i
}

func (d *decoder) sum16(what string) (sum [16]byte) {
	d.fixed(what, sum[:])
	return sum
}

func (d *decoder) sum32(what string) (sum [32]byte) {
	d.fixed(what, sum[:])
	return sum
}

// fields opens an array of at least want elements and returns how many more there are. A newer version
// of the format may have added some, which rest skips.
func (d *decoder) fields(what string, want int) (more int) {
	n := d.array(what, math.MaxInt)
	if d.err == nil && n < want {
		d.fail(what, "%d fields, %d are needed", n, want)
	}
	return n - want
}

// rest skips elements that this version does not know. It does not recurse, but adds the elements of
// arrays and maps to those left to skip.
func (d *decoder) rest(elements int) {
	const what = "added field"
	for pending := elements; pending > 0 && d.err == nil; pending-- {
		c, ok := d.code(what)
		if !ok {
			return
		}
		switch {
		case msgpcode.IsFixedArray(c), c == msgpcode.Array16, c == msgpcode.Array32:
			pending += d.array(what, math.MaxInt)
		case msgpcode.IsFixedMap(c), c == msgpcode.Map16, c == msgpcode.Map32:
			n, err := d.mp.DecodeMapLen()
			if d.check(what, err) && n > d.left()/2 {
				d.fail(what, "a map of %d entries in %d bytes", n, d.left())
			}
			pending += 2 * n
		case msgpcode.IsString(c), msgpcode.IsBin(c):
			d.take(what)
		case msgpcode.IsExt(c):
			_, n, err := d.mp.DecodeExtHeader()
			if !d.check(what, err) {
				return
			}
			if n < 0 || n > d.left() {
				d.fail(what, "an extension of %d bytes in %d", n, d.left())
				return
			}
			d.pass(n)
		default:
			d.check(what, d.mp.Skip()) // a number, bool or nil: nothing inside it
		}
	}
}

// stamp reads what encoder.stamp wrote.
func (d *decoder) stamp(what string, previous *hlc.Time) hlc.Stamp {
	*previous += hlc.Time(d.int(what))
	return hlc.Stamp{Time: *previous, Site: d.site(what)}
}

// runs reads n run-length coded entries: run is called for each run [from, to) to read its value.
func (d *decoder) runs(what string, n int, run func(from, to int)) {
	for from := 0; from < n && d.err == nil; {
		length := d.uint(what)
		if d.err != nil {
			return
		}
		if length == 0 || length > uint64(n-from) {
			d.fail(what, "a run of %d where %d entries are left", length, n-from)
			return
		}
		to := from + int(length)
		run(from, to)
		from = to
	}
}

// highest reads pairs of a table and a key.
func (d *decoder) highest() map[string]int64 {
	const what = "highest"
	n := d.array(what, 2*MaxTables)
	if d.err == nil && n%2 != 0 {
		d.fail(what, "%d elements are no pairs", n)
	}
	var keys map[string]int64
	for i := 0; i < n && d.err == nil; i += 2 {
		table, key := d.text("table"), d.int("key")
		if _, twice := keys[table]; d.err == nil && (table == "" || twice) {
			d.fail(what, "table %q is there twice, or has no name", table)
		}
		if keys == nil {
			keys = map[string]int64{}
		}
		keys[table] = key
	}
	return keys
}

// names reads an array of distinct, non-empty names.
func (d *decoder) names(what string, least int) []string {
	n := d.array(what, MaxColumns)
	if d.err == nil && n < least {
		d.fail(what, "%d names, at least %d are needed", n, least)
	}
	if d.err != nil || n == 0 {
		return nil
	}
	names := make([]string, n)
	for i := range names {
		names[i] = d.text(what)
	}
	if fault := faultInNames(names); fault != "" {
		d.fail(what, "%s", fault)
	}
	return names
}
