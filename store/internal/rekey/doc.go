// Package rekey gives one of two rows under one key a fresh one, and lets everything follow that
// refers to it.
//
// Two shops without a link both make order 101. Before the hub applies a delta, package rekey
// looks for rows that were made under a key of another row, unknown to their maker. Each gets the
// next free key. It is not in use, and no later slice brings it. It is at most 2^53, because
// applications that read integers as doubles would confuse larger keys. The hub translates the
// rest of that node's work until the node has seen the record of the rekeying. The record travels
// to the maker alone, first in the delta.
//
// The maker changes the key in the table, in shadows, in references, in values kept aside, and in
// its unacknowledged work. Stamps stay, because the hub has translated the same writes. A row that
// came in an earlier slice than the rekeyed row follows it by a write of the hub.
//
// A row made under the key of a held row gets another key at once. Its author could not see the
// held row.
//
// Two cases are no collision. Births at time 1 are rows that a migration put into a new table at
// every server. A row that the hub has heard of before comes whole because it outlived a deletion.
//
// Package rekey gets the author and the log as arguments. It refuses to know the rest of the
// delta, documents and the network. Decision 10 has the reasons.
package rekey
