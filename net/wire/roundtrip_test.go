package wire

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/crdt/hlc"
)

var (
	anyText     = rapid.StringN(0, 12, -1)
	anyBytes    = rapid.SliceOfN(rapid.Byte(), 0, 40)
	anyPosition = rapid.Map(rapid.Uint64(), func(n uint64) causal.Position { return causal.Position(n) })
	// few stamps, so that there are runs of them, among all stamps.
	anyStamp = rapid.OneOf(
		rapid.Just(hlc.Stamp{}),
		rapid.SampledFrom([]hlc.Stamp{{Time: morning, Site: 1}, {Time: morning, Site: 2}, {Time: morning + 1, Site: 2}}),
		rapid.Custom(func(t *rapid.T) hlc.Stamp {
			return hlc.Stamp{Time: hlc.Time(rapid.Uint64().Draw(t, "time")), Site: causal.Site(rapid.Uint32().Draw(t, "site"))}
		}),
	)
	anyValue = rapid.OneOf(
		rapid.Just(crdt.Value{}),
		rapid.Map(rapid.OneOf(rapid.Int64(), rapid.SampledFrom([]int64{math.MinInt64, math.MaxInt64, -33, -32, 127, 128})),
			crdt.IntegerValue),
		rapid.Map(
			rapid.OneOf(rapid.Float64(), rapid.SampledFrom([]float64{math.Copysign(0, -1), math.Inf(1), math.Inf(-1), 1})),
			crdt.RealValue),
		rapid.Map(anyBytes, func(b []byte) crdt.Value { return crdt.TextValue(string(b)) }),
		rapid.Map(anyBytes, func(b []byte) crdt.Value { return crdt.BlobValue(string(b)) }),
		rapid.Map(rapid.IntRange(200, 70_000), func(n int) crdt.Value { return crdt.TextValue(strings.Repeat("é", n)) }),
	)
	anyUUID = rapid.StringMatching(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
)

// keysOf draws a way to make keys of so many columns, so that most columns of keys are uniform.
func keysOf(t *rapid.T, columns int) *rapid.Generator[crdt.Key] {
	integers := rapid.Map(rapid.Int64(), func(n int64) crdt.Key { return crdt.NewKey(crdt.IntegerValue(n)) })
	uuids := rapid.Map(anyUUID, func(s string) crdt.Key { return crdt.NewKey(crdt.TextValue(s)) })
	mixed := rapid.Custom(func(t *rapid.T) crdt.Key {
		return crdt.NewKey(rapid.SliceOfN(anyValue, columns, columns).Draw(t, "key values")...)
	})
	if columns > 1 {
		return mixed
	}
	return rapid.SampledFrom([]*rapid.Generator[crdt.Key]{integers, uuids, mixed, rapid.OneOf(integers, uuids)}).Draw(
		t, "form of keys")
}

func drawSection(t *rapid.T) *Section {
	names := rapid.SliceOfNDistinct(rapid.StringN(1, 8, -1), 1, 12, rapid.ID[string])
	s := &Section{
		Table:      rapid.StringN(1, 12, -1).Draw(t, "table"),
		Journal:    rapid.Bool().Draw(t, "journal"),
		KeyColumns: names.Draw(t, "key columns"),
	}
	if rapid.Bool().Draw(t, "single key") {
		s.KeyColumns = s.KeyColumns[:1]
	}
	if rapid.Bool().Draw(t, "has columns") {
		s.Columns = names.Draw(t, "columns")
	}
	documents := []*crdt.Document{nil}
	for _, k := range rapid.SliceOfN(keysOf(t, 1), 0, 3).Draw(t, "document keys") {
		documents = append(documents, &crdt.Document{Table: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "root"), Key: k})
	}
	sets := [][]crdt.Column{drawColumnSet(t, len(s.Columns)), drawColumnSet(t, len(s.Columns))}
	keys := keysOf(t, len(s.KeyColumns))
	for range rapid.IntRange(0, 20).Draw(t, "changes") {
		c := crdt.Change{
			Key:      keys.Draw(t, "key"),
			Birth:    anyStamp.Draw(t, "birth"),
			Death:    anyStamp.Draw(t, "death"),
			Seen:     anyPosition.Draw(t, "seen"),
			Whole:    rapid.Bool().Draw(t, "whole"),
			Document: rapid.SampledFrom(documents).Draw(t, "document"),
		}
		for _, column := range rapid.SampledFrom(sets).Draw(t, "set") {
			r := crdt.Register{Column: column, Stamp: c.Birth, Value: anyValue.Draw(t, "value")}
			if rapid.Bool().Draw(t, "later") {
				r.Stamp = anyStamp.Draw(t, "stamp")
			}
			c.Registers = append(c.Registers, r)
		}
		if len(s.Columns) > 0 && rapid.Bool().Draw(t, "counts") {
			c.Parts = drawParts(t, len(s.Columns))
		}
		s.Changes = append(s.Changes, c)
	}
	return s
}

// drawParts draws parts of counters by a few sites in any columns, in order; none is nil.
func drawParts(t *rapid.T, columns int) (parts []crdt.ChangePart) {
	totals := anyValue.Filter(func(v crdt.Value) bool { return v.Kind() == crdt.Integer || v.Kind() == crdt.Real })
	for column := range columns {
		site := causal.Site(0)
		for range rapid.SampledFrom([]int{0, 0, 1, 3}).Draw(t, "parts") {
			stamp := anyStamp.Draw(t, "stamp")
			site += causal.Site(rapid.Uint32Range(1, math.MaxUint32/3).Draw(t, "site"))
			stamp.Site = site
			parts = append(parts, crdt.ChangePart{Column: crdt.Column(column), Stamp: stamp, Total: totals.Draw(t, "total")})
		}
	}
	return parts
}

func drawColumnSet(t *rapid.T, columns int) []crdt.Column {
	mask := rapid.Uint16().Draw(t, "columns carried")
	var set []crdt.Column
	for c := range columns {
		if mask&(1<<c) != 0 {
			set = append(set, crdt.Column(c))
		}
	}
	return set
}

func TestBatchReadIsBatchWritten(t *testing.T) {
	writer, reader := NewBatchWriter(nil), NewBatchReader(nil) // reused, as a link reuses them
	rapid.Check(t, func(t *rapid.T) {
		header := BatchHeader{
			From: anyPosition.Draw(t, "from"), To: anyPosition.Draw(t, "to"),
			Incarnation: incarnation(rapid.Byte().Draw(t, "incarnation")),
			Seen:        anyPosition.Draw(t, "seen by the sender"),
			Highest: rapid.OneOf(rapid.Just[map[string]int64](nil),
				rapid.MapOfN(rapid.StringN(1, 9, -1), rapid.Int64(), 1, 3)).Draw(t, "highest"),
			Newest: hlc.Time(rapid.SampledFrom([]uint64{0, 0, 7, 1 << 62}).Draw(t, "newest")),
		}
		var stream bytes.Buffer
		writer.Reset(&stream)
		must(t, writer.Header(header))
		sections := make([]*Section, rapid.IntRange(0, 3).Draw(t, "sections"))
		for i := range sections {
			sections[i] = drawSection(t)
			must(t, writer.Section(sections[i]))
		}
		must(t, writer.End())

		reader.Reset(&stream)
		got, err := reader.Header()
		must(t, err)
		if !cmp.Equal(got, header) {
			t.Fatalf("header %+v instead of %+v", got, header)
		}
		for _, want := range sections {
			s, err := reader.Next()
			must(t, err)
			if diff := cmp.Diff(want, s, exactly); diff != "" {
				t.Fatalf("(-written +read):\n%s", diff)
			}
		}
		for range 2 {
			if _, err := reader.Next(); err != io.EOF {
				t.Fatalf("%v instead of io.EOF", err)
			}
		}
		if stream.Len() != 0 {
			t.Fatalf("%d bytes were not read", stream.Len())
		}
	})
}

func must(t *rapid.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestMessageReadIsMessageWritten(t *testing.T) {
	fixed16 := func(t *rapid.T, what string) [16]byte { return counting[[16]byte](rapid.Byte().Draw(t, what)) }
	data := func(t *rapid.T) []byte { return slices.Concat(anyBytes.Draw(t, "bytes")) }
	draw := []func(t *rapid.T) Message{
		func(t *rapid.T) Message {
			return Hello{
				ProtocolMin: rapid.Uint16().Draw(t, "min"), ProtocolMax: rapid.Uint16().Draw(t, "max"),
				Version:     anyText.Draw(t, "version"),
				Incarnation: fixed16(t, "incarnation"), Position: anyPosition.Draw(t, "position"),
				Seen:           anyPosition.Draw(t, "seen"),
				HubIncarnation: fixed16(t, "hub"), ClockMillis: rapid.Int64().Draw(t, "clock"), Floor: anyPosition.Draw(t, "floor"),
			}
		},
		func(t *rapid.T) Message {
			return Ping{
				ID: rapid.Uint64().Draw(t, "id"), ClockMillis: rapid.Int64().Draw(t, "clock"),
				PendingOut: rapid.Int64().Draw(t, "out"),
				PendingIn:  rapid.Int64().Draw(t, "in"), Floor: anyPosition.Draw(t, "floor"),
				Trouble: anyText.Draw(t, "trouble"), TroubleText: anyText.Draw(t, "text"),
			}
		},
		func(t *rapid.T) Message { return Status{JSON: data(t)} },
		func(t *rapid.T) Message { return Data{Bytes: data(t)} },
		func(t *rapid.T) Message {
			m := Digest{ID: rapid.Uint64().Draw(t, "id"), Pending: rapid.Int64().Draw(t, "pending"),
				Trouble: anyText.Draw(t, "trouble")}
			for range rapid.IntRange(0, 3).Draw(t, "tables") {
				table := TableDigest{Table: anyText.Draw(t, "table"), Rows: rapid.Uint64().Draw(t, "rows"), Sum: fixed16(t, "sum")}
				if rapid.Bool().Draw(t, "with buckets") {
					table.Buckets = slices.Repeat([][16]byte{fixed16(t, "bucket")}, BucketCount)
				}
				m.Tables = append(m.Tables, table)
			}
			return m
		},
		func(t *rapid.T) Message {
			return RowsRequest{ID: rapid.Uint64().Draw(t, "id"), Table: anyText.Draw(t, "table"), Buckets: data(t)}
		},
		func(t *rapid.T) Message {
			m := Rows{ID: rapid.Uint64().Draw(t, "id"), More: rapid.Bool().Draw(t, "more"), Trouble: anyText.Draw(t, "trouble")}
			for range rapid.IntRange(0, 5).Draw(t, "rows") {
				m.Rows = append(m.Rows, RowDigest{Key: keysOf(t, rapid.IntRange(1, 3).Draw(t, "columns")).Draw(t, "key"),
					Sum: fixed16(t, "sum")})
			}
			return m
		},
		func(t *rapid.T) Message {
			return Enrolled{
				Site: causal.Site(rapid.Uint32().Draw(t, "site")), Name: anyText.Draw(t, "name"),
				Organisation: anyText.Draw(t, "organisation"),
				HubName:      anyText.Draw(t, "hub"), Certificate: data(t), CA: data(t), HubIncarnation: fixed16(t, "incarnation"),
			}
		},
	}
	rapid.Check(t, func(t *rapid.T) {
		m := draw[rapid.IntRange(0, len(draw)-1).Draw(t, "kind")](t)
		var stream bytes.Buffer
		must(t, Write(&stream, m))
		got, err := Read(&stream, MaxControl)
		must(t, err)
		if diff := cmp.Diff(m, got); diff != "" {
			t.Fatalf("(-written +read):\n%s", diff)
		}
	})
}

func TestRepeatsOfRowTakeAlmostNothing(t *testing.T) {
	s := restaurantSection(1)
	for len(s.Changes) < MaxSectionChanges {
		s.Changes = append(s.Changes, s.Changes[0])
	}
	stream := writeBatch(t, BatchHeader{}, []*Section{s})
	if len(stream) > 4096 {
		t.Errorf("%d equal rows take %d bytes", len(s.Changes), len(stream))
	}
	_, got, err := readBatch(bytes.NewReader(stream))
	if err != io.EOF || !reflect.DeepEqual(got, []*Section{s}) {
		t.Errorf("they read differently, %v", err)
	}
}

func TestBlobOfTwentyMegabytesTravels(t *testing.T) {
	noise := make([]byte, 20<<20)
	state := uint64(1)
	for i := range noise {
		state = state*6364136223846793005 + 1442695040888963407
		noise[i] = byte(state >> 56)
	}
	s := &Section{
		Table: "photos", KeyColumns: []string{"id"}, Columns: []string{"jpeg"},
		Changes: []crdt.Change{{
			Key:       crdt.NewKey(crdt.IntegerValue(1)),
			Registers: []crdt.Register{{Value: crdt.BlobValue(string(noise))}},
		}},
	}
	if size := ApproxSize(s.Changes[0]); size < len(noise) || size > len(noise)+100 {
		t.Errorf("approximate size %d for %d bytes", size, len(noise))
	}
	expectBatch(t, writeBatch(t, BatchHeader{}, []*Section{s}), BatchHeader{}, []*Section{s})
}

func TestApproximateSizesFit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSection(t)
		sum := 0
		for _, c := range s.Changes {
			sum += ApproxSize(c)
			sum += len(c.Registers) * 2 * 11 // stamps at their worst: a run, a time and a site for each register
			sum += len(c.Parts) * 11         // a run for the column and the class of each
			sum += 3*2*11 + 11 + maskSize(len(s.Columns)) + 16
		}
		var e encoder
		e.begin(MaxSection)
		e.section(s)
		names := fmt.Sprint(s.Table, s.KeyColumns, s.Columns)
		if size := len(e.payload()); size > sum+len(names)+100 {
			t.Fatalf("%d bytes, about %d expected", size, sum)
		}
	})
}
