package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

const (
	// compressAbove is the smallest payload that is worth compressing, in bytes. Below it the head
	// of a zstd stream and the time eat the gain.
	compressAbove = 512
	// zstdWindow is the window for writing and the largest accepted one, in bytes. It bounds the
	// memory of both ends. Larger ones gain little on columnar data.
	zstdWindow = 1 << 20
	// retainBytes is the largest buffer kept from one section for the next, in bytes. One huge BLOB
	// must not hold on to its size for the life of a link.
	retainBytes = 4 << 20
)

// deflater compresses sections. Its zstd encoder is made on first use. It works on the caller's
// goroutine, because a thousand links must not mean a thousand pools.
type deflater struct {
	zstd *zstd.Encoder
	out  []byte
}

// frame returns the whole frame with its payload compressed, or nil if that is no smaller.
func (d *deflater) frame(payload []byte, kind Kind) ([]byte, error) {
	if len(payload) < compressAbove {
		return nil, nil
	}
	if d.zstd == nil {
		encoder, err := zstd.NewWriter(nil,
			zstd.WithEncoderLevel(zstd.SpeedFastest),
			zstd.WithEncoderConcurrency(1),
			zstd.WithWindowSize(zstdWindow),
			zstd.WithLowerEncoderMem(true),
			zstd.WithEncoderCRC(false)) // the batch has its own hash
		if err != nil {
			return nil, fmt.Errorf("preparing compression: %w", err)
		}
		d.zstd = encoder
	}
	var room [headSize]byte
	d.out = append(d.out[:0], room[:]...)
	d.out = d.zstd.EncodeAll(payload, d.out)
	if len(d.out)-headSize >= len(payload) {
		return nil, nil
	}
	putHead(d.out, kind, flagZstd)
	return d.out, nil
}

// inflater is the other end.
type inflater struct {
	zstd *zstd.Decoder
	src  bytes.Reader
	out  []byte
}

// inflate returns the inflated payload, valid until the next call. It does not believe the size that
// the stream declares. Memory grows with the output, up to limit.
func (f *inflater) inflate(payload []byte, limit int) ([]byte, error) {
	if f.zstd == nil {
		decoder, err := zstd.NewReader(nil,
			zstd.WithDecoderConcurrency(1),
			zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(zstdWindow),
			zstd.WithDecoderMaxMemory(MaxSection),
			zstd.WithDecodeBuffersBelow(0)) // that way would believe the declared size
		if err != nil {
			return nil, fmt.Errorf("preparing decompression: %w", err)
		}
		f.zstd = decoder
	}
	f.src.Reset(payload)
	if err := f.zstd.Reset(&f.src); err != nil {
		return nil, fmt.Errorf("%w: zstd: %v", ErrMalformed, err)
	}
	out := retained(f.out)[:0]
	for {
		if len(out) == cap(out) {
			out = append(make([]byte, 0, nextCap(cap(out), limit+1)), out...)
		}
		n, err := f.zstd.Read(out[len(out):cap(out)])
		out = out[:len(out)+n]
		f.out = out
		switch {
		case len(out) > limit:
			return nil, fmt.Errorf("%w: zstd: inflates beyond %d bytes", ErrMalformed, limit)
		case errors.Is(err, io.EOF):
			return out, nil
		case err != nil:
			return nil, fmt.Errorf("%w: zstd: %v", ErrMalformed, err)
		}
	}
}

// nextCap doubles a capacity up to most. It takes the last, small step together with the one before,
// because that step is not worth a copy of everything.
func nextCap(have, most int) int {
	if next := max(readStep, 2*have); next < most-1 {
		return next
	}
	return most
}

func retained(buf []byte) []byte {
	if cap(buf) > retainBytes {
		return nil
	}
	return buf
}
