package wire

import (
	"bytes"
	"fmt"

	"github.com/vmihailenco/msgpack/v5"

	"ravno/crdt/hlc"
)

// encoder builds one frame in memory. The first error stays, and makes the rest no-ops.
type encoder struct {
	buf   bytes.Buffer
	mp    *msgpack.Encoder
	limit int // of the payload, in bytes
	err   error
}

// begin starts a frame, leaving room for its head.
func (e *encoder) begin(limit int) {
	var room [headSize]byte
	e.buf.Reset()
	e.buf.Write(room[:])
	if e.mp == nil {
		e.mp = msgpack.NewEncoder(&e.buf)
	}
	e.limit, e.err = limit, nil
}

// payload is the encoded frame without its head.
func (e *encoder) payload() []byte { return e.buf.Bytes()[headSize:] }

// finish fills in the head and returns the frame, valid until the next begin.
func (e *encoder) finish(kind Kind) ([]byte, error) {
	if e.err == nil && len(e.payload()) > e.limit {
		e.err = tooLarge(kind.String(), len(e.payload()), e.limit)
	}
	if e.err != nil {
		return nil, e.err
	}
	frame := e.buf.Bytes()
	putHead(frame, kind, 0)
	return frame, nil
}

func tooLarge(what string, size, limit int) error {
	return fmt.Errorf("%w: %s: %d bytes, at most %d are allowed", ErrTooLarge, what, size, limit)
}

func (e *encoder) keep(err error) {
	if e.err == nil {
		e.err = err
	}
}

func (e *encoder) array(n int)    { e.keep(e.mp.EncodeArrayLen(n)) }
func (e *encoder) uint(v uint64)  { e.keep(e.mp.EncodeUint(v)) }
func (e *encoder) int(v int64)    { e.keep(e.mp.EncodeInt(v)) }
func (e *encoder) real(v float64) { e.keep(e.mp.EncodeFloat64(v)) }
func (e *encoder) bool(v bool)    { e.keep(e.mp.EncodeBool(v)) }

// text writes a msgpack str.
func (e *encoder) text(s string) {
	if e.room(len(s)) {
		e.keep(e.mp.EncodeString(s))
	}
}

// bytes writes a msgpack bin.
func (e *encoder) bytes(b []byte) {
	if e.room(len(b)) {
		e.keep(e.mp.EncodeBytesLen(len(b)))
		e.buf.Write(b)
	}
}

// data writes a string's bytes as a msgpack bin.
func (e *encoder) data(s string) {
	if e.room(len(s)) {
		e.keep(e.mp.EncodeBytesLen(len(s)))
		e.buf.WriteString(s)
	}
}

// room refuses content that cannot fit, before it takes memory for it.
func (e *encoder) room(n int) bool {
	if e.err != nil {
		return false
	}
	if size := e.buf.Len() - headSize + n; size > e.limit {
		e.err = tooLarge("payload", size, e.limit)
		return false
	}
	return true
}

// names writes an array of str.
func (e *encoder) names(names []string) {
	e.array(len(names))
	for _, name := range names {
		e.text(name)
	}
}

// stamp writes a stamp as the difference of its time from the previous one's, and its site.
func (e *encoder) stamp(previous *hlc.Time, s hlc.Stamp) {
	e.int(int64(s.Time - *previous)) // wraps, as the addition at the other end does
	e.uint(uint64(s.Site))
	*previous = s.Time
}

// runs writes n entries run-length coded, with the length of each run and its value.
func (e *encoder) runs(n int, same func(i, j int) bool, value func(from, to int)) {
	for from := 0; from < n && e.err == nil; {
		to := from + 1
		for to < n && same(from, to) {
			to++
		}
		e.uint(uint64(to - from))
		value(from, to)
		from = to
	}
}
