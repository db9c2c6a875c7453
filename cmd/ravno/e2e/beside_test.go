package e2e

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// orders is a table that ordinary programs sell from.
const orders = `CREATE TABLE shop_order(id INTEGER PRIMARY KEY AUTOINCREMENT, total INTEGER NOT NULL);
	INSERT INTO shop_order(total) VALUES(0),(0),(0),(0),(0),(0),(0),(0),(0),(0);
	CREATE TABLE delivery(id INTEGER PRIMARY KEY, what TEXT)`

// busily lets the application of a server write now and then, until stop is called.
func busily(t *testing.T, s *server, every time.Duration, statement string) (stop func()) {
	t.Helper()
	ended, end := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for {
			select {
			case <-end:
				return
			case <-ticker.C:
				if _, err := s.app.Exec(statement); err != nil {
					t.Errorf("%s: %s: %v", s.name, statement, err)
					return
				}
			}
		}
	}()
	return func() {
		close(end)
		<-ended
	}
}

// writes is the part of status --json that says how the daemon's writes got their turn.
func writes(s *server) (w struct {
	AtOnce  uint64 `json:"at_once"`
	Waited  uint64 `json:"waited"`
	Forced  uint64 `json:"forced"`
	Ungated uint64 `json:"ungated"`
}) {
	s.t.Helper()
	var snapshot struct{ Writes json.RawMessage }
	parse(s.t, ravno(s.t, "status", "--json", "--db", s.db).out, &snapshot)
	parse(s.t, string(snapshot.Writes), &w)
	return w
}

// Programs on common frameworks read, think and write in each transaction. Beside them a daemon sends
// their writes and receives those of another server.
func TestOrdinaryProgramsNeverFail(t *testing.T) {
	const sales = 200
	orm := filepath.Join("..", "..", "..", "testdata", "orm")
	for _, p := range []struct {
		name    string
		command []string
		has     []string // a command that succeeds if what the program needs is here
		needs   string
	}{
		{"Django", []string{"/usr/bin/python3", filepath.Join(orm, "django_shop.py")},
			[]string{"/usr/bin/python3", "-c", "import django"}, "Debian's python3-django"},
		{"better-sqlite3", []string{"node", filepath.Join(orm, "better_sqlite3_shop.js")},
			[]string{"node", "-e", "new (require(process.argv[1]))(':memory:')",
				filepath.Join(absolute(t, orm), "node_modules", "better-sqlite3")},
			"npm install in testdata/orm"},
	} {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			if out, err := exec.Command(p.has[0], p.has[1:]...).CombinedOutput(); err != nil {
				t.Skipf("%s is not installed. Try: %s (%v: %.200s)", p.name, p.needs, err, out)
			}
			c := newHub(t, "", orders)
			shop := c.join("shop")
			stop := busily(t, c.hub, 20*time.Millisecond, `INSERT INTO delivery(what) VALUES('a crate')`)
			ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
			defer cancel()
			out, err := exec.CommandContext(ctx, p.command[0],
				append(p.command[1:], shop.db, fmt.Sprint(sales), "3")...).CombinedOutput()
			stop()
			if said := strings.TrimSpace(string(out)); err != nil || said != "0" {
				t.Errorf("of %d transactions failed: %s (%v)", sales, said, err)
			}
			if w := writes(shop); w.Forced > 0 || w.Ungated > 0 || w.AtOnce+w.Waited < sales/10 {
				t.Errorf("the daemon's writes: %+v", w)
			}
			c.level()
			c.identical()
			c.everywhere(fmt.Sprint(sales), `SELECT sum(total) FROM shop_order`)
		})
	}
}

func absolute(t *testing.T, path string) string {
	t.Helper()
	full, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return full
}

// clerk makes transactions that read, think and write, without waiting for any lock.
type clerk struct {
	db     *sql.DB
	sold   atomic.Int64
	failed []error
}

func (k *clerk) sell(ctx context.Context) error {
	conn, err := k.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	for _, statement := range []string{`BEGIN`, `SELECT total FROM shop_order WHERE id=1`,
		`UPDATE shop_order SET total=total+1 WHERE id=1`, `COMMIT`} {
		if strings.HasPrefix(statement, "UPDATE") {
			time.Sleep(time.Millisecond) // the clerk thinks: this is not the test
		}
		if _, err := conn.ExecContext(ctx, statement); err != nil {
			_, _ = conn.ExecContext(ctx, `ROLLBACK`) // SQLite may have done so
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

// sellOn sells until stop is called.
func sellOn(t *testing.T, path string) (k *clerk, stop func()) {
	t.Helper()
	db, err := sql.Open("sqlite3", "file:"+(&url.URL{Path: path}).EscapedPath()+"?mode=rw&_busy_timeout=0")
	if err != nil {
		t.Fatal(err)
	}
	k = &clerk{db: db}
	ctx, cancel := context.WithCancel(t.Context())
	var selling sync.WaitGroup
	selling.Go(func() {
		for ctx.Err() == nil {
			if err := k.sell(context.Background()); err != nil {
				k.failed = append(k.failed, err)
			} else {
				k.sold.Add(1)
			}
			time.Sleep(time.Millisecond) // the next customer: this is not the test
		}
	})
	return k, func() {
		cancel()
		selling.Wait()
		db.Close()
	}
}

// Every command that writes steps aside as the daemon does, with the daemon and without it.
func TestCommandsStepAside(t *testing.T) {
	t.Parallel()
	c := newHub(t, "", orders)
	shop := c.join("shop")
	c.level()
	cut(shop)
	c.hub.sql(`UPDATE shop_order SET total=7 WHERE id=2`)
	shop.sql(`UPDATE shop_order SET total=8 WHERE id=2`)
	mend(shop)
	c.level()
	id := conflicts(c.hub)[0].ID
	k, stop := sellOn(t, c.hub.db)
	commands := func() {
		for i := range 3 {
			expect(t, 0, "node", "add", fmt.Sprintf("other%d%v", i, c.hub.process != nil), "--db", c.hub.db)
			expect(t, 0, "table", "set", "delivery", "--document", "delivery", "--db", c.hub.db)
			expect(t, 0, "conflict", "resolve", id, "--keep", "shop", "--db", c.hub.db)
			expect(t, 0, "conflict", "undo", id, "--db", c.hub.db)
			ravno(t, "status", "--db", c.hub.db) // without a daemon it folds
		}
	}
	commands()
	c.hub.stop()
	c.hub.process = nil
	commands()
	expect(t, 0, "leave", "--force", "--db", c.hub.db)
	stop()
	if len(k.failed) > 0 || k.sold.Load() < 100 {
		t.Errorf("of %d transactions %d failed: %v", int(k.sold.Load())+len(k.failed), len(k.failed),
			k.failed[:min(3, len(k.failed))])
	}
	if got := c.hub.value(`SELECT total FROM shop_order WHERE id=1`); got != fmt.Sprint(k.sold.Load()) {
		t.Errorf("%s sales are there, of %d", got, k.sold.Load())
	}
}

// A file is enrolled while its application works, and released again.
func TestInitBesideAnApplication(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "shop.db")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite3", "file:"+path+"?_journal_mode=WAL")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(orders); err != nil {
		t.Fatal(err)
	}
	db.Close()
	k, stop := sellOn(t, path)
	beside := int64(0)
	until(t, "ten transactions were made beside init and leave", func() (bool, string) {
		sold := k.sold.Load()
		expect(t, 0, "init", "--db", path, "--name", "hub", "--listen", "127.0.0.1:0")
		expect(t, 0, "leave", "--db", path)
		beside += k.sold.Load() - sold
		return beside >= 10, fmt.Sprint(beside)
	})
	expect(t, 0, "init", "--db", path, "--name", "hub", "--listen", "127.0.0.1:0")
	stop()
	if len(k.failed) > 0 {
		t.Errorf("of %d transactions %d failed: %v", int(k.sold.Load())+len(k.failed), len(k.failed),
			k.failed[:min(3, len(k.failed))])
	}
}
