package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"ravno/store"
)

// The second daemon of a file is told which process serves it.
func TestLockToldWhoServesFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "shop.db.ravno")
	if made, err := makeStateDir(dir); err != nil || !made {
		t.Fatal(made, err)
	}
	first, err := acquireLock(dir)
	if err != nil {
		t.Fatal(err)
	}
	if !daemonRuns(dir) {
		t.Error("nobody is seen to serve a database whose lock is held")
	}
	_, err = acquireLock(dir)
	var locked *lockedError
	if !errors.As(err, &locked) || locked.pid != os.Getpid() ||
		!strings.Contains(err.Error(), "shop.db: is being served by a running ravno (pid ") {
		t.Errorf("the second got: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if daemonRuns(dir) {
		t.Error("somebody is seen to serve a database whose lock was given up")
	}
	second, err := acquireLock(dir)
	if err != nil {
		t.Fatal("after the first has gone:", err)
	}
	second.Close()
}

// Asking whether a daemon runs keeps no daemon from starting.
func TestLockProbeLetsDaemonStart(t *testing.T) {
	dir := t.TempDir()
	stop := make(chan struct{})
	var lookers sync.WaitGroup
	for range 2 {
		lookers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					daemonRuns(dir)
				}
			}
		})
	}
	for range 50 {
		lock, err := acquireLock(dir)
		if err != nil {
			t.Error(err)
			break
		}
		lock.Close()
	}
	close(stop)
	lookers.Wait()
}

func TestLockOfRemovedFileIsNoLock(t *testing.T) {
	dir := t.TempDir()
	lock, err := acquireLock(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := os.Remove(filepath.Join(dir, lockName)); err != nil {
		t.Fatal(err)
	}
	taken, err := lockOpened(lock.file, filepath.Join(dir, lockName))
	if taken || err != nil {
		t.Errorf("a lock on a file that is gone: %v, %v; want to try again", taken, err)
	}
}

func TestInitAndLeaveRefuseServedFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "shop.db")
	if err := runSQL([]string{path, "CREATE TABLE t(id INTEGER PRIMARY KEY, v)"}); err != nil {
		t.Fatal(err)
	}
	if _, err := makeStateDir(stateDir(path)); err != nil {
		t.Fatal(err)
	}
	lock, err := acquireLock(stateDir(path))
	if err != nil {
		t.Fatal(err)
	}
	options := store.HubOptions{Name: "central", Organisation: "shops"}
	var locked *lockedError
	if _, err := initHub(path, options); !errors.As(err, &locked) {
		t.Errorf("init of a database that is served: %v", err)
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := initHub(path, options); err != nil {
		t.Fatal(err)
	}
	if lock, err = acquireLock(stateDir(path)); err != nil {
		t.Fatal(err)
	}
	if err := leave(path, true); !errors.As(err, &locked) {
		t.Errorf("leave of a database that is served: %v", err)
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	if err := leave(path, false); err != nil {
		t.Error(err)
	}
}
