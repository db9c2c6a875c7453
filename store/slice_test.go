package store

import (
	"fmt"
	"ravno/store/internal/extract"
	"ravno/store/internal/history"
	"slices"
	"strings"
	"testing"
	"time"

	"ravno/crdt"
	"ravno/crdt/causal"
)

// slicesOf are the slices of everything a site has for another, with the rows of each.
func (c *chain) slicesOf(from *Store, node causal.Site, above causal.Position, rows int) (
	spans []history.Span, keys [][]string) {
	c.t.Helper()
	read := 0
	whole, changes, err := from.Outgoing(node, above, rows, func(slice history.Span, section *crdt.Section) error {
		if len(spans) == 0 || spans[len(spans)-1].From != slice.From {
			spans, keys = append(spans, slice), append(keys, nil)
		}
		for _, change := range section.Changes {
			keys[len(keys)-1] = append(keys[len(keys)-1], fmt.Sprint(section.Table, " ", describeKey(change.Key)))
			read++
		}
		return nil
	})
	c.must(err)
	if read != changes || len(spans) > 0 && (spans[0].From != whole.From || spans[len(spans)-1].To != whole.To) {
		c.t.Errorf("%d of %d changes, and %v for %v", read, changes, spans, whole)
	}
	for i := range spans {
		if i > 0 && spans[i].From != spans[i-1].To {
			c.t.Errorf("a slice from %d after one to %d", spans[i].From, spans[i-1].To)
		}
	}
	return spans, keys
}

func describeKey(key crdt.Key) string {
	values, err := key.Values()
	if err != nil {
		return err.Error()
	}
	var words []string
	for _, v := range values {
		if v.Kind() == crdt.Text {
			words = append(words, v.Bytes())
		} else {
			words = append(words, fmt.Sprint(v.Int()))
		}
	}
	return strings.Join(words, ",")
}

const ordersSchema = `CREATE TABLE ord(id TEXT PRIMARY KEY, total INTEGER);
	CREATE TABLE line(id TEXT PRIMARY KEY, ord TEXT REFERENCES ord(id) ON DELETE CASCADE, qty INTEGER);
	CREATE TABLE note(id INTEGER PRIMARY KEY, words TEXT)`

// An order that is opened, and gets a line now and then while others are made, goes whole with
// its oldest change.
func TestSliceHasWholeOrder(t *testing.T) {
	c := newChain(t, ordersSchema, nil, "varna")
	varna := c.nodes["varna"]
	fold := func(sql string) {
		c.at("varna", sql)
		_, err := varna.Fold()
		c.must(err)
	}
	fold("INSERT INTO ord VALUES('a',0)")
	for i := range 4 {
		fold(fmt.Sprintf("INSERT INTO ord VALUES('b%d',0)", i))
		fold(fmt.Sprintf("INSERT INTO line VALUES('a%d','a',1); UPDATE ord SET total=total+1 WHERE id='a'", i))
	}
	self, err := varna.Self()
	c.must(err)
	_, keys := c.slicesOf(varna, 0, self.HubHave, 2)
	got := fmt.Sprint(keys)
	if want := "[[line a0 line a1 line a2 line a3 ord a] [ord b0 ord b1] [ord b2 ord b3]]"; got != want {
		t.Errorf("the slices are %s, want %s", got, want)
	}
	c.level()
}

// What is no more than a slice goes at once, however many transactions it was.
func TestSliceNotCut(t *testing.T) {
	c := newChain(t, ordersSchema, nil, "varna")
	for i := range 5 {
		c.at("varna", fmt.Sprintf("INSERT INTO note VALUES(%d,'x')", i))
		_, err := c.nodes["varna"].Fold()
		c.must(err)
	}
	if spans, _ := c.slicesOf(c.nodes["varna"], 0, 1, 5); len(spans) != 1 || spans[0].Newest != 0 ||
		spans[0].Highest != nil {
		t.Errorf("%+v", spans)
	}
	spans, _ := c.slicesOf(c.nodes["varna"], 0, 1, 3)
	if len(spans) != 2 || spans[0].Highest["note"] != 4 || spans[0].Newest == 0 || spans[0].Newest >= spans[1].Newest {
		t.Errorf("%+v", spans)
	}
}

// A snapshot is short, whatever there is to send: the rest of a long delta is read in another. Who has got
// a part of it has seen as much, and no more.
func TestLongDeltaIsReadInSnapshots(t *testing.T) {
	c := newChain(t, ordersSchema, nil, "varna")
	s := c.nodes["varna"]
	const rows = 20
	for i := range rows {
		c.at("varna", fmt.Sprintf("INSERT INTO note(id, words) VALUES(%d,'varna')", i+1))
		_, err := s.Fold()
		c.must(err)
	}
	s.clock = func() time.Time {
		c.now = c.now.Add(extract.SnapshotAtMost)
		return c.now
	}
	snapshots, read := 0, 0
	var from, last causal.Position
	for until := causal.Position(1); until > 0; snapshots++ {
		span, changes, err := s.Outgoing(0, from, 1, func(slice history.Span, _ *crdt.Section) error {
			if slice.From != last || slice.To <= last {
				t.Errorf("a slice from %d to %d, after one to %d", slice.From, slice.To, last)
			}
			last = slice.To
			return nil
		})
		c.must(err)
		if span.From > span.To || span.To != last || changes == 0 {
			t.Fatalf("%+v with %d changes, from %d", span, changes, from)
		}
		read, from, until = read+changes, span.To, span.Until
	}
	if snapshots < 3 || read != rows {
		t.Errorf("%d changes in %d snapshots", read, snapshots)
	}
	s.clock = c.clock
	c.level()
}

// A receiver that has one slice has every version up to its end, so what it goes on from is true:
// a slice each, in any number of rows, levels as one delta does.
func TestSlicesLevelOneAfterTheOther(t *testing.T) {
	for rows := 1; rows < 9; rows++ {
		c := newChain(t, ordersSchema, nil, "varna")
		for _, s := range []*Store{c.hub, c.nodes["varna"]} {
			s.SetSliceRows(rows)
		}
		for i := range 6 {
			c.at("varna", fmt.Sprintf("INSERT INTO ord VALUES('v%d',2); INSERT INTO line "+
				"VALUES('v%[1]da','v%[1]d',1),('v%[1]db','v%[1]d',1); UPDATE ord SET total=3 WHERE id='v0'", i))
			c.at("hub", fmt.Sprintf("INSERT INTO ord VALUES('h%d',1); INSERT INTO line VALUES('h%[1]da','h%[1]d',1); INSERT "+
				"INTO note(words) VALUES('h%[1]d')", i))
		}
		c.at("varna", "INSERT INTO note(words) VALUES('v1'),('v2'); DELETE FROM ord WHERE id='v3'")
		c.level()
		c.expect("hub", "SELECT count(*) FROM ord", "11")
		c.expect("varna", "SELECT count(*), count(DISTINCT words) FROM note", "8|8")
	}
}

// The application never waits longer than SQLite lets it in: whenever it begins to ask for the file,
// one of its tries is in a pause of ours.
func TestApplicationGetsItsTurn(t *testing.T) {
	var tries []time.Duration // as walTryBeginRead in SQLite's wal.c
	total := time.Duration(0)
	for k := range time.Duration(40) {
		total += 39 * k * k * time.Microsecond
		tries = append(tries, total)
	}
	start := time.Date(2026, 3, 1, 7, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		busy   bool          // the application is at work
		slice  time.Duration // that we keep it out for, again and again
		within time.Duration
	}{
		"while it works":                       {true, 10 * time.Millisecond, 26 * time.Millisecond},
		"while a slice takes longer than most": {true, 20 * time.Millisecond, 26 * time.Millisecond},
		"while we write in short transactions": {true, 2 * time.Millisecond, 26 * time.Millisecond},
		"after it was quiet":                   {false, 90 * time.Millisecond, 118 * time.Millisecond},
		"after it was quiet, in small slices":  {false, 20 * time.Millisecond, 118 * time.Millisecond},
	} {
		now, us := start, turn{}
		var free []time.Time // begin and end of each pause
		for range 200 {
			if c.busy {
				us.seen = now
			}
			if wait := us.wait(now); wait > 0 {
				free = append(free, now, now.Add(wait))
				now = now.Add(wait)
				us.wait(now)
			}
			us.took(now, now.Add(c.slice))
			now = now.Add(c.slice)
		}
		for asks := start; asks.Before(free[len(free)/2]); asks = asks.Add(100 * time.Microsecond) {
			got := slices.IndexFunc(tries, func(try time.Duration) bool {
				i, _ := slices.BinarySearchFunc(free, asks.Add(try),
					func(a, b time.Time) int { return a.Compare(b.Add(time.Nanosecond)) })
				return i%2 == 1
			})
			if got < 0 || tries[got] > c.within {
				t.Errorf("%s: who asks after %s gets it at try %d, not within %s", name, asks.Sub(start), got, c.within)
				break
			}
		}
	}
}

// The hub's application updates a parent and deletes it, the fold is cut between; a node refers to it.
func TestRepairParentDeletedOverSlices(t *testing.T) {
	for name, sql := range map[string]string{
		"one":  "UPDATE p SET a='y' WHERE id=1; DELETE FROM p WHERE id=1",
		"two":  "UPDATE p SET a='y' WHERE id=1; UPDATE p SET a='y' WHERE id=2; DELETE FROM p WHERE id=1",
		"anew": "DELETE FROM p WHERE id=1; INSERT INTO p VALUES(1,'new','new'); DELETE FROM p WHERE id=1",
		"moved": "INSERT INTO p VALUES(9,'n','n'); UPDATE p SET a='y' WHERE id=1; UPDATE p SET b='n2' WHERE id=9; DELETE " +
			"FROM p WHERE id=1",
	} {
		for _, n := range []int{0, 1, 2, 3} {
			t.Run(fmt.Sprint(name, " in slices of ", n), func(t *testing.T) {
				c := newChain(t, "CREATE TABLE p(id INTEGER PRIMARY KEY, a, b); CREATE TABLE c(id INTEGER PRIMARY KEY, p "+
					"REFERENCES p); INSERT INTO p VALUES(1,'x','x'),(2,'x','x')", nil, "a", "b")
				if n > 0 {
					c.hub.SetSliceRows(n)
				}
				c.level()
				c.at("hub", sql)
				c.at("b", "INSERT INTO c VALUES(1,1)")
				_, err := c.hub.Fold()
				c.must(err)
				c.level()
				for _, s := range []string{"hub", "a", "b"} {
					c.expect(s, "SELECT count(*) FROM p WHERE id=1 AND b='x'", "1")
					c.expect(s, "SELECT p FROM c", "1")
				}
			})
		}
	}
}
