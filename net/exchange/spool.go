package exchange

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
)

const (
	// spoolMemory is how much of a batch is kept in memory, in bytes; what is larger goes to a
	// file. Nearly every batch is a few rows.
	spoolMemory = 1 << 20
	// spoolLimit is the largest batch taken from a peer, in bytes: 64 GiB, so that one that
	// sends for ever cannot fill every disk unnoticed.
	spoolLimit = 64 << 30
)

var errSpoolLimit = errors.New("batch larger than 64 GiB")

// spool holds one encoded batch between the network and the database: a database must not
// be locked, nor a snapshot of it held, for as long as a slow line takes.
type spool struct {
	dir    string
	memory bytes.Buffer
	file   *os.File
	size   int64
}

// Write appends to the spool.
func (s *spool) Write(b []byte) (int, error) {
	if s.size += int64(len(b)); s.size > spoolLimit {
		return 0, errSpoolLimit
	}
	if s.file == nil && s.memory.Len()+len(b) <= spoolMemory {
		return s.memory.Write(b)
	}
	if s.file == nil {
		file, err := os.CreateTemp(s.dir, "batch-*")
		if err != nil {
			return 0, fmt.Errorf("spooling a batch: %w", err)
		}
		// Without a name from the start: nothing is left behind whenever we are killed.
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

// Reader reads the spool from its beginning.
func (s *spool) Reader() (io.Reader, error) {
	if s.file == nil {
		return bytes.NewReader(s.memory.Bytes()), nil
	}
	if _, err := s.file.Seek(0, io.SeekStart); err != nil {
		return nil, fmt.Errorf("reading a spooled batch: %w", err)
	}
	return io.MultiReader(bytes.NewReader(s.memory.Bytes()), s.file), nil
}

// Close gives the space back.
func (s *spool) Close() {
	if s.file != nil {
		s.file.Close() // it has no name any more; there is nothing to lose
	}
	s.memory = bytes.Buffer{}
}
