package identity_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ravno/crdt/causal"
	"ravno/net/identity"
)

func TestMarksSurvive(t *testing.T) {
	dir := t.TempDir()
	if _, err := identity.LoadMarks(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("marks before any were saved: %v", err)
	}
	for _, marks := range []identity.Marks{
		{},
		{Incarnation: causal.Incarnation{0xff, 15: 1}, Position: 1<<64 - 1, Seen: 1 << 63},
		{Position: 1, Seen: 2, Database: &identity.File{Device: 1<<64 - 1, Inode: 1<<53 + 1}},
	} {
		if err := identity.SaveMarks(dir, marks); err != nil {
			t.Fatal(err)
		}
		got, err := identity.LoadMarks(dir)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(marks, got); diff != "" {
			t.Error(diff)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("saving left %d files: %v", len(entries), err)
	}
}

func TestMarksOfANewerVersionAreRead(t *testing.T) {
	dir := t.TempDir()
	text := `{"incarnation":"000102030405060708090a0b0c0d0e0f","position":5,"seen":6,"mood":"new"}`
	if err := os.WriteFile(filepath.Join(dir, "marks.json"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if marks, err := identity.LoadMarks(dir); err != nil || marks.Position != 5 || marks.Incarnation[15] != 15 {
		t.Errorf("%+v, %v", marks, err)
	}
}

func TestDamagedMarksAreNotTakenForNone(t *testing.T) {
	for _, text := range []string{"", "{", `{"incarnation":"00"}`, `{"incarnation":"zz0102030405060708090a0b0c0d0e0f"}`,
		`{"position":-1}`} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "marks.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := identity.LoadMarks(dir); err == nil || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestReplacedFileIsAnotherFile(t *testing.T) {
	dir := t.TempDir()
	path, moved := filepath.Join(dir, "app.db"), filepath.Join(dir, "moved.db")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	before, err := identity.FileAt(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path, moved); err != nil {
		t.Fatal(err)
	}
	if after, err := identity.FileAt(moved); err != nil || after != before {
		t.Errorf("moved: %v, %v", after, err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if after, err := identity.FileAt(path); err != nil || after == before {
		t.Errorf("replaced: %v, %v", after, err)
	}
}
