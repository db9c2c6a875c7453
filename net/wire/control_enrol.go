package wire

// This file encodes the messages by which a site is admitted and loaded for the first time.

func (m Enrol) encode(e *encoder) {
	e.array(6)
	e.uint(uint64(m.ProtocolMin))
	e.uint(uint64(m.ProtocolMax))
	e.text(m.Version)
	e.bytes(m.Secret[:])
	e.bytes(m.Request)
	e.bytes(m.Incarnation[:])
}

func (d *decoder) enrol() Enrol {
	more := d.fields("enrol", 6)
	m := Enrol{
		ProtocolMin: d.uint16("protocol_min"),
		ProtocolMax: d.uint16("protocol_max"),
		Version:     d.text("version"),
		Secret:      d.sum32("secret"),
		Request:     d.copied("request"),
		Incarnation: d.incarnation("incarnation"),
	}
	d.rest(more)
	return m
}

func (m Enrolled) encode(e *encoder) {
	e.array(7)
	e.uint(uint64(m.Site))
	e.text(m.Name)
	e.text(m.Organisation)
	e.text(m.HubName)
	e.bytes(m.Certificate)
	e.bytes(m.CA)
	e.bytes(m.HubIncarnation[:])
}

func (d *decoder) enrolled() Enrolled {
	more := d.fields("enrolled", 7)
	m := Enrolled{
		Site:           d.site("site"),
		Name:           d.text("name"),
		Organisation:   d.text("organisation"),
		HubName:        d.text("hub_name"),
		Certificate:    d.copied("certificate"),
		CA:             d.copied("ca"),
		HubIncarnation: d.incarnation("hub_incarnation"),
	}
	d.rest(more)
	return m
}

func (m SnapshotRequest) encode(e *encoder) {
	e.array(2)
	e.text(m.ID)
	e.uint(m.Offset)
}

func (d *decoder) snapshotRequest() SnapshotRequest {
	more := d.fields("snapshot-request", 2)
	m := SnapshotRequest{ID: d.text("id"), Offset: d.uint("offset")}
	d.rest(more)
	return m
}

func (m SnapshotHeader) encode(e *encoder) {
	e.array(6)
	e.text(m.ID)
	e.uint(m.Size)
	e.uint(m.Offset)
	e.bytes(m.SHA256[:])
	e.uint(m.Rows)
	e.uint(m.Bytes)
}

func (d *decoder) snapshotHeader() SnapshotHeader {
	more := d.fields("snapshot-header", 6)
	m := SnapshotHeader{
		ID:     d.text("id"),
		Size:   d.uint("size"),
		Offset: d.uint("offset"),
		SHA256: d.sum32("sha256"),
		Rows:   d.uint("rows"),
		Bytes:  d.uint("bytes"),
	}
	d.rest(more)
	return m
}

func (m Data) encode(e *encoder) {
	if len(m.Bytes) > MaxData {
		e.keep(tooLarge("data", len(m.Bytes), MaxData))
		return
	}
	e.array(1)
	e.bytes(m.Bytes)
}

func (d *decoder) dataMessage() Data {
	more := d.fields("data", 1)
	m := Data{Bytes: d.copied("bytes")}
	if len(m.Bytes) > MaxData {
		d.fail("bytes", "%d, at most %d are allowed", len(m.Bytes), MaxData)
	}
	d.rest(more)
	return m
}
