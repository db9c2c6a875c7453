// Package fts5 gives every connection of this process SQLite's full-text index FTS5
// (https://sqlite.org/fts5.html). github.com/mattn/go-sqlite3 leaves it out unless a build
// tag asks for it, which plain `go build` does not; without it, an application's FTS5
// indexes could not be kept fresh. The source is SQLite's, in the public domain and
// unchanged, taken from that module by generate.sh. The package refuses to know anything else.
package fts5

//go:generate ./generate.sh

// #cgo linux LDFLAGS: -Wl,--unresolved-symbols=ignore-in-object-files -lm
// #cgo darwin LDFLAGS: -Wl,-undefined,dynamic_lookup
// int ravno_fts5_register(void);
import "C"

// Register arranges that every connection opened from now on has FTS5. It returns SQLite's
// result code; 0 is success. Calling it again changes nothing.
func Register() int { return int(C.ravno_fts5_register()) }
