// Package install puts ravno's tables, triggers and mirrors into the file, and keeps them up to
// date.
//
// At the start of a transaction it compares the tables with the installed triggers. A table that a
// migration rebuilt gets its triggers back. Rows that were written in between are not searched
// for.
//
// Backfill. A migration may add a column and fill it, or make a table and fill it, before our
// triggers are there. Package install logs such values when it makes the triggers. Rows in a new
// table get births at time 1. The same migration puts the same rows into the table at every
// server; they are one row and no collision. The same values in a new column are no conflict,
// because agreement is none.
//
// Own tables are upgraded by creating and adding only. To rename or drop would make SQLite look at
// the application's views, which may call functions that only the application has. A newer format
// is refused.
//
// Mirrors. The application's triggers are off where ravno writes. Some triggers only keep an index
// or a local table of this file fresh. Such a trigger is made again as a TEMP trigger of the
// writing connection. TEMP triggers fire although the file's own are off. A mirror that fails is
// switched off for its table until the schema changes, with a notice. Decision 13 says why.
//
// Positions are indexed only where a row is sent on. A node sends the hub's rows to nobody, so
// they are in no index. Files of older versions keep the whole index, which answers the same
// questions.
//
// Journals. At the hub each journal table has a second table for the rows of all nodes. Its rows
// are kept by site and key, so event 5 of two shops is two events. A view shows them together with
// the hub's own.
//
// Package install refuses to know deltas, stamps other than the first, and conflicts.
package install
