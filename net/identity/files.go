package identity

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// The files of a state directory.
const (
	caFile    = "ca.pem"     // the organisation's CA certificate
	caKeyFile = "ca-key.pem" // the CA's private key: at the hub only
	certFile  = "cert.pem"   // this server's certificate
	keyFile   = "key.pem"    // this server's private key, made here, never sent
	marksFile = "marks.json" // how far this server had come, see Marks
)

const (
	dirMode  fs.FileMode = 0o700
	fileMode fs.FileMode = 0o600

	// othersMode are the permissions that let anyone but the owner at a private key.
	othersMode fs.FileMode = 0o077
	// othersWriteMode lets others replace the files of a directory, of any mode.
	othersWriteMode fs.FileMode = 0o022

	// maxFileBytes is far above any file we write (a few KiB) and far below what would hurt
	// to read by mistake.
	maxFileBytes = 64 << 10
)

// makeDir creates the state directory for its owner alone, or checks that the one which
// exists cannot be written by others.
func makeDir(dir string) error {
	if err := os.MkdirAll(dir, dirMode); err != nil {
		return fmt.Errorf("identity: making the state directory: %w", err)
	}
	return checkDir(dir)
}

func checkDir(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("identity: state directory: %w", err)
	}
	if !info.IsDir() {
		return fmt.Errorf("identity: %s is not a directory, but the state directory belongs there", dir)
	}
	if info.Mode().Perm()&othersWriteMode != 0 {
		return fmt.Errorf("identity: state directory %s can be written by others (mode %04o): they could replace the keys "+
			"in it. Try: chmod 700 %s",
			dir, info.Mode().Perm(), dir)
	}
	return nil
}

// read returns a whole file of the state directory. A missing file is fs.ErrNotExist.
func read(dir, name string) ([]byte, error) {
	file, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	defer file.Close()
	return readLimited(file)
}

// readPrivate is read for a file that holds a private key. It refuses a file that others can read,
// because they may know its key.
func readPrivate(dir, name string) ([]byte, error) {
	if err := checkDir(dir); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, name)
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	if mode := info.Mode().Perm(); mode&othersMode != 0 {
		return nil,
			fmt.Errorf(
				"identity: private key %s is open to other users (mode %04o): a key must be its owner's alone. Try: chmod 600 %s",
				path, mode, path)
	}
	return readLimited(file)
}

func readLimited(file *os.File) ([]byte, error) {
	content, err := io.ReadAll(io.LimitReader(file, maxFileBytes+1))
	if err != nil {
		return nil, fmt.Errorf("identity: reading %s: %w", file.Name(), err)
	}
	if len(content) > maxFileBytes {
		return nil, fmt.Errorf("identity: %s is larger than %d bytes: not a file of ours", file.Name(), maxFileBytes)
	}
	return content, nil
}

// write replaces a file of the state directory. A crash at any moment leaves the old content or the
// new one on disk, by a temporary file, fsync, rename and fsync of the directory. Callers keep to one
// writer per directory.
func write(dir, name string, content []byte) (err error) {
	path := filepath.Join(dir, name)
	temporary := path + ".tmp"
	defer func() {
		if err != nil {
			err = fmt.Errorf("identity: writing %s: %w", path, err)
		}
	}()
	// A leftover of a crash is removed rather than truncated, because it would keep its old mode.
	// A key must never be in a file that others can read, not for an instant.
	if err := os.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	file, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	err = errors.Join(err, file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(temporary, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temporary))
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	handle, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(handle.Sync(), handle.Close())
}
