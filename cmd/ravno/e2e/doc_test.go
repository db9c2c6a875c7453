// Package e2e tests whole chains. It runs the built program as real processes, with real QUIC on
// loopback, real files, and applications that know SQLite and nothing of ravno. It judges the command
// line as users would, by exit codes and output, and by comparing the files value by value with code
// of its own.
//
// It knows nothing of the inside, except where the outside has no handle. It uses net/quiclink and
// net/identity to knock at the hub as a stranger, and store to make a join token that has expired.
package e2e

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"ravno/store"
)

// program is the built ravno. TestMain sets it once, before any test.
var program string

func TestMain(m *testing.M) { os.Exit(buildAndRun(m)) }

// lookAtSources looks at every source file of the program. Go keeps the results of tests by
// the files they open, and cannot know that this one builds a program from others.
func lookAtSources(root string) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		switch filepath.Ext(path) {
		case ".go", ".c", ".sql", ".html", ".css", ".mod":
			_, err = os.Stat(path)
		}
		return err
	})
}

func buildAndRun(m *testing.M) int {
	if err := lookAtSources(filepath.Join("..", "..", "..")); err != nil {
		fmt.Fprintln(os.Stderr, "the program's sources:", err)
		return 1
	}
	dir, err := os.MkdirTemp("", "ravno-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "a directory for the program:", err)
		return 1
	}
	defer os.RemoveAll(dir)
	program = filepath.Join(dir, "ravno")
	build := exec.Command("go", append(append([]string{"build", "-buildvcs=false"}, buildFlags()...), "-o", program,
		"ravno/cmd/ravno")...)
	if said, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building ravno: %v\n%s", err, said)
		return 1
	}
	return m.Run()
}

// buildFlags build the program as the tests were built: with the race detector, and with FTS5.
func buildFlags() (flags []string) {
	if race {
		flags = append(flags, "-race")
	}
	if store.HasFTS5() {
		flags = append(flags, "-tags=sqlite_fts5")
	}
	return flags
}
