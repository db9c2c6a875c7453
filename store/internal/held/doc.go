// Package held keeps rows out of their tables where a constraint does, and readmits them when it
// can.
//
// Of two rows with one unique value the one with the older priority stays. Priority is the stamp
// from which on a row has had the value. Stamps are the same everywhere, so every server decides
// alike. A row that refers to a held row is held with it, so nobody sees half of a document. Rows
// that refer to each other in a circle are readmitted together.
//
// At the end of a transaction the held rows are tried again, round after round. Each round
// readmits at least one row, and a row gives way only to an older priority. So the rounds end by
// themselves. Two rows that swap values pass through this within one transaction.
//
// SQLite itself says which rows are in the way. The row is put in by force inside a savepoint, its
// index values are read, and the savepoint is rolled back. So generated columns, expressions,
// partial indexes and collations need no code here.
//
// A CHECK over columns that two servers wrote keeps a row out in the same way.
//
// Package held tells its caller which rows were held or readmitted. It refuses to know conflict
// records, sites and the network. Decision 8 says why.
package held
