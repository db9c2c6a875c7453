// Package catalog says which tables sync, with their columns, keys, foreign keys and documents,
// and holds the values of one row.
//
// A table has a class: synced, journal or local. Tables and columns have numbers here. A number
// survives that its column goes and comes back, so shadows stay readable after a migration.
// Numbers differ between sites, so tables and columns travel by name. A name from the wire is only
// ever looked up here; no name from the wire becomes SQL.
//
// The catalog also tells how tables hang together: which foreign keys lead from one to another, by
// key or by a unique value; the way from a row up to the root of its document; and the order in
// which a referred table comes before the tables that refer to it. Tables that refer to each other
// in a circle count as one. Foreign keys, composite ones too, tell which columns hold keys of
// which table.
//
// A reference to a row is the number of its table and its key. Values are the known values of a
// row, column by column. A row that is out of its table (held, incomplete, or deleted) keeps its
// values in this form.
//
// A catalog is read once for all connections of a store, and never changes after that. A
// transaction compares it with the versions of the file, and reads a new one when they differ.
//
// Package catalog refuses to know stamps, the log and the network. It decides nothing and writes
// no row.
package catalog
