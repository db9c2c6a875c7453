package exchange

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A batch moves to a file at the limit of memory and reads back whole.
func TestSpoolMovesToFileAndReadsBack(t *testing.T) {
	cases := []struct {
		name   string
		writes []int // bytes of each
		onDisk bool
	}{
		{"nothing", nil, false},
		{"a few rows", []int{100, 200}, false},
		{"as much as memory takes", []int{spoolMemory - 1, 1}, false},
		{"one byte more, at once", []int{spoolMemory + 1}, true},
		{"one byte more, in the end", []int{spoolMemory, 1}, true},
		{"a small write after a large one", []int{10, spoolMemory, 10}, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := &spool{dir: t.TempDir()}
			var written bytes.Buffer
			for i, size := range c.writes {
				piece := bytes.Repeat([]byte{byte('a' + i)}, size)
				written.Write(piece)
				n, err := s.Write(piece)
				must(t, err)
				if n != size {
					t.Fatalf("wrote %d of %d bytes", n, size)
				}
			}
			if onDisk := s.file != nil; onDisk != c.onDisk {
				t.Errorf("on disk: %t, want %t", onDisk, c.onDisk)
			}
			for range 2 { // a header is read first, then the whole
				read, err := io.ReadAll(s.reader())
				must(t, err)
				if !bytes.Equal(read, written.Bytes()) {
					t.Errorf("read %d bytes, wrote %d, or others", len(read), written.Len())
				}
			}
			for from := 0; from <= written.Len(); from += spoolMemory / 3 { // a batch in the middle
				size := min(spoolMemory/2, written.Len()-from)
				read, err := io.ReadAll(s.part(int64(from), int64(size)))
				must(t, err)
				if !bytes.Equal(read, written.Bytes()[from:from+size]) {
					t.Errorf("%d bytes from byte %d are others", size, from)
				}
			}
			s.Close()
		})
	}
}

func TestSpoolLeavesNothingOnDisk(t *testing.T) {
	dir := t.TempDir()
	s := &spool{dir: dir}
	_, err := s.Write(make([]byte, spoolMemory+1))
	must(t, err)
	entries, err := os.ReadDir(dir)
	must(t, err)
	if len(entries) > 0 {
		t.Errorf("a kill now would leave %s", entries[0].Name())
	}
	file := s.file
	s.Close()
	if _, err := file.Stat(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("the file is still open after Close: %v", err)
	}
}

func TestBatchWithoutEndIsRefused(t *testing.T) {
	s := &spool{dir: t.TempDir(), size: spoolLimit - 3}
	_, err := s.Write([]byte("abc"))
	must(t, err)
	if _, err := s.Write([]byte("d")); !errors.Is(err, errSpoolLimit) {
		t.Errorf("wrote beyond the limit: %v", err)
	}
}

func TestSpoolWithoutFileSaysSo(t *testing.T) {
	s := &spool{dir: filepath.Join(t.TempDir(), "missing")}
	_, err := s.Write(make([]byte, spoolMemory+1))
	if !errors.Is(err, os.ErrNotExist) || !strings.HasPrefix(err.Error(), "spooling a batch: ") {
		t.Errorf("got %v", err)
	}
	s.Close()
}
