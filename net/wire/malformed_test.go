package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"ravno/crdt"
)

// sectionStart writes a good section up to and including the number of its changes.
func sectionStart(e *encoder, columns []string, changes uint64) {
	e.text("t")
	e.bool(false)
	e.names([]string{"id"})
	e.names(columns)
	e.uint(changes)
}

// bare writes a section of changes with integer keys and nothing else, up to the column sets.
func bare(e *encoder, columns []string, changes uint64) {
	sectionStart(e, columns, changes)
	e.uint(keysInteger)
	for range changes {
		e.int(1)
	}
	for range 2 { // births, deaths
		e.uint(changes)
		e.int(0)
		e.uint(0)
	}
	e.uint(changes) // seen
	e.uint(0)
	e.uint(changes) // whole
	e.bool(false)
	e.uint(0) // documents
	e.uint(changes)
	e.uint(0)
}

type malformedSection struct {
	name  string
	build func(e *encoder)
	want  string // in the error
}

// startNames writes a section up to the names of its columns.
func startNames(key, columns []string) func(e *encoder) {
	return func(e *encoder) { e.text("t"); e.bool(false); e.names(key); e.names(columns) }
}

func malformedNamesAndKeys() []malformedSection {
	two := []string{"a", "b"}
	many := make([]string, MaxColumns+1)
	for i := range many {
		many[i] = fmt.Sprint("c", i)
	}
	rawKey := func(key string) func(e *encoder) {
		return func(e *encoder) { sectionStart(e, two, 1); e.uint(keysRaw); e.data(key) }
	}
	nan := binary.BigEndian.AppendUint64([]byte{byte(crdt.Real)}, math.Float64bits(math.NaN()))
	return []malformedSection{
		{"no table", func(e *encoder) { e.text(""); e.bool(false) }, "table at byte 2: the name is empty"},
		{"no key columns", startNames(nil, two), "0 names, at least 1"},
		{"a column twice", startNames(two, []string{"a", "b", "a"}), `column "a" is named twice`},
		{"a key column twice", startNames([]string{"k", "k"}, two), `column "k" is named twice`},
		{"a column without a name", startNames(two, []string{""}), "name of column 0 is empty"},
		{"too many columns", startNames(two, many), "2001 elements, at most 2000"},
		{"too many changes", func(e *encoder) { sectionStart(e, two, MaxSectionChanges+1) }, "at most 65536 is allowed"},
		{"more changes than bytes", func(e *encoder) { sectionStart(e, two, 100) }, "100 of them in 0 bytes"},
		{"an unknown form of keys", func(e *encoder) { sectionStart(e, two, 1); e.uint(3) }, "at most 2 is allowed"},
		{"a key that does not decode", rawKey("\x03\x05ab"), "text cut short"},
		{"a key of an unknown class", rawKey("\x09"), "storage class 9"},
		{"an empty key", rawKey(""), "a key without values"},
		{"a key of too many values", rawKey("\x00\x00"), "2 values for 1 key columns"},
		{"a key written the long way", rawKey("\x03\x80\x00"), "longer than needed"},
		{"a key that is NaN", rawKey(string(nan)), "not a number"},
		{"UUIDs of the wrong length", func(e *encoder) {
			sectionStart(e, two, 2)
			e.uint(keysUUID)
			e.bytes(make([]byte, 31))
		}, "31 bytes for 2 UUIDs"},
		{"integer keys for two key columns", func(e *encoder) {
			startNames(two, two)(e)
			e.uint(1)
			e.uint(keysInteger)
		}, "form 1 for keys of 2 columns"},
	}
}

func malformedColumns() []malformedSection {
	two := []string{"a", "b"}
	oneCell := func(value func(e *encoder)) func(e *encoder) {
		return func(e *encoder) {
			bare(e, two, 1)
			e.uint(1)
			e.bytes([]byte{0b10})
			e.uint(1)
			e.uint(stampOfBirth)
			value(e)
		}
	}
	return []malformedSection{
		{"a run of nothing", func(e *encoder) { sectionStart(e, two, 1); e.uint(keysInteger); e.int(1); e.uint(0) },
			"a run of 0 where 1"},
		{"a run too long", func(e *encoder) {
			sectionStart(e, two, 1)
			e.uint(keysInteger)
			e.int(1)
			e.uint(math.MaxUint64)
		}, "where 1 entries are left"},
		{"a site out of range", func(e *encoder) {
			sectionStart(e, two, 1)
			e.uint(keysInteger)
			e.int(1)
			e.uint(1)
			e.int(0)
			e.uint(math.MaxUint32 + 1)
		}, "4294967296, at most 4294967295"},
		{"a mask too short", func(e *encoder) { bare(e, two, 1); e.uint(1); e.bytes(nil) }, "mask of 0 bytes for 2 columns"},
		{"a column out of range", func(e *encoder) { bare(e, two, 1); e.uint(1); e.bytes([]byte{0b101}) },
			"a column beyond the 2"},
		{"an unknown storage class", oneCell(func(e *encoder) { e.uint(1); e.uint(5) }), "b at byte"},
		{"a NaN", oneCell(func(e *encoder) { e.uint(1); e.uint(2); e.real(math.NaN()) }), "NaN"},
		{"a real as an integer", oneCell(func(e *encoder) { e.uint(1); e.uint(2); e.int(1) }), "not a float64"},
		{"an integer too large", oneCell(func(e *encoder) { e.uint(1); e.uint(1); e.uint(1 << 63) }), "beyond 2^63-1"},
		{"an integer that is nil", oneCell(func(e *encoder) { e.uint(1); e.uint(1); e.buf.WriteByte(0xc0) }),
			"not an integer"},
		{"a text as a string", oneCell(func(e *encoder) { e.uint(1); e.uint(3); e.text("x") }), "not a bin"},
		{"something after the end", oneCell(func(e *encoder) { e.uint(1); e.uint(0); e.uint(0); e.uint(0) }),
			"1 bytes follow"},
		{"no parts, of version 1", oneCell(func(e *encoder) { e.uint(1); e.uint(0) }), "parts at byte"},
		{"a value missing", oneCell(func(e *encoder) { e.uint(1); e.uint(3) }), "missing"},
	}
}

// malformedParts has sections of two changes and two columns, good up to the parts of counters.
func malformedParts() []malformedSection {
	start := func(build func(e *encoder)) func(e *encoder) {
		return func(e *encoder) {
			bare(e, []string{"a", "b"}, 2)
			e.uint(2)
			e.bytes([]byte{0})
			build(e)
		}
	}
	run := func(e *encoder, values ...uint64) {
		for _, v := range values {
			e.uint(1)
			e.uint(v)
		}
	}
	// two parts of integers, one of each site, in the first change
	two := func(columns, sites [2]uint64, totals func(e *encoder)) func(e *encoder) {
		return start(func(e *encoder) {
			e.uint(2)
			run(e, 2, 0)
			run(e, columns[:]...)
			for _, site := range sites {
				e.uint(1)
				e.int(1)
				e.uint(site)
			}
			totals(e)
		})
	}
	of := func(kind crdt.Kind, values func(e *encoder)) func(e *encoder) {
		return func(e *encoder) { e.uint(2); e.uint(uint64(kind)); values(e) }
	}
	integers := of(crdt.Integer, func(e *encoder) { e.int(-1); e.int(-2) })
	here, sites := [2]uint64{1, 1}, [2]uint64{2, 3}
	return []malformedSection{
		{"no number of parts", start(func(*encoder) {}), "parts at byte"},
		{"too many parts", start(func(e *encoder) { e.uint(MaxSectionParts + 1) }), "at most 262144 is allowed"},
		{"more parts than bytes", start(func(e *encoder) { e.uint(100) }), "100 of them in 0 bytes"},
		{"parts of no change", start(func(e *encoder) { e.uint(2); run(e, 1, 0) }), "1 parts belong to no change"},
		{"more parts of a change than there are", start(func(e *encoder) { e.uint(2); run(e, 3, 0) }),
			"at most 2 is allowed"},
		{"more parts of all changes than there are", start(func(e *encoder) { e.uint(2); run(e, 2, 1); e.uint(0) }),
			"at most 0 is allowed"},
		{"more parts of a run of changes than there are",
			start(func(e *encoder) { e.uint(3); e.uint(2); e.uint(2); e.uint(0) }), "2 for each of 2 changes, but there are 3"},
		{"a part in a column out of range", two([2]uint64{1, 2}, sites, integers), "column 2 of 2"},
		{"a part in a column beyond numbers", two([2]uint64{1, 1 << 16}, sites, integers), "at most 65535 is allowed"},
		{"columns of parts not ascending", two([2]uint64{1, 0}, sites, integers),
			"site 3 in column 0 after that of site 2 in column 1"},
		{"sites of parts not ascending", two(here, [2]uint64{3, 2}, integers), "site 2 in column 1 after that of site 3"},
		{"two parts of one site", two(here, [2]uint64{2, 2}, integers), "site 2 in column 1 after that of site 2"},
		{"a part by no site", two(here, [2]uint64{0, 2}, integers), "by no site"},
		{"a part by a site out of range", two(here, [2]uint64{2, 1 << 32}, integers), "at most 4294967295"},
		{"a total that is NULL", two(here, sites, of(crdt.Null, func(*encoder) {})), "that is null, not a number"},
		{"a total that is a text", two(here, sites, of(crdt.Text, func(e *encoder) { e.data("1"); e.data("2") })),
			"3, at most 2 is allowed"},
		{"a total that is a blob", two(here, sites, of(crdt.Blob, func(e *encoder) { e.data("1"); e.data("2") })),
			"4, at most 2 is allowed"},
		{"a total that is NaN", two(here, sites, of(crdt.Real, func(e *encoder) { e.real(1); e.real(math.NaN()) })), "NaN"},
		{"a total missing", two(here, sites, of(crdt.Integer, func(e *encoder) { e.int(-1) })), "missing"},
		{"something after the parts", two(here, sites, func(e *encoder) { integers(e); e.uint(0) }), "1 bytes follow"},
	}
}

func TestMalformedSectionsAreRefused(t *testing.T) {
	for _, c := range slices.Concat(malformedNamesAndKeys(), malformedColumns(), malformedParts()) {
		t.Run(c.name, func(t *testing.T) {
			stream := writeBatch(t, BatchHeader{}, nil)
			stream = append(stream[:emptyHeader], frameOf(KindSection, 0, encoded(c.build))...)
			_, _, err := readBatch(bytes.NewReader(stream))
			if !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v instead of %v: ...%s", err, ErrMalformed, c.want)
			}
		})
	}
}
