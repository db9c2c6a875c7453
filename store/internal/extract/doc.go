// Package extract reads a delta out of the shadows: everything a receiver may lack above a
// position, in one snapshot.
//
// A node extracts its own work. The hub extracts for each node the work of everybody else. It is
// state, not history (decision 3): a row changed a thousand times travels once. The snapshot must
// have everything folded. In any other snapshot tables are newer than stamps, and half of a
// transaction could travel.
//
// A delta of more than a slice is planned before it is sent. Slices are cut between positions. A
// row goes with the oldest version of it that the receiver lacks. Its whole document goes with it,
// and so do documents that have exchanged rows with that one since. So each slice has every
// version between its two positions, and its receiver truthfully reports the end as seen. Rows with
// versions newer than the end of their slice are shipped ahead, and package history remembers
// them. A slice also says the highest keys still to come, and up to which time it has all births.
// Decision 4 has the reasons.
//
// A snapshot keeps the application's checkpoints from beginning the -wal file anew. So an
// extraction stops after about a second, and says where the rest ends. A plan for much work goes
// through the shadows as they lie, instead of through the index of positions.
//
// Own work that was overwritten before it was acknowledged goes with the first slice. A deleted
// row brings the bases of its counters that the receiver cannot have. Births that are stable
// travel as zero, whether this site has forgotten them or not.
//
// Package extract refuses to know links and frames, and writes nothing but the memory of rows
// shipped ahead.
package extract
