package main

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"time"

	"github.com/google/uuid"
	_ "github.com/mattn/go-sqlite3" // the application's own SQLite

	"ravno/testdata/demo"
)

const (
	// demoBusyTimeout is how long the application waits for a lock, as an ordinary one sets it.
	demoBusyTimeout = time.Second
	// demoLines is how many lines an order of the demonstration has.
	demoLines = 3
	// demoMenu is the number of products in the demonstration's seed.
	demoMenu = 40
	// demoGuestKey is how many characters of a UUID are a guest's key, few enough to read.
	demoGuestKey = 8
)

// demoItem is one line of an order, a product and the number of portions.
type demoItem struct{ product, quantity int }

// demoApp is one restaurant's till, an application with its own SQL on an SQLite file. It uses nothing
// of ravno, and must not notice ravno.
type demoApp struct {
	db    *sql.DB
	place string // of the tables it serves
	sales int    // made so far, which chooses what is sold next
}

// openDemoApp opens the till on a file. create makes the file with the application's schema
// and its first rows.
func openDemoApp(ctx context.Context, path, place string, create bool) (*demoApp, error) {
	mode := "rw"
	if create {
		mode = "rwc"
	}
	dsn := "file:" + (&url.URL{Path: path}).EscapedPath() + "?mode=" + mode +
		"&_journal_mode=WAL&_foreign_keys=on&_txlock=immediate" +
		fmt.Sprintf("&_busy_timeout=%d", demoBusyTimeout.Milliseconds())
	db, err := sql.Open("sqlite3", dsn)
	if err != nil {
		return nil, fmt.Errorf("the till in %s: %w", place, err)
	}
	db.SetMaxOpenConns(1)
	a := &demoApp{db: db, place: place}
	script := "SELECT 1"
	if create {
		script = demo.Schema + demo.Seed
	}
	if _, err := db.ExecContext(ctx, script); err != nil {
		db.Close()
		return nil, fmt.Errorf("the till in %s: %s: %w", place, path, err)
	}
	return a, nil
}

func (a *demoApp) Close() error { return a.db.Close() }

// transaction runs statements in one transaction of the application.
func (a *demoApp) transaction(ctx context.Context, what string, f func(*sql.Tx) error) error {
	tx, err := a.db.BeginTx(ctx, nil)
	if err == nil {
		if err = f(tx); err == nil {
			err = tx.Commit()
		} else {
			tx.Rollback() // the first error is the one to tell
		}
	}
	if err != nil {
		return fmt.Errorf("the till in %s: %s: %w", a.place, what, err)
	}
	return nil
}

// Sell takes an order, sends it to the kitchen and is paid, some times over. It returns the
// orders' numbers.
func (a *demoApp) Sell(ctx context.Context, times int) (numbers []int64, err error) {
	for range times {
		number, err := a.Serve(ctx, a.choice())
		if err != nil {
			return nil, err
		}
		numbers = append(numbers, number)
	}
	return numbers, nil
}

// choice is the meal of the next guests.
func (a *demoApp) choice() (items []demoItem) {
	for i := range demoLines {
		items = append(items, demoItem{product: 1 + (a.sales*7+i*11)%demoMenu, quantity: 1 + i%2})
	}
	return items
}

// Serve takes an order and is paid for it.
func (a *demoApp) Serve(ctx context.Context, items []demoItem) (number int64, err error) {
	if number, err = a.order(ctx, 1+a.sales%6, 1+a.sales%5, "", items); err != nil {
		return 0, err
	}
	return number, a.pay(ctx, number)
}

// order opens an order at a table and takes what it needs out of stock. Its number is the
// one that SQLite gives.
func (a *demoApp) order(ctx context.Context, table, guests int, note string, items []demoItem) (
	number int64, err error) {
	err = a.transaction(ctx, "order", func(tx *sql.Tx) error {
		result, err := tx.ExecContext(ctx, `INSERT INTO orders(place, table_id, guests, waiter, note, opened_at)
			SELECT place, id, ?1, ?2, ?3, ?4 FROM dining_table WHERE place = ?5 AND number = ?6`,
			guests, waiter(a.sales), note, demoNow(), a.place, table)
		if err != nil {
			return err
		}
		if number, err = result.LastInsertId(); err != nil {
			return err
		}
		for _, item := range items {
			if err := a.line(ctx, tx, number, item); err != nil {
				return err
			}
		}
		a.sales++
		return a.event(ctx, tx, fmt.Sprintf("order %d opened", number))
	})
	return number, err
}

func (a *demoApp) line(ctx context.Context, tx *sql.Tx, order int64, item demoItem) error {
	if _, err := tx.ExecContext(ctx, `INSERT INTO order_line(id, order_id, product_id, quantity, price)
		SELECT ?1, ?2, id, ?3, price FROM product WHERE id = ?4`, uuid.NewString(), order, item.quantity,
		item.product); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `UPDATE stock SET on_hand = on_hand - ? WHERE product_id = ?`, item.quantity,
		item.product)
	return err
}

// pay pays an order whole and closes it.
func (a *demoApp) pay(ctx context.Context, order int64) error {
	return a.transaction(ctx, "payment", func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `INSERT INTO payment(id, order_id, amount, method, paid_at)
			SELECT ?1, ?2, sum(quantity * price), ?3, ?4 FROM order_line WHERE order_id = ?2`,
			uuid.NewString(), order, []string{"cash", "card"}[a.sales%2], demoNow()); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `UPDATE orders SET state = 'paid', closed_at = ? WHERE id = ?`, demoNow(),
			order); err != nil {
			return err
		}
		return a.event(ctx, tx, fmt.Sprintf("order %d paid", order))
	})
}

// Book takes a party's order in advance. It stays open.
func (a *demoApp) Book(ctx context.Context, table, guests int, note string) (number int64, err error) {
	return a.order(ctx, table, guests, note, a.choice())
}

// Rebook changes a booking.
func (a *demoApp) Rebook(ctx context.Context, order int64, guests int, note string) error {
	return a.transaction(ctx, "change of a booking", func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `UPDATE orders SET guests = ?, note = ? WHERE id = ?`, guests, note,
			order); err != nil {
			return err
		}
		return a.event(ctx, tx, fmt.Sprintf("booking %d now for %d", order, guests))
	})
}

// GiveCard gives a guest's card to a regular guest.
func (a *demoApp) GiveCard(ctx context.Context, guest, card string) error {
	return a.transaction(ctx, "card for a guest", func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `INSERT INTO guest(id, name, card, since) VALUES(?, ?, ?, ?)`,
			uuid.NewString()[:demoGuestKey], guest, card, demoNow()); err != nil {
			return err
		}
		return a.event(ctx, tx, "card "+card+" given to "+guest)
	})
}

// event writes to the application's own journal.
func (a *demoApp) event(ctx context.Context, tx *sql.Tx, what string) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO event_log(at, who, what) VALUES(?, ?, ?)`, demoNow(), waiter(a.sales), what)
	return err
}

// Int reads one number.
func (a *demoApp) Int(ctx context.Context, query string, args ...any) (n int, err error) {
	if err = a.db.QueryRowContext(ctx, query, args...).Scan(&n); err != nil {
		return 0, fmt.Errorf("the till in %s: %s: %w", a.place, query, err)
	}
	return n, nil
}

func waiter(sale int) string { return []string{"Мария", "Georgi", "Иван", "Elena"}[sale%4] }

func demoNow() string { return time.Now().UTC().Format(time.RFC3339Nano) }
