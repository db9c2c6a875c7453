package identity

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"ravno/crdt/causal"
)

// Marks is a server's memory of itself outside its database, in marks.json beside the key. A file that
// was restored from a backup, cloned or replaced contradicts the marks. Nothing else reveals it.
type Marks struct {
	Incarnation causal.Incarnation
	Position    causal.Position // the highest this server gave to a commit of its own
	Seen        causal.Seen     // the highest position of the hub it had applied
	Database    *File           // which file it was; nil when unknown
}

// File identifies a file by properties that survive a rename and not a copy.
type File struct {
	Device uint64 `json:"device"`
	Inode  uint64 `json:"inode"`
}

// storedMarks is the text of marks.json. Fields unknown to this version are left alone on
// reading, so that an older binary can open what a newer one wrote.
type storedMarks struct {
	Incarnation string `json:"incarnation"`
	Position    uint64 `json:"position"`
	Seen        uint64 `json:"seen"`
	Database    *File  `json:"database,omitempty"`
}

// LoadMarks reads the marks of a state directory. Without any, the error is fs.ErrNotExist.
func LoadMarks(dir string) (Marks, error) {
	content, err := read(dir, marksFile)
	if err != nil {
		return Marks{}, err
	}
	path := filepath.Join(dir, marksFile)
	var stored storedMarks
	if err := json.Unmarshal(content, &stored); err != nil {
		return Marks{}, fmt.Errorf("identity: %s: %w", path, err)
	}
	marks := Marks{Position: causal.Position(stored.Position), Seen: causal.Seen(stored.Seen), Database: stored.Database}
	raw, err := hex.DecodeString(stored.Incarnation)
	if err != nil || len(raw) != len(marks.Incarnation) {
		return Marks{}, fmt.Errorf("identity: %s: incarnation %q is not %d hex digits", path, stored.Incarnation,
			2*len(marks.Incarnation))
	}
	copy(marks.Incarnation[:], raw)
	return marks, nil
}

// SaveMarks replaces the marks of a state directory, which must exist. When it returns nil
// they are on disk. A crash before leaves the old ones. There must be one writer at a time.
func SaveMarks(dir string, marks Marks) error {
	content, err := json.Marshal(storedMarks{
		Incarnation: hex.EncodeToString(marks.Incarnation[:]),
		Position:    uint64(marks.Position),
		Seen:        uint64(marks.Seen),
		Database:    marks.Database,
	})
	if err != nil {
		return fmt.Errorf("identity: encoding the marks: %w", err)
	}
	return write(dir, marksFile, append(content, '\n'))
}

// FileAt looks up which file is at path. It does not open the file, because closing any descriptor of
// a SQLite file drops the process's locks on it.
func FileAt(path string) (File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return File{}, fmt.Errorf("identity: %w", err)
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return File{}, fmt.Errorf("identity: %s: this system does not number its files", path)
	}
	return File{Device: uint64(stat.Dev), Inode: stat.Ino}, nil
}
