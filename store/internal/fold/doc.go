// Package fold turns the log into registers. It is the only birthplace of stamps.
//
// A fold reads every entry there is, gathers them by row, compares table and shadow, gives stamps,
// writes shadow rows and trims the log. It never covers half a transaction of the application. An
// entry means "look at this row", so entries that turn out to say nothing are harmless. An insert
// after a look at the same row is a REPLACE: the same row, written whole.
//
// Every apply folds first, inside its own transaction. A long log is folded before that begins.
// Entries found then were written by somebody who had not seen the applied rows, and later entries
// by somebody who had. A stamp holds the position that its author had seen. A node can hold work
// against which an incoming value lost. A later write over that work takes the seen position of
// the earlier write.
//
// A position covers at most about a thousand rows, in key order, because neighbours are cheap to
// write where a slice brings them.
//
// Long logs. 128,000 entries are read and sorted in a snapshot without a lock, and then folded in
// slices. Where rows belong to documents it is 16,384, so that the rows of a document get
// positions close together. The log stays until the last slice. An apply, or a restart after a
// crash, folds the entries once more, with newer stamps. No other site has the earlier result. Each slice looks
// first whether the log still begins where it did. A log is folded whole if rows were deleted or
// replaced in it, or if values were taken from rows that others refer to. It is also folded whole
// while some row is held. Rows come after those they refer to, table by table. Decision 7 has the
// reasons.
//
// Counters. The log keeps no old values. So every row of a table with counters has a shadow from
// the start, and a count is the difference to it. See Shapiro et al. 2011 (package crdt), and
// decision 11.
//
// Package fold refuses to know deltas, the network and the real clock: the time is an argument.
package fold
