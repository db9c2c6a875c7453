package main

import (
	"context"
	"database/sql"
	"slices"
	"strings"
	"testing"
)

func TestTillSellsWholeOrders(t *testing.T) {
	ctx := context.Background()
	a, _ := demoTill(t, "varna")
	numbers, err := a.Sell(ctx, 9)
	if err != nil {
		t.Fatal(err)
	}
	if want := []int64{1, 2, 3, 4, 5, 6, 7, 8, 9}; !slices.Equal(numbers, want) {
		t.Fatalf("the orders got the numbers %v, want %v", numbers, want)
	}
	booking, err := a.Book(ctx, 6, 8, "birthday")
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Rebook(ctx, booking, 10, "with a cake"); err != nil {
		t.Fatal(err)
	}
	if err := a.GiveCard(ctx, "Maria", demoCard); err != nil {
		t.Fatal(err)
	}
	for query, want := range map[string]int{
		"SELECT count(*) FROM orders":                      10,
		"SELECT count(*) FROM orders WHERE state = 'paid'": 9,
		"SELECT count(*) FROM order_line":                  10 * demoLines,
		"SELECT count(*) FROM event_log":                   9*2 + 3,
		"SELECT guests FROM orders WHERE state = 'open'":   10,
		"SELECT (SELECT sum(quantity*price) FROM order_line l JOIN orders o ON o.id=l.order_id WHERE o.state='paid') - " +
			"(SELECT sum(amount) FROM payment)": 0,
		"SELECT count(*) FROM pragma_foreign_key_check":      0,
		"SELECT count(*) FROM orders WHERE place <> 'varna'": 0,
		"SELECT count(*) FROM guest WHERE card = 'B-0042'":   1,
	} {
		if got, err := a.Int(ctx, query); err != nil || got != want {
			t.Fatalf("%s: %d (%v), want %d", query, got, err, want)
		}
	}
	if err := a.checkStock(ctx); err != nil {
		t.Fatal(err)
	}
}

func TestTillRefusesToGiveCardTwice(t *testing.T) {
	ctx := context.Background()
	a, _ := demoTill(t, "varna")
	if err := a.GiveCard(ctx, "Maria", demoCard); err != nil {
		t.Fatal(err)
	}
	if err := a.GiveCard(ctx, "Ivan", demoCard); err == nil || !strings.Contains(err.Error(), "UNIQUE") {
		t.Fatalf("the second holder of one card: %v", err)
	}
}

// demoSold is a till that has sold three orders, and they as they were then.
func demoSold(t *testing.T) (*demoApp, []demoOrder) {
	t.Helper()
	a, _ := demoTill(t, "varna")
	if _, err := a.Sell(context.Background(), 3); err != nil {
		t.Fatal(err)
	}
	due, err := a.Orders(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return a, due
}

func TestOrderKnownByContentNotNumber(t *testing.T) {
	ctx := context.Background()
	a, due := demoSold(t)
	if err := a.transaction(ctx, "renumber", func(tx *sql.Tx) error {
		_, err := tx.Exec(`PRAGMA defer_foreign_keys = on; UPDATE orders SET id = 9 WHERE id = 2;
			UPDATE order_line SET order_id = 9 WHERE order_id = 2; UPDATE payment SET order_id = 9 WHERE order_id = 2`)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if numbers, err := a.numbersOf(ctx, due); err != nil || !slices.Equal(numbers, []int64{1, 9, 3}) {
		t.Fatalf("numbers %v (%v), want 1 9 3", numbers, err)
	}
}

func TestOrderIncompleteIsMissed(t *testing.T) {
	for _, c := range []struct{ name, sql, says string }{
		{"the order", "DELETE FROM orders WHERE id = 2", "order that varna took as number 2 is not there with all its lines"},
		{"a line", "DELETE FROM order_line WHERE id = (SELECT min(id) FROM order_line WHERE order_id = 2)",
			"order that varna took as number 2 is not there with all its lines"},
		{"its payment", "DELETE FROM payment WHERE order_id = 2",
			"order that varna took as number 2 is not there with all its lines"},
		{"a line that went to another",
			"UPDATE order_line SET order_id = 1 WHERE id = (SELECT min(id) FROM order_line WHERE order_id = 2)",
			"number 1 is not there with all its lines"},
		{"the place", "UPDATE orders SET place = 'plovdiv' WHERE id = 3",
			"order that varna took as number 3 is not there with all its lines"},
		{"one too many", "INSERT INTO orders(place, guests, waiter, table_id, opened_at) VALUES('varna', 1, '', 7, '')",
			"there are 4 orders, and 3 were taken"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, due := demoSold(t)
			if _, err := a.db.Exec(c.sql); err != nil {
				t.Fatal(err)
			}
			if _, err := a.numbersOf(context.Background(), due); err == nil || !strings.Contains(err.Error(), c.says) ||
				!strings.Contains(err.Error(), "varna") {
				t.Fatalf("said %v, want %q", err, c.says)
			}
		})
	}
}

func TestStockMismatchNamesProduct(t *testing.T) {
	ctx := context.Background()
	for _, c := range []struct{ name, sql, says string }{
		{"a sale that was not counted", "UPDATE stock SET on_hand = on_hand + 6 WHERE product_id = 15",
			"Kebapche: 85 at the start, 1 sold, but 90 on hand"},
		{"two that even each other out",
			"UPDATE stock SET on_hand = on_hand + (CASE product_id WHEN 15 THEN 1 ELSE -1 END) WHERE product_id IN (15, 16)",
			"Kebapche"},
		{"another storage class", "UPDATE stock SET on_hand = on_hand || 'x' WHERE product_id = 16", "Meatball"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, _ := demoSold(t)
			if err := a.checkStock(ctx); err != nil {
				t.Fatalf("before: %v", err)
			}
			if _, err := a.db.Exec(c.sql); err != nil {
				t.Fatal(err)
			}
			if err := a.checkStock(ctx); err == nil || !strings.Contains(err.Error(), "at varna the stock does not add up") ||
				!strings.Contains(err.Error(), c.says) {
				t.Fatalf("said %v, want %q", err, c.says)
			}
		})
	}
}

// Two orders of one number must both have a record of the new number.
func TestOrdersOfOneNumberNeedTwoRecords(t *testing.T) {
	first, second := demoRestaurants[0], demoRestaurants[1]
	s := &demoStory{apart: map[string][]int64{first: {12, 13}, second: {12, 13}}, taken: []demoOrder{
		{number: 12, place: first}, {number: 13, place: first}, {number: 12, place: second}, {number: 13, place: second}}}
	record := func(site string, old, new int64) demoConflict {
		x := demoConflict{ID: "x", State: "resolved"}
		x.Renumbered = &demoRenumbered{Site: site, Table: "orders"}
		x.Renumbered.Old.ID, x.Renumbered.New.ID = old, new
		return x
	}
	good := []demoConflict{record(second, 12, 14), record(second, 13, 15)}
	if err := s.checkRenumbered(good, []int64{12, 13, 14, 15}); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		found   []demoConflict
		numbers []int64
	}{
		"one record":               {good[:1], []int64{12, 13, 14, 15}},
		"of another server":        {[]demoConflict{record(first, 12, 14), record(second, 13, 15)}, []int64{12, 13, 14, 15}},
		"no new number":            {[]demoConflict{{ID: "x", State: "resolved"}, good[1]}, []int64{12, 13, 14, 15}},
		"another number than said": {good, []int64{12, 13, 14, 16}},
		"the first one moved":      {good, []int64{16, 13, 14, 15}},
	} {
		if err := s.checkRenumbered(c.found, c.numbers); err == nil {
			t.Errorf("%s: nothing said", name)
		}
	}
}
