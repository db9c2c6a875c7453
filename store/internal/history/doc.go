// Package history keeps what a site must remember until every other site has seen it, and forgets
// it then.
//
// A version is stable when every site has it and nobody can still send work that was written
// without knowledge of it. The hub takes a checkpoint of its position. Once every node has seen
// it, counting unsent work, the checkpoint is stable. A node finds its own stable positions by a
// mark that it made while no slice was on its way. Then shadow rows, tombstones and tombstone
// values go, a thousand in a transaction. This is causal stability: Baquero, Almeida and Shoker
// 2014, "Making operation-based CRDTs operation-based". Decision 5 has the rest.
//
// Five memories live here:
//
//   - Change records, at the hub: who changed which row of a document last, at which position, and
//     the values before. Counting has a record of its own, under the site's number below zero.
//     Decision 2.
//   - Former values, at the hub: by which unique values a row could be referred to before somebody
//     changed them, one after the other. Values that were never in force here are among them.
//   - Own work, at a node, that was overwritten before the hub acknowledged it. It still goes to
//     the hub, and is forgotten when the hub has it.
//   - Rows shipped ahead of their slice. Each counts once the receiver has said that it has that
//     slice of that delta: a delta may be given up, and two deltas may have slices that end at one
//     position. They are kept by row, because a row may have moved into a document since. Decision
//     4.
//   - Rows that moved between documents: others show both documents changed, or none.
//
// A forgotten birth is zero, like that of a row that was there at init. Tables with counters keep
// their shadows, because a part is a total since its base. Tables with a held row keep theirs,
// because stamps say whose unique value is older.
//
// Package history refuses to know the merge, the tables' constraints and time. Nothing is
// forgotten by age.
package history
