package store

import (
	"slices"
	"testing"
)

// full and normal are what PRAGMA synchronous says.
const normal, full = 1, 2

func TestMarksCostNoSyncAndWhatOthersHearOfDoes(t *testing.T) {
	c := newChain(t, "CREATE TABLE p(id INTEGER PRIMARY KEY, n INT)", nil, "a")
	s := c.nodes["a"]
	keep := func(f func(tx *transaction)) (how []int64) {
		t.Helper()
		c.must(s.keepMarks(func(tx *transaction) error {
			sync, err := tx.c.Int("PRAGMA synchronous")
			how = append(how, sync)
			f(tx)
			return err
		}))
		sync, err := s.writer.Int("PRAGMA synchronous")
		c.must(err)
		if sync != full {
			t.Errorf("left at %d", sync)
		}
		return how
	}
	if got := keep(func(tx *transaction) { tx.dirty = true }); !slices.Equal(got, []int64{normal}) {
		t.Errorf("a mark: %v", got)
	}
	c.at("a", "INSERT INTO p VALUES(1,1)")
	if got := keep(func(tx *transaction) { tx.fold() }); !slices.Equal(got, []int64{normal, full}) {
		t.Errorf("a mark, with work of the application's waiting: %v", got)
	}
	c.settle()
	c.level()
}

func TestWorkWhoseLastRowFillsAPositionIsDurableToo(t *testing.T) {
	c := newChain(t, "CREATE TABLE p(id INTEGER PRIMARY KEY, n INT)", nil, "a")
	s := c.nodes["a"]
	s.SetSliceRows(1)
	c.at("a", "INSERT INTO p VALUES(1,1)")
	times := 0
	c.must(s.keepMarks(func(tx *transaction) error {
		times++
		_, err := tx.fold()
		return err
	}))
	if times != 2 {
		t.Errorf("it was committed as a mark is, after %d tries", times)
	}
}
