package wire

import (
	"bytes"
	"io"
	"testing"
)

// The benchmarks send whole rows of eight columns, in sections of the advised size.

func BenchmarkWriteBatch(b *testing.B) {
	s := restaurantSection(SectionTargetChanges)
	var stream bytes.Buffer
	w := NewBatchWriter(&stream)
	if err := w.Header(BatchHeader{}); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		stream.Reset()
		if err := w.Section(s); err != nil {
			b.Fatal(err)
		}
	}
	reportRows(b, stream.Len())
}

func BenchmarkReadBatch(b *testing.B) {
	stream := writeBatch(b, BatchHeader{}, []*Section{restaurantSection(SectionTargetChanges)})
	r := NewBatchReader(nil)
	b.ReportAllocs()
	for b.Loop() {
		r.Reset(bytes.NewReader(stream))
		for {
			if _, err := r.Next(); err == io.EOF {
				break
			} else if err != nil {
				b.Fatal(err)
			}
		}
	}
	reportRows(b, len(stream))
}

func reportRows(b *testing.B, size int) {
	b.ReportMetric(float64(b.N)*SectionTargetChanges/b.Elapsed().Seconds(), "rows/s")
	b.ReportMetric(float64(size)/SectionTargetChanges, "bytes/row")
}
