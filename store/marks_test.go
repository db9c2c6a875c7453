package store

import (
	"ravno/store/internal/history"
	"ravno/store/internal/rows"
	"testing"

	"ravno/crdt"
)

func TestMarksCostNoSync(t *testing.T) {
	c := newChain(t, "CREATE TABLE p(id INTEGER PRIMARY KEY, n INT)", nil, "a")
	s := c.nodes["a"]
	syncs := func(f func(tx *rows.Tx) error) uint64 {
		t.Helper()
		before := s.writer.Entries().Syncs
		c.must(s.keepMarks(f))
		return s.writer.Entries().Syncs - before
	}
	mark := func(tx *rows.Tx) error {
		tx.State.LastTransfer++
		return nil
	}
	if n := syncs(mark); n != 0 {
		t.Errorf("a mark: %d syncs", n)
	}
	c.at("a", "INSERT INTO p VALUES(1,1)")
	fold := func(tx *rows.Tx) error {
		_, err := s.foldFirst(tx)
		return err
	}
	if n := syncs(fold); n != 1 {
		t.Errorf("a mark, with work of the application's waiting: %d syncs", n)
	}
	c.settle()
	c.level()
}

// The last row of a position is followed by a position that is not taken yet: the work before is news
// to others all the same.
func TestPositionedWorkIsDurable(t *testing.T) {
	c := newChain(t, "CREATE TABLE p(id INTEGER PRIMARY KEY, n INT)", nil, "a")
	s := c.nodes["a"]
	s.SetSliceRows(1)
	c.at("a", "INSERT INTO p VALUES(1,1)")
	before := s.writer.Entries().Syncs
	c.must(s.keepMarks(func(tx *rows.Tx) error {
		_, err := s.foldFirst(tx)
		return err
	}))
	if s.writer.Entries().Syncs == before {
		t.Error("it was committed as a mark is")
	}
}

// What is sent is on disk whoever wrote it.
func TestSentWorkIsOnDisk(t *testing.T) {
	c := newChain(t, "CREATE TABLE p(id INTEGER PRIMARY KEY, n INT)", nil, "a")
	s := c.nodes["a"]
	c.must(s.keepMarks(func(tx *rows.Tx) error {
		tx.State.LastTransfer++
		return nil
	}))
	before := s.writer.Entries().Syncs
	_, _, err := s.Outgoing(0, 0, 0, drain)
	c.must(err)
	if n := s.writer.Entries().Syncs - before; n != 1 {
		t.Errorf("%d syncs before a commit that was not on disk was sent", n)
	}
}

func drain(history.Span, *crdt.Section) error { return nil }
