package capture
import ("testing";"time";"fmt";"slices";"syscall";"ravno/store/internal/sqlite";"ravno/crdt";"path/filepath")
func cpu() time.Duration { var r syscall.Rusage; syscall.Getrusage(0,&r); return time.Duration(r.Utime.Nano()+r.Stime.Nano()) }
func TestVariants(t *testing.T) {
	const n = 100000
	U := "CREATE TRIGGER x AFTER UPDATE ON t "
	ins := func(ms string) string { return "BEGIN INSERT INTO ravno_log(t,m,ms,k1) VALUES(1,1,"+ms+",NEW.k); END" }
	msk := func(m string) string { return "BEGIN INSERT INTO ravno_log(t,m,ms,k1) VALUES(1,"+m+",1,NEW.k); END" }
	type v struct{ name, trig string }
	vs := []v{ {"none",""}, {"const",U+ins("1")}, {"bigconst", U+ins("1795445844813")},
		{"jd",U+ins("julianday('now')")},{"jd*",U+ins("julianday('now')*86400000.0")},{"full",U+ins(nowMillis)},
		{"cast",U+ins("CAST(NEW.c * 86400000.0 + 0.5 AS INTEGER) - 210866760000000")},
		{"strftime s",U+ins("strftime('%s','now')")},{"strftime f",U+ins("strftime('%s%f','now')")},{"current_ts",U+ins("CURRENT_TIMESTAMP")},
		{"abs",U+ins("abs(NEW.c)")},
		{"when", U+"WHEN NEW.k IS OLD.k "+ins("1")},
		{"bool7",U+msk("(OLD.a IS NOT NEW.a)*2+(OLD.b IS NOT NEW.b)*4+(OLD.c IS NOT NEW.c)*8+(OLD.d IS NOT NEW.d)*16+(OLD.e IS NOT NEW.e)*32+(OLD.f IS NOT NEW.f)*64+(OLD.g IS NOT NEW.g)*128")},
		{"boolshift7",U+msk("(OLD.a IS NOT NEW.a)<<1|(OLD.b IS NOT NEW.b)<<2|(OLD.c IS NOT NEW.c)<<3|(OLD.d IS NOT NEW.d)<<4|(OLD.e IS NOT NEW.e)<<5|(OLD.f IS NOT NEW.f)<<6|(OLD.g IS NOT NEW.g)<<7")},
		{"case7",U+msk("CASE WHEN OLD.a IS NOT NEW.a THEN 2 ELSE 0 END+CASE WHEN OLD.b IS NOT NEW.b THEN 4 ELSE 0 END+CASE WHEN OLD.c IS NOT NEW.c THEN 8 ELSE 0 END+CASE WHEN OLD.d IS NOT NEW.d THEN 16 ELSE 0 END+CASE WHEN OLD.e IS NOT NEW.e THEN 32 ELSE 0 END+CASE WHEN OLD.f IS NOT NEW.f THEN 64 ELSE 0 END+CASE WHEN OLD.g IS NOT NEW.g THEN 128 ELSE 0 END")},
		{"bool7 sub",U+"BEGIN INSERT INTO ravno_log(t,m,ms,k1) SELECT 1,m,1,NEW.k FROM (SELECT (OLD.a IS NOT NEW.a)*2+(OLD.b IS NOT NEW.b)*4+(OLD.c IS NOT NEW.c)*8+(OLD.d IS NOT NEW.d)*16+(OLD.e IS NOT NEW.e)*32+(OLD.f IS NOT NEW.f)*64+(OLD.g IS NOT NEW.g)*128 AS m) WHERE m; END"},
	}
	for _, kind := range []string{"INTEGER"} {
		times := make([][]time.Duration, len(vs))
		for run := 0; run < 7; run++ {
			for i, va := range vs {
				c, err := sqlite.Open(filepath.Join(t.TempDir(), "b.db"), sqlite.Create)
				must(t, err)
				must(t, c.Exec("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; CREATE TABLE ravno_log(id INTEGER PRIMARY KEY,t,m,ms,k1); CREATE TABLE t(k "+kind+" PRIMARY KEY, a TEXT, b TEXT, c INTEGER, d REAL, e INTEGER, f DATETIME, g TEXT)"))
				do := func(sql string, args func(int, crdt.Value) []crdt.Value) {
					must(t, c.Transaction("IMMEDIATE", func() error {
						s, err := c.Prepare(sql)
						for i := 0; i < n && err == nil; i++ { err = s.Exec(args(i, benchKey(i, kind=="TEXT"))...) }
						return err
					}))
				}
				do(works[0].sql, benchRow); must(t, c.Exec("PRAGMA wal_checkpoint(TRUNCATE)"))
				if va.trig != "" { must(t, c.Exec(va.trig)) }
				start := cpu()
				do(works[2].sql, works[2].args)
				times[i] = append(times[i], cpu()-start)
				c.Close()
			}
		}
		for i, va := range vs {
			slices.Sort(times[i])
			fmt.Printf("%s %-18s min %5d med %5d ns  %.2f\n", kind, va.name, times[i][0].Nanoseconds()/n,times[i][3].Nanoseconds()/n, float64(times[i][3])/float64(times[0][3]))
		}
	}
}
