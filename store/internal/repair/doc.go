// Package repair puts references and documents right that only the hub sees from both sides.
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
// It repairs only against changes that the author had not seen. An application that works without
// foreign keys keeps its orphans. Repairs leave no change record: the hub is no side of the
// conflict.
//
// At a node the package only finds whether a delta has crossed with own work. There are four
// crossings here:
//
//   - The delta deletes a row that own work refers to, or changes its unique value.
//   - The delta brings a reference to a row that own work has deleted.
//   - The delta brings a reference to a unique value that own work has changed.
//   - The delta deletes a document that own work has edited.
//
// The whole delta then stays with the hub, until the hub has the node's work. Packages merge and
// rekey find a fifth crossing: another row under a key made here. Decision 17 has the reasons.
//
// Package repair reports whether it wrote. It refuses to know the delta as a whole, the fold and
// the network. Decision 9 has the reasons.
package repair
