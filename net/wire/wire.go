// Package wire turns frames into bytes and back. Frames are control messages, enrolment messages
// and batches of changes. It is the only package that knows MessagePack
// (https://github.com/msgpack/msgpack/blob/master/spec.md) and zstd (RFC 8878). FORMAT.md beside
// this file gives every byte.
//
// It knows no sockets, sessions or SQL, and reads an io.Reader and writes an io.Writer. It checks
// the shape of its input (lengths before memory is taken, ranges, order). It leaves the meaning
// (may this peer say this now, is there such a table) to its callers. No input can make it panic
// or take more memory than the limits below.
//
// Functions may be called from several goroutines. A BatchWriter and a BatchReader each belong to
// one goroutine at a time.
package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// Protocol is the version of the format this package writes and reads.
const Protocol = 3

// The limits of the format. Each is checked before writing and again after reading.
const (
	// MaxControl is the largest payload of a control or enrolment frame, in bytes. It has room for
	// the status of a thousand sites or the bucket digests of 250 tables.
	MaxControl = 1 << 20
	// MaxSection is the largest payload of a section, in bytes, compressed or inflated. One row may
	// hold a BLOB of 20 MB, and a section holds at least one row.
	MaxSection = 64 << 20
	// MaxSectionChanges bounds the changes of one section: 8 MiB of memory at most.
	MaxSectionChanges = 1 << 16
	// MaxSectionRegisters bounds the registers of all changes of one section. Registers
	// that are NULL take no bytes on the wire, so bytes alone do not bound memory. This bounds it
	// at 56 MiB.
	MaxSectionRegisters = 1 << 20
	// MaxSectionParts bounds the parts of counters of all changes of one section, at 14 MiB of
	// memory. A row with a hundred counters, in each of which a thousand sites have counted, is
	// still far below it.
	MaxSectionParts = 1 << 18
	// MaxTables bounds the tables that a batch names beside its sections. No schema has as many.
	MaxTables = 10_000
	// MaxColumns bounds the columns of a section: SQLite's default limit for a table.
	MaxColumns = 2000
	// MaxData is the largest Data a snapshot is cut into, in bytes. It leaves room for the frame
	// around it below MaxControl.
	MaxData = MaxControl - 64
)

var (
	// ErrTruncated says that the stream ended inside a frame, or before the end of the batch.
	ErrTruncated = errors.New("stream cut short")
	// ErrMalformed says that FORMAT.md does not allow the bytes.
	ErrMalformed = errors.New("malformed frame")
	// ErrUnknownKind says that a well-formed frame is of a kind this version does not know, or one
	// that does not belong on this stream. It was read whole, and the next one can be read.
	ErrUnknownKind = errors.New("unknown kind of frame")
	// ErrTooLarge says that a message exceeds a limit of the format. Nothing was written.
	ErrTooLarge = errors.New("too large for a frame")
	// ErrInvalid says that a frame cannot express a message. Nothing was written.
	ErrInvalid = errors.New("not valid in a frame")
)

// Kind is the kind of a frame's payload. The numbers never change and are never reused.
type Kind uint8

// The kinds of frame: control from 0x01, enrolment from 0x20, batches from 0x40.
const (
	KindHello         Kind = 0x01
	KindWelcome       Kind = 0x02
	KindRefuse        Kind = 0x03
	KindPing          Kind = 0x04
	KindPong          Kind = 0x05
	KindAck           Kind = 0x06
	KindStatus        Kind = 0x07
	KindWhere         Kind = 0x08
	KindHere          Kind = 0x09
	KindDigestRequest Kind = 0x0a
	KindDigest        Kind = 0x0b
	KindRowsRequest   Kind = 0x0c
	KindRows          Kind = 0x0d

	KindEnrol           Kind = 0x20
	KindEnrolled        Kind = 0x21
	KindSnapshotRequest Kind = 0x22
	KindSnapshotHeader  Kind = 0x23
	KindData            Kind = 0x24

	KindBatchHeader Kind = 0x40
	KindSection     Kind = 0x41
	KindBatchEnd    Kind = 0x42
)

// String is the name of the kind as FORMAT.md and error messages write it.
func (k Kind) String() string {
	switch k {
	case KindHello:
		return "hello"
	case KindWelcome:
		return "welcome"
	case KindRefuse:
		return "refuse"
	case KindPing:
		return "ping"
	case KindPong:
		return "pong"
	case KindAck:
		return "ack"
	case KindStatus:
		return "status"
	case KindWhere:
		return "where"
	case KindHere:
		return "here"
	case KindDigestRequest:
		return "digest-request"
	case KindDigest:
		return "digest"
	case KindRowsRequest:
		return "rows-request"
	case KindRows:
		return "rows"
	case KindEnrol:
		return "enrol"
	case KindEnrolled:
		return "enrolled"
	case KindSnapshotRequest:
		return "snapshot-request"
	case KindSnapshotHeader:
		return "snapshot-header"
	case KindData:
		return "data"
	case KindBatchHeader:
		return "batch-header"
	case KindSection:
		return "section"
	case KindBatchEnd:
		return "batch-end"
	}
	return "kind 0x" + strconv.FormatUint(uint64(k), 16)
}

// A frame's head: 4 bytes length of the payload, 1 byte kind, 1 byte flags.
const (
	headSize = 6
	// flagZstd says that the payload is one zstd stream. Only sections may be compressed.
	flagZstd = 1 << 0
)

type head struct {
	length int
	kind   Kind
	zstd   bool
}

func putHead(frame []byte, kind Kind, flags byte) {
	binary.BigEndian.PutUint32(frame, uint32(len(frame)-headSize))
	frame[4], frame[5] = byte(kind), flags
}

// parseHead checks a head. limit is the largest payload this stream accepts.
func parseHead(b [headSize]byte, limit int) (head, error) {
	h := head{kind: Kind(b[4]), zstd: b[5]&flagZstd != 0}
	length := binary.BigEndian.Uint32(b[:])
	switch {
	case b[5]&^flagZstd != 0:
		return h, fmt.Errorf("%w: %s: reserved flags %#02x are set", ErrMalformed, h.kind, b[5])
	case h.zstd && h.kind != KindSection:
		return h, fmt.Errorf("%w: %s: compressed, but only sections may be", ErrMalformed, h.kind)
	case uint64(length) > uint64(max(limit, 0)):
		return h, fmt.Errorf("%w: %s: payload of %d bytes, at most %d are allowed", ErrMalformed, h.kind, length, limit)
	}
	h.length = int(length)
	return h, nil
}

// readHead returns io.EOF, bare, only if the stream ends before the first byte.
func readHead(r io.Reader, b *[headSize]byte) error {
	n, err := io.ReadFull(r, b[:])
	switch {
	case err == nil:
		return nil
	case n == 0 && errors.Is(err, io.EOF):
		return io.EOF
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w: %d of %d bytes of a frame's head", ErrTruncated, n, headSize)
	}
	return fmt.Errorf("reading a frame's head: %w", err)
}

// readStep is how many bytes of memory are taken on the word of a frame's declared length. Beyond it
// memory grows with the bytes that arrive.
const readStep = 64 << 10

// readPayload reads h.length bytes into buf, which grows as they arrive.
func readPayload(r io.Reader, h head, buf []byte) ([]byte, error) {
	buf = buf[:0]
	for len(buf) < h.length {
		if len(buf) == cap(buf) {
			buf = append(make([]byte, 0, nextCap(cap(buf), h.length)), buf...)
		}
		n, err := io.ReadFull(r, buf[len(buf):min(cap(buf), h.length)])
		buf = buf[:len(buf)+n]
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return buf, fmt.Errorf("%w: %s: %d of %d bytes of payload", ErrTruncated, h.kind, len(buf), h.length)
		}
		if err != nil {
			return buf, fmt.Errorf("reading the payload of %s: %w", h.kind, err)
		}
	}
	return buf, nil
}
