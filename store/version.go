package store

import "ravno/store/internal/sqlite"

// SQLiteVersion is the version of the SQLite library linked in, such as 3.50.4.
func SQLiteVersion() string { return sqlite.Version() }
