package wire

import (
	"bytes"
	"encoding/hex"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ravno/crdt"
)

var update = flag.Bool("update", false, "rewrite the golden frames; a changed one means a changed format")

const goldenDir = "../../testdata/frames/v3"

// values are compared by ==: storage class and exact bytes, so -0.0 is not 0.0.
var exactly = cmp.Comparer(func(a, b crdt.Value) bool { return a == b })

// Every message still reads and writes the bytes of version 3.
func TestGoldenMessages(t *testing.T) {
	for name, m := range sampleMessages() {
		t.Run(name, func(t *testing.T) {
			golden := goldenFrames(t, name, func() []byte { return writeMessage(t, m) })
			got, err := Read(bytes.NewReader(golden), MaxControl)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(m, got); diff != "" {
				t.Errorf("the golden frame reads differently (-want +got):\n%s", diff)
			}
			if b := writeMessage(t, m); !bytes.Equal(b, golden) {
				t.Errorf("the message is written differently:\n%sinstead of\n%s", hex.Dump(b), hex.Dump(golden))
			}
		})
	}
}

func TestGoldenFrameForEveryKind(t *testing.T) {
	have := make(map[Kind]bool)
	for _, m := range sampleMessages() {
		have[m.Kind()] = true
	}
	for k := range 256 {
		kind := Kind(k)
		var d decoder
		d.begin(nil, "")
		if known := d.message(kind) != nil; known != have[kind] {
			t.Errorf("%s: a message: %t, a sample: %t", kind, known, have[kind])
		}
	}
}

// A batch still reads and writes the bytes of version 3.
func TestGoldenBatch(t *testing.T) {
	golden := goldenFrames(t, "batch", func() []byte { return writeBatch(t, sampleHeader(), sampleSections()) })
	expectBatch(t, golden, sampleHeader(), sampleSections())
	if b := writeBatch(t, sampleHeader(), sampleSections()); !bytes.Equal(b, golden) {
		t.Errorf("the batch is written differently:\n%sinstead of\n%s", hex.Dump(b), hex.Dump(golden))
	}
}

// Another version of the zstd library may compress to other bytes, so a compressed batch
// is only read, never expected to be written the same.
func TestGoldenCompressedBatch(t *testing.T) {
	sections := []*Section{restaurantSection(40)}
	golden := goldenFrames(t, "batch-zstd", func() []byte { return writeBatch(t, sampleHeader(), sections) })
	expectBatch(t, golden, sampleHeader(), sections)
}

func expectBatch(t *testing.T, stream []byte, header BatchHeader, sections []*Section) {
	t.Helper()
	h, got, err := readBatch(bytes.NewReader(stream))
	if err != io.EOF {
		t.Fatalf("the batch ends with %v", err)
	}
	if diff := cmp.Diff(header, h); diff != "" {
		t.Errorf("the header reads differently (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(sections, got, exactly); diff != "" {
		t.Errorf("the batch reads differently (-want +got):\n%s", diff)
	}
}

// readBatch reads to the end, which is io.EOF if all is well.
func readBatch(r io.Reader) (BatchHeader, []*Section, error) {
	reader := NewBatchReader(r)
	var sections []*Section
	for {
		s, err := reader.Next()
		if err != nil {
			h, _ := reader.Header()
			return h, sections, err
		}
		sections = append(sections, s)
	}
}

// goldenFrames reads a golden file, after rewriting it if the flag asks for it.
func goldenFrames(t testing.TB, name string, write func() []byte) []byte {
	t.Helper()
	path := filepath.Join(goldenDir, name+".hex")
	if *update {
		if err := os.WriteFile(path, []byte(hex.Dump(write())), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return readDump(t, path)
}

// readDump reads what hex.Dump wrote: offset, bytes in hexadecimal, the same as text.
func readDump(t testing.TB, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var all []byte
	for line := range strings.Lines(string(text)) {
		digits, _, _ := strings.Cut(line, "|")
		_, digits, _ = strings.Cut(digits, " ")
		b, err := hex.DecodeString(strings.ReplaceAll(digits, " ", ""))
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		all = append(all, b...)
	}
	return all
}
