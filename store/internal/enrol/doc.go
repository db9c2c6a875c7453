// Package enrol makes a file ravno's, gives a node its first load, takes ravno out of a file
// again, and keeps the list of members.
//
// At init the file gets ravno's tables and triggers, and WAL mode, in one transaction. The rows
// that are there are stable from the start: they cost no metadata.
//
// A first load is a consistent copy of the hub's database. It has the rows that sync, and nothing
// that stays at the hub: no local rows, no journals, no tokens. Removed values are overwritten.
// The load says inside its own file from which position it is. It carries the memory of rows that
// are not stable: births, stamps, tombstone values and held rows. Positions are dropped, and
// numbers are translated by name. Without births, an update of a row made since init would look to
// the new node like another row.
//
// A file that does not exist appears whole or not at all. Into one that exists, the rows are
// loaded in one transaction, after a backup where rows give way.
//
// Members. A join token is kept by the hash of its secret, and works once. The number of a node is
// given once and never again. The certificate is issued before the commit, so no token is wasted.
// A join that was cut off goes on when the same node repeats it. A node that says it has seen less
// than before, or less than is stable, was restored from a backup and is refused.
// Removing a node stops waiting for it. Its data stays.
//
// Leave takes every trigger, view and table of ravno out of the file. It refuses while that would
// lose work, unless it is forced.
//
// Package enrol refuses to know certificates, sockets and the real clock.
package enrol
