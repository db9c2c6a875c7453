// Package causal names who wrote a change and what its author had seen: sites,
// incarnations and positions. It refuses to know time: a clock orders writes, it
// cannot tell whether one had seen the other (Lamport 1978; Parker et al. 1983,
// "Detection of mutual inconsistency in distributed systems"). Because every change
// passes through one hub, a full version vector is not needed: the hub numbers what
// it commits, and the highest number an author had applied says exactly what it had seen.
package causal

import "strconv"

// Site is the number the hub gave a server at enrolment. Numbers are never reused;
// names are labels on them. Zero is no site: the state before ravno came.
type Site uint32

// Hub is the site number of every organisation's hub.
const Hub Site = 1

// String writes the site as its decimal number.
func (s Site) String() string { return strconv.FormatUint(uint64(s), 10) }

// Incarnation tells two lives of one site apart: it is drawn at random when the state
// of a site is made, so a file restored from a backup or a cloned disk can be found out.
type Incarnation [16]byte

// IsZero reports whether the incarnation was never drawn.
func (i Incarnation) IsZero() bool { return i == Incarnation{} }

// Position numbers the commits of one incarnation of one site, from 1, without gaps
// that matter: only the order counts. Positions of two sites cannot be compared.
type Position uint64

// Seen is a position of the hub: the highest one its author had applied when it wrote.
type Seen = Position

// Reached is how far a receiver has come in the work of one sender.
type Reached struct {
	// Position is up to where it has everything.
	Position Position
	// Until is, while a delta comes in slices, the position at which that was read: what came
	// earlier than its turn is as it was then. 0: no delta is on its way.
	Until Position
}

// Concurrent reports whether a change whose author had seen the hub up to seen was made
// without knowledge of a change that the hub committed at position at, by another site.
// Two changes of one site are never concurrent: the site had seen its own work.
func Concurrent(author, other Site, seen Seen, at Position) bool {
	return author != other && at > seen
}
