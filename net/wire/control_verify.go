package wire

import (
	"fmt"
	"math"
)

// This file encodes the messages by which two sites compare their tables.

func (m DigestRequest) encode(e *encoder) {
	e.array(3)
	e.uint(m.ID)
	e.text(m.Table)
	e.bool(m.Buckets)
}

func (d *decoder) digestRequest() DigestRequest {
	more := d.fields("digest-request", 3)
	m := DigestRequest{ID: d.uint("id"), Table: d.text("table"), Buckets: d.bool("buckets")}
	d.rest(more)
	return m
}

func (m Digest) encode(e *encoder) {
	e.array(6)
	e.uint(m.ID)
	e.uint(uint64(m.Position))
	e.uint(uint64(m.Seen))
	e.int(m.Pending)
	e.array(len(m.Tables))
	for _, t := range m.Tables {
		t.encode(e)
	}
	e.text(m.Trouble)
}

func (t TableDigest) encode(e *encoder) {
	if n := len(t.Buckets); n != 0 && n != BucketCount {
		e.keep(fmt.Errorf("%w: digest of %q: %d buckets instead of none or %d", ErrInvalid, t.Table, n, BucketCount))
		return
	}
	e.array(4)
	e.text(t.Table)
	e.uint(t.Rows)
	e.bytes(t.Sum[:])
	e.array(len(t.Buckets))
	for _, b := range t.Buckets {
		e.bytes(b[:])
	}
}

func (d *decoder) digest() Digest {
	more := d.fields("digest", 6)
	m := Digest{
		ID:       d.uint("id"),
		Position: d.position("position"),
		Seen:     d.position("seen"),
		Pending:  d.int("pending"),
		Tables:   d.tableDigests(),
		Trouble:  d.text("trouble"),
	}
	d.rest(more)
	return m
}

// tableDigests grows its result with what is read: an element's declared existence costs
// one byte of input and would cost fifty times that of memory.
func (d *decoder) tableDigests() []TableDigest {
	var tables []TableDigest
	n := d.array("tables", math.MaxInt)
	for range n {
		more := d.fields("table digest", 4)
		t := TableDigest{Table: d.text("table"), Rows: d.uint("rows"), Sum: d.sum16("sum"), Buckets: d.buckets()}
		d.rest(more)
		if d.err != nil {
			return nil
		}
		tables = append(tables, t)
	}
	return tables
}

func (d *decoder) buckets() [][16]byte {
	n := d.array("buckets", BucketCount)
	if d.err != nil || n == 0 {
		return nil
	}
	if n != BucketCount {
		d.fail("buckets", "%d instead of none or %d", n, BucketCount)
		return nil
	}
	buckets := make([][16]byte, n)
	for i := range buckets {
		d.fixed("bucket", buckets[i][:])
	}
	return buckets
}

func (m RowsRequest) encode(e *encoder) {
	if len(m.Buckets) > BucketCount {
		e.keep(fmt.Errorf("%w: %d buckets of %d", ErrInvalid, len(m.Buckets), BucketCount))
		return
	}
	e.array(3)
	e.uint(m.ID)
	e.text(m.Table)
	e.bytes(m.Buckets)
}

func (d *decoder) rowsRequest() RowsRequest {
	more := d.fields("rows-request", 3)
	m := RowsRequest{ID: d.uint("id"), Table: d.text("table"), Buckets: d.copied("buckets")}
	if len(m.Buckets) > BucketCount {
		d.fail("buckets", "%d of %d", len(m.Buckets), BucketCount)
	}
	d.rest(more)
	return m
}

func (m Rows) encode(e *encoder) {
	e.array(4)
	e.uint(m.ID)
	e.array(len(m.Rows))
	for _, r := range m.Rows {
		if fault := faultInKey(r.Key, anyColumns); fault != "" {
			e.keep(fmt.Errorf("%w: row digest: key %x: %s", ErrInvalid, r.Key, fault))
			return
		}
		e.array(2)
		e.data(string(r.Key))
		e.bytes(r.Sum[:])
	}
	e.bool(m.More)
	e.text(m.Trouble)
}

func (d *decoder) rows() Rows {
	more := d.fields("rows", 4)
	m := Rows{ID: d.uint("id"), Rows: d.rowDigests(), More: d.bool("more"), Trouble: d.text("trouble")}
	d.rest(more)
	return m
}

func (d *decoder) rowDigests() []RowDigest {
	var rows []RowDigest
	n := d.array("rows", math.MaxInt)
	for range n {
		more := d.fields("row digest", 2)
		r := RowDigest{Key: d.key("key"), Sum: d.sum16("sum")}
		d.rest(more)
		if d.err != nil {
			return nil
		}
		rows = append(rows, r)
	}
	return rows
}
