package main

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	sqlite3 "github.com/mattn/go-sqlite3"
)

// habit is how an application makes its transactions.
type habit struct {
	name   string
	begin  string        // empty: each statement is a transaction
	reads  bool          // before it writes
	think  time.Duration // between reading and what follows
	writes bool
	target float64 // failed of 10,000 at most; below 0: none
}

const (
	// besideReport is how long a report reads.
	besideReport = 2 * time.Second
	// othersPace is how often another server writes a row, where one does.
	othersPace = 100 * time.Millisecond
	// besideCell bounds how long one habit is measured at one gap, where no number is given.
	besideCell = time.Second
	// besideRows is how many rows the application changes in turn.
	besideRows = 200
)

func habits() []habit {
	return []habit{
		{"autocommit", "", false, 0, true, 0},
		{"BEGIN IMMEDIATE", "BEGIN IMMEDIATE", true, time.Millisecond, true, 0},
		{"deferred, no thinking", "BEGIN", true, 0, true, 0},
		{"deferred, 1 ms", "BEGIN", true, time.Millisecond, true, 0},
		{"deferred, 20 ms", "BEGIN", true, 20 * time.Millisecond, true, 1},
		{"report of 2 s, then nothing", "BEGIN", true, besideReport, false, -1},
		{"report of 2 s, then a write", "BEGIN", true, besideReport, true, -1},
	}
}

// gaps are how long the application pauses between two transactions.
func gaps() []time.Duration {
	return []time.Duration{5 * time.Millisecond, 20 * time.Millisecond, 200 * time.Millisecond}
}

// besideLine is what an application's transactions meet beside the daemon: how many fail, how long
// they take beyond their own thinking, and how far behind the hub is when they end.
func besideLine(b *bench) {
	for _, at := range []struct {
		name   string
		daemon bool
		others bool
	}{
		{name: "daemon stopped"},
		{name: "daemon running", daemon: true},
		{name: "another server writes 10 rows/s", daemon: true, others: true},
	} {
		for _, h := range habits() {
			c, done := b.newBeside()
			if !at.daemon {
				c.node[0].stop()
			}
			stop := func() {}
			if at.others {
				stop = c.othersWrite()
			}
			var cells []cell
			for _, gap := range gaps() {
				cells = append(cells, c.beside(h, gap, b.enough(h, gap), at.daemon))
			}
			stop()
			done()
			b.besides(h, at.name, h.target, cells)
		}
	}
	for _, h := range habits() {
		b.besides(h, fmt.Sprintf("%d rows arrive", 5*b.rows), h.target*10, []cell{b.besideBacklog(h)})
	}
}

// cell is one habit at one gap.
type cell struct {
	gap    time.Duration
	failed int
	took   []float64     // by each transaction, in milliseconds, beyond its thinking
	behind time.Duration // until the hub had the last of them; or until a backlog was here
}

// enough returns when a cell has enough transactions.
func (b *bench) enough(h habit, gap time.Duration) func(n int, since time.Duration) bool {
	return func(n int, since time.Duration) bool {
		if b.transactions > 0 && h.think < besideReport {
			return n >= b.transactions
		}
		return since >= besideCell
	}
}

// newBeside is a chain of one node whose application has rows to change.
func (b *bench) newBeside() (c *chain, done func()) {
	c, done = b.newChain(intShape, 1)
	p := c.hub.app()
	b.insertAll(p, intShape, intShape.sales(tillKeys, tillKeys+besideRows))
	p.close()
	c.node[0].await(besideRows)
	return c, done
}

// othersWrite writes a row at the hub now and then, until stop is called.
func (c *chain) othersWrite() (stop func()) {
	p, ended, end := c.hub.app(), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(othersPace)
		defer ticker.Stop()
		for i := 0; ; i++ {
			select {
			case <-end:
				return
			case <-ticker.C:
				_ = p.try(intShape.insert(), intShape.sale(i)...) // one more or less is no matter
			}
		}
	}()
	return func() {
		close(end)
		<-ended
		p.close()
	}
}

// beside lets the application make transactions until there are enough.
func (c *chain) beside(h habit, gap time.Duration, enough func(n int, since time.Duration) bool, daemon bool) cell {
	app := c.node[0].app()
	defer app.close()
	result, began, last := cell{gap: gap}, time.Now(), 0
	for n := 0; !enough(n, time.Since(began)); n++ {
		time.Sleep(gap)
		took, err := app.transact(h, n)
		result.took = append(result.took, took)
		var refused sqlite3.Error
		switch {
		case err == nil && h.writes:
			last = n
		case errors.As(err, &refused) && (refused.Code == sqlite3.ErrBusy || refused.Code == sqlite3.ErrProtocol):
			result.failed++
		default:
			c.b.must(err)
		}
	}
	if daemon && h.writes {
		result.behind = c.caughtUp(app, last)
	}
	return result
}

// besideKey is the row that a transaction of a number changes.
func besideKey(n int) int64 { return int64(tillKeys + 1 + n%besideRows) }

// transact makes one transaction, and returns how many milliseconds it took beyond its thinking.
func (p *plain) transact(h habit, n int) (took float64, err error) {
	thought := time.Duration(0)
	d := timed(func() {
		if h.begin != "" {
			if err = p.try(h.begin); err != nil {
				return
			}
			defer func() {
				if err != nil {
					_, _ = p.raw.Exec("ROLLBACK", nil) // SQLite may have rolled back itself
				}
			}()
		}
		if h.reads {
			if err = p.look("SELECT c3 FROM sale WHERE id=?", besideKey(n)); err != nil {
				return
			}
		}
		if h.think > 0 {
			thought = timed(func() { time.Sleep(h.think) })
		}
		if h.writes {
			if err = p.try(updateSQL, int64(n), besideKey(n)); err != nil {
				return
			}
		}
		if h.begin != "" {
			err = p.try("COMMIT")
		}
	})
	return milliseconds(d - thought), err
}

// look reads one row, where the error is of interest.
func (p *plain) look(sql string, args ...driver.Value) error {
	rows, err := p.prepare(sql).Query(args) //nolint:staticcheck // the driver as it is, without contexts
	if err != nil {
		return err
	}
	defer rows.Close()
	return rows.Next(make([]driver.Value, len(rows.Columns())))
}

// caughtUp waits until the hub has what the last transaction wrote, and returns how long that was.
func (c *chain) caughtUp(app *plain, last int) time.Duration {
	hub := c.hub.app()
	defer hub.close()
	began := time.Now()
	for want := app.number("SELECT c3 FROM sale WHERE id=?", besideKey(last)); hub.number(
		"SELECT c3 FROM sale WHERE id=?", besideKey(last)) != want; {
		if time.Since(began) > patience {
			c.b.must(fmt.Errorf("the hub does not have the last transaction after %s", patience))
		}
		c.b.briefly(peek)
	}
	return time.Since(began)
}

// besideBacklog lets the application make transactions while a backlog arrives.
func (b *bench) besideBacklog(h habit) cell {
	c, done := b.newBeside()
	defer done()
	c.node[0].stop()
	p := c.hub.app()
	b.insertOften(p, intShape, intShape.sales(0, 5*b.rows))
	p.close()
	var here atomic.Bool
	counted := make(chan time.Duration, 1)
	began := time.Now()
	c.node[0].start()
	go func() { // a reader of its own looks seldom, and only at the end of the keys
		reader := c.node[0].app()
		defer reader.close()
		for reader.number("SELECT count(*) FROM sale WHERE id=?", int64(5*b.rows)) == 0 && time.Since(began) < patience {
			time.Sleep(20 * glance)
		}
		here.Store(true)
		counted <- time.Since(began)
	}()
	result := c.beside(h, 10*time.Millisecond, func(int, time.Duration) bool { return here.Load() }, false)
	result.behind = <-counted
	return result
}

// besides adds what the cells of one habit have come to.
func (b *bench) besides(h habit, at string, target float64, cells []cell) {
	failed, all := 0, 0
	var gaps, p50, p99, behind []string
	for _, c := range cells {
		failed += c.failed
		all += len(c.took)
		gaps = append(gaps, fmt.Sprint(c.gap.Milliseconds()))
		p50 = append(p50, fmt.Sprintf("%.2g", quantile(c.took, 0.5)))
		p99 = append(p99, fmt.Sprintf("%.3g", quantile(c.took, 0.99)))
		behind = append(behind, fmt.Sprint(c.behind.Milliseconds()))
	}
	join := func(of []string) string { return strings.Join(of, "/") }
	r := result{What: h.name + ", " + at, Unit: "failed", Measured: float64(failed), Baseline: float64(all),
		Against: "transactions",
		Note: fmt.Sprintf("gap %s ms: waits p50 %s, p99 %s ms; behind by %s ms", join(gaps), join(p50), join(p99),
			join(behind))}
	if target >= 0 {
		r.HasGoal, r.Target = true, target*float64(all)/10_000
	}
	b.add(r)
}
