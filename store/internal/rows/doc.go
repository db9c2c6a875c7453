// Package rows is one write transaction. It reads and writes rows, shadows, values kept aside,
// ravno's own tables and the log. It decides nothing.
//
// No state is kept between transactions. Each begins by reading the state, because commands write
// the same file while the daemon runs.
//
// Read-ahead. A fold and an apply go through rows in key order, so most of them lie side by side
// in every tree. Some rows are read ahead in one go, and tell as well that there is no row between
// two of them. Each row is handed out once, because the asker is about to change it. A question
// that goes back is asked of the tree anew. Where keys lie far apart, nothing is read ahead.
//
// Write buffer. Shadow rows are written many at a time. A question about a row that is still in
// the buffer flushes it first.
//
// Values kept aside. A row that is not in its table keeps its values in one of three states: held
// (a constraint keeps it out), incomplete (some values are still to come), or tombstone (deleted,
// and kept in case an edit was newer).
//
// Before-images. At the hub a trigger keeps the values of each row that the application deletes,
// until the fold. Otherwise the only copy of a row that must come back could be at a site that is
// away. A node keeps them only where the log cannot tell the values: counters, and unique values
// that other rows refer to.
//
// Own tables. Servers, settings and conflicts are replicated rows without triggers. Package rows
// logs ravno's writes to them, and from there they travel like any other row.
//
// Sequences. Where AUTOINCREMENT goes on counting is each server's own. Rows of other servers move
// it (https://sqlite.org/autoinc.html); package rows puts it back.
//
// Package rows refuses to know merges, conflicts, references between rows, and the network.
package rows
