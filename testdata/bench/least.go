package main

import (
	"database/sql/driver"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// What the design has to do at the least, done by plain SQLite and by nothing else: no program
// that keeps to the design can cost less. Where a target is below that, this is why it is missed.

// leastTriggers append what a log entry is, and look at nothing: the table, what happened, the
// wall clock, the key.
func leastTriggers(p *plain) {
	const now = "CAST(julianday('now') * 86400000.0 + 0.5 AS INTEGER) - 210866760000000"
	p.run("CREATE TABLE least_log(id INTEGER PRIMARY KEY, t, m, ms, k1)")
	for _, event := range []string{"INSERT", "UPDATE", "DELETE"} {
		row := "NEW"
		if event == "DELETE" {
			row = "OLD"
		}
		p.run(fmt.Sprintf(
			"CREATE TRIGGER least_%s AFTER %[1]s ON sale BEGIN INSERT INTO least_log(t, m, ms, k1) VALUES(1, 1, %s, %s.id); END",
			event, now, row))
	}
}

const leastTriggersAre = "triggers that do nothing but append table, operation, time and key"

// Tables as large as a shadow and a touch.
const (
	leastShadow = ", position INTEGER NOT NULL, row BLOB NOT NULL, document BLOB)"
	leastIndex  = "CREATE INDEX least_position ON least_shadow(position)"
	leastTouch  = `CREATE TABLE least_touch(document BLOB NOT NULL, tab INTEGER NOT NULL, key BLOB NOT NULL, site INTEGER
		NOT NULL,
		position INTEGER NOT NULL, dead INTEGER NOT NULL, before BLOB NOT NULL, PRIMARY KEY(document, tab, key, site))
		WITHOUT ROWID;
		CREATE INDEX least_touched ON least_touch(position)`
	// shadowBytes is the length of a shadow row with a birth, beforeBytes of one value before.
	shadowBytes, beforeBytes = 18, 12
	// neighbours is how many rows share a position.
	neighbours = 1024
)

// leastMetadata writes what has to be remembered of rows: their stamps by key, and by position
// where there is an index of those, and, where they were changed, who changed their documents.
func (b *bench) leastMetadata(p *plain, s shape, keys []driver.Value, touched bool) {
	p.atomically(func() {
		for i, key := range keys {
			shadow, position := make([]byte, shadowBytes), int64(i/neighbours)
			blob := key
			if s.text {
				blob = []byte("\x03\x24" + keyText(key))
			}
			p.do("INSERT OR REPLACE INTO least_shadow VALUES(?,?,?,NULL)", blob, position, shadow)
			if touched {
				document := []byte(fmt.Sprintf("%016x%s", 7, keyText(key)))
				p.do("INSERT OR REPLACE INTO least_touch VALUES(?,7,?,2,?,0,?)", document, document[16:], position,
					make([]byte, beforeBytes))
			}
		}
	})
}

// leastly measures work on a bare file, if there is any, and the least metadata of the rows: sent says
// that somebody is to get them from here, touched that it counts who changed them.
func (b *bench) leastly(f fixture, keys []driver.Value, sent, touched bool, work func(p *plain)) func() time.Duration {
	sorted := slices.SortedFunc(slices.Values(keys),
		func(a, b driver.Value) int { return strings.Compare(keyText(a), keyText(b)) })
	return func() time.Duration {
		dir, done := b.copied(f, bareFile)
		defer done()
		p := b.openLikeStore(filepath.Join(dir, bareFile))
		defer p.close()
		if f.text {
			p.run("CREATE TABLE least_shadow(key BLOB PRIMARY KEY NOT NULL" + leastShadow + " WITHOUT ROWID")
		} else {
			p.run("CREATE TABLE least_shadow(key INTEGER PRIMARY KEY" + leastShadow)
		}
		p.run(leastTouch)
		if sent {
			p.run(leastIndex)
		}
		return timed(func() {
			if work != nil {
				work(p)
			}
			b.leastMetadata(p, f.shape, sorted, touched)
		})
	}
}

// keyText is a key as a text that sorts as the keys do.
func keyText(key driver.Value) string {
	if n, ok := key.(int64); ok {
		return fmt.Sprintf("%09d", n)
	}
	return key.(string)
}
