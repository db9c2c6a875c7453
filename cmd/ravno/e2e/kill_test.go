package e2e

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

// kills is how many daemons die in the story, and killPause at most how long after another.
const (
	kills     = 20
	killPause = 300 * time.Millisecond
)

// till is an application that sells without end. Each sale is one transaction with an invoice and its
// lines, under keys of its own. Every third time it changes an older one.
type till struct {
	s     *server
	first int // of its keys
	made  int // sales that were committed
}

const linesOfSale = 3

// sell makes one sale. What it returns as an error was not committed.
func (a *till) sell() error {
	tx, err := a.s.app.Begin()
	if err != nil {
		return err
	}
	defer tx.Rollback()
	invoice := a.first + a.made
	if _, err := tx.Exec(`INSERT INTO Invoice VALUES(?, 1, '2026-03-01', 'till', ?, NULL, NULL, NULL, 9.9)`, invoice,
		a.made); err != nil {
		return err
	}
	for i := range linesOfSale {
		if _, err := tx.Exec(`INSERT INTO InvoiceLine VALUES(?, ?, 1, 3.3, ?)`, invoice*linesOfSale+i, invoice,
			i); err != nil {
			return err
		}
	}
	if a.made%3 == 2 {
		if _, err := tx.Exec(`UPDATE Invoice SET BillingState='paid' WHERE InvoiceId=?`, invoice-2); err != nil {
			return err
		}
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	a.made++
	return nil
}

// sellUntil sells every so often until it is told to stop.
func (a *till) sellUntil(stop <-chan struct{}, every time.Duration) (errs []error) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-stop:
			return errs
		case <-ticker.C:
			if err := a.sell(); err != nil {
				errs = append(errs, fmt.Errorf("%s: sale %d: %w", a.s.name, a.made, err))
			}
		}
	}
}

// accounted checks that each sale is everywhere, once, whole and as it was last written.
func (a *till) accounted(c *chain) {
	c.t.Helper()
	last := a.first + a.made - 1
	c.everywhere(fmt.Sprint(a.made), `SELECT count(*) FROM Invoice WHERE InvoiceId BETWEEN ? AND ? AND
		BillingAddress='till' AND BillingCity=CAST(InvoiceId-? AS TEXT) AND Total=9.9`, a.first, last, a.first)
	c.everywhere(fmt.Sprint(a.made*linesOfSale),
		`SELECT count(*) FROM InvoiceLine WHERE InvoiceId BETWEEN ? AND ? AND Quantity=InvoiceLineId-InvoiceId*3`, a.first,
		last)
	c.everywhere(
		fmt.Sprint(a.made/3),
		`SELECT count(*) FROM Invoice WHERE InvoiceId BETWEEN ? AND ? AND BillingState='paid' AND (InvoiceId-?)%3=0`, a.first,
		last, a.first)
}

// openTills opens a till at every server.
func openTills(c *chain) (tills []*till) {
	for i, s := range c.servers() {
		tills = append(tills, &till{s: s, first: (i + 1) * 1_000_000})
	}
	return tills
}

// sellWhile sells at all tills while something goes on. No sale may fail, because the application has
// a busy timeout, and ravno never keeps it waiting so long.
func sellWhile(t *testing.T, tills []*till, every time.Duration, something func()) {
	t.Helper()
	stop, failed := make(chan struct{}), make(chan []error, len(tills))
	var selling sync.WaitGroup
	for _, a := range tills {
		selling.Go(func() { failed <- a.sellUntil(stop, every) })
	}
	something()
	close(stop)
	selling.Wait()
	close(failed)
	for errs := range failed {
		for _, err := range errs {
			t.Error(err)
		}
	}
}

// Daemons die at any moment, as in a power cut, while all sell. No sale is lost or there twice, and
// nobody has to do anything.
func TestDaemonsDieNothingLostOrDoubled(t *testing.T) {
	t.Parallel()
	c, _, _ := newChain(t, "")
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	tills := openTills(c)
	sellWhile(t, tills, 15*time.Millisecond, func() {
		began := time.Now()
		for range kills {
			victim := c.servers()[random.IntN(3)]
			<-time.After(time.Duration(random.Int64N(int64(killPause))))
			t.Logf("%6d ms: %s is killed", time.Since(began).Milliseconds(), victim.name)
			victim.kill()
			<-time.After(time.Duration(random.Int64N(int64(killPause / 3))))
			if err := victim.tryStart(); err != nil {
				t.Error(err)
				return
			}
		}
	})
	if t.Failed() {
		return
	}
	c.identical()
	for _, a := range tills {
		t.Logf("%s sold %d times", a.s.name, a.made)
		a.accounted(c)
	}
	c.everywhere(fmt.Sprint(412+tills[0].made+tills[1].made+tills[2].made), `SELECT count(*) FROM Invoice`)
	c.allGreen()
	for _, s := range c.servers() {
		if found := conflicts(s, "--all"); len(found) != 0 {
			t.Errorf("%s: nobody touched what another sold, and yet: %+v", s.name, found)
		}
	}
}

// An ordinary application, on both ends of a busy link, never finds its file locked for long.
func TestApplicationNeverKeptWaiting(t *testing.T) {
	c := newHub(t, "chinook.sqlite", "", "--document", "InvoiceLine=Invoice")
	c.join("plovdiv")
	tills := openTills(c)
	const perSecond, lasting = 50, 10 * time.Second
	sellWhile(t, tills, time.Second/perSecond, func() { <-time.After(lasting) })
	for _, a := range tills {
		t.Logf("%s sold %d times", a.s.name, a.made)
		if a.made < perSecond*int(lasting.Seconds())/2 {
			t.Errorf("%s sold %d times in %s", a.s.name, a.made, lasting)
		}
	}
	began := time.Now()
	c.identical()
	t.Logf("level %s after the last sale", time.Since(began))
	for _, a := range tills {
		a.accounted(c)
	}
	c.allGreen()
}

// What one writes at once in bulk, the others receive while their applications go on selling.
func TestBulkWritesLetOthersSell(t *testing.T) {
	c, plovdiv, _ := newChain(t, "")
	tills := openTills(c)
	tills = []*till{tills[0], tills[2]}
	sellWhile(t, tills, 10*time.Millisecond, func() {
		plovdiv.sql(`INSERT INTO Artist WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<5000)
			SELECT 100000+i, 'artist ' || i FROM n`)
		c.level()
		plovdiv.sql(`UPDATE Artist SET Name=Name||'!' WHERE ArtistId>100000`)
		c.level()
		plovdiv.sql(`DELETE FROM Artist WHERE ArtistId>100000`)
		c.level()
	})
	c.identical()
	for _, a := range tills {
		t.Logf("%s sold %d times", a.s.name, a.made)
		a.accounted(c)
	}
}
