package hlc_test

import (
	"fmt"

	"ravno/crdt/hlc"
)

// A site whose wall clock is a second slow still writes later than what it has seen.
func ExampleClock() {
	var fast, slow hlc.Clock

	first := fast.Tick(5000)
	fmt.Println("the fast site writes at", first)

	slow.Observe(first)
	second := slow.Tick(4000)
	fmt.Println("the slow site writes at", second)
	fmt.Println("again, in the same millisecond:", slow.Tick(4000))

	// When the wall clock has caught up, the time is wall-clock time again.
	fmt.Println("two seconds later:", slow.Tick(6000))
	// Output:
	// the fast site writes at 5000.0
	// the slow site writes at 5000.1
	// again, in the same millisecond: 5000.2
	// two seconds later: 6000.0
}

// Stamps are totally ordered: by time, and at the same time by site.
func ExampleStamp_Compare() {
	bar := hlc.Stamp{Time: hlc.At(5000), Site: 2}
	kitchen := hlc.Stamp{Time: hlc.At(5000), Site: 3}
	fmt.Println(bar.Compare(kitchen), kitchen.After(bar), bar.After(hlc.Stamp{}))
	// Output:
	// -1 true true
}
