package store

import (
	"context"
	"errors"
	"fmt"
	"ravno/store/internal/catalog"
	"ravno/store/internal/rows"
	"testing"

	"ravno/journal"
	"ravno/store/internal/sqlite"
)

// stretchRows is how many rows are in the log that these stories fold, in slices of stretchSlice.
const stretchRows, stretchSlice = 12, 4

// wholeLog lets a stretch be the whole of a log.
func wholeLog(*catalog.Catalog) int { return 1000 }

// foldFrom folds one slice of a stretch, and reports whether that was the end.
func (c *chain) foldFrom(site string, long *stretch) (end bool) {
	c.t.Helper()
	s := c.store(site)
	c.must(s.write(func(tx *rows.Tx) (err error) {
		_, end, err = foldFor(tx, s, long)
		return err
	}))
	return end
}

// foldToEnd folds what is left of a stretch.
func (c *chain) foldToEnd(site string, long *stretch) {
	c.t.Helper()
	_, err := c.store(site).foldLong(context.Background(), long, func(*rows.Tx) error { return nil })
	c.must(err)
}

// stretchOf makes rows k00 to k11 at a site and reads the log, of which nothing is folded.
func (c *chain) stretchOf(site string) *stretch {
	c.t.Helper()
	s := c.store(site)
	s.SetSliceRows(stretchSlice)
	_, err := s.Fold() // reads the tables
	c.must(err)
	for n := range stretchRows {
		c.at(site, fmt.Sprintf("INSERT INTO item VALUES('k%02d','made',1)", n))
	}
	long, err := s.readStretchOf(wholeLog)
	c.must(err)
	if long == nil || len(long.left) != stretchRows {
		c.t.Fatalf("%v was read of %d rows", long, stretchRows)
	}
	return long
}

const itemSchema = `CREATE TABLE item(k TEXT PRIMARY KEY, v, n INT);
	CREATE TABLE line(id INTEGER PRIMARY KEY, item TEXT REFERENCES item(k) ON DELETE CASCADE)`

// Between two slices of a long log anything may happen: the application goes on writing, something
// arrives and folds the whole log, the daemon dies. In the end everybody has what was written.
func TestFoldSlicesInterrupted(t *testing.T) {
	for name, between := range map[string]func(c *chain, site string){
		"nothing": func(*chain, string) {},
		"rows are changed": func(c *chain, site string) {
			c.at(site, "UPDATE item SET v='changed' WHERE k IN ('k01','k10')")
		},
		"rows are deleted": func(c *chain, site string) { c.at(site, "DELETE FROM item WHERE k IN ('k01','k10')") },
		"rows are deleted and made new": func(c *chain, site string) {
			c.at(site, "DELETE FROM item WHERE k>'k08'; INSERT INTO item VALUES('k09','new',2)")
		},
		"rows are replaced": func(c *chain, site string) {
			c.at(site, "REPLACE INTO item VALUES('k01','new',2),('k10','new',2)")
		},
		"a key is changed": func(c *chain, site string) { c.at(site, "UPDATE item SET k='z' WHERE k='k10'") },
		"there is more": func(c *chain, site string) {
			c.at(site, "INSERT INTO item VALUES('k05a','more',1),('a','more',1)")
		},
		"a document gets and loses rows": func(c *chain, site string) {
			c.at(site, "INSERT INTO line VALUES(1,'k01'),(2,'k10'); UPDATE line SET item='k11' WHERE id=1")
		},
		"the clock is set back": func(c *chain, site string) {
			c.now = c.now.AddDate(-1, 0, 0)
			c.at(site, "UPDATE item SET v='back' WHERE k IN ('k01','k10')")
		},
		"a column is added": func(c *chain, site string) {
			for _, at := range []string{"hub", "a", "b"} {
				c.at(at, "ALTER TABLE item ADD COLUMN w DEFAULT 'w'")
			}
			c.at(site, "UPDATE item SET w='x' WHERE k IN ('k01','k10')")
		},
		"an event is recorded": func(c *chain, site string) { c.must(c.store(site).Record(journal.Up(site, "1"))) },
		"a command folds it all": func(c *chain, site string) {
			c.must(c.store(site).write(func(tx *rows.Tx) error { _, err := c.store(site).foldFirst(tx); return err }))
		},
		"something is applied": func(c *chain, site string) {
			c.at("a", "INSERT INTO item VALUES('k05b','of a',1)")
			if c.up("a"); site != "hub" {
				c.down(site)
			}
		},
	} {
		for _, site := range []string{"hub", "b"} {
			for _, dies := range []bool{false, true} {
				if dies && site == "hub" {
					continue // reopen is for nodes
				}
				t.Run(fmt.Sprintf("%s at %s, which dies %v", name, site, dies), func(t *testing.T) {
					t.Parallel()
					c := newChain(t, itemSchema, nil, "a", "b")
					long := c.stretchOf(site)
					if c.foldFrom(site, long) || len(long.left) != stretchRows-stretchSlice {
						t.Fatalf("%d rows are left after a slice of %d", len(long.left), stretchSlice)
					}
					between(c, site)
					want := c.rows(site, "SELECT * FROM item ORDER BY k")
					if dies {
						c.reopen(site)
					} else {
						c.foldToEnd(site, long)
					}
					c.level()
					for _, at := range []string{"hub", "a", "b"} {
						c.expect(at, "SELECT * FROM item ORDER BY k", want)
					}
					if n := len(c.open("hub")); n > 0 {
						t.Errorf("%d conflicts, want none", n)
					}
					c.expect(site, "SELECT count(*) FROM ravno_log", "1") // the last one stays
				})
			}
		}
	}
}

// Whoever reads a long log waits for nobody and keeps nobody from writing.
func TestFoldReadsWhileApplicationWrites(t *testing.T) {
	c := newChain(t, itemSchema, nil, "a", "b")
	long := c.stretchOf("b")
	app, err := sqlite.Open(c.store("b").Path(), sqlite.ReadWrite)
	c.must(err)
	defer app.Close()
	c.must(app.Exec("BEGIN IMMEDIATE; UPDATE item SET v='changed'"))
	again, err := c.store("b").readStretchOf(wholeLog)
	c.must(err)
	if again == nil || len(again.left) != stretchRows {
		t.Errorf("%v was read of %d rows while the application was writing", again, stretchRows)
	}
	c.must(app.Exec("COMMIT"))
	c.foldToEnd("b", long)
	c.level()
	c.expect("hub", "SELECT DISTINCT v FROM item", "changed")
}

// Nothing of a log is sent that is folded in part.
func TestFoldUnfinishedSendsNothing(t *testing.T) {
	c := newChain(t, itemSchema, nil, "a", "b")
	long := c.stretchOf("b")
	c.foldFrom("b", long)
	c.up("b") // folds the rest first
	c.expect("hub", "SELECT count(*) FROM item", fmt.Sprint(stretchRows))
	if c.foldFrom("b", long); len(c.open("hub")) > 0 {
		t.Error("what others have heard of was folded again")
	}
	before := c.rows("b", "SELECT position FROM ravno_state")
	c.foldFrom("b", long)
	c.expect("b", "SELECT position FROM ravno_state", before)
	c.level()
}

// What the hub's application deletes is kept until the log is folded that says so: not until some
// slice of it is.
func TestFoldRowDeletedBetweenSlices(t *testing.T) {
	c := newChain(t, `CREATE TABLE p(id INTEGER PRIMARY KEY, a, b); CREATE TABLE c(id INTEGER PRIMARY KEY, p REFERENCES p);
		WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<12) INSERT INTO p SELECT i, 'x', 'x' FROM n`,
		nil, "a", "b")
	c.hub.SetSliceRows(stretchSlice)
	_, err := c.hub.Fold()
	c.must(err)
	c.at("hub", "UPDATE p SET a='y'")
	long, err := c.hub.readStretchOf(wholeLog)
	c.must(err)
	c.foldFrom("hub", long)
	c.at("hub", "DELETE FROM p WHERE id IN (2, 11)")
	c.at("b", "INSERT INTO c VALUES(1, 2), (2, 11)")
	c.foldToEnd("hub", long)
	c.level()
	for _, site := range []string{"hub", "a", "b"} {
		c.expect(site, "SELECT id, a, b FROM p WHERE id IN (2, 11)", "2|y|x\n11|y|x")
		c.expect(site, "SELECT p FROM c ORDER BY id", "2\n11")
	}
}

// After a transaction that failed the tables have to be read again, in a transaction that writes.
func TestFoldAfterFailedTransaction(t *testing.T) {
	c := newChain(t, itemSchema, nil, "a", "b")
	c.stretchOf("b")
	if err := c.store("b").write(func(*rows.Tx) error { return catalog.ErrEnough }); err == nil {
		t.Fatal("it did not fail")
	}
	if _, err := c.store("b").readStretchOf(wholeLog); !errors.Is(err, errTables) {
		t.Errorf("with tables that are not known, reading a long log says %v", err)
	}
	rows, err := c.store("b").Fold()
	c.must(err)
	if rows != stretchRows {
		t.Errorf("%d rows were folded, want %d", rows, stretchRows)
	}
	c.level()
}

// A transaction of somebody else that does nothing between two slices, because it is put off until
// the long log is folded, or that fails, does not make the rest of it one piece.
func TestFoldStaysInSlicesOnFailure(t *testing.T) {
	c := newChain(t, itemSchema, nil, "a", "b")
	long := c.stretchOf("b")
	c.foldFrom("b", long)
	c.must(c.store("b").write(func(*rows.Tx) error { return nil }))
	if c.foldFrom("b", long) || len(long.left) != stretchRows-2*stretchSlice {
		t.Errorf("%d rows are left, want those of one slice", len(long.left))
	}
	if err := c.store("b").write(func(*rows.Tx) error { return catalog.ErrEnough }); err == nil {
		t.Fatal("it did not fail")
	}
	folded := c.rows("b", "SELECT folded FROM ravno_state")
	c.foldToEnd("b", long) // which ends here, because the tables were read again
	c.expect("b", "SELECT folded FROM ravno_state", folded)
	c.level()
	c.expect("hub", "SELECT count(*) FROM item", fmt.Sprint(stretchRows))
}

// A held row that finds its place takes others out of their tables. None of those may be rows that
// are not folded yet: they would be nowhere.
func TestFoldBeforeHoldingFollowers(t *testing.T) {
	ends := map[string]bool{}
	for _, rows := range []int{0, stretchSlice} {
		c := newChain(t, `CREATE TABLE p(id INTEGER PRIMARY KEY, code TEXT UNIQUE, v); CREATE TABLE q(id INTEGER PRIMARY KEY,
			p INTEGER REFERENCES p(id), v)`, nil, "a", "b")
		c.at("a", "INSERT INTO p VALUES(1,'x','of a')")
		c.at("b", "INSERT INTO p VALUES(2,'x','of b')")
		c.level() // 2 is held
		if rows > 0 {
			c.nodes["b"].SetSliceRows(rows)
		}
		_, err := c.nodes["b"].Fold()
		c.must(err)
		c.at("b", "UPDATE p SET code='y' WHERE id=1")
		c.at("b", "INSERT INTO p VALUES(3,'x','new')") // newer than 2, which comes back
		for i := 10; i < 20; i++ {
			c.at("b", fmt.Sprintf("INSERT INTO p VALUES(%d,'c%d','new')", i, i))
		}
		c.at("b", "INSERT INTO q VALUES(1,3,'child'),(2,3,'child'),(3,10,'other')")
		c.level()
		end := ""
		for _, at := range []string{"hub", "a", "b"} {
			end += c.rows(at, "SELECT id, code FROM p") + c.rows(at, "SELECT * FROM q") +
				c.rows(at, "SELECT tab, hex(key), state FROM ravno_image")
		}
		ends[end] = true
	}
	if len(ends) != 1 {
		t.Errorf("folded whole and in slices it ends differently: %v", ends)
	}
}

// In a backlog nobody sees a row without what it refers to.
func TestFoldParentsBeforeChildren(t *testing.T) {
	c := newChain(t, `CREATE TABLE a(id INTEGER PRIMARY KEY, p INTEGER REFERENCES z(id));
		CREATE TABLE m(id INTEGER PRIMARY KEY, a INTEGER REFERENCES a(id), z REFERENCES z(id));
		CREATE TABLE z(id INTEGER PRIMARY KEY, up INTEGER REFERENCES z(id))`, nil, "n")
	n := c.nodes["n"]
	n.SetSliceRows(6)
	_, err := n.Fold() // reads the tables
	c.must(err)
	for i := 1; i <= 20; i++ {
		c.at("n", fmt.Sprintf("INSERT INTO z VALUES(%[2]d, CASE WHEN %[1]d>1 THEN %[2]d+1 END); INSERT INTO a "+
			"VALUES(%[1]d,%[2]d); INSERT INTO m VALUES(%[1]d,%[1]d,%[2]d)", i, 21-i))
	}
	long, err := n.readStretchOf(wholeLog)
	c.must(err)
	c.foldToEnd("n", long)
	dangling := 0
	slices := c.upInSlices("n", 6, func() {
		if c.rows("hub", "SELECT * FROM pragma_foreign_key_check") != "" {
			dangling++
		}
	})
	if dangling > 0 || slices < 5 {
		t.Errorf("after %d of %d slices some row referred to nothing", dangling, slices)
	}
	c.level()
}
