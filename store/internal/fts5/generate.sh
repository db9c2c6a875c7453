#!/bin/sh
# Takes FTS5 out of the amalgamation in github.com/mattn/go-sqlite3, so that both are of one
# version. Run `go generate` here after taking a new version of that module.
set -eu
from=$(go list -m -f '{{.Dir}}' github.com/mattn/go-sqlite3)
sed -n '/^\/\*\** Begin file fts5\.c \**\/$/,/^\/\*\** End of fts5\.c \**\/$/p' "$from/sqlite3-binding.c" > fts5_amalgamation.h
cat "$from/sqlite3-binding.h" > sqlite3.h
sed -e 's/sqlite3-binding\.h/sqlite3.h/' "$from/sqlite3ext.h" > sqlite3ext.h
