// Package hlc is the hybrid logical clock. Its stamps order all writes of all sites, close to
// wall-clock time and never behind the stamps their author had seen (Kulkarni et al. 2014,
// "Logical physical clocks"). It reads no clock. Physical time is an argument of every step, so
// each step can be replayed.
package hlc

import (
	"fmt"
	"time"

	"ravno/crdt/causal"
)

// counterBits is the width of the logical counter below the milliseconds. 65,536 steps
// in one millisecond carry into the next one instead of failing.
const counterBits = 16

// MaxMillis is the last millisecond a Time can hold: 48 bits, the year 10889.
const MaxMillis = 1<<48 - 1

// Time is a reading of a hybrid logical clock: 48 bits of Unix milliseconds above 16 bits
// of counter, so times compare as integers. Zero is before every write.
type Time uint64

// At is the first time of a millisecond. Times before 1970 become zero and times past MaxMillis
// become the last one, because a broken clock must not wrap around.
func At(unixMillis int64) Time {
	return Time(min(max(unixMillis, 0), MaxMillis)) << counterBits
}

// Millis is the Unix millisecond of t.
func (t Time) Millis() int64 { return int64(t >> counterBits) }

// Counter is the logical part of t.
func (t Time) Counter() uint16 { return uint16(t) }

// Wall is t as wall-clock time, to the millisecond, in UTC.
func (t Time) Wall() time.Time { return time.UnixMilli(t.Millis()).UTC() }

// String writes t as milliseconds and counter, for logs and tests.
func (t Time) String() string { return fmt.Sprintf("%d.%d", t.Millis(), t.Counter()) }

// Stamp is the version of a register. It says when the register was written, then by which site.
// It names one write: no two different values of one register ever carry the same stamp.
// The zero stamp is the state a database had before ravno came, the same at every site.
type Stamp struct {
	Time Time
	Site causal.Site
}

// Compare orders stamps by time and then by site: -1, 0 or 1. It is total.
func (s Stamp) Compare(o Stamp) int {
	switch {
	case s.Time < o.Time:
		return -1
	case s.Time > o.Time:
		return 1
	case s.Site < o.Site:
		return -1
	case s.Site > o.Site:
		return 1
	}
	return 0
}

// After reports whether s is newer than o.
func (s Stamp) After(o Stamp) bool { return s.Compare(o) > 0 }

// IsZero reports whether s is the state before ravno came.
func (s Stamp) IsZero() bool { return s == Stamp{} }

// String writes s as time@site.
func (s Stamp) String() string { return s.Time.String() + "@" + s.Site.String() }

// Clock is the clock of one site: the latest time it has issued or seen. It is a value,
// kept in the same transaction as the rows it stamped, so that a rollback takes it back.
type Clock struct{ last Time }

// NewClock resumes a clock at the latest time it is known to have issued or seen.
func NewClock(last Time) Clock { return Clock{last: last} }

// Last is the latest time issued or seen.
func (c Clock) Last() Time { return c.last }

// Tick steps the clock for a write made at the given physical time and returns the time
// of the write: later than everything issued or seen, and not behind the physical time.
func (c *Clock) Tick(unixMillis int64) Time {
	c.last = max(c.last+1, At(unixMillis))
	return c.last
}

// Follow returns the time of a further write of the same transaction. It is not before the last
// one, and equal to it while the millisecond stands still. Writes of one transaction may share a
// time because the transaction writes each register once.
func (c *Clock) Follow(unixMillis int64) Time {
	c.last = max(c.last, At(unixMillis))
	return c.last
}

// Observe moves the clock past a time received from another site, so that every later
// write here is newer than it.
func (c *Clock) Observe(t Time) { c.last = max(c.last, t) }
