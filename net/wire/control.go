package wire

import (
	"fmt"
	"io"

	"ravno/crdt"
)

// Write writes one message as one frame with one Write of w. After ErrTooLarge and ErrInvalid nothing
// is written and w can go on. Any other error is w's.
func Write(w io.Writer, m Message) error {
	var e encoder
	e.begin(MaxControl)
	m.encode(&e)
	frame, err := e.finish(m.Kind())
	if err != nil {
		return fmt.Errorf("writing %s: %w", m.Kind(), err)
	}
	if _, err := w.Write(frame); err != nil {
		return fmt.Errorf("writing %s: %w", m.Kind(), err)
	}
	return nil
}

// Read reads one message. limit is the largest payload to accept, in bytes; MaxControl
// bounds it in any case. At the end of the stream the error is io.EOF itself, and inside a frame it
// wraps ErrTruncated. After ErrUnknownKind the next frame can be read. After any other error the
// stream is of no more use.
func Read(r io.Reader, limit int) (Message, error) {
	var b [headSize]byte
	if err := readHead(r, &b); err != nil {
		return nil, err
	}
	h, err := parseHead(b, min(limit, MaxControl))
	if err != nil {
		return nil, err
	}
	payload, err := readPayload(r, h, nil)
	if err != nil {
		return nil, err
	}
	var d decoder
	d.begin(payload, h.kind.String())
	m := d.message(h.kind)
	if m == nil {
		return nil, fmt.Errorf("%w: %s as a message", ErrUnknownKind, h.kind)
	}
	if err := d.finish(); err != nil {
		return nil, err
	}
	return m, nil
}

// message decodes the payload of a kind, or returns nil if it is the kind of no message.
func (d *decoder) message(kind Kind) Message {
	switch kind {
	case KindHello:
		return d.hello()
	case KindWelcome:
		return d.welcome()
	case KindRefuse:
		return d.refuse()
	case KindPing:
		return d.ping()
	case KindPong:
		return d.pong()
	case KindAck:
		return d.ack()
	case KindStatus:
		return d.status()
	case KindWhere:
		return d.whereMessage()
	case KindHere:
		return d.here()
	case KindDigestRequest:
		return d.digestRequest()
	case KindDigest:
		return d.digest()
	case KindRowsRequest:
		return d.rowsRequest()
	case KindRows:
		return d.rows()
	case KindEnrol:
		return d.enrol()
	case KindEnrolled:
		return d.enrolled()
	case KindSnapshotRequest:
		return d.snapshotRequest()
	case KindSnapshotHeader:
		return d.snapshotHeader()
	case KindData:
		return d.dataMessage()
	case KindBatchHeader, KindSection, KindBatchEnd:
	}
	return nil
}

func (m Hello) encode(e *encoder) {
	e.array(10)
	e.uint(uint64(m.ProtocolMin))
	e.uint(uint64(m.ProtocolMax))
	e.text(m.Version)
	e.bytes(m.Incarnation[:])
	e.uint(uint64(m.Position))
	e.uint(uint64(m.Seen))
	e.bytes(m.HubIncarnation[:])
	e.int(m.ClockMillis)
	e.uint(uint64(m.Floor))
	e.uint(uint64(m.Until))
}

func (d *decoder) hello() Hello {
	more := d.fields("hello", 10)
	m := Hello{
		ProtocolMin:    d.uint16("protocol_min"),
		ProtocolMax:    d.uint16("protocol_max"),
		Version:        d.text("version"),
		Incarnation:    d.incarnation("incarnation"),
		Position:       d.position("position"),
		Seen:           d.position("seen"),
		HubIncarnation: d.incarnation("hub_incarnation"),
		ClockMillis:    d.int("clock_ms"),
		Floor:          d.position("floor"),
		Until:          d.position("until"),
	}
	d.rest(more)
	return m
}

func (m Welcome) encode(e *encoder) {
	e.array(7)
	e.uint(uint64(m.Protocol))
	e.text(m.Version)
	e.bytes(m.Incarnation[:])
	e.uint(uint64(m.Have))
	e.uint(uint64(m.Position))
	e.int(m.ClockMillis)
	e.uint(uint64(m.Until))
}

func (d *decoder) welcome() Welcome {
	more := d.fields("welcome", 7)
	m := Welcome{
		Protocol:    d.uint16("protocol"),
		Version:     d.text("version"),
		Incarnation: d.incarnation("incarnation"),
		Have:        d.position("have"),
		Position:    d.position("position"),
		ClockMillis: d.int("clock_ms"),
		Until:       d.position("until"),
	}
	d.rest(more)
	return m
}

func (m Refuse) encode(e *encoder) {
	e.array(3)
	e.text(m.Code)
	e.text(m.Text)
	e.text(m.Try)
}

func (d *decoder) refuse() Refuse {
	more := d.fields("refuse", 3)
	m := Refuse{Code: d.text("code"), Text: d.text("text"), Try: d.text("try")}
	d.rest(more)
	return m
}

func (m Ping) encode(e *encoder) {
	fields := 7
	if m.Settled != (Settled{}) {
		fields += 3
	}
	e.array(fields)
	e.uint(m.ID)
	e.int(m.ClockMillis)
	e.int(m.PendingOut)
	e.int(m.PendingIn)
	e.uint(uint64(m.Floor))
	e.text(m.Trouble)
	e.text(m.TroubleText)
	if m.Settled != (Settled{}) {
		e.uint(uint64(m.Settled.Hub))
		e.uint(uint64(m.Settled.Own))
		e.uint(uint64(m.Settled.At))
	}
}

func (d *decoder) ping() Ping {
	more := d.fields("ping", 7)
	m := Ping{
		ID:          d.uint("id"),
		ClockMillis: d.int("clock_ms"),
		PendingOut:  d.int("pending_out"),
		PendingIn:   d.int("pending_in"),
		Floor:       d.position("floor"),
		Trouble:     d.text("trouble"),
		TroubleText: d.text("trouble_text"),
	}
	if more >= 3 {
		m.Settled = Settled{Hub: d.position("settled_hub"), Own: d.position("settled_own"), At: d.position("settled_at")}
		more -= 3
	}
	d.rest(more)
	return m
}

func (m Pong) encode(e *encoder) {
	e.array(3)
	e.uint(m.ID)
	e.int(m.EchoMillis)
	e.int(m.ClockMillis)
}

func (d *decoder) pong() Pong {
	more := d.fields("pong", 3)
	m := Pong{ID: d.uint("id"), EchoMillis: d.int("echo_ms"), ClockMillis: d.int("clock_ms")}
	d.rest(more)
	return m
}

func (m Ack) encode(e *encoder) {
	fields := 3
	switch {
	case m.Until > 0:
		fields = 5
	case m.Rows > 0:
		fields = 4
	}
	e.array(fields)
	e.uint(uint64(m.Position))
	e.uint(uint64(m.Floor))
	e.bool(m.Left)
	if fields > 3 {
		e.uint(m.Rows)
	}
	if fields > 4 {
		e.uint(uint64(m.Until))
	}
}

func (d *decoder) ack() Ack {
	more := d.fields("ack", 3)
	m := Ack{Position: d.position("position"), Floor: d.position("floor"), Left: d.bool("left")}
	if more > 0 {
		m.Rows = d.uint("rows")
		more--
	}
	if more > 0 {
		m.Until = d.position("until")
		more--
	}
	d.rest(more)
	return m
}

func (m Status) encode(e *encoder) {
	e.array(1)
	e.bytes(m.JSON)
}

func (d *decoder) status() Status {
	more := d.fields("status", 1)
	m := Status{JSON: d.copied("json")}
	d.rest(more)
	return m
}

func (m Where) encode(e *encoder) {
	e.array(1)
	e.uint(m.ID)
}

func (d *decoder) whereMessage() Where {
	more := d.fields("where", 1)
	m := Where{ID: d.uint("id")}
	d.rest(more)
	return m
}

func (m Here) encode(e *encoder) {
	e.array(2)
	e.uint(m.ID)
	e.uint(uint64(m.Position))
}

func (d *decoder) here() Here {
	more := d.fields("here", 2)
	m := Here{ID: d.uint("id"), Position: d.position("position")}
	d.rest(more)
	return m
}

// key reads a row's key that stands alone, outside a section.
func (d *decoder) key(what string) crdt.Key {
	k := crdt.Key(d.bytes(what))
	if d.err == nil {
		if fault := faultInKey(k, anyColumns); fault != "" {
			d.fail(what, "%s", fault)
		}
	}
	return k
}
