package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/crdt/hlc"
)

// Every truncation of a message is reported as one.
func TestMessageTruncatedIsReported(t *testing.T) {
	for name, m := range sampleMessages() {
		frame := writeMessage(t, m)
		for n := range frame {
			_, err := Read(bytes.NewReader(frame[:n]), MaxControl)
			if n == 0 && err != io.EOF || n > 0 && !errors.Is(err, ErrTruncated) {
				t.Fatalf("%s: %d of %d bytes: %v", name, n, len(frame), err)
			}
		}
	}
}

// A payload that is shorter than it must be, in a frame that says so, is not cut short on
// the way: it was written wrong.
func TestMessageShortPayloadIsMalformed(t *testing.T) {
	for name, m := range sampleMessages() {
		payload := writeMessage(t, m)[headSize:]
		for n := range payload {
			if _, err := Read(bytes.NewReader(frameOf(m.Kind(), 0, payload[:n])), MaxControl); !errors.Is(err, ErrMalformed) {
				t.Fatalf("%s: %d of %d bytes: %v", name, n, len(payload), err)
			}
		}
	}
}

// Every truncation of a batch is reported as one.
func TestBatchTruncatedIsReported(t *testing.T) {
	for _, sections := range [][]*Section{sampleSections(), {restaurantSection(40)}} {
		stream := writeBatch(t, sampleHeader(), sections)
		for n := range stream {
			if _, _, err := readBatch(bytes.NewReader(stream[:n])); !errors.Is(err, ErrTruncated) {
				t.Fatalf("%d of %d bytes: %v", n, len(stream), err)
			}
		}
	}
}

func TestBatchFlippedBitIsFound(t *testing.T) {
	stream := writeBatch(t, sampleHeader(), sampleSections())
	for bit := range len(stream) * 8 {
		broken := bytes.Clone(stream)
		broken[bit/8] ^= 1 << (bit % 8)
		_, _, err := readBatch(bytes.NewReader(broken))
		if !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrTruncated) {
			t.Fatalf("bit %d of byte %d: %v", bit%8, bit/8, err)
		}
	}
}

func frameOf(kind Kind, flags byte, payload []byte) []byte {
	frame := append(make([]byte, headSize), payload...)
	putHead(frame, kind, flags)
	return frame
}

// encoded is the payload that build makes.
func encoded(build func(e *encoder)) []byte {
	var e encoder
	e.begin(MaxSection)
	build(&e)
	return e.payload()
}

func TestSectionUnwritableIsRefused(t *testing.T) {
	part := func(column crdt.Column, site causal.Site, total int64) crdt.ChangePart {
		return crdt.ChangePart{Column: column, Stamp: hlc.Stamp{Time: morning, Site: site}, Total: crdt.IntegerValue(total)}
	}
	good := func() *Section { return restaurantSection(3) }
	var stream bytes.Buffer
	w := NewBatchWriter(&stream)
	if err := w.Header(BatchHeader{}); err != nil {
		t.Fatal(err)
	}
	written := stream.Len()
	for _, c := range []struct {
		name  string
		spoil func(s *Section)
		want  error
	}{
		{"no table", func(s *Section) { s.Table = "" }, ErrInvalid},
		{"no key columns", func(s *Section) { s.KeyColumns = nil }, ErrInvalid},
		{"a column twice", func(s *Section) { s.Columns[1] = s.Columns[0] }, ErrInvalid},
		{"too many columns", func(s *Section) { s.Columns = make([]string, MaxColumns+1) }, ErrInvalid},
		{"index out of range", func(s *Section) { s.Changes[1].Registers[7].Column = 8 }, ErrInvalid},
		{"registers not ascending", func(s *Section) { s.Changes[1].Registers[7].Column = 6 }, ErrInvalid},
		{"wrong number of key values", func(s *Section) { s.KeyColumns = []string{"a", "b"} }, ErrInvalid},
		{"a key that does not decode", func(s *Section) { s.Changes[2].Key = "\x01" }, ErrInvalid},
		{"a document without a key", func(s *Section) { s.Changes[2].Document = &crdt.Document{Table: "t"} }, ErrInvalid},
		{"a document without a table", func(s *Section) { s.Changes[2].Document = &crdt.Document{Key: s.Changes[2].Key} },
			ErrInvalid},
		{"a part in a column out of range", func(s *Section) { s.Changes[1].Parts = []crdt.ChangePart{part(8, 2, 1)} },
			ErrInvalid},
		{"a part by no site", func(s *Section) { s.Changes[1].Parts = []crdt.ChangePart{part(7, 0, 1)} }, ErrInvalid},
		{"columns of parts not ascending", func(s *Section) {
			s.Changes[1].Parts = []crdt.ChangePart{part(7, 2, 1), part(4, 3, 1)}
		}, ErrInvalid},
		{"sites of parts not ascending", func(s *Section) {
			s.Changes[1].Parts = []crdt.ChangePart{part(7, 2, 1), part(7, 2, 2)}
		}, ErrInvalid},
		{"a part without a total", func(s *Section) {
			s.Changes[1].Parts = []crdt.ChangePart{{Column: 7, Stamp: hlc.Stamp{Site: 2}}}
		}, ErrInvalid},
		{"too many parts", func(s *Section) {
			for site := range causal.Site(MaxSectionParts + 1) {
				s.Changes[1].Parts = append(s.Changes[1].Parts, part(7, 1+site, 1))
			}
		}, ErrTooLarge},
		{"too many changes", func(s *Section) { s.Changes = make([]crdt.Change, MaxSectionChanges+1) }, ErrTooLarge},
		{"too many registers", func(s *Section) {
			*s = *restaurantSection(1)
			for len(s.Changes) <= MaxSectionRegisters/8 && len(s.Changes) < MaxSectionChanges {
				s.Changes = append(s.Changes, s.Changes[0])
			}
			for i := range 9 {
				s.Columns = append(s.Columns, fmt.Sprint("more", i))
			}
			for i := range s.Changes {
				registers := make([]crdt.Register, 17)
				for k := range registers {
					registers[k].Column = crdt.Column(k)
				}
				s.Changes[i].Registers = registers
			}
		}, ErrTooLarge},
		{"too many bytes", func(s *Section) {
			s.Changes[0].Registers[6].Value = crdt.BlobValue(strings.Repeat("\x00", MaxSection))
		}, ErrTooLarge},
	} {
		s := good()
		c.spoil(s)
		if err := w.Section(s); !errors.Is(err, c.want) {
			t.Errorf("%s: %v instead of %v", c.name, err, c.want)
		}
		if stream.Len() != written {
			t.Fatalf("%s: %d bytes were written all the same", c.name, stream.Len()-written)
		}
	}
	if err := errors.Join(w.Section(good()), w.End()); err != nil {
		t.Fatalf("the batch cannot go on: %v", err)
	}
	expectBatch(t, stream.Bytes(), BatchHeader{}, []*Section{good()})
}

func TestMessageUnwritableIsRefused(t *testing.T) {
	for _, c := range []struct {
		m    Message
		want error
	}{
		{Digest{Tables: []TableDigest{{Table: "t", Buckets: make([][16]byte, 255)}}}, ErrInvalid},
		{RowsRequest{Buckets: make([]uint8, BucketCount+1)}, ErrInvalid},
		{Rows{Rows: []RowDigest{{Key: ""}}}, ErrInvalid},
		{Status{JSON: make([]byte, MaxControl)}, ErrTooLarge},
		{Data{Bytes: make([]byte, MaxData+1)}, ErrTooLarge},
	} {
		var b bytes.Buffer
		if err := Write(&b, c.m); !errors.Is(err, c.want) || b.Len() != 0 {
			t.Errorf("%s: %v and %d bytes instead of %v and none", c.m.Kind(), err, b.Len(), c.want)
		}
	}
	if len(writeMessage(t, Data{Bytes: make([]byte, MaxData)})) > headSize+MaxControl {
		t.Error("the largest Data does not fit its frame")
	}
}

func TestFramesOutOfOrderAreRefused(t *testing.T) {
	var stream bytes.Buffer
	w := NewBatchWriter(&stream)
	if err := w.Section(restaurantSection(1)); !errors.Is(err, ErrInvalid) {
		t.Errorf("a section before the header: %v", err)
	}
	if err := w.End(); !errors.Is(err, ErrInvalid) {
		t.Errorf("an end before the header: %v", err)
	}
	whole := writeBatch(t, BatchHeader{}, nil)
	header, end := whole[:emptyHeader], whole[emptyHeader:]
	for name, stream := range map[string][]byte{
		"no header":   end,
		"two headers": append(bytes.Clone(header), header...),
		"a message":   append(bytes.Clone(header), writeMessage(t, Where{})...),
		"a wrong count": append(bytes.Clone(header),
			frameOf(KindBatchEnd, 0,
				encoded(func(e *encoder) { e.array(3); e.uint(1); e.uint(0); e.bytes(end[len(end)-32:]) }))...),
		"a compressed ping": frameOf(KindPing, flagZstd, nil),
		"a reserved flag":   frameOf(KindSection, 2, nil),
	} {
		if _, _, err := readBatch(bytes.NewReader(stream)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestUnknownMessageIsSkipped(t *testing.T) {
	stream := bytes.NewReader(append(frameOf(0x1f, 0, []byte{0x93, 1, 2, 3}), writeMessage(t, Where{ID: 3})...))
	if _, err := Read(stream, MaxControl); !errors.Is(err, ErrUnknownKind) {
		t.Fatal(err)
	}
	if m, err := Read(stream, MaxControl); err != nil || m != (Where{ID: 3}) {
		t.Fatalf("%v, %v", m, err)
	}
}

func TestFieldsOfNewerVersionAreSkipped(t *testing.T) {
	added := map[string]string{
		"nil": "\xc0", "bool": "\xc3", "number": "\xcf\x00\x00\x00\x00\x00\x00\x00\x01", "negative": "\xff",
		"float":  "\xca\x00\x00\x00\x00",
		"string": "\xa3abc", "str8": "\xd9\x01a", "bin": "\xc4\x02ab", "nested": "\x92\x91\x90\x81\xa1k\x82\x01\x02\x03\x04",
		"fixext": "\xd4\x01a", "ext8": "\xc7\x02\x01ab", "empty ext": "\xc7\x00\x01",
		"deep": strings.Repeat("\x91", 200_000) + "\xc0",
	}
	for name, field := range added {
		payload := "\x94\x05" + field + field + field
		m, err := Read(bytes.NewReader(frameOf(KindWhere, 0, []byte(payload))), MaxControl)
		if err != nil || m != (Where{ID: 5}) {
			t.Errorf("%s: %v, %v", name, m, err)
		}
	}
	for name, payload := range map[string]string{
		"too few fields":   "\x92\x05\x06", // a pong
		"no array":         "\x05",
		"a cut extension":  "\x94\x05\x05\x05\xd8\x01a",
		"a cut map":        "\x94\x05\x05\x05\x8f\x01",
		"a reserved code":  "\x94\x05\x05\x05\xc1",
		"map32 of 2^32-1":  "\x94\x05\x05\x05\xdf\xff\xff\xff\xff",
		"ext32 of 2^32-1":  "\x94\x05\x05\x05\xc9\xff\xff\xff\xff\x01",
		"str32 of 2^32-1":  "\x94\x05\x05\x05\xdb\xff\xff\xff\xff",
		"trailing garbage": "\x93\x05\x05\x05\x05",
	} {
		if _, err := Read(bytes.NewReader(frameOf(KindPong, 0, []byte(payload))), MaxControl); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestStreamErrorsComeThrough(t *testing.T) {
	gone := errors.New("the link is gone")
	frame := writeBatch(t, sampleHeader(), sampleSections())
	for _, n := range []int{0, 3, headSize, headSize + 3, len(frame) - 1} {
		_, _, err := readBatch(io.MultiReader(bytes.NewReader(frame[:n]), iotest.ErrReader(gone)))
		if !errors.Is(err, gone) || errors.Is(err, ErrTruncated) || errors.Is(err, ErrMalformed) {
			t.Errorf("after %d bytes: %v", n, err)
		}
	}
	expect := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, gone) {
			t.Errorf("%s: %v", what, err)
		}
	}
	expect("a message", Write(failingWriter{gone}, Where{}))
	w := NewBatchWriter(failingWriter{gone})
	expect("a header", w.Header(BatchHeader{}))
	expect("a section after it", w.Section(restaurantSection(1)))
}

type failingWriter struct{ err error }

func (w failingWriter) Write([]byte) (int, error) { return 0, w.err }
