package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// lockName is the file whose lock admits one daemon per database. The kernel drops the lock when the
// process ends.
const lockName = "lock"

const (
	lockMode = 0o600
	// lockAttempts and lockPause outlast commands that only check whether the lock is held. Such a
	// command holds it, shared, for microseconds.
	lockAttempts = 100
	lockPause    = 5 * time.Millisecond
)

// lockFile is the lock of a state directory, held until Close or the process's end.
type lockFile struct{ file *os.File }

// lockedError names the process that serves a database.
type lockedError struct {
	path string // the database
	pid  int    // 0: not known
}

func (e *lockedError) Error() string {
	who := "a running ravno"
	if e.pid > 0 {
		who += fmt.Sprintf(" (pid %d)", e.pid)
	}
	return e.path + ": is being served by " + who + ". Try: stop it first"
}

// acquireLock takes the lock of a state directory, which must exist, and writes our process
// id into it. If another process holds it, the error is a *lockedError.
func acquireLock(dir string) (*lockFile, error) {
	path := filepath.Join(dir, lockName)
	for range lockAttempts {
		file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, lockMode)
		if err != nil {
			return nil, fmt.Errorf("taking the lock of the state directory: %w", err)
		}
		taken, err := lockOpened(file, path)
		if err != nil {
			file.Close()
			return nil, err
		}
		if taken {
			if err := writePID(file); err != nil {
				file.Close()
				return nil, err
			}
			return &lockFile{file: file}, nil
		}
		file.Close()
		time.Sleep(lockPause)
	}
	return nil, &lockedError{path: strings.TrimSuffix(dir, stateSuffix)}
}

// lockOpened tries to lock an open lock file. taken is false if it is worth trying again.
func lockOpened(file *os.File, path string) (taken bool, err error) {
	err = flock(file, syscall.LOCK_EX)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		if flock(file, syscall.LOCK_SH) == nil {
			return false, nil // a command only checked the lock
		}
		return false, &lockedError{path: strings.TrimSuffix(filepath.Dir(path), stateSuffix), pid: readPID(path)}
	}
	if err != nil {
		return false, fmt.Errorf("locking %s: %w", path, err)
	}
	// A command that left may have removed the file between our opening and locking it.
	ours, err := file.Stat()
	if err != nil {
		return false, err
	}
	there, err := os.Stat(path)
	return err == nil && os.SameFile(ours, there), nil
}

// Close gives the lock up. The file stays until the directory is removed.
func (l *lockFile) Close() error { return l.file.Close() }

// daemonRuns reports whether a process holds the lock of a state directory.
func daemonRuns(dir string) bool {
	file, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR, 0)
	if err != nil {
		return false
	}
	defer file.Close()
	return errors.Is(flock(file, syscall.LOCK_SH), syscall.EWOULDBLOCK)
}

func flock(file *os.File, how int) error {
	for {
		err := syscall.Flock(int(file.Fd()), how|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

func writePID(file *os.File) error {
	if err := file.Truncate(0); err != nil {
		return err
	}
	_, err := file.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

func readPID(path string) int {
	content, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(content)))
	if err != nil {
		return 0
	}
	return pid
}

// makeStateDir makes a state directory. made is false if it was there.
func makeStateDir(dir string) (made bool, err error) {
	switch err := os.Mkdir(dir, stateDirMode); {
	case err == nil:
		return true, nil
	case errors.Is(err, fs.ErrExist):
		return false, nil
	default:
		return false, fmt.Errorf("making the state directory: %w. Try: let this user write to %s", err, filepath.Dir(dir))
	}
}
