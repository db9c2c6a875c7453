package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"ravno/crdt"
)

// allocated runs f and returns the bytes it has allocated, freed or not.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func TestLengthsAbsurdTakeNoMemory(t *testing.T) {
	const modest = 512 << 10
	huge := []byte{0xdd, 0xff, 0xff, 0xff, 0xff} // array32 of 2^32-1: five bytes that have killed processes
	header := writeBatch(t, BatchHeader{}, nil)[:emptyHeader]
	inBatch := func(payload []byte) []byte { return append(bytes.Clone(header), frameOf(KindSection, 0, payload)...) }
	huger := func(build func(e *encoder)) []byte {
		return inBatch(encoded(func(e *encoder) { build(e); e.buf.Write(huge) }))
	}
	messages := map[string][]byte{
		"a frame of 4 GiB":           {0xff, 0xff, 0xff, 0xff, byte(KindHello), 0},
		"a frame of 1 MiB, cut":      {0, 0x10, 0, 0, byte(KindHello), 0, 1, 2, 3},
		"an array of 2^32-1":         frameOf(KindHello, 0, huge),
		"a version of 4 GiB":         frameOf(KindHello, 0, []byte{0x99, 1, 1, 0xdb, 0xff, 0xff, 0xff, 0xff}),
		"a status of 4 GiB":          frameOf(KindStatus, 0, []byte{0x91, 0xc6, 0xff, 0xff, 0xff, 0xff}),
		"tables of 2^32-1":           frameOf(KindDigest, 0, append([]byte{0x96, 1, 1, 1, 1}, huge...)),
		"rows of 2^32-1":             frameOf(KindRows, 0, append([]byte{0x94, 1}, huge...)),
		"an added field of 2^32-1":   frameOf(KindWhere, 0, append([]byte{0x92, 1}, huge...)),
		"an added field of 4 GiB":    frameOf(KindWhere, 0, []byte{0x92, 1, 0xc6, 0xff, 0xff, 0xff, 0xff}),
		"an added extension of 4 GB": frameOf(KindWhere, 0, []byte{0x92, 1, 0xc9, 0xff, 0xff, 0xff, 0xff, 1}),
	}
	for name, frame := range messages {
		var err error
		if n := allocated(func() { _, err = Read(bytes.NewReader(frame), MaxControl) }); n > modest || err == nil {
			t.Errorf("%s: %d bytes allocated, %v", name, n, err)
		} else if strings.HasSuffix(name, "of 2^32-1") && !strings.Contains(err.Error(), "bytes are left") {
			t.Errorf("%s: not refused for its length: %v", name, err)
		}
	}
	batches := map[string][]byte{
		"a section of 4 GiB":    append(bytes.Clone(header), 0xff, 0xff, 0xff, 0xff, byte(KindSection), 0),
		"a section of 64 MiB":   append(bytes.Clone(header), 4, 0, 0, 0, byte(KindSection), 0, 1, 2, 3),
		"key columns of 2^32-1": huger(func(e *encoder) { e.text("t"); e.bool(false) }),
		"columns of 2^32-1":     huger(func(e *encoder) { e.text("t"); e.bool(false); e.names([]string{"id"}) }),
		"changes of 2^64-1":     inBatch(encoded(func(e *encoder) { sectionStart(e, nil, math.MaxUint64) })),
		"documents of 2^64-1": inBatch(
			encoded(func(e *encoder) { sectionStart(e, nil, 0); e.uint(keysRaw); e.uint(math.MaxUint64) })),
		"parts of 2^64-1": inBatch(
			encoded(func(e *encoder) { bare(e, nil, 1); e.uint(1); e.bytes(nil); e.uint(math.MaxUint64) })),
		"a key of 4 GiB": inBatch(
			encoded(func(e *encoder) { sectionStart(e, nil, 1); e.uint(keysRaw); e.buf.WriteString("\xc6\xff\xff\xff\xff") })),
		"a frame compressed": append(bytes.Clone(header),
			frameOf(KindSection, flagZstd, []byte("(\xb5/\xfd\xa4\xff\xff\xff\xff\x01\x00\x00"))...),
	}
	for name, stream := range batches {
		var err error
		if n := allocated(func() { _, _, err = readBatch(bytes.NewReader(stream)) }); n > modest ||
			!errors.Is(err, ErrMalformed) && !errors.Is(err, ErrTruncated) {
			t.Errorf("%s: %d bytes allocated, %v", name, n, err)
		}
	}
}

// Two thousand NULL columns for each of 65,536 rows: half a megabyte that would become 7 GB.
func TestNullsThatTakeNoBytesTakeNoMemory(t *testing.T) {
	columns := make([]string, MaxColumns)
	for i := range columns {
		columns[i] = fmt.Sprint(i)
	}
	payload := encoded(func(e *encoder) {
		bare(e, columns, MaxSectionChanges)
		e.uint(MaxSectionChanges)
		e.bytes(bytes.Repeat([]byte{0xff}, MaxColumns/8))
	})
	stream := append(writeBatch(t, BatchHeader{}, nil)[:emptyHeader], frameOf(KindSection, 0, payload)...)
	var err error
	n := allocated(func() { _, _, err = readBatch(bytes.NewReader(stream)) })
	if n > 16<<20 || !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), "registers") {
		t.Errorf("%d bytes allocated, %v", n, err)
	}
}

// zeros inflates to as many zero bytes: a few KB of it are a GB.
func zeros(t *testing.T, size int, options ...zstd.EOption) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := zstd.NewWriter(&b, append(options, zstd.WithEncoderConcurrency(1))...)
	if err != nil {
		t.Fatal(err)
	}
	block := make([]byte, 1<<20)
	for ; size > 0; size -= len(block) {
		if _, err := w.Write(block[:min(size, len(block))]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestBombStopsAtTheLimit(t *testing.T) {
	header := writeBatch(t, BatchHeader{}, nil)[:emptyHeader]
	for name, c := range map[string]struct {
		bomb []byte
		most uint64 // bytes allocated
		want string
	}{
		"a GB in a few KB": {zeros(t, 1<<30, zstd.WithWindowSize(zstdWindow)), 5 * MaxSection / 2, "inflates beyond"},
		"a window of 8 MB": {zeros(t, 64<<20, zstd.WithWindowSize(8<<20)), 2 << 20, "zstd"},
		"not zstd at all":  {[]byte("PK\x03\x04 ...."), 2 << 20, "zstd"},
		"just the limit":   {zeros(t, MaxSection, zstd.WithWindowSize(zstdWindow)), 5 * MaxSection / 2, "not a string"},
		"a byte too much":  {zeros(t, MaxSection+1, zstd.WithWindowSize(zstdWindow)), 5 * MaxSection / 2, "inflates beyond"},
		"nothing":          {nil, 2 << 20, "missing"},
		"a hundred streams": {bytes.Repeat(zeros(t, 1<<20, zstd.WithWindowSize(zstdWindow)), 100), 5 * MaxSection / 2,
			"inflates beyond"},
	} {
		t.Run(name, func(t *testing.T) {
			stream := append(bytes.Clone(header), frameOf(KindSection, flagZstd, c.bomb)...)
			var err error
			n := allocated(func() { _, _, err = readBatch(bytes.NewReader(stream)) })
			if n > c.most || !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%d bytes in, %d bytes allocated, %v", len(c.bomb), n, err)
			}
		})
	}
}

func TestHugeSectionFreesItsBuffers(t *testing.T) {
	s := restaurantSection(1)
	s.Changes[0].Registers[6].Value = crdt.TextValue(strings.Repeat("long ", 2<<20))
	var stream bytes.Buffer
	w, r := NewBatchWriter(&stream), NewBatchReader(&stream)
	if err := errors.Join(w.Header(BatchHeader{}), w.Section(s), w.End()); err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := r.Next(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	w.Reset(nil)
	r.Reset(nil)
	if kept := max(w.enc.buf.Cap(), cap(w.deflate.out), cap(r.buf), cap(r.inflate.out)); kept > retainBytes {
		t.Errorf("%d bytes are kept", kept)
	}
}
