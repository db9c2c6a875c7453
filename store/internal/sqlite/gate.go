//go:build unix

package sqlite

// #include <stdint.h>
// #include <stdlib.h>
// struct ravno_gate;
// struct ravno_gate *ravno_gate_new(int64_t connection, int descriptor);
// int ravno_gate_shut(struct ravno_gate *, int insist);
// void ravno_gate_force(struct ravno_gate *);
// void ravno_gate_open(struct ravno_gate *);
// void ravno_gate_leave(struct ravno_gate *);
// int ravno_gate_header(struct ravno_gate *, unsigned char *copy);
// void ravno_gate_frames(struct ravno_gate *, int64_t *all, int64_t *left);
// int ravno_gate_sync(struct ravno_gate *);
// int ravno_gate_quiet(struct ravno_gate *);
// int ravno_gate_alone(struct ravno_gate *);
// void ravno_gate_together(struct ravno_gate *);
import "C"

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"unsafe"

	driver3 "github.com/mattn/go-sqlite3"
)

// A gate keeps other processes from beginning to read a database in WAL mode while this one
// writes. A transaction that reads and then writes fails in SQLite, whatever its timeout, if
// somebody else held the write lock or has committed since it began to read. So the writer shuts the
// gate before it takes the write lock, which succeeds only if nobody reads the last commit, and
// opens it after its own commit. Whoever comes in between waits inside SQLite, which asks for a read
// mark again and again for ten seconds, even without a busy timeout; then it reads what was
// committed. gate.c has the locks.
//
// One goroutine at a time uses a gate.
type gate struct {
	raw  *C.struct_ravno_gate
	side *Conn // whose locks they are; it runs no statement while the gate is shut
	shm  *sharedMemory
}

// outcome is what shutting the gate has come to; as in gate.c.
type outcome int

const (
	gateShut      outcome = iota
	somebodyReads         // the last commit, and may write
	underWay              // a commit or a checkpoint is under way: for a moment nobody knows
	earlierRead           // an earlier commit, as it seems
)

// openGate makes the gate of a database file. It returns nil for a file that is not in WAL mode, or
// whose locks cannot be reached.
func openGate(path string) (*gate, error) {
	side, err := Open(path, ReadWrite)
	if err != nil {
		return nil, err
	}
	mode, err := side.Text("PRAGMA journal_mode")
	if err == nil && strings.EqualFold(mode, "wal") {
		_, err = side.Int("SELECT count(*) FROM sqlite_master") // this opens the shared memory
	}
	if err != nil || !strings.EqualFold(mode, "wal") {
		side.Close()
		return nil, err
	}
	shm, err := openShared(path)
	if err != nil {
		side.Close()
		return nil, err
	}
	raw := C.ravno_gate_new(side.handle, C.int(shm.file.Fd()))
	if raw == nil {
		side.Close()
		shm.close()
		return nil, nil
	}
	return &gate{raw: raw, side: side, shm: shm}, nil
}

// shut shuts the gate if nobody reads the last commit. insist says that whoever may read it where an earlier
// one is read has been waited for.
func (g *gate) shut(insist bool) outcome {
	flag := C.int(0)
	if insist {
		flag = 1
	}
	return outcome(C.ravno_gate_shut(g.raw, flag))
}

// force notes who reads, before a transaction that waits for nobody any more. open is to follow it.
func (g *gate) force() { C.ravno_gate_force(g.raw) }

// open opens the gate. Some locks, which keep nobody out, stay until leave or the next shut.
func (g *gate) open() { C.ravno_gate_open(g.raw) }

// leave gives them back.
func (g *gate) leave() { C.ravno_gate_leave(g.raw) }

// version tells what is committed; ok is false while a commit is under way.
func (g *gate) version() (v logVersion, ok bool) {
	ok = C.ravno_gate_header(g.raw, (*C.uchar)(&v[0])) != 0
	return v, ok
}

// frames tells how many pages are in the -wal file, and how many of them are not in the database file.
func (g *gate) frames() (all, left int) {
	var a, l C.int64_t
	C.ravno_gate_frames(g.raw, &a, &l)
	return int(a), int(l)
}

// sync puts the -wal file on disk.
func (g *gate) sync() error {
	if code := C.ravno_gate_sync(g.raw); code != 0 {
		return &failed{code: driver3.ErrNoExtended(code), message: g.shm.file.Name() +
			": its -wal file cannot be put on disk"}
	}
	return nil
}

// alone keeps everybody else out who could read, for as long as f runs, so that f can begin the -wal file
// anew. Where somebody reads it does nothing.
func (g *gate) alone(f func()) {
	if C.ravno_gate_alone(g.raw) != 0 {
		defer C.ravno_gate_together(g.raw)
		f()
	}
}

// quiet reports whether no other process reads anything.
func (g *gate) quiet() bool { return C.ravno_gate_quiet(g.raw) != 0 }

// close gives up the gate, after every other connection of its owner.
func (g *gate) close() error {
	err := g.side.Close()
	C.free(unsafe.Pointer(g.raw))
	g.shm.close()
	return err
}

// sharedMemory is the -shm file of a database, opened once in this process: closing any descriptor
// of a file takes all locks of the process on it away, SQLite's too. SQLite has a list of its own
// for the same reason.
type sharedMemory struct {
	file  *os.File
	id    fileID
	gates int
}

type fileID struct{ device, inode uint64 }

var shared struct {
	mutex sync.Mutex // guards files, and what they count
	files map[fileID]*sharedMemory
}

func openShared(path string) (*sharedMemory, error) {
	path += "-shm"
	shared.mutex.Lock()
	defer shared.mutex.Unlock()
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("sqlite: %w", err)
	}
	id := fileID{}
	if system, ok := info.Sys().(*syscall.Stat_t); ok {
		id = fileID{uint64(system.Dev), system.Ino}
	}
	if known := shared.files[id]; known != nil {
		known.gates++
		return known, nil
	}
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("sqlite: %w", err)
	}
	if shared.files == nil {
		shared.files = map[fileID]*sharedMemory{}
	}
	opened := &sharedMemory{file: file, id: id, gates: 1}
	shared.files[id] = opened
	return opened, nil
}

func (s *sharedMemory) close() {
	shared.mutex.Lock()
	defer shared.mutex.Unlock()
	if s.gates--; s.gates == 0 {
		delete(shared.files, s.id)
		s.file.Close() // nothing was written to it
	}
}
