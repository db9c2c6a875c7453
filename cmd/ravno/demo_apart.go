package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// This part of the story cuts a link and shows the consequences.

// demoDecided are the kinds of conflict that somebody has to decide, with the table that each
// is about.
var demoDecided = map[string]string{"edit_edit": "orders", "unique": "guest"}

func (s *demoStory) cut(ctx context.Context) error {
	second := demoRestaurants[1]
	s.links[second].Cut()
	s.say("Nobody is told. The silence is noticed.")
	if err := s.untilCause(ctx, s.hub, second, "no_link"); err != nil {
		return err
	}
	return s.show(ctx, []int{codeNotLevel}, "status", "--db", s.hub.db)
}

func (s *demoStory) workApart(ctx context.Context) (err error) {
	first, second := demoRestaurants[0], demoRestaurants[1]
	if s.onHand, err = s.dishOnHand(ctx, demoHub); err != nil {
		return err
	}
	s.apart = map[string][]int64{}
	for i, name := range demoRestaurants {
		if err := s.sellDish(ctx, name, demoPortions[i]); err != nil {
			return err
		}
	}
	if !slices.Equal(s.apart[first], s.apart[second]) {
		return fmt.Errorf("without a link SQLite was to give both the same numbers; %s has %v, %s has %v", first,
			s.apart[first], second, s.apart[second])
	}
	for i, name := range demoRestaurants {
		if err := s.tills[name].GiveCard(ctx, demoGuestNames[i], demoCard); err != nil {
			return err
		}
		s.say("%s gives card %s to %s", name, demoCard, demoGuestNames[i])
	}
	for i, change := range []struct {
		guests int
		note   string
	}{{demoMoreGuests, demoCakeNote}, {demoFewerGuests, demoTerraceNote}} {
		if err := s.tills[demoRestaurants[i]].Rebook(ctx, s.booking, change.guests, change.note); err != nil {
			return err
		}
		s.say("%s changes booking %d: %d guests, %s", demoRestaurants[i], s.booking, change.guests, change.note)
	}
	if err := s.caughtUp(ctx, first, nil); err != nil {
		return err
	}
	return s.checkApart(ctx)
}

// sellDish sells in one restaurant, the dish among other things.
func (s *demoStory) sellDish(ctx context.Context, name string, portions int) error {
	till := s.tills[name]
	items := till.choice()
	items[0] = demoItem{product: demoDish, quantity: portions}
	number, err := till.Serve(ctx, items)
	if err != nil {
		return err
	}
	more, err := till.Sell(ctx, demoApart-1)
	if err != nil {
		return err
	}
	s.apart[name] = append([]int64{number}, more...)
	left, err := s.dishOnHand(ctx, name)
	if err != nil {
		return err
	}
	s.say("%s sells orders %s, with %d Kebapche: %d on hand there, of %d", name, demoList(s.apart[name]), portions, left,
		s.onHand)
	return nil
}

func (s *demoStory) dishOnHand(ctx context.Context, name string) (int, error) {
	return s.tills[name].Int(ctx, "SELECT on_hand FROM stock WHERE product_id = ?", demoDish)
}

// checkApart notes all sales, and checks that the office has all but the last ones of the restaurant
// without a link.
func (s *demoStory) checkApart(ctx context.Context) error {
	first, second := demoRestaurants[0], demoRestaurants[1]
	for _, name := range demoRestaurants {
		orders, err := s.tills[name].Orders(ctx)
		if err != nil {
			return err
		}
		s.taken = append(s.taken, slices.DeleteFunc(orders, func(o demoOrder) bool { return o.place != name })...)
	}
	got, err := s.tills[demoHub].Int(ctx, "SELECT count(*) FROM orders")
	if err != nil {
		return err
	}
	if want := len(s.taken) - demoApart; got != want {
		return fmt.Errorf("while %s was cut off, the office had %d orders: it should have had %d", second, got, want)
	}
	s.say("The office has %d orders: orders %s are those of %s. Those of %s are still to come.", got,
		demoList(s.apart[first]), first, second)
	return nil
}

func (s *demoStory) mend(ctx context.Context) error {
	second := demoRestaurants[1]
	s.links[second].Mend()
	for _, server := range s.servers() {
		if err := s.until(ctx, server.name+" knows of both conflicts", func() (bool, string, error) {
			found, err := s.conflicts(ctx, server)
			return len(found) == len(demoDecided), demoConflictWords(found), err
		}); err != nil {
			return err
		}
	}
	if err := s.untilCause(ctx, s.hub, second, "conflict"); err != nil {
		return err
	}
	return s.show(ctx, []int{codeNotLevel}, "status", "--db", s.hub.db)
}

// showRenumbered shows the outcomes that needed no decision. Of two orders with one number one has a
// fresh number, and the counter has counted both sales.
func (s *demoStory) showRenumbered(ctx context.Context) error {
	numbers, err := s.untilOrdersWhole(ctx)
	if err != nil {
		return err
	}
	second := s.server(demoRestaurants[1])
	args := []string{"--all", "--kind", "key_collision"}
	found, err := s.conflicts(ctx, second, args...)
	if err != nil {
		return err
	}
	if err := s.checkRenumbered(found, numbers); err != nil {
		return fmt.Errorf("%w; %s has: %s", err, second.name, demoConflictWords(found))
	}
	if err := s.showPart(ctx, "grep now:", func(lines []string) []string {
		return slices.DeleteFunc(lines, func(line string) bool { return !strings.Contains(line, "now:") })
	}, append([]string{"conflict", "list", "--db", second.db}, args...)...); err != nil {
		return err
	}
	for i, order := range s.taken {
		if slices.Contains(s.apart[order.place], order.number) {
			s.say("order %d on every server: sold in %s as number %d, with %d lines, paid", numbers[i], order.place,
				order.number, demoLines)
		}
	}
	return s.checkDish(ctx)
}

// checkRenumbered checks that each order of one number has a record that says what it is now.
func (s *demoStory) checkRenumbered(found []demoConflict, numbers []int64) error {
	first, second := demoRestaurants[0], demoRestaurants[1]
	if len(found) != demoApart {
		return fmt.Errorf("%d records of a fresh number were due, there are %d", demoApart, len(found))
	}
	fresh := map[int64]int64{}
	for _, x := range found {
		r := x.Renumbered
		if x.State != "resolved" || r == nil || r.Site != second || r.Table != "orders" {
			return fmt.Errorf("record %s is not of an order of %s with a fresh number", x.ID, second)
		}
		fresh[r.Old.ID] = r.New.ID
	}
	for i, order := range s.taken {
		want, has := order.number, false
		if order.place == second {
			if want, has = fresh[order.number]; !has {
				want = order.number
			}
		}
		if numbers[i] != want {
			return fmt.Errorf("order %d of %s is %d now, and should be %d", order.number, order.place, numbers[i], want)
		}
	}
	for _, number := range s.apart[first] {
		if new, has := fresh[number]; !has || new == number {
			return fmt.Errorf("order %d of %s has no fresh number", number, second)
		}
	}
	return nil
}

// checkDish checks that both sales were taken out of stock, on every server.
func (s *demoStory) checkDish(ctx context.Context) error {
	want, sum := s.onHand, fmt.Sprint(s.onHand)
	for _, portions := range demoPortions {
		want, sum = want-portions, sum+fmt.Sprintf(" - %d", portions)
	}
	for _, server := range s.servers() {
		if err := s.until(ctx, fmt.Sprintf("%s has %s = %d Kebapche on hand", server.name, sum, want),
			func() (bool, string, error) {
				got, err := s.dishOnHand(ctx, server.name)
				return got == want, fmt.Sprint(got), err
			}); err != nil {
			return err
		}
	}
	s.say("Kebapche on hand, on every server: %s = %d", sum, want)
	return nil
}

func (s *demoStory) showConflicts(ctx context.Context) error {
	found, err := s.conflicts(ctx, s.hub)
	if err != nil {
		return err
	}
	s.open = map[string]string{}
	for _, x := range found {
		if x.Document.Table == demoDecided[x.Kind] && slices.Equal(slices.Sorted(slices.Values(x.Sites)), demoRestaurants) {
			s.open[x.Kind] = x.ID
		}
	}
	if len(found) != len(demoDecided) || len(s.open) != len(found) {
		return fmt.Errorf("a conflict about the booking and one about the card were due, both between %s; the office has: %s",
			strings.Join(demoRestaurants, " and "), demoConflictWords(found))
	}
	for _, kind := range slices.Sorted(maps.Keys(s.open)) {
		if err := s.show(ctx, nil, "conflict", "show", s.open[kind], "--db", s.hub.db); err != nil {
			return err
		}
	}
	return nil
}

func (s *demoStory) resolve(ctx context.Context) error {
	if err := s.show(ctx, nil, "conflict", "resolve", s.open["edit_edit"], "--take", "guests="+demoRestaurants[0],
		"--take", "note="+demoRestaurants[1], "--note", "twelve, and the terrace", "--db", s.hub.db); err != nil {
		return err
	}
	return s.show(ctx, nil, "conflict", "resolve", s.open["unique"], "--set", "card="+demoFreeCard,
		"--note", "a new card, with an apology", "--db", s.hub.db)
}

// demoList writes numbers for people.
func demoList(numbers []int64) string {
	var words []string
	for _, n := range numbers {
		words = append(words, fmt.Sprint(n))
	}
	return strings.Join(words, " and ")
}
