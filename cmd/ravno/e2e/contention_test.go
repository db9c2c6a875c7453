package e2e

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mattn/go-sqlite3"
)

// contended is a schema with everything two servers can fall out over. It has a key that both count
// up, a UNIQUE value and a natural key.
const contended = `
	CREATE TABLE dish(id INTEGER PRIMARY KEY, code TEXT UNIQUE, name TEXT, price REAL);
	CREATE TABLE part(id TEXT PRIMARY KEY, dish INTEGER NOT NULL, what, amount);
	CREATE TABLE setting(name TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID;
	INSERT INTO dish(code, name, price) VALUES('a','tarator',4),('b','banitsa',3),('c','kavarma',9),('d','shkembe',6);
	INSERT INTO part SELECT 'seed '||id, id, 'salt', 1 FROM dish;
	INSERT INTO setting VALUES('tax', 20), ('tip', 10);`

// quarrel is the random work of one application, on few rows so that it meets the others'.
type quarrel struct {
	s      *server
	random *rand.Rand
	done   int
	parts  int // put into the table: nobody ever takes one out
}

// act does one thing. A constraint that says no is an answer, not an error.
func (q *quarrel) act() error {
	r := q.random
	q.done++
	code, id := string(rune('a'+r.IntN(8))), 1+r.IntN(8)
	mark := fmt.Sprintf("%s %d", q.s.name, q.done)
	var statement string
	switch r.IntN(11) {
	case 0, 1:
		statement = fmt.Sprintf(`INSERT INTO dish(code, name, price) VALUES('%s', '%s', %d)`, code, mark, r.IntN(9))
	case 2:
		statement = fmt.Sprintf(`REPLACE INTO dish(id, code, name) VALUES(%d, '%s', '%s')`, id, code, mark)
	case 3, 4:
		statement = fmt.Sprintf(`UPDATE dish SET name='%s' WHERE id=%d`, mark, id)
	case 5:
		statement = fmt.Sprintf(`UPDATE OR IGNORE dish SET code='%s', price=price+1 WHERE id=%d`, code, id)
	case 6:
		statement = fmt.Sprintf(`DELETE FROM dish WHERE id=%d`, id)
	case 7, 8:
		statement = fmt.Sprintf(`INSERT INTO part VALUES('%s', %d, 'of %s', %d)`, mark, id, code, r.IntN(9))
	case 9:
		statement = fmt.Sprintf(`UPDATE part SET amount='%s' WHERE dish=%d`, mark, id)
	default:
		statement = fmt.Sprintf(`REPLACE INTO setting VALUES('%s', '%s')`, []string{"tax", "tip", code}[r.IntN(3)], mark)
	}
	_, err := q.s.app.Exec(statement)
	if refused := (sqlite3.Error{}); errors.As(err, &refused) && refused.Code == sqlite3.ErrConstraint {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %s: %w", q.s.name, statement, err)
	}
	if strings.HasPrefix(statement, "INSERT INTO part") {
		q.parts++
	}
	return nil
}

// All applications change the same few rows, while links are cut and daemons die. The outcome is the
// same everywhere, and no constraint is broken.
func TestContentionEndsLevel(t *testing.T) {
	t.Parallel()
	c := newHub(t, "", contended)
	c.join("plovdiv")
	c.join("varna")
	seed := drawSeed(t)
	t.Logf("RAPID_SEED=%d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	var all []*quarrel
	for i, s := range c.servers() {
		all = append(all, &quarrel{s: s, random: rand.New(rand.NewPCG(seed, uint64(i+1)))})
	}
	for round := range quarrelRounds {
		for _, s := range c.nodes {
			s.link.cut.Store(random.IntN(3) > 0)
		}
		if random.IntN(2) == 0 {
			victim := c.servers()[random.IntN(3)]
			t.Logf("round %d: %s is killed", round, victim.name)
			victim.kill()
			actAll(t, random, all)
			victim.start()
		} else {
			actAll(t, random, all)
		}
		mend(c.nodes...)
		c.identical()
		if t.Failed() {
			return
		}
	}
	parts := 4
	for _, q := range all {
		parts += q.parts
	}
	c.everywhere(fmt.Sprint(parts), `SELECT count(*) FROM part`)
	ids := func(s *server) (found []string) {
		for _, x := range conflicts(s, "--all") {
			found = append(found, x.ID+x.State)
		}
		return found
	}
	want := fmt.Sprint(ids(c.hub))
	for _, s := range c.servers() {
		if got := fmt.Sprint(ids(s)); got != want {
			t.Errorf("%s has conflicts %s, the hub %s", s.name, got, want)
		}
		expect(t, 0, "verify", "--db", s.db)
	}
	t.Logf("%d conflicts", len(ids(c.hub)))
}

// drawSeed is the seed of what is random: RAPID_SEED, as for the laws; 0 or none draws anew.
func drawSeed(t *testing.T) uint64 {
	given := os.Getenv("RAPID_SEED")
	seed, err := strconv.ParseUint(given, 10, 64)
	if err != nil && given != "" {
		t.Fatalf("RAPID_SEED=%s is no number", given)
	}
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	return seed
}

// quarrelRounds is how often the servers part and meet, quarrelActs how much each does between.
const quarrelRounds, quarrelActs = 8, 12

func actAll(t *testing.T, random *rand.Rand, all []*quarrel) {
	t.Helper()
	for range quarrelActs * len(all) {
		if err := all[random.IntN(len(all))].act(); err != nil {
			t.Error(err)
		}
	}
}
