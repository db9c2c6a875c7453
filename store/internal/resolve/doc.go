// Package resolve carries out an admin's decision on a conflict, and takes it back.
//
// A decision is one side as a whole, or column by column, or a value set by hand. It is planned
// whole before anything is written. It consists of ordinary writes of this site, made in full
// knowledge of both sides, together with who decided, when and why. They travel like any other
// write, so a decision can be made on any server, offline too. Of two decisions at once the newer
// is in force, and the record stays closed.
//
// The record keeps the values that the decision replaced. Undo writes them again, as ordinary
// writes, and opens the record. It refuses where somebody has changed the same values since, unless it is
// forced.
//
// A decision names the revision it decided on. If the hub extends the record meanwhile, the record
// stays open.
//
// A decision is about rows, not about keys. An application without AUTOINCREMENT gives the number
// of a deleted last row to the next one. So a decision leaves alone a row born under such a number
// since, and its document. Values for that row are refused, unless the admin sets them by hand. A
// row made anew under a code or a line number of a receipt is the same row.
//
// Enforcement of foreign keys is off for ravno's writes. So a decision checks by itself that it
// leaves no orphan. A row that refers to a deleted one is deleted as well, or named as in the way. A
// decision that cannot be carried out is refused with the reason, and nothing is written.
//
// Package resolve refuses to know deltas and terminals: flags and words are package main's.
// Decision 12 has the reasons.
package resolve
