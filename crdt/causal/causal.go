// Package causal names the author of a change and what the author had seen, with sites,
// incarnations and positions. It knows no time, because a clock orders writes but cannot tell
// whether one had seen the other (Lamport 1978; Parker et al. 1983, "Detection of mutual
// inconsistency in distributed systems"). Every change passes through one hub, so a full version
// vector is not needed. The hub numbers its commits, and the highest number that an author had
// applied says exactly what it had seen.
package causal

import "strconv"

// Site is the number the hub gave a server at enrolment. Numbers are never reused, and names are
// labels on them. Zero is no site, but the state before ravno came.
type Site uint32

// Hub is the site number of every organisation's hub.
const Hub Site = 1

// String writes the site as its decimal number.
func (s Site) String() string { return strconv.FormatUint(uint64(s), 10) }

// Incarnation tells two lives of one site apart. It is drawn at random when the state of a site
// is made, so that a file restored from a backup or a cloned disk is noticed.
type Incarnation [16]byte

// IsZero reports whether the incarnation was never drawn.
func (i Incarnation) IsZero() bool { return i == Incarnation{} }

// Position numbers the commits of one incarnation of one site, from 1. Only the order counts, so
// gaps do not matter. Positions of two sites cannot be compared.
type Position uint64

// Seen is the highest position of the hub that the author of a change had applied when it wrote.
type Seen = Position

// Reached is how far a receiver has come in the work of one sender.
type Reached struct {
	// Position is up to where it has everything.
	Position Position
	// Until is the position at which the delta was read that is coming in slices. Rows shipped
	// ahead of their slice are as they were then. 0 means that no delta is on its way.
	Until Position
}

// Concurrent reports whether a change whose author had seen the hub up to seen was made
// without knowledge of a change that the hub committed at position at, by another site.
// Two changes of one site are never concurrent, because the site had seen its own work.
func Concurrent(author, other Site, seen Seen, at Position) bool {
	return author != other && at > seen
}
