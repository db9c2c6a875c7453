package crdt_test

import (
	"fmt"

	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/crdt/hlc"
)

// Two sites change two columns of one row at once. Both changes stay, and the order in which
// they arrive makes no difference.
func ExampleMerge() {
	const price, stock crdt.Column = 1, 2 // as one site numbers them
	bar := hlc.Stamp{Time: hlc.At(1000), Site: 2}
	kitchen := hlc.Stamp{Time: hlc.At(1001), Site: 3}

	// The row was there before ravno came, so its birth is the zero stamp.
	coffee := crdt.NewKey(crdt.TextValue("coffee"))
	fromBar := crdt.Change{Key: coffee, Registers: []crdt.Register{
		{Column: price, Stamp: bar, Value: crdt.IntegerValue(250)},
	}}
	fromKitchen := crdt.Change{Key: coffee, Registers: []crdt.Register{
		{Column: price, Stamp: kitchen, Value: crdt.IntegerValue(240)},
		{Column: stock, Stamp: kitchen, Value: crdt.IntegerValue(12)},
	}}

	one := crdt.Merge(crdt.Row{}, true, fromBar, 1)
	one = crdt.Merge(one.Row, true, fromKitchen, 2)
	fmt.Println("price", one.Row.Version(price).Stamp, "stock", one.Row.Version(stock).Stamp)

	other := crdt.Merge(crdt.Row{}, true, fromKitchen, 1)
	other = crdt.Merge(other.Row, true, fromBar, 2)
	fmt.Println("price", other.Row.Version(price).Stamp, "stock", other.Row.Version(stock).Stamp)
	fmt.Println("registers of the bar that lost:", other.Lost)
	// Output:
	// price 1001.0@3 stock 1001.0@3
	// price 1001.0@3 stock 1001.0@3
	// registers of the bar that lost: [0]
}

// Two sites sell from one stock at once. Each writes what it sees, and both sales count.
func ExampleRow_Count() {
	const stock crdt.Column = 2
	var row crdt.Row
	row.SetBase(stock, crdt.IntegerValue(10))

	// Here, at site 2, the application writes 7, so three are sold.
	here := crdt.Version{Stamp: hlc.Stamp{Time: hlc.At(1000), Site: 2}, Position: 1}
	sum := row.Count(stock, crdt.IntegerValue(7), here)
	fmt.Println("after the sale here:", sum)

	// Site 3 had seen 10 too and wrote 6. Its part is its own total, four less.
	sold := crdt.Change{Parts: []crdt.ChangePart{
		{Column: stock, Stamp: hlc.Stamp{Time: hlc.At(1001), Site: 3}, Total: crdt.IntegerValue(-4)},
	}}
	for at := causal.Position(2); at <= 3; at++ { // the change comes twice, and counts once
		row = crdt.Merge(row, true, sold, at).Row
	}
	counter, _ := row.Counter(stock)
	fmt.Println("with the sale there:", counter.Sum())
	// Output:
	// after the sale here: 7
	// with the sale there: 3
}

// Clash finds the work on a document that the author of a change had not seen.
func ExampleClash() {
	order := crdt.NewKey(crdt.IntegerValue(101))
	records := []crdt.ChangeRecord{
		{Site: 3, Position: 40, Table: "orders", Key: order},
		{Site: 3, Position: 45, Table: "orders", Key: order, Dead: true},
	}
	// Site 2 had applied the hub's work up to 42 when it wrote.
	for _, c := range crdt.Clash(2, 42, records) {
		fmt.Printf("concurrent: site %v at %d, a deletion: %t\n", c.Site, c.Position, c.Dead)
	}
	// Output:
	// concurrent: site 3 at 45, a deletion: true
}
