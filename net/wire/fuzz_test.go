package wire

import (
	"bytes"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// seed gives the golden frames to a fuzz target: the batches, or the messages.
func seed(f *testing.F, batches bool) {
	paths, err := filepath.Glob(filepath.Join(goldenDir, "*.hex"))
	if err != nil || len(paths) == 0 {
		f.Fatalf("golden frames: %v, %v", paths, err)
	}
	for _, path := range paths {
		if strings.HasPrefix(filepath.Base(path), "batch") == batches {
			f.Add(readDump(f, path))
		}
	}
}

// FuzzControl writes every message that it could read, and must read the same again.
func FuzzControl(f *testing.F) {
	seed(f, false)
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Read(bytes.NewReader(b), MaxControl)
		if err != nil {
			return
		}
		again, err := Read(bytes.NewReader(writeMessage(t, m)), MaxControl)
		if err != nil {
			t.Fatalf("%+v cannot be read again: %v", m, err)
		}
		if diff := cmp.Diff(m, again); diff != "" {
			t.Fatal(diff)
		}
	})
}

// FuzzBatch writes the sections that it could read, and must read the same again. Few mutations keep
// the hash of a batch right, so sections count before the end is reached.
func FuzzBatch(f *testing.F) {
	seed(f, true)
	f.Fuzz(func(t *testing.T, b []byte) {
		_, sections, err := readBatch(bytes.NewReader(b))
		if len(sections) == 0 {
			return
		}
		h, again, errAgain := readBatch(bytes.NewReader(writeBatch(t, BatchHeader{From: 1}, sections)))
		if errAgain != io.EOF || h.From != 1 {
			t.Fatalf("the sections read before %v cannot be read again: %v", err, errAgain)
		}
		if diff := cmp.Diff(sections, again, exactly); diff != "" {
			t.Fatal(diff)
		}
	})
}
