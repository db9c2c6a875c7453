package wire

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"maps"
	"slices"

	"ravno/crdt/causal"
	"ravno/crdt/hlc"
)

// BatchHeader opens a batch. It has the positions that the batch leads from and to.
type BatchHeader struct {
	From, To    causal.Position    // the sender's
	Incarnation causal.Incarnation // the sender's
	// Seen is the receiver's position that the sender had applied when it extracted the batch. The
	// sender knew the receiver's work up to there.
	Seen causal.Position
	// Highest are the highest keys, by table, of the rows in this batch and those after it, where
	// an integer is the key. A fresh key of the receiver must be none of them. It is nil, and
	// Newest zero, in a batch that has everything there was.
	Highest map[string]int64
	// Newest is the time of the newest birth at the sender up to To. If it is zero, the newest
	// time in the batch stands for it. One batch of several needs it, because it has whole
	// documents, with parts newer than To.
	Newest hlc.Time
	// Until is where the delta ends of which this batch is a part, and to which others follow.
	// It is 0 in the last one.
	Until causal.Position
}

// batchEnd closes a batch and lets the receiver know that it has all of it.
type batchEnd struct {
	sections, changes uint64
	sum               [sha256.Size]byte // of every byte of the stream before this frame
}

// BatchWriter writes a batch: Header once, Section any number of times, End once. It keeps
// its buffers and its compressor across Reset, about 3 MiB once it has compressed. Keep one for each
// batch being sent at once rather than one for each link.
type BatchWriter struct {
	w       io.Writer
	sum     hash.Hash
	enc     encoder
	deflate deflater
	end     batchEnd
	stage   stage
	err     error // of w; the stream is of no more use
}

type stage int

const (
	beforeHeader stage = iota
	afterHeader
	afterEnd
)

// NewBatchWriter returns a writer of one batch to w.
func NewBatchWriter(w io.Writer) *BatchWriter {
	b := &BatchWriter{sum: sha256.New()}
	b.Reset(w)
	return b
}

// Reset forgets the batch, finished or not, and starts a new one to w.
func (b *BatchWriter) Reset(w io.Writer) {
	b.w, b.end, b.stage, b.err = w, batchEnd{}, beforeHeader, nil
	b.sum.Reset()
	b.trim()
}

// Header writes the header of the batch.
func (b *BatchWriter) Header(h BatchHeader) error {
	if err := b.expect(beforeHeader, KindBatchHeader); err != nil {
		return err
	}
	b.enc.begin(MaxControl)
	several := len(h.Highest) > 0 || h.Newest > 0 || h.Until > 0
	fields := 4
	if several {
		fields += 3
	}
	b.enc.array(fields)
	b.enc.uint(uint64(h.From))
	b.enc.uint(uint64(h.To))
	b.enc.bytes(h.Incarnation[:])
	b.enc.uint(uint64(h.Seen))
	if several {
		b.enc.array(2 * len(h.Highest))
		for _, table := range slices.Sorted(maps.Keys(h.Highest)) {
			b.enc.text(table)
			b.enc.int(h.Highest[table])
		}
		b.enc.uint(uint64(h.Newest))
		b.enc.uint(uint64(h.Until))
	}
	frame, err := b.enc.finish(KindBatchHeader)
	if err != nil {
		return fmt.Errorf("writing the header of a batch: %w", err)
	}
	b.stage = afterHeader
	return b.send(KindBatchHeader, frame)
}

// Section writes one section. After ErrInvalid and ErrTooLarge nothing of it is written and the batch
// can go on. After any other error it cannot.
func (b *BatchWriter) Section(s *Section) error {
	if err := b.expect(afterHeader, KindSection); err != nil {
		return err
	}
	frame, err := b.frame(s)
	if err != nil {
		return fmt.Errorf("writing section %d of a batch, table %q: %w", b.end.sections, s.Table, err)
	}
	if err := b.send(KindSection, frame); err != nil {
		return err
	}
	b.end.sections++
	b.end.changes += uint64(len(s.Changes))
	return nil
}

// trim lets go of buffers that one huge section has made.
func (b *BatchWriter) trim() {
	if b.enc.buf.Cap() > retainBytes {
		b.enc = encoder{}
	}
	b.deflate.out = retained(b.deflate.out)
}

func (b *BatchWriter) frame(s *Section) ([]byte, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	b.trim()
	b.enc.begin(MaxSection)
	b.enc.section(s)
	frame, err := b.enc.finish(KindSection)
	if err != nil {
		return nil, err
	}
	smaller, err := b.deflate.frame(b.enc.payload(), KindSection)
	if err != nil || smaller == nil {
		return frame, err
	}
	return smaller, nil
}

// End writes the end of the batch, without which a reader takes it for cut short.
func (b *BatchWriter) End() error {
	if err := b.expect(afterHeader, KindBatchEnd); err != nil {
		return err
	}
	b.sum.Sum(b.end.sum[:0])
	b.enc.begin(MaxControl)
	b.enc.array(3)
	b.enc.uint(b.end.sections)
	b.enc.uint(b.end.changes)
	b.enc.bytes(b.end.sum[:])
	frame, err := b.enc.finish(KindBatchEnd)
	if err != nil {
		return fmt.Errorf("writing the end of a batch: %w", err)
	}
	b.stage = afterEnd
	return b.send(KindBatchEnd, frame)
}

func (b *BatchWriter) expect(want stage, kind Kind) error {
	if b.err != nil {
		return b.err
	}
	if b.stage != want {
		return fmt.Errorf("%w: %s out of its order in the batch", ErrInvalid, kind)
	}
	return nil
}

func (b *BatchWriter) send(kind Kind, frame []byte) error {
	b.sum.Write(frame)
	if _, err := b.w.Write(frame); err != nil {
		b.err = fmt.Errorf("writing %s of a batch: %w", kind, err)
	}
	return b.err
}

// BatchReader reads a batch. It keeps its buffers and its decompressor across Reset, about
// 3 MiB once it has read a compressed section.
type BatchReader struct {
	r       io.Reader
	sum     hash.Hash
	buf     []byte
	inflate inflater
	dec     decoder
	header  BatchHeader
	read    batchEnd // what has been read so far; sum unused
	stage   stage
	err     error
}

// NewBatchReader returns a reader of one batch from r.
func NewBatchReader(r io.Reader) *BatchReader {
	b := &BatchReader{sum: sha256.New()}
	b.Reset(r)
	return b
}

// Reset forgets the batch, finished or not, and starts on a new one from r.
func (b *BatchReader) Reset(r io.Reader) {
	b.r, b.header, b.read, b.stage, b.err = r, BatchHeader{}, batchEnd{}, beforeHeader, nil
	b.sum.Reset()
	b.buf, b.inflate.out = retained(b.buf), retained(b.inflate.out)
}

// Header returns the header, read first if it has not been. At the end of a stream that
// held nothing at all the error is io.EOF itself.
func (b *BatchReader) Header() (BatchHeader, error) {
	if b.stage == beforeHeader && b.err == nil {
		b.err = b.readHeader()
	}
	if b.stage == beforeHeader {
		return BatchHeader{}, b.err
	}
	return b.header, nil
}

func (b *BatchReader) readHeader() error {
	kind, payload, err := b.frame()
	if err != nil {
		return err
	}
	if kind != KindBatchHeader {
		return fmt.Errorf("%w: a batch begins with %s", ErrMalformed, kind)
	}
	b.dec.begin(payload, "batch-header")
	more := b.dec.fields("batch-header", 4)
	h := BatchHeader{
		From:        b.dec.position("from"),
		To:          b.dec.position("to"),
		Incarnation: b.dec.incarnation("incarnation"),
		Seen:        b.dec.position("seen"),
	}
	if more >= 3 {
		h.Highest, h.Newest, h.Until = b.dec.highest(), hlc.Time(b.dec.uint("newest")), b.dec.position("until")
		more -= 3
	}
	b.dec.rest(more)
	if err := b.dec.finish(); err != nil {
		return err
	}
	b.header, b.stage = h, afterHeader
	return nil
}

// Next returns the next section, the caller's to keep. It returns io.EOF only after the end
// of the batch, with the right counts and the right hash of all of it. The error for a stream that
// ends before wraps ErrTruncated, and the one for bytes that are no batch wraps ErrMalformed. An error
// of r is wrapped as it is. After an error Next returns the same error. It reads nothing after the
// end of the batch.
func (b *BatchReader) Next() (*Section, error) {
	if _, err := b.Header(); err != nil {
		if errors.Is(err, io.EOF) {
			err = fmt.Errorf("%w: an empty stream instead of a batch", ErrTruncated)
		}
		return nil, err
	}
	if b.err != nil {
		return nil, b.err
	}
	section, err := b.next()
	if err != nil {
		b.err = err
		return nil, err
	}
	return section, nil
}

func (b *BatchReader) next() (*Section, error) {
	kind, payload, err := b.frame()
	if errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: no end of the batch after %d sections", ErrTruncated, b.read.sections)
	}
	if err != nil {
		return nil, fmt.Errorf("section %d of a batch: %w", b.read.sections, err)
	}
	// Of all kinds, a batch holds these two.
	//exhaustive:ignore
	switch kind {
	case KindSection:
		b.dec.begin(payload, fmt.Sprintf("section %d", b.read.sections))
		s := b.dec.section()
		if err := b.dec.finish(); err != nil {
			return nil, err
		}
		b.read.sections++
		b.read.changes += uint64(len(s.Changes))
		return s, nil
	case KindBatchEnd:
		if err := b.finish(payload); err != nil {
			return nil, err
		}
		b.stage = afterEnd
		return nil, io.EOF
	}
	return nil, fmt.Errorf("%w: %s in a batch after %d sections", ErrMalformed, kind, b.read.sections)
}

// finish compares the end of the batch with the sections read.
func (b *BatchReader) finish(payload []byte) error {
	b.dec.begin(payload, "batch-end")
	more := b.dec.fields("batch-end", 3)
	end := batchEnd{sections: b.dec.uint("sections"), changes: b.dec.uint("changes"), sum: b.dec.sum32("sha256")}
	b.dec.rest(more)
	if err := b.dec.finish(); err != nil {
		return err
	}
	read := b.read
	b.sum.Sum(read.sum[:0])
	if end != read {
		return fmt.Errorf("%w: batch-end: announces %d sections, %d changes, hash %x; read were %d, %d, %x",
			ErrMalformed, end.sections, end.changes, end.sum, read.sections, read.changes, read.sum)
	}
	return nil
}

// frame reads one frame and returns its payload, inflated, valid until the next call.
// Every frame but the end of the batch is counted into the hash.
func (b *BatchReader) frame() (Kind, []byte, error) {
	var raw [headSize]byte
	if err := readHead(b.r, &raw); err != nil {
		return 0, nil, err
	}
	limit := MaxControl
	if Kind(raw[4]) == KindSection {
		limit = MaxSection
	}
	h, err := parseHead(raw, limit)
	if err != nil {
		return 0, nil, err
	}
	b.buf, err = readPayload(b.r, h, retained(b.buf))
	if err != nil {
		return 0, nil, err
	}
	if h.kind != KindBatchEnd {
		b.sum.Write(raw[:])
		b.sum.Write(b.buf)
	}
	if !h.zstd {
		return h.kind, b.buf, nil
	}
	inflated, err := b.inflate.inflate(b.buf, MaxSection)
	return h.kind, inflated, err
}
