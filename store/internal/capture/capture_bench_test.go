package capture

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"ravno/crdt"
	"ravno/store/internal/sqlite"
)

// benchRows is large enough that the log and the table leave the page cache's first pages.
const benchRows = 100_000

// work is one bulk job on a table of eight columns, run in one transaction.
type work struct {
	name   string
	filled bool // the table holds benchRows before
	sql    string
	args   func(i int, key crdt.Value) []crdt.Value
}

var works = []work{
	{"insert", false, "INSERT INTO t VALUES(?,?,?,?,?,?,?,?)", benchRow},
	{"insert_or_replace", true, "INSERT OR REPLACE INTO t VALUES(?,?,?,?,?,?,?,?)", benchRow},
	{"update_one", true, "UPDATE t SET c=? WHERE k=?", func(i int, key crdt.Value) []crdt.Value {
		return []crdt.Value{crdt.IntegerValue(int64(i + 1)), key}
	}},
	{"update_all", true, "UPDATE t SET k=?1,a=?2,b=?3,c=?4+1,d=?5,e=?6,f=?7,g=?8 WHERE k=?1", benchRow},
	{"delete", true, "DELETE FROM t WHERE k=?", func(_ int, key crdt.Value) []crdt.Value { return []crdt.Value{key} }},
}

func benchKey(i int, text bool) crdt.Value {
	scattered := int64(i) * 2654435761 % (1 << 32)
	if text {
		return crdt.TextValue(fmt.Sprintf("%016x", scattered))
	}
	return crdt.IntegerValue(int64(i + 1))
}

func benchRow(i int, key crdt.Value) []crdt.Value {
	return []crdt.Value{key, crdt.TextValue("a name of some length"), crdt.TextValue("category"),
		crdt.IntegerValue(int64(i)),
		crdt.RealValue(float64(i) / 7), crdt.IntegerValue(1), crdt.TextValue("2024-01-01 10:00:00"), {}}
}

// timed does the work on a fresh file and returns how long it took, COMMIT included.
func timed(b *testing.B, w work, text, capture bool) time.Duration {
	c, err := sqlite.Open(filepath.Join(b.TempDir(), "bench.db"), sqlite.Create)
	must(b, err)
	defer c.Close()
	kind := "INTEGER"
	if text {
		kind = "TEXT"
	}
	must(b, c.Exec("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; CREATE TABLE t(k "+kind+
		" PRIMARY KEY, a TEXT, b TEXT, c INTEGER, d REAL, e INTEGER, f DATETIME, g TEXT)"))
	all := func(sql string, args func(int, crdt.Value) []crdt.Value) {
		must(b, c.Transaction("IMMEDIATE", func() error {
			s, err := c.Prepare(sql)
			for i := 0; i < benchRows && err == nil; i++ {
				err = s.Exec(args(i, benchKey(i, text))...)
			}
			return err
		}))
	}
	if w.filled {
		all(works[0].sql, benchRow)
		must(b, c.Exec("PRAGMA wal_checkpoint(TRUNCATE)"))
	}
	if capture {
		install(b, c)
	}
	start := time.Now()
	all(w.sql, w.args)
	return time.Since(start)
}

// BenchmarkCost reports what capture costs the application: the median time of bulk work
// with the triggers over that without. The runs alternate, so that a slow moment of the
// machine meets both. Run it with -benchtime=5x.
func BenchmarkCost(b *testing.B) {
	for _, w := range works {
		for _, text := range []bool{true, false} {
			b.Run(fmt.Sprintf("%s/text=%v", w.name, text), func(b *testing.B) {
				var with, without []time.Duration
				for b.Loop() {
					without = append(without, timed(b, w, text, false))
					with = append(with, timed(b, w, text, true))
				}
				slices.Sort(with)
				slices.Sort(without)
				on, off := with[len(with)/2], without[len(without)/2]
				b.ReportMetric(0, "ns/op")
				b.ReportMetric(float64(off.Nanoseconds())/benchRows, "bare-ns/row")
				b.ReportMetric(float64(on.Nanoseconds())/benchRows, "captured-ns/row")
				b.ReportMetric(float64(on)/float64(off), "ratio")
			})
		}
	}
}
