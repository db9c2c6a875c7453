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
//
// A version is time, site, position, seen. A row that was there before ravno came has
// neither birth nor base: both are zero.
package shadow

import (
	"encoding/binary"
	"errors"
	"fmt"

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
	knownFlags = flagBirth | flagDeath | flagBase | flagRevived
)

var errShadow = errors.New("malformed shadow row")

// Encode packs a row.
func Encode(row crdt.Row) []byte {
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
	b := append(make([]byte, 0, 32+24*len(row.Columns)), format, flags)
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
	return b
}

func appendVersion(b []byte, v crdt.Version) []byte {
	b = binary.AppendUvarint(b, uint64(v.Stamp.Time))
	b = binary.AppendUvarint(b, uint64(v.Stamp.Site))
	b = binary.AppendUvarint(b, uint64(v.Position))
	return binary.AppendUvarint(b, uint64(v.Seen))
}

// Decode unpacks a row. It fails on anything Encode cannot have written.
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
		row.Birth = r.version()
	}
	if flags&flagDeath != 0 {
		row.Death = r.version()
	}
	row.Base = row.Birth
	if flags&flagBase != 0 {
		row.Base = r.version()
	}
	if flags&flagRevived != 0 {
		row.Revived = causal.Position(r.uvarint())
	}
	count := r.uvarint()
	if count > uint64(len(r.rest)) { // a column takes several bytes: refuse before allocating
		return crdt.Row{}, fmt.Errorf("%w: %d columns in %d bytes", errShadow, count, len(r.rest))
	}
	if count > 0 {
		row.Columns = make([]crdt.ColumnVersion, count)
	}
	number := uint64(0)
	for i := range row.Columns {
		number += r.uvarint()
		row.Columns[i] = crdt.ColumnVersion{Column: crdt.Column(number), Version: r.version()}
	}
	if r.failed || len(r.rest) > 0 || number > 1<<16-1 {
		return crdt.Row{}, fmt.Errorf("%w: wrong length", errShadow)
	}
	return row, nil
}

type reader struct {
	rest   string
	failed bool
}

func (r *reader) uvarint() uint64 {
	var v uint64
	for i := 0; i < len(r.rest) && i < binary.MaxVarintLen64; i++ {
		v |= uint64(r.rest[i]&0x7f) << (7 * i)
		if r.rest[i] < 0x80 {
			r.rest = r.rest[i+1:]
			return v
		}
	}
	r.failed, r.rest = true, ""
	return 0
}

func (r *reader) version() crdt.Version {
	return crdt.Version{
		Stamp:    hlc.Stamp{Time: hlc.Time(r.uvarint()), Site: causal.Site(r.uvarint())},
		Position: causal.Position(r.uvarint()),
		Seen:     causal.Seen(r.uvarint()),
	}
}
