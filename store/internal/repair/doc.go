// Package repair puts right between rows what only the hub can see from both sides.
//
// One server deletes a row while another refers to it, or edits its document. Row by row both
// writes are right. Together they leave an orphan, or half a document. The hub repairs in the
// transaction that finds it, with ordinary writes of its own:
//
//   - A deleted parent comes back as an edit of the same row, newer than the deletion, never as
//     another birth.
//   - Of a document deleted at one site and edited at another, the newer side is in force as a
//     whole. The other side is whole in the conflict.
//   - A reference by a unique value follows its row, by the former values that package history
//     remembers.
//
// It repairs only what the author of a change had not seen. An application that works without
// foreign keys keeps its orphans. Repairs leave no change record: the hub is no side of the
// conflict.
//
// At a node the package only tells whether a delta has crossed with own work. These are the
// crossings: another row under a key made here; a deletion, or a change of the unique value, of a
// row that own work refers to; a reference to a value that own work has changed; and a document
// deleted there and edited here. The whole delta then stays with the hub, until that has the work
// here. Decision 17 has the reasons.
//
// Package repair reports whether it wrote. It refuses to know the delta as a whole, the fold and
// the network. Decision 9 has the reasons.
package repair
