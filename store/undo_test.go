package store

import (
	"ravno/store/internal/resolve"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"ravno/crdt"
	"ravno/crdt/causal"
)

// undone takes a resolution back and checks what every server has then.
func (c *chain) undone(site, id string, how resolve.UndoOptions) {
	c.t.Helper()
	c.now = c.now.Add(1e9)
	how.By = "boss@" + site
	_, err := c.store(site).Undo(id, how)
	c.must(err)
	c.level()
	for _, site := range append(c.names(), "hub") {
		x := c.conflict(site, id)
		if !x.Open || x.ResolvedBy != "" || len(x.History) == 0 || x.History[len(x.History)-1].UndoneBy != how.By {
			c.t.Errorf("at %s: open %v, by %q, history %+v", site, x.Open, x.ResolvedBy, x.History)
		}
	}
}

// A resolution taken back leaves everything as it was before.
func TestUndoRestoresEverything(t *testing.T) {
	for _, play := range []struct {
		name, a, b string
		r          resolve.Resolution
	}{
		{"columns", "UPDATE orders SET total=11, customer=2 WHERE id=1",
			"UPDATE orders SET total=12 WHERE id=1; UPDATE line SET qty=9 WHERE id='x'", resolve.Resolution{Keep: "a"}},
		{"a value of one's own", "UPDATE orders SET total=11 WHERE id=1", "UPDATE orders SET total=12 WHERE id=1",
			resolve.Resolution{Set: map[string]crdt.Value{"total": number(50)}}},
		{"a document that was deleted", "DELETE FROM orders WHERE id=1",
			"UPDATE orders SET total=11 WHERE id=1; INSERT INTO line VALUES('w',1,7)", resolve.Resolution{Keep: "a"}},
		{"a document that came back", "UPDATE line SET qty=9 WHERE id='x'", "DELETE FROM orders WHERE id=1",
			resolve.Resolution{Keep: "a"}},
		{"two rows of one key", "INSERT INTO line VALUES('k',1,1)", "INSERT INTO line VALUES('k',2,2)",
			resolve.Resolution{Keep: "a"}},
	} {
		t.Run(play.name, func(t *testing.T) {
			c := newChain(t, customers, nil, "a", "b")
			c.at("a", play.a)
			c.at("b", play.b)
			c.level()
			const data = "SELECT 'o', id, customer, total FROM orders " +
				"UNION ALL SELECT 'l', id, orders, qty FROM line ORDER BY 1, 2"
			before := c.rows("hub", data)
			open := c.open("hub")
			if len(open) == 0 {
				t.Fatal("no conflict")
			}
			id := open[0].ID
			c.resolve("b", id, play.r)
			c.level()
			if c.rows("hub", data) == before {
				t.Error("the resolution changed nothing, so this test shows nothing")
			}
			c.undone("a", id, resolve.UndoOptions{Note: "asked the wrong person"})
			c.expect("b", data, before)
			c.resolve("hub", id, play.r) // and it can be decided again
			c.level()
			c.undone("b", id, resolve.UndoOptions{})
			c.expect("a", data, before)
			if n := len(c.conflict("a", id).History); n != 2 {
				t.Errorf("%d resolutions in the history", n)
			}
		})
	}
}

// What somebody changed since is not taken back unless forced.
func TestUndoChangedSinceNeedsForce(t *testing.T) {
	c := newChain(t, customers, nil, "a", "b")
	c.at("a", "UPDATE orders SET total=11 WHERE id=1")
	c.at("b", "UPDATE orders SET total=12, customer=2 WHERE id=1")
	c.level()
	id := c.open("hub")[0].ID
	c.resolve("hub", id, resolve.Resolution{Keep: "a"})
	c.level()
	c.at("b", "UPDATE orders SET total=99 WHERE id=1")
	c.level()
	before := c.dump("a")
	_, err := c.nodes["a"].Undo(id, resolve.UndoOptions{By: "admin"})
	c.refused(err, "orders[1] changed again since the resolution")
	if c.dump("a") != before {
		t.Error("it was taken back in part")
	}
	c.at("b", "DELETE FROM orders WHERE id=1")
	c.level()
	_, err = c.nodes["a"].Undo(id, resolve.UndoOptions{By: "admin"})
	c.refused(err, "orders[1] changed again")
	c.undone("a", id, resolve.UndoOptions{Force: true})
	c.expect("b", "SELECT customer, total FROM orders WHERE id=1", "2|12")
}

// Rows added since to a row that came back keep it unless forced.
func TestUndoRowsAddedSinceNeedForce(t *testing.T) {
	c := newChain(t, customers, nil, "a", "b")
	c.at("a", "UPDATE line SET qty=9 WHERE id='x'")
	c.at("b", "DELETE FROM orders WHERE id=1")
	c.level()
	id := c.open("hub")[0].ID
	c.resolve("hub", id, resolve.Resolution{Keep: "a"})
	c.level()
	c.at("a", "INSERT INTO line VALUES('new',1,1)")
	c.level()
	_, err := c.hub.Undo(id, resolve.UndoOptions{By: "admin"})
	c.refused(err, "line[new] refers to it")
	c.undone("hub", id, resolve.UndoOptions{Force: true})
	c.expect("a", "SELECT count(*) FROM line WHERE orders=1", "0")
}

// What was not resolved is not taken back.
func TestUndoUnresolvedRefused(t *testing.T) {
	c := newChain(t, customers, nil, "a", "b")
	c.at("a", "UPDATE orders SET total=11 WHERE id=1")
	c.at("b", "UPDATE orders SET total=12 WHERE id=1")
	c.level()
	id := c.open("hub")[0].ID
	_, err := c.hub.Undo(id, resolve.UndoOptions{By: "admin"})
	c.refused(err, "was never resolved")
	c.resolve("hub", id, resolve.Resolution{Keep: "a"})
	c.undone("hub", id, resolve.UndoOptions{})
	_, err = c.hub.Undo(id, resolve.UndoOptions{By: "admin"})
	c.refused(err, "taken back already")
	_, err = c.hub.Undo("0123", resolve.UndoOptions{By: "admin"})
	c.refused(err, "there is no conflict")
}

// A new server can take back a resolution made before it joined.
func TestUndoAtNewServer(t *testing.T) {
	c := newChain(t, customers, nil, "a", "b")
	c.at("a", "UPDATE orders SET total=11 WHERE id=1")
	c.at("b", "UPDATE orders SET total=12 WHERE id=1")
	c.level()
	id := c.open("hub")[0].ID
	c.resolve("hub", id, resolve.Resolution{Keep: "a"})
	c.level()
	c.join("late", causal.Incarnation{9})
	c.undone("late", id, resolve.UndoOptions{})
	c.expect("a", "SELECT total FROM orders WHERE id=1", "12")
}

// data is what an application sees at a site, and which of its rows are held.
func (c *chain) data(site string) string {
	lines := slices.DeleteFunc(strings.Split(c.dump(site), "\n"),
		func(line string) bool { return strings.HasPrefix(line, "ravno_") })
	return strings.Join(lines, "\n") + "\nheld: " +
		c.rows(site, "SELECT tab, hex(key) FROM ravno_image WHERE state='held' ORDER BY 1, 2")
}

// everyTemplate is a chain at rest for each application.
func everyTemplate(t *testing.T) map[string]*template {
	templates := map[string]*template{}
	for _, a := range applications() {
		templates[a.does] = newTemplate(t, a.schema, nil, "a", "b")
	}
	return templates
}

// Whatever was decided about whatever happened: a dry run changes nothing, taking a decision
// back at once leaves the data as they were, and everybody ends up with the same.
func TestUndoAtOnceChangesNothing(t *testing.T) {
	templates := everyTemplate(t)
	rapid.Check(t, func(t *rapid.T) {
		a := rapid.SampledFrom(applications()).Draw(t, "application")
		tpl := templates[a.does]
		steps := a.steps(tpl.names...).Draw(t, "steps")
		choice := rapid.IntRange(0, 1).Draw(t, "choice")
		site := rapid.SampledFrom([]string{"hub", "a", "b"}).Draw(t, "where")
		c := tpl.start(t)
		for _, s := range steps {
			c.play(t, s)
		}
		c.agree(t)
		for i, x := range c.open(site) {
			if c.rows(site, "SELECT count(*) FROM pragma_foreign_key_check") != "0" {
				break // what a decision must not leave behind cannot be brought back either
			}
			c.now = c.now.Add(time.Second)
			r := resolve.Resolution{Keep: x.Sites[(choice+i)%len(x.Sites)], By: "admin", DryRun: true}
			before := c.data(site)
			planned, err := c.store(site).Resolve(x.ID, r)
			if now := c.data(site); now != before {
				t.Fatalf("a dry run changed the data: %s", firstDifference(before, now))
			}
			r.DryRun = false
			written, again := c.store(site).Resolve(x.ID, r)
			if (err == nil) != (again == nil) || len(planned) != len(written) {
				t.Fatalf("planned %v %v, written %v %v", planned, err, written, again)
			}
			t.Logf("at %s, %s %s: keep %s: %d writes, error: %v", site, x.Kind, x.ID[:8], r.Keep, len(written), err)
			if err != nil {
				continue
			}
			if _, err := c.store(site).Undo(x.ID, resolve.UndoOptions{By: "boss"}); err != nil &&
				strings.Contains(err.Error(), "which is why it was held") {
				continue // no write can bring values that fit no table
			} else if err != nil {
				t.Fatal(err)
			}
			if now := c.data(site); now != before {
				t.Fatalf("taken back, but: %s", firstDifference(before, now))
			}
		}
		c.agree(t)
	})
}

// Decisions and their undoing at servers that do not hear of each other meet like any writes.
func TestUndoSchedulesLevel(t *testing.T) {
	templates := everyTemplate(t)
	rapid.Check(t, func(t *rapid.T) {
		a := rapid.SampledFrom(applications()).Draw(t, "application")
		tpl := templates[a.does]
		steps := a.steps(tpl.names...).Draw(t, "steps")
		turns := rapid.SliceOfN(rapid.SampledFrom([]string{"hub", "a", "b", "up", "down"}), 2, 8).Draw(t, "turns")
		choices := rapid.SliceOfN(rapid.IntRange(0, 2), len(turns), len(turns)).Draw(t, "choices")
		c := tpl.start(t)
		for _, s := range steps {
			c.play(t, s)
		}
		c.agree(t)
		for i, turn := range turns {
			c.now = c.now.Add(time.Second)
			if turn == "up" || turn == "down" {
				c.play(t, step{do: turn, site: tpl.names[choices[i]%2]})
				continue
			}
			c.decide(t, turn, choices[i])
			list, err := c.store(turn).Conflicts(true)
			c.must(err)
			for n, x := range list {
				if x.Open || (n+choices[i])%3 == 0 {
					continue
				}
				_, err := c.store(turn).Undo(x.ID, resolve.UndoOptions{By: "boss", Force: choices[i] == 1})
				t.Logf("at %s, %s %s taken back; error: %v", turn, x.Kind, x.ID[:8], err)
			}
		}
		c.agree(t)
	})
}

// A resolution that replaced too much to keep cannot be taken back and the journal says so.
func TestUndoTooMuchRefused(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	c := newChain(
		t, "CREATE TABLE p(id INTEGER PRIMARY KEY, n INT, photo BLOB); INSERT INTO p VALUES(1,1,zeroblob(5000000))", nil, "a",
		"b")
	c.at("a", "DELETE FROM p")
	c.at("b", "UPDATE p SET n=2")
	c.level()
	id := c.open("hub")[0].ID
	c.resolve("hub", id, resolve.Resolution{Keep: "a"})
	c.level()
	_, err := c.nodes["a"].Undo(id, resolve.UndoOptions{By: "admin"})
	c.refused(err, "more than a record can keep")
	c.expect(
		"hub", "SELECT count(*) FROM ravno_event WHERE kind='conflict_resolved' AND text LIKE '%cannot be taken back'", "1")
	c.expect("hub", "SELECT length(undo)<1000 FROM ravno_conflict", "1")
}
