package exchange

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
)

const (
	// spoolMemory is how many bytes of batches are kept in memory. More goes to a file. Nearly
	// every batch has a few rows.
	spoolMemory = 1 << 20
	// spoolLimit is the largest batch taken from a peer, in bytes: 64 GiB, so that one that
	// sends for ever cannot fill every disk unnoticed.
	spoolLimit = 64 << 30
)

var errSpoolLimit = errors.New("batch larger than 64 GiB")

// spool holds encoded batches between the network and the database. A slow link must not keep the
// database locked or a snapshot of it open. Written bytes may be read while more are written. There
// is one writer.
type spool struct {
	dir  string
	size int64 // only its writer uses it

	mutex  sync.Mutex // guards the fields, not the bytes: those never change
	memory bytes.Buffer
	file   *os.File
}

// Write appends to the spool.
func (s *spool) Write(b []byte) (int, error) {
	if s.size += int64(len(b)); s.size > spoolLimit {
		return 0, errSpoolLimit
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.file == nil && s.memory.Len()+len(b) <= spoolMemory {
		return s.memory.Write(b)
	}
	if s.file == nil {
		file, err := os.CreateTemp(s.dir, "batch-*")
		if err != nil {
			return 0, fmt.Errorf("spooling a batch: %w", err)
		}
		// The file has no name from the start, so a killed daemon leaves nothing behind.
		if err := os.Remove(file.Name()); err != nil {
			file.Close()
			return 0, fmt.Errorf("spooling a batch: %w", err)
		}
		s.file = file
	}
	n, err := s.file.Write(b)
	if err != nil {
		err = fmt.Errorf("spooling a batch: %w", err)
	}
	return n, err
}

// reader reads the spool from its beginning.
func (s *spool) reader() io.Reader { return s.part(0, s.size) }

// part reads some bytes that have been written, beginning at one of them.
func (s *spool) part(from, size int64) io.Reader {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	kept := int64(s.memory.Len())
	inMemory := s.memory.Bytes()[min(from, kept):min(from+size, kept)]
	if from+size <= kept {
		return bytes.NewReader(inMemory)
	}
	return io.MultiReader(bytes.NewReader(inMemory),
		io.NewSectionReader(s.file, max(from-kept, 0), size-int64(len(inMemory))))
}

// Close gives the space back.
func (s *spool) Close() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.file != nil {
		s.file.Close() // it has no name any more; there is nothing to lose
	}
	s.memory = bytes.Buffer{}
}
