package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Three files can be the same and all of them wrong. So the sales are also counted. Every order must be
// there with its lines and its payment, and every portion must be accounted for.

// demoOrder is an order as a till has it.
type demoOrder struct {
	number int64
	place  string // where it was taken
	// content must never change, even if the order gets another number. It has the time and the
	// waiter of the order, each line and each payment.
	content string
}

// demoOrderQuery reads orders. Lines and payments are sorted, so that equal orders read alike.
const demoOrderQuery = `SELECT id, place, opened_at || ' ' || waiter || ' ' || table_id
	|| coalesce((SELECT group_concat(line, '') FROM (SELECT '; ' || id || ': ' || quantity || ' of ' || product_id ||
	' at ' || price AS line
		FROM order_line WHERE order_id = orders.id ORDER BY id)), '; no lines')
	|| coalesce((SELECT group_concat(paid, '') FROM (SELECT '; ' || id || ': ' || amount || ' by ' || method AS paid
		FROM payment WHERE order_id = orders.id ORDER BY id)), '; not paid')
	FROM orders ORDER BY id`

// Orders reads all orders, by number.
func (a *demoApp) Orders(ctx context.Context) (orders []demoOrder, err error) {
	rows, err := a.db.QueryContext(ctx, demoOrderQuery)
	if err != nil {
		return nil, fmt.Errorf("the till in %s: reading the orders: %w", a.place, err)
	}
	defer rows.Close()
	for rows.Next() {
		var o demoOrder
		if err := rows.Scan(&o.number, &o.place, &o.content); err != nil {
			return nil, fmt.Errorf("the till in %s: reading the orders: %w", a.place, err)
		}
		orders = append(orders, o)
	}
	return orders, rows.Err()
}

// demoMissingError says which order is not there as it was taken.
type demoMissingError struct {
	Server, What string
}

func (e *demoMissingError) Error() string { return "at " + e.Server + " " + e.What }

// numbersOf finds orders, as they were when they were taken, in a till's file, and returns
// the number each has there. One that is not there with every line and payment, or is there
// twice, is a *demoMissingError, and so is an order that nobody took.
func (a *demoApp) numbersOf(ctx context.Context, due []demoOrder) (numbers []int64, err error) {
	found, err := a.Orders(ctx)
	if err != nil {
		return nil, err
	}
	for _, want := range due {
		same := slices.DeleteFunc(slices.Clone(found),
			func(o demoOrder) bool { return o.place != want.place || o.content != want.content })
		if len(same) != 1 {
			how := "is not there with all its lines and payments"
			if len(same) > 1 {
				how = "is there more than once"
			}
			return nil, &demoMissingError{Server: a.place, What: fmt.Sprintf("the order that %s took as number %d %s (%s)",
				want.place, want.number, how, want.content)}
		}
		numbers = append(numbers, same[0].number)
	}
	if len(found) != len(due) {
		return nil, &demoMissingError{Server: a.place,
			What: fmt.Sprintf("there are %d orders, and %d were taken", len(found), len(due))}
	}
	return numbers, nil
}

// demoFull is how many portions of a product the seed has.
const demoFull = "(40 + (product_id * 7) % 60)"

// checkStock checks that for each product the portions on hand and those sold add up to the stock at
// the start.
func (a *demoApp) checkStock(ctx context.Context) error {
	rows, err := a.db.QueryContext(ctx, `SELECT name_en, on_hand, sold, full FROM (SELECT product_id, on_hand, `+demoFull+
		` AS full,
		(SELECT coalesce(sum(quantity), 0) FROM order_line l WHERE l.product_id = stock.product_id) AS sold FROM stock)
		JOIN product ON product.id = product_id WHERE on_hand + sold <> full OR typeof(on_hand) <> 'integer' ORDER BY `+
		`product_id`)
	if err != nil {
		return fmt.Errorf("the till in %s: reading the stock: %w", a.place, err)
	}
	defer rows.Close()
	var wrong []string
	for rows.Next() {
		var name, hand, sold, full string
		if err := rows.Scan(&name, &hand, &sold, &full); err != nil {
			return fmt.Errorf("the till in %s: reading the stock: %w", a.place, err)
		}
		wrong = append(wrong, fmt.Sprintf("%s: %s at the start, %s sold, but %s on hand", name, full, sold, hand))
	}
	if err := rows.Err(); err != nil || len(wrong) == 0 {
		return err
	}
	return fmt.Errorf("at %s the stock does not add up: %s", a.place, strings.Join(wrong, "; "))
}

// ordersWhole returns the number that each order has on every server. It is a
// *demoMissingError if one is not there whole, or has another number elsewhere.
func (s *demoStory) ordersWhole(ctx context.Context) (numbers []int64, err error) {
	for i, server := range s.servers() {
		here, err := s.tills[server.name].numbersOf(ctx, s.taken)
		if err != nil {
			return nil, err
		}
		if i > 0 && !slices.Equal(here, numbers) {
			return nil, &demoMissingError{Server: server.name,
				What: fmt.Sprintf("the orders have the numbers %v, and %v at %s", here, numbers, s.hub.name)}
		}
		numbers = here
	}
	return numbers, nil
}

// untilOrdersWhole waits until every server has every order.
func (s *demoStory) untilOrdersWhole(ctx context.Context) (numbers []int64, err error) {
	err = s.until(ctx, "every server has every order with its lines", func() (bool, string, error) {
		var missing *demoMissingError
		var err error
		if numbers, err = s.ordersWhole(ctx); errors.As(err, &missing) {
			return false, missing.Error(), nil
		}
		return true, "", err
	})
	return numbers, err
}

// nothingMissing checks that every file has all sales. Being the same is not enough.
func (s *demoStory) nothingMissing(ctx context.Context) error {
	if due := 2*(demoSales+demoApart) + 1; len(s.taken) != due {
		return fmt.Errorf("%d orders were taken, and %d are known", due, len(s.taken))
	}
	if _, err := s.ordersWhole(ctx); err != nil {
		return err
	}
	orders := len(s.taken)
	for _, server := range s.servers() {
		if err := s.tills[server.name].checkStock(ctx); err != nil {
			return err
		}
		for _, c := range []struct {
			what, query string
			want        int
		}{
			{"order lines", "SELECT count(*) FROM order_line", orders * demoLines},
			{"payments", "SELECT count(*) FROM payment", orders - 1},
			{"guests of the booking", "SELECT guests FROM orders WHERE state = 'open'", demoMoreGuests},
			{"bookings with the note decided on", "SELECT count(*) FROM orders WHERE state = 'open' AND note = '" +
				demoTerraceNote + "'", 1},
			{"guests with a card", "SELECT count(*) FROM guest", len(demoGuestNames)},
			{"holders of the two cards", "SELECT count(DISTINCT name) FROM guest WHERE card IN ('" + demoCard + "', '" +
				demoFreeCard + "')", len(demoGuestNames)},
			{"rows that refer to nothing", "SELECT count(*) FROM pragma_foreign_key_check", 0},
		} {
			got, err := s.tills[server.name].Int(ctx, c.query)
			if err != nil {
				return err
			}
			if got != c.want {
				return fmt.Errorf("at %s: %d %s, %d were due", server.name, got, c.what, c.want)
			}
		}
	}
	return nil
}
