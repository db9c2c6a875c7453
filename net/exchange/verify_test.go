package exchange

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ravno/crdt"
	"ravno/net/wire"
	"ravno/store"
)

// connect joins two lines over their databases as two loops do over a link, until the test
// ends, and returns the end of the first.
func connect(t *testing.T, a, b *store.Store) *Caller {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var workers sync.WaitGroup
	t.Cleanup(func() {
		cancel()
		workers.Wait()
	})
	here, there := NewCaller(ctx.Done()), NewCaller(ctx.Done())
	carry := func(from, to *Caller, at *store.Store) {
		for {
			select {
			case <-ctx.Done():
				return
			case message := <-from.Outbox():
				switch m := message.(type) {
				case wire.Digest:
					to.Answer(m.ID, m)
				case wire.Rows:
					to.Answer(m.ID, m)
				default:
					workers.Go(func() { AnswerDigest(ctx, at, to, m) })
				}
			}
		}
	}
	workers.Go(func() { carry(here, there, b) })
	workers.Go(func() { carry(there, here, a) })
	return here
}

// rowsFrom is SQL for rows first to last of table item.
func rowsFrom(first, last int) string {
	return fmt.Sprintf("INSERT INTO item WITH RECURSIVE n(i) AS (SELECT %d UNION ALL SELECT i+1 FROM n WHERE i<%d) "+
		"SELECT i, 'item '||i FROM n", first, last)
}

func integerKey(i int64) crdt.Key { return crdt.NewKey(crdt.IntegerValue(i)) }

const twoTables = `CREATE TABLE item(id INTEGER PRIMARY KEY, name TEXT); CREATE TABLE tag(name TEXT PRIMARY KEY);
INSERT INTO item VALUES(1,'a'),(2,'b'),(3,'c'),(4,'d'); INSERT INTO tag VALUES('x'),('y');`

func TestVerifyNamesDifferingRows(t *testing.T) {
	cases := []struct {
		name, atHub, atNode string
		differing           []int64
	}{
		{"nothing", "", "", nil},
		{"a value", "", "UPDATE item SET name='other' WHERE id=2", []int64{2}},
		{"only a storage class", "UPDATE item SET name='7' WHERE id=3", "UPDATE item SET name=x'37' WHERE id=3", []int64{3}},
		{"a row only here", "INSERT INTO item VALUES(9,'new')", "", []int64{9}},
		{"a row only there", "", "INSERT INTO item VALUES(9,'new')", []int64{9}},
		{"a row each", "DELETE FROM item WHERE id=1", "DELETE FROM item WHERE id=4", []int64{1, 4}},
		{"every row", "", "DELETE FROM item", []int64{1, 2, 3, 4}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			hub, node := newStores(t, twoTables)
			write(t, hub.Path(), c.atHub)
			write(t, node.Path(), c.atNode)
			results, err := Verify(t.Context(), hub, connect(t, hub, node), "")
			must(t, err)
			if len(results) != 2 || results[0].Table != "item" || results[1].Table != "tag" {
				t.Fatalf("compared %+v, want item and tag", results)
			}
			item, tag := results[0], results[1]
			if !tag.Level || tag.Differing != 0 || tag.Rows != 2 {
				t.Errorf("tag is the same at both, found %+v", tag)
			}
			if item.Level != (c.differing == nil) || item.Differing != len(c.differing) || len(item.Keys) != len(c.differing) {
				t.Errorf("found %+v, want rows %v", item, c.differing)
			}
			for _, id := range c.differing {
				if !strings.Contains(fmt.Sprintf("%q", item.Keys), fmt.Sprintf("%q", integerKey(id))) {
					t.Errorf("row %d is not named in %q", id, item.Keys)
				}
			}
		})
	}
}

func TestVerifyOfOneTable(t *testing.T) {
	hub, node := newStores(t, twoTables)
	write(t, node.Path(), "DELETE FROM item")
	results, err := Verify(t.Context(), hub, connect(t, hub, node), "tag")
	must(t, err)
	if len(results) != 1 || results[0].Table != "tag" || !results[0].Level {
		t.Errorf("found %+v, want tag alone, level", results)
	}
}

func TestVerifyCountsManyAndNamesSome(t *testing.T) {
	const rows, more = 3 * rowsPerMessage, 2*rowsPerMessage + 1
	hub, node := newStores(t, "CREATE TABLE item(id INTEGER PRIMARY KEY, name TEXT);"+rowsFrom(1, rows))
	write(t, node.Path(), rowsFrom(rows+1, rows+more))
	for _, at := range []struct {
		name   string
		s      *store.Store
		caller *Caller
	}{{"hub", hub, connect(t, hub, node)}, {"node", node, connect(t, node, hub)}} {
		results, err := Verify(t.Context(), at.s, at.caller, "")
		must(t, err)
		if len(results) != 1 || results[0].Level || results[0].Differing != more || len(results[0].Keys) != maxNamed {
			t.Errorf("from the %s: level %t, %d rows differ, %d named; want %d and %d", at.name, results[0].Level,
				results[0].Differing, len(results[0].Keys), more, maxNamed)
		}
	}
}

// A table that is missing at one end differs in all its rows, seen from both ends.
func TestVerifyOfTableMissingAtOneEnd(t *testing.T) {
	hub, node := newStores(t, twoTables)
	write(t, node.Path(), "DROP TABLE tag")
	_, err := node.Fold()
	must(t, err)
	for _, at := range []struct {
		name   string
		s      *store.Store
		caller *Caller
	}{{"hub", hub, connect(t, hub, node)}, {"node", node, connect(t, node, hub)}} {
		results, err := Verify(t.Context(), at.s, at.caller, "")
		must(t, err)
		if len(results) != 2 || !results[0].Level || results[1].Table != "tag" || results[1].Level ||
			results[1].Differing != 2 {
			t.Errorf("from the %s: %+v", at.name, results)
		}
	}
}

// Answering over a stuck link does not hold the database.
func TestAnswerOverStuckLinkFreesDatabase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub, _ := newStores(t, "CREATE TABLE item(id INTEGER PRIMARY KEY, name TEXT);"+rowsFrom(1, 2*rowsPerMessage+1))
		caller := NewCaller(nil)
		for caller.Offer(wire.Ping{}) {
		}
		buckets := make([]uint8, wire.BucketCount)
		for i := range buckets {
			buckets[i] = uint8(i)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		go AnswerDigest(ctx, hub, caller, wire.RowsRequest{ID: 5, Table: "item", Buckets: buckets})
		synctest.Wait() // it waits for room
		_, err := hub.Self()
		must(t, err)
		var sizes []int
		for len(sizes) < 3 {
			if m, ok := (<-caller.Outbox()).(wire.Rows); ok {
				sizes = append(sizes, len(m.Rows))
				if m.More != (len(sizes) < 3) || m.ID != 5 {
					t.Errorf("part %d: more %t, id %d", len(sizes), m.More, m.ID)
				}
			}
		}
		if sizes[0] != rowsPerMessage || sizes[1] != rowsPerMessage || sizes[2] != 1 {
			t.Errorf("parts of %v rows", sizes)
		}
	})
}
