package main

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	sqlite3 "github.com/mattn/go-sqlite3"
)

// backlogLine is an outage's work on its way: written at one node while its daemon was
// down, until the other node has it.
func backlogLine(b *bench) {
	rows := textShape.sales(0, 2*b.rows)
	var peaks [3]float64
	b.compare(comparison{what: fmt.Sprintf("%d rows from node to node", len(rows)),
		against: "plain inserts into three files", units: len(rows), target: 3, pairs: fewest,
		note: "real daemons on the loopback, start of the daemon included",
		plain: func() time.Duration {
			dir, done := b.fresh()
			defer done()
			p := b.openLikeStore(filepath.Join(dir, "plain.db"))
			defer p.close()
			p.run(textShape.schema())
			return 3 * timed(func() { b.insertAll(p, textShape, rows) }) // one after the other: each takes as long
		},
		ours: func() time.Duration {
			c, done := b.newChain(textShape, 2)
			defer done()
			took := c.backlog(textShape, rows)
			peaks = c.peaks()
			return took
		}})
	b.remembered(peaks, len(rows), "TEXT")
}

// ordinary is how many rows a transaction of an application has, at most: what is one
// transaction at its origin is one everywhere, so a larger one would forbid slices.
const ordinary = 100

// insertOften inserts rows as an application does, in transactions of ordinary size.
func (b *bench) insertOften(p *plain, s shape, rows [][]driver.Value) {
	for some := range slices.Chunk(rows, ordinary) {
		b.insertAll(p, s, some)
	}
}

// backlog writes rows at the first node while its daemon is down, and returns how long they
// take to the second from its start.
func (c *chain) backlog(s shape, rows [][]driver.Value) time.Duration {
	c.writeAway(s, rows)
	return timed(func() {
		c.node[0].start()
		c.node[1].await(len(rows))
	})
}

// writeAway writes rows at the first node while its daemon is down.
func (c *chain) writeAway(s shape, rows [][]driver.Value) {
	c.node[0].stop()
	p := c.node[0].app()
	c.b.insertOften(p, s, rows)
	p.close()
}

const (
	// pace is how often the application of the line latency writes a row.
	pace = time.Second / 50
	// peek is how often its reader looks: a small part of what it measures.
	peek = 300 * time.Microsecond
	// durableCommits and roundTrips are what is on the road of a row from node to node at the
	// least: fold, apply at the hub, apply at the node; each link once there and back.
	durableCommits = 3
	roundTrips     = 2
)

// latencyLine is the time from a commit at one node until a reader at the other sees it.
func latencyLine(b *bench) {
	writes := b.rows * 3 / 400
	c, done := b.newChain(intShape, 2)
	defer done()
	before := b.floorTime(c.dir)
	took := c.trickle(writes)
	floor := (before + b.floorTime(c.dir)) / 2
	note := fmt.Sprintf("%d rows, one every %s; floor: %d durable writes and %d round trips at the same pace", len(took),
		pace, durableCommits, roundTrips)
	for _, q := range []struct {
		name          string
		share, target float64
	}{{"p50", 0.5, 2}, {"p99", 0.99, 5}} {
		measured := quantile(took, q.share)
		b.add(result{What: "commit at a node to visible at another, " + q.name, Unit: "ms", Measured: measured,
			Baseline: milliseconds(floor),
			Against:  "floor", Ratio: measured / milliseconds(floor), Target: q.target, HasGoal: true, Note: note})
	}
}

// floorTime is measured at the pace of the rows: a disk and a processor that have had nothing to do
// for 20 ms take two to three times as long as those that are asked again at once.
func (b *bench) floorTime(dir string) time.Duration {
	return durableCommits*b.syncTime(filepath.Join(dir, "sync"), pace) + roundTrips*b.loopTime(pace)
}

// trickle writes one row after the other at the first node, and returns how many
// milliseconds each took to the second.
func (c *chain) trickle(writes int) (took []float64) {
	app, reader := c.node[0].app(), c.node[1].app()
	defer app.close()
	defer reader.close()
	committed := make([]time.Time, writes)
	var mutex sync.Mutex
	var writing sync.WaitGroup
	var failed any
	writing.Go(func() {
		defer func() { failed = recover() }()
		ticker := time.NewTicker(pace)
		defer ticker.Stop()
		for i := range writes {
			<-ticker.C
			app.do(intShape.insert(), intShape.sale(i)...)
			mutex.Lock()
			committed[i] = time.Now()
			mutex.Unlock()
		}
	})
	deadline := time.Now().Add(patience)
	for len(took) < writes && time.Now().Before(deadline) {
		seen, now := int(reader.number("SELECT max(id) FROM sale")), time.Now()
		for len(took) < seen {
			mutex.Lock()
			at := committed[len(took)]
			mutex.Unlock()
			took = append(took, max(0, milliseconds(now.Sub(at))))
		}
		c.b.briefly(peek)
	}
	writing.Wait()
	if failed != nil {
		panic(failed)
	}
	if len(took) < writes {
		c.b.must(fmt.Errorf("%d of %d rows came within %s", len(took), writes, patience))
	}
	return took
}

const (
	// tillPause is the time between two rows of the till.
	tillPause = 10 * time.Millisecond
	// tillKeys is where the till's own keys begin.
	tillKeys = 1_000_000_000
	// quietSales is how many rows the till writes with nothing else going on, to compare with.
	quietSales = 200
)

// briefly sleeps for less than a millisecond, which time.Sleep makes one of.
func (b *bench) briefly(d time.Duration) {
	left := syscall.NsecToTimespec(d.Nanoseconds())
	if err := syscall.Nanosleep(&left, nil); !errors.Is(err, syscall.EINTR) {
		b.must(err)
	}
}

// catchUpLine is a backlog that one node has written and the other catches up with: what an
// application there waits for meanwhile, and how much memory the daemons take, against a backlog of
// a tenth.
func catchUpLine(b *bench) {
	backlog := 5 * b.rows
	small := b.peaksOf(backlog / 10)
	c, done := b.newChain(intShape, 2)
	defer done()
	c.node[1].stop()
	c.writeAway(intShape, intShape.sales(0, backlog))
	c.node[0].start()
	c.hub.await(backlog)
	c.sellMeanwhile(backlog)
	large := c.peaks()
	b.remembered(large, backlog, "INTEGER")
	for i, name := range daemonsAre {
		b.add(result{What: "the same of " + name + ", against a backlog of a tenth", Unit: "MiB", Measured: large[i],
			Baseline: small[i], Against: "a tenth of the rows",
			Ratio: large[i] / small[i], Target: flat, HasGoal: true})
	}
}

// sellMeanwhile writes rows at the second node while it gets so many others.
func (c *chain) sellMeanwhile(backlog int) {
	b := c.b
	till := c.node[1].app()
	defer till.close()
	c.node[1].start()
	var during []float64
	busy, sold := 0, 0
	began := time.Now()
	for time.Since(began) < patience {
		if len(during)%20 == 0 && till.number("SELECT max(id) FROM sale WHERE id<?", int64(tillKeys)) >= int64(backlog) &&
			till.number("SELECT count(*) FROM sale WHERE id<?", int64(tillKeys)) >= int64(backlog) {
			break
		}
		during = append(during, b.sell(till, &sold, &busy))
	}
	lasted := time.Since(began)
	var quiet []float64
	for range quietSales {
		quiet = append(quiet, b.sell(till, &sold, new(int)))
	}
	note := fmt.Sprintf("%d rows of transactions of %d applied in %.1f s, %d rows sold meanwhile", backlog, ordinary,
		lasted.Seconds(), len(during))
	for _, q := range []struct {
		name          string
		share, target float64
	}{{"p50", 0.5, 0}, {"p99", 0.99, 60}, {"longest", 1, 0}} {
		b.add(result{What: "a row at the till during catch-up, " + q.name, Unit: "ms", Measured: quantile(during, q.share),
			Baseline: quantile(quiet, q.share),
			Against:  "the same when level", Target: q.target, HasGoal: q.target > 0, Note: note})
	}
	b.add(result{What: "SQLITE_BUSY at the till, busy timeout 1 s", Measured: float64(busy), HasGoal: true, Note: note})
}

// sell writes one row and returns how many milliseconds it took.
func (b *bench) sell(till *plain, sold, busy *int) float64 {
	row := intShape.sale(tillKeys + *sold)
	*sold++
	time.Sleep(tillPause)
	var err error
	took := timed(func() { err = till.try(intShape.insert(), row...) })
	var refused sqlite3.Error
	if errors.As(err, &refused) && refused.Code == sqlite3.ErrBusy {
		*busy++
	} else {
		b.must(err)
	}
	return milliseconds(took)
}
