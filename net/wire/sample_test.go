package wire

import (
	"bytes"
	"fmt"
	"math"
	"testing"

	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/crdt/hlc"
)

// counting is 16, 32 or any number of bytes that can be told apart in a dump.
func counting[A [16]byte | [32]byte](from byte) (a A) {
	for i := range len(a) {
		a[i] = from + byte(i)
	}
	return a
}

func incarnation(from byte) causal.Incarnation {
	return causal.Incarnation(counting[[16]byte](from))
}

var morning = hlc.At(1_760_000_000_000)

// sampleMessages has one of each kind, the ones with optional parts both with and without.
func sampleMessages() map[string]Message {
	buckets := make([][16]byte, BucketCount)
	for i := range buckets {
		buckets[i] = counting[[16]byte](byte(i))
	}
	return map[string]Message{
		"hello": Hello{
			ProtocolMin: 2, ProtocolMax: 3, Version: "1.0.0", Incarnation: incarnation(0x10), Position: 4711,
			Seen: 1 << 40, HubIncarnation: incarnation(0x30), ClockMillis: 1_760_000_000_123, Floor: 4000,
		},
		"welcome": Welcome{
			Protocol: 2, Version: "1.0.1", Incarnation: incarnation(0x30), Have: 4700, Position: 1<<40 + 5,
			ClockMillis: 1_760_000_000_150,
		},
		"refuse": Refuse{Code: "revoked", Text: "site bar was removed", Try: "ravno join --db F TOKEN"},
		"ping": Ping{
			ID: 7, ClockMillis: -1, PendingOut: 12, PendingIn: 300, Floor: 4000,
			Trouble: "disk", TroubleText: "no space left on /var/lib/shop",
		},
		"ping-settled":   Ping{ID: 8, ClockMillis: 1_760_000_000_100, Settled: Settled{Hub: 4000, Own: 12, At: 4100}},
		"pong":           Pong{ID: 7, EchoMillis: -1, ClockMillis: 1_760_000_000_200},
		"ack":            Ack{Position: 4711, Floor: 4005, Left: true},
		"status":         Status{JSON: []byte(`{"level":true}`)},
		"where":          Where{ID: 8},
		"here":           Here{ID: 8, Position: math.MaxUint64},
		"digest-request": DigestRequest{ID: 9, Table: "orders", Buckets: true},
		"digest": Digest{
			ID: 9, Position: 4711, Seen: 1 << 40, Pending: 3,
			Tables: []TableDigest{
				{Table: "items", Rows: 0},
				{Table: "orders", Rows: 70_000, Sum: counting[[16]byte](0x50), Buckets: buckets},
			},
		},
		"digest-trouble": Digest{ID: 9, Trouble: "no table orders"},
		"rows-request":   RowsRequest{ID: 10, Table: "orders", Buckets: []uint8{0, 17, 255}},
		"rows": Rows{
			ID: 10, More: true,
			Rows: []RowDigest{
				{Key: crdt.NewKey(crdt.IntegerValue(101)), Sum: counting[[16]byte](0x70)},
				{Key: crdt.NewKey(crdt.TextValue("a"), crdt.Value{}), Sum: counting[[16]byte](0x80)},
			},
		},
		"enrol": Enrol{
			ProtocolMin: 2, ProtocolMax: 2, Version: "1.0.0", Secret: counting[[32]byte](0xa0),
			Request: []byte{0x30, 0x03, 0x02, 0x01, 0x00}, Incarnation: incarnation(0x10),
		},
		"enrolled": Enrolled{
			Site: 2, Name: "bar", Organisation: "Café Равно", HubName: "office",
			Certificate: []byte("-----BEGIN CERTIFICATE-----\n"), CA: []byte("-----BEGIN CERTIFICATE-----\n"),
			HubIncarnation: incarnation(0x30),
		},
		"snapshot-request": SnapshotRequest{ID: "s1", Offset: 1 << 33},
		"snapshot-header": SnapshotHeader{
			ID: "s1", Size: 1 << 34, Offset: 1 << 33, SHA256: counting[[32]byte](0xc0), Rows: 1_000_000, Bytes: 1 << 35,
		},
		"data": Data{Bytes: []byte("SQLite format 3\x00")},
	}
}

func sampleHeader() BatchHeader {
	return BatchHeader{From: 4700, To: 4711, Incarnation: incarnation(0x10), Seen: 1<<40 - 1}
}

// emptyHeader is the size of the frame of a header of zeros, in bytes.
const emptyHeader = headSize + 22

// sampleSections is a small batch with every form of every column in it.
func sampleSections() []*Section {
	at := func(n int, site causal.Site) hlc.Stamp { return hlc.Stamp{Time: morning + hlc.Time(n), Site: site} }
	order := func(n int64) crdt.Key { return crdt.NewKey(crdt.IntegerValue(n)) }
	root := &crdt.Document{Table: "orders", Key: order(101)}
	orders := &Section{
		Table: "orders", KeyColumns: []string{"id"}, Columns: []string{"id", "note", "total"},
		Changes: []crdt.Change{
			{Key: order(101), Birth: at(0, 2), Seen: 77, Whole: true, Registers: []crdt.Register{
				{Column: 0, Stamp: at(0, 2), Value: crdt.IntegerValue(101)},
				{Column: 1, Stamp: at(0, 2), Value: crdt.TextValue("no ice \xff\x00!")},
				{Column: 2, Stamp: at(0, 2), Value: crdt.RealValue(math.Copysign(0, -1))},
			}},
			{Key: order(102), Birth: at(1, 2), Seen: 77, Whole: true, Registers: []crdt.Register{
				{Column: 0, Stamp: at(1, 2), Value: crdt.IntegerValue(102)},
				{Column: 1, Stamp: at(1, 2), Value: crdt.Value{}},
				{Column: 2, Stamp: at(9, 3), Value: crdt.RealValue(math.Inf(1))},
			}},
			{Key: order(math.MinInt64), Birth: hlc.Stamp{}, Death: at(5, 2), Seen: 78},
			{Key: order(math.MaxInt64), Birth: at(-70_000, 1), Seen: 78, Registers: []crdt.Register{
				{Column: 2, Stamp: at(6, 2), Value: crdt.IntegerValue(math.MaxInt64)},
			}},
		},
	}
	lines := &Section{
		Table: "lines", KeyColumns: []string{"id"}, Columns: []string{"photo"},
		Changes: []crdt.Change{
			{Key: crdt.NewKey(crdt.TextValue("6f1c9a52-8f0b-5b7e-9d5e-2c7a1e0f4b31")), Birth: at(0, 2), Document: root,
				Registers: []crdt.Register{{Column: 0, Stamp: at(0, 2), Value: crdt.BlobValue("\x89PNG")}}},
			{Key: crdt.NewKey(crdt.TextValue("00000000-0000-0000-0000-000000000000")), Birth: at(0, 2), Document: root,
				Registers: []crdt.Register{{Column: 0, Stamp: at(2, 2), Value: crdt.IntegerValue(-33)}}},
		},
	}
	events := &Section{
		Table: "events", Journal: true, KeyColumns: []string{"site", "n"},
		Changes: []crdt.Change{{Key: crdt.NewKey(crdt.TextValue("bar"), crdt.RealValue(1.5)), Birth: at(3, 2)}},
	}
	stock := &Section{
		Table: "stock", KeyColumns: []string{"id"}, Columns: []string{"name", "on_hand", "weight"},
		Changes: []crdt.Change{
			{Key: order(1), Birth: at(0, 1), Parts: []crdt.ChangePart{
				{Column: 1, Stamp: at(4, 2), Total: crdt.IntegerValue(-3)},
				{Column: 1, Stamp: at(3, 3), Total: crdt.IntegerValue(math.MinInt64)},
				{Column: 2, Stamp: at(4, 2), Total: crdt.RealValue(-0.75)},
			}},
			{Key: order(2), Birth: at(0, 1), Registers: []crdt.Register{
				{Column: 1, Stamp: at(5, 2), Value: crdt.IntegerValue(10)}}},
			{Key: order(3), Birth: at(0, 1), Parts: []crdt.ChangePart{
				{Column: 2, Stamp: at(4, 2), Total: crdt.RealValue(math.Inf(-1))}}},
		},
	}
	return []*Section{orders, lines, events, stock}
}

// restaurantSection is n whole rows of eight columns, like those of a till.
func restaurantSection(n int) *Section {
	s := &Section{
		Table: "orders", KeyColumns: []string{"id"},
		Columns: []string{"id", "table_no", "waiter", "state", "total", "opened_at", "note", "guests"},
	}
	for i := range n {
		stamp := hlc.Stamp{Time: morning + hlc.Time(i*65536*40), Site: causal.Site(2 + i%3)}
		note := crdt.Value{}
		if i%7 == 0 {
			note = crdt.TextValue(fmt.Sprintf("guest %d wants the bill", i))
		}
		values := []crdt.Value{
			crdt.IntegerValue(int64(10_000 + i)),
			crdt.IntegerValue(int64(i % 40)),
			crdt.TextValue([]string{"ann", "boris", "vesela"}[i%3]),
			crdt.TextValue([]string{"open", "paid"}[i%2]),
			crdt.RealValue(float64(i%5000) / 100),
			crdt.TextValue(fmt.Sprintf("2025-10-09 %02d:%02d:%02d", i/3600%24, i/60%60, i%60)),
			note,
			crdt.IntegerValue(int64(1 + i%6)),
		}
		c := crdt.Change{Key: crdt.NewKey(values[0]), Birth: stamp, Seen: causal.Seen(i / 50), Whole: true}
		for k, v := range values {
			c.Registers = append(c.Registers, crdt.Register{Column: crdt.Column(k), Stamp: stamp, Value: v})
		}
		s.Changes = append(s.Changes, c)
	}
	return s
}

func writeMessage(t testing.TB, m Message) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func writeBatch(t testing.TB, h BatchHeader, sections []*Section) []byte {
	t.Helper()
	var b bytes.Buffer
	w := NewBatchWriter(&b)
	err := w.Header(h)
	for _, s := range sections {
		if err == nil {
			err = w.Section(s)
		}
	}
	if err == nil {
		err = w.End()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
