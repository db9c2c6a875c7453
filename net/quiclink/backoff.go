package quiclink

import "time"

const (
	// BackoffBase is the ceiling of the first wait. A blip costs a quarter of a second at most.
	BackoffBase = 250 * time.Millisecond
	// BackoffCap is the ceiling of every wait after a few. When the network is back, a shop is
	// green again within half a minute, and a thousand nodes knock 67 times a second.
	BackoffCap = 30 * time.Second
	// BackoffFloor keeps a run of unlucky draws from becoming a loop without a pause.
	BackoffFloor = 10 * time.Millisecond
)

// Backoff says how long to wait before dialling again. It draws with full jitter between nothing and
// a ceiling that doubles up to BackoffCap (Brooker 2015, "Exponential Backoff And Jitter"). So nodes
// that lost one hub at one moment do not return to it at one moment.
//
// The ceiling saturates by comparison, without a power of two, so nothing overflows however long a
// link is down. It is not safe for concurrent use.
type Backoff struct {
	random  func() float64
	ceiling time.Duration
}

// NewBackoff makes a back-off that draws from random, in [0, 1) and different on each node.
func NewBackoff(random func() float64) *Backoff {
	return &Backoff{random: random, ceiling: BackoffBase}
}

// Next is the wait before the next attempt, from BackoffFloor to BackoffCap.
func (b *Backoff) Next() time.Duration {
	wait := time.Duration(b.random() * float64(b.ceiling))
	b.ceiling = min(2*b.ceiling, BackoffCap)
	return min(max(wait, BackoffFloor), BackoffCap)
}

// Reset is for a success. The next failure begins anew.
func (b *Backoff) Reset() { b.ceiling = BackoffBase }
