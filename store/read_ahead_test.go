package store

import (
	"testing"

	"ravno/store/internal/rows"
)

// The keys that can be read ahead are those that SQLite sorts as they are compared here.
func TestReadAheadOnlyOfByteKeys(t *testing.T) {
	for declared, ahead := range map[string]bool{
		"id INTEGER PRIMARY KEY": true, "id TEXT PRIMARY KEY NOT NULL": true, "id VARCHAR(20) PRIMARY KEY NOT NULL": true,
		"id TEXT PRIMARY KEY COLLATE NOCASE NOT NULL": false, "id BLOB PRIMARY KEY NOT NULL": false,
		"id REAL PRIMARY KEY NOT NULL":                        false,
		"a TEXT NOT NULL, b TEXT NOT NULL, PRIMARY KEY(a, b)": false,
	} {
		c := newChain(t, "CREATE TABLE p("+declared+")", nil)
		c.must(c.hub.write(func(tx *rows.Tx) error {
			if sql := tx.Cat.ByName["p"].Sql; (sql.AheadRows != "") != ahead || (sql.AheadKeys != "") != ahead {
				t.Errorf("%s: read ahead by %q", declared, sql.AheadRows)
			}
			return nil
		}))
	}
	c := newChain(t, "PRAGMA encoding='UTF-16le'; CREATE TABLE p(id TEXT PRIMARY KEY NOT NULL)", nil)
	c.must(c.hub.write(func(tx *rows.Tx) error {
		if sql := tx.Cat.ByName["p"].Sql; sql.AheadRows != "" {
			t.Errorf("in UTF-16, which is not sorted as its UTF-8: read ahead by %q", sql.AheadRows)
		}
		return nil
	}))
}
