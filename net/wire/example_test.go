package wire_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"ravno/crdt"
	"ravno/crdt/hlc"
	"ravno/net/wire"
)

// One message is one frame. A receiver is a loop around one type switch.
func ExampleRead() {
	var stream bytes.Buffer
	for _, m := range []wire.Message{wire.Ping{ID: 7, PendingOut: 12}, wire.Ack{Position: 4711}} {
		if err := wire.Write(&stream, m); err != nil {
			fmt.Println(err)
		}
	}
	for {
		m, err := wire.Read(&stream, wire.MaxControl)
		if errors.Is(err, io.EOF) {
			fmt.Println("end of the stream")
			return
		}
		if err != nil {
			fmt.Println(err)
			return
		}
		switch m := m.(type) {
		case wire.Ping:
			fmt.Println("ping", m.ID, "with", m.PendingOut, "changes to send")
		case wire.Ack:
			fmt.Println("all is committed up to", m.Position)
		}
	}
	// Output:
	// ping 7 with 12 changes to send
	// all is committed up to 4711
	// end of the stream
}

// A batch has a header, any number of sections, and an end. A reader that finds no end knows
// that the batch was cut short.
func ExampleBatchWriter() {
	write := func(w *wire.BatchWriter) error {
		if err := w.Header(wire.BatchHeader{From: 40, To: 45}); err != nil {
			return err
		}
		stamp := hlc.Stamp{Time: hlc.At(1_760_000_000_000), Site: 2}
		section := wire.Section{Table: "orders", KeyColumns: []string{"id"}, Columns: []string{"state"}}
		section.Changes = []crdt.Change{{
			Key:       crdt.NewKey(crdt.IntegerValue(101)),
			Birth:     stamp,
			Registers: []crdt.Register{{Column: 0, Stamp: stamp, Value: crdt.TextValue("paid")}},
		}}
		if err := w.Section(&section); err != nil {
			return err
		}
		return w.End()
	}
	read := func(bytes io.Reader) error {
		r := wire.NewBatchReader(bytes)
		header, err := r.Header()
		if err != nil {
			return err
		}
		fmt.Println("the batch leads from", header.From, "to", header.To)
		for {
			section, err := r.Next()
			if errors.Is(err, io.EOF) {
				fmt.Println("it is whole")
				return nil
			}
			if err != nil {
				return err
			}
			for _, c := range section.Changes {
				for _, reg := range c.Registers {
					fmt.Println(section.Table, section.Columns[reg.Column], "=", reg.Value)
				}
			}
		}
	}

	var stream bytes.Buffer
	if err := write(wire.NewBatchWriter(&stream)); err != nil {
		fmt.Println(err)
	}
	short := bytes.NewReader(stream.Bytes()[:stream.Len()-1])
	if err := read(&stream); err != nil {
		fmt.Println(err)
	}
	fmt.Println("cut short:", errors.Is(read(short), wire.ErrTruncated))
	// Output:
	// the batch leads from 40 to 45
	// orders state = paid
	// it is whole
	// the batch leads from 40 to 45
	// orders state = paid
	// cut short: true
}
